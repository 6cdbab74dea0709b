/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-foreign-kref -- cycles of objects that count their references in a member
 * of their own, as a kref does: of either width, at any offset, beginning at
 * 0 or at 1.  Each kind is found by a scan, ended by a collection, and counts
 * its own ends, so the truth does not come from the library.
 */
#include <stdint.h>

#include "heapknot.h"
#include "tests/tap/tap.h"

/* The links come first, so that all kinds share them. */
struct node {
    struct node *peer, *other;
    struct own *own; /* an object of the library's */
};

/* Begins at 1, as a kref. */
struct narrow {
    struct node links;
    uint32_t flags;
    uint32_t refs;
};

/* Counts the references beyond the first one. */
struct beyond {
    struct node links;
    uint32_t more_refs;
};

struct wide {
    struct node links;
    char name[16];
    uint64_t refs;
};

struct own {
    hk_object head;
    struct node *node;
};

static const hk_field node_fields[] = {
    {"peer", HK_REF, offsetof(struct node, peer), 0},
    {"other", HK_REF, offsetof(struct node, other), 0},
    {"own", HK_REF, offsetof(struct node, own), 0},
    {0}};

static int ended;
static void (*drop)(void *); /* of the kind that is on trial */

/* The end of a node, as its own program wrote it. */
static void
end_node(void *self)
{
    struct node *node = self;

    ended++;
    hk_forget(node);
    if (node->peer)
        drop(node->peer);
    if (node->other)
        drop(node->other);
    hk_xdecref(node->own);
    free(node);
}

static void
narrow_get(void *self)
{
    ((struct narrow *)self)->refs++;
}

static void
narrow_put(void *self)
{
    if (--((struct narrow *)self)->refs == 0)
        end_node(self);
}

static void
beyond_get(void *self)
{
    ((struct beyond *)self)->more_refs++;
}

static void
beyond_put(void *self)
{
    if (((struct beyond *)self)->more_refs-- == 0)
        end_node(self);
}

static void
wide_get(void *self)
{
    ((struct wide *)self)->refs++;
}

static void
wide_put(void *self)
{
    if (--((struct wide *)self)->refs == 0)
        end_node(self);
}

struct kind {
    const char *name;
    size_t size, offset, width;
    intptr_t bias;
    void (*get)(void *), (*put)(void *);
    uint64_t first; /* what is stored in a new one */
    hk_type *type;
};

static struct kind kinds[] = {
    {"narrow", sizeof(struct narrow), offsetof(struct narrow, refs), 4, 0,
     narrow_get, narrow_put, 1, NULL},
    {"beyond", sizeof(struct beyond), offsetof(struct beyond, more_refs), 4, 1,
     beyond_get, beyond_put, 0, NULL},
    {"wide", sizeof(struct wide), offsetof(struct wide, refs), 8, 0, wide_get,
     wide_put, 1, NULL},
};

static void
make_type(struct kind *k)
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = k->name;
    s.size = k->size;
    s.flags = HK_TYPE_FOREIGN;
    s.fields = node_fields;
    s.refcount_offset = k->offset;
    s.refcount_width = k->width;
    s.refcount_bias = k->bias;
    s.retain = k->get;
    s.release = k->put;
    k->type = hk_type_register(&s);
    if (!k->type)
        bail_out(hk_last_error());
}

static struct node *
make_node(const struct kind *k)
{
    char *node = calloc(1, k->size);

    if (!node)
        bail_out("no memory");
    if (k->width == 4)
        *(uint32_t *)(void *)(node + k->offset) = (uint32_t)k->first;
    else
        *(uint64_t *)(void *)(node + k->offset) = k->first;
    if (hk_adopt(node, k->type) != 0)
        bail_out(hk_last_error());
    return (struct node *)(void *)node;
}

/* A ring of so many; the caller owns its first one. */
static struct node *
make_ring(const struct kind *k, int size)
{
    struct node *first = make_node(k), *last = first;

    for (int i = 1; i < size; i++) {
        last->peer = make_node(k);
        last = last->peer;
    }
    k->get(first);
    last->peer = first;
    return first;
}

