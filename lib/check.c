/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * check.c -- does a type tell the truth about an object?
 *
 * Called by   tests of the program: hk_type_check().
 * Threads     any, while nobody changes the object's references.
 * Memory      two lists of edges in malloc()'s memory while it works.
 * Fails       -1, errno, a sentence.
 * Invariants  an address that traverse names is not followed before it is
 *             known to be readable.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/error.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/type.h"

struct edge {
    void *child;
    const char *label;
    ptrdiff_t index;
    uint64_t word; /* of the child, before the second traverse */
};

struct edges {
    struct edge *list;
    size_t count, room;
    int failed; /* no memory */
};

static int
note(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct edges *e = arg;
    size_t room = e->room ? 2 * e->room : 64;
    struct edge *grown;

    if (!child)
        return 0;
    if (e->count == e->room) {
        grown = realloc(e->list, room * sizeof(*grown));
        if (!grown)
            return e->failed = 1;
        e->list = grown;
        e->room = room;
    }
    e->list[e->count++] = (struct edge){child, label, index, 0};
    return 0;
}

static int
stop_at_once(void *child, const char *label, ptrdiff_t index, void *arg)
{
    size_t *calls = arg;

    (void)label;
    (void)index;
    *calls += child != NULL;
    return child ? 77 : 0;
}

/* The header at that address, if there is memory; where the kernel does not
   let us ask, it is taken for granted. */
static int
read_header(const void *at, hk_object *header)
{
    struct iovec to = {header, sizeof(*header)};
    struct iovec from = {(void *)at, sizeof(*header)};
    ssize_t n = process_vm_readv(getpid(), &to, 1, &from, 1, 0);

    if (n < 0 && errno != EFAULT) {
        memcpy(header, at, sizeof(*header));
        return 1;
    }
    return n == (ssize_t)sizeof(*header);
}

/* The type of what lies at an address that may be anything; NULL: no object.
   A leaf has no record, so its header has to be believed. */
static const hk_type *
type_at(void *child)
{
    uint32_t slot = type_lookup_needed() ? registry_find(child) : 0;
    const struct record *r;
    const hk_type *type;
    hk_object header;

    if (slot)
        return registry_type(slot);
    if ((uintptr_t)child & 7 || !read_header(child, &header))
        return NULL;
    type = type_get(header.type);
    r = header.slot ? registry_record(header.slot) : NULL;
    if (!type || type_is_foreign(type) || type->spec.header_offset)
        return NULL;
    return header.slot ? (r && r->object == child ? type : NULL) : type;
}

static int
refuse(const hk_type *type, const char *label, const char *why)
{
    error_set(EINVAL, "type %s: %s%s%s", type->spec.name, label ? label : "",
              label ? " " : "", why);
    return -1;
}

/* Something came back from a traverse whose visit returns 0. */
static int
refuse_result(const hk_type *type, const struct edges *e)
{
    if (!e->failed)
        return refuse(type, NULL, "its traverse returns what visit did not");
    error_set(ENOMEM, "type %s: no memory to check it", type->spec.name);
    return -1;
}

static size_t
edges_to(const struct edges *e, const void *child)
{
    size_t n = 0;

    for (size_t i = 0; i < e->count; i++)
        n += e->list[i].child == child;
    return n;
}

static int
check_targets(const hk_type *type, struct edges *e)
{
    for (size_t i = 0; i < e->count; i++) {
        struct edge *edge = &e->list[i];
        const hk_type *to = type_at(edge->child);

        if (!edge->label)
            return refuse(type, NULL, "its traverse gives no label");
        if (!to)
            return refuse(type, edge->label, "leads to what is no object");
        if (type_refcount(to, edge->child) < edges_to(e, edge->child))
            return refuse(type, edge->label,
                          "leads to an object more often than that has "
                          "references");
        edge->word = type_word(to, edge->child);
    }
    return 0;
}

static int
check_again(const hk_type *type, const struct edges *a, const struct edges *b)
{
    if (a->count != b->count)
        return refuse(type, NULL, "a second traverse finds another number of "
                      "references");
    for (size_t i = 0; i < a->count; i++) {
        const struct edge *x = &a->list[i], *y = &b->list[i];
        const hk_type *to;

        if (x->child != y->child || x->index != y->index || !y->label
            || strcmp(x->label, y->label) != 0)
            return refuse(type, x->label, "is another one in a second "
                          "traverse");
        to = type_at(x->child);
        if (!to || type_word(to, x->child) != x->word)
            return refuse(type, x->label,
                          "has its count changed by traverse");
    }
    return 0;
}

/* Visit's result must come back at once. */
static int
check_stop(const hk_type *type, void *obj, size_t edges)
{
    size_t calls = 0;
    int result = type_traverse(type, obj, stop_at_once, &calls);

    if (edges && (result != 77 || calls != 1))
        return refuse(type, NULL, "its traverse does not return what visit "
                      "returns, at once");
    return 0;
}

static int
check(const hk_type *type, void *obj, struct edges *a, struct edges *b)
{
    uint64_t word = type_word(type, obj);

    if (type_traverse(type, obj, note, a))
        return refuse_result(type, a);
    if (type_word(type, obj) != word)
        return refuse(type, NULL, "its traverse changes its count");
    if (check_targets(type, a))
        return -1;
    if (type_traverse(type, obj, note, b))
        return refuse_result(type, b);
    if (type_word(type, obj) != word)
        return refuse(type, NULL, "its traverse changes its count");
    return check_again(type, a, b) || check_stop(type, obj, a->count) ? -1 : 0;
}

int
hk_type_check(void *obj)
{
    struct edges a = {0}, b = {0};
    const hk_type *type = obj ? type_at(obj) : NULL;
    int result;

    if (!type) {
        error_set(EINVAL, "hk_type_check: %p is no object", obj);
        return -1;
    }
    result = check(type, obj, &a, &b);
    free(a.list);
    free(b.list);
    return result;
}