static int
unreachable(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)};

    return hk_gc_scan(2, &r) == 0 ? (int)r.unreachable : -1;
}

static int
tracked(const struct kind *k)
{
    uint64_t count;

    hk_type_counts(k->type, NULL, NULL, &count);
    return (int)count;
}

static void
rings(const struct kind *k)
{
    struct node *held = make_ring(k, 3);

    ok(hk_type_check(held) == 0, "%s: its type tells the truth", k->name);
    is_int(0, unreachable(), "%s: a ring that is held is no garbage", k->name);
    for (int size = 1; size <= 3; size++) {
        ended = 0;
        k->put(make_ring(k, size));
        is_int(0, ended, "%s: a ring of %d outlives its owner", k->name, size);
        is_int(size, unreachable(), "%s: a scan finds it", k->name);
        is_int(0, ended, "%s: and touches nothing", k->name);
        is_int(size, (int64_t)hk_gc_collect(2), "%s: collect", k->name);
        is_int(size, ended, "%s: ended all", k->name);
    }
    is_int(3, tracked(k), "%s: the held ones are left", k->name);
    ended = 0;
    k->put(held);
    is_int(3, (int64_t)hk_gc_collect(2), "%s: not held any more", k->name);
    is_int(3, ended, "%s: ended", k->name);
    is_int(0, tracked(k), "%s: none is left", k->name);
}

/* Two references in one object to the same one are two edges; and a node that
   only garbage holds goes with it. */
static void
doubled(const struct kind *k)
{
    struct node *a = make_node(k), *b = make_node(k), *tail = make_node(k);

    ended = 0;
    a->peer = b;
    k->get(b);
    a->other = b;
    k->get(a);
    b->peer = a;
    b->other = tail;
    k->put(a);
    is_int(3, unreachable(), "%s: two edges, and a tail", k->name);
    is_int(3, (int64_t)hk_gc_collect(2), "%s: collected", k->name);
    is_int(3, ended, "%s: ended", k->name);
}

/* An object of the library's and a foreign one hold each other. */
static void
mixed(const struct kind *k)
{
    static const hk_field own_fields[] = {
        {"node", HK_REF, offsetof(struct own, node), 0}, {0}};
    static const hk_type_spec spec = {.struct_size = sizeof(spec),
                                      .name = "own",
                                      .size = sizeof(struct own),
                                      .fields = own_fields};
    hk_type *type = hk_type_register(&spec);
    struct own *own = hk_new(type);
    struct node *node = make_node(k);
    uint64_t destroyed, before;

    hk_type_counts(type, NULL, &before, NULL);
    ended = 0;
    hk_setref(&own->node, node);
    k->put(node);
    node->own = own; /* now the node's */
    is_int(2, unreachable(), "%s: a mixed cycle", k->name);
    is_int(2, (int64_t)hk_gc_collect(2), "%s: collected", k->name);
    hk_type_counts(type, NULL, &destroyed, NULL);
    is_int(1, ended, "%s: the foreign one ended", k->name);
    is_int(1, (int64_t)(destroyed - before), "%s: and the other", k->name);
}

/* The slot functions know how a foreign object is released. */
static void
slots(const struct kind *k)
{
    struct node *a = make_node(k), *slot = NULL, *other = NULL;

    ended = 0;
    hk_setref(&slot, a);
    k->put(a);
    is_int(0, ended, "%s: the slot holds it", k->name);
    hk_moveref(&other, &slot);
    ok(!slot && other == a, "%s: moved", k->name);
    hk_clearref(&other);
    is_int(1, ended, "%s: the last reference was the slot's", k->name);
}

int
main(void)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        make_type(&kinds[i]);
        drop = kinds[i].put;
        rings(&kinds[i]);
        doubled(&kinds[i]);
        slots(&kinds[i]);
        mixed(&kinds[i]);
    }
    return done_testing();
}
