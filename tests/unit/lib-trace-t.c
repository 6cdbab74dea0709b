/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-trace-t.c -- is each reference to an object of a traced type told to the
 * host, once, by whatever function it is taken or dropped?  And hk_annotate and
 * hk_ignore.
 */
#include <errno.h>

#include "heapknot.h"
#include "lib/object.h"
#include "lib/type.h"
#include "tests/tap/tap.h"
#include "tests/unit/lib-host.h"

struct node {
    hk_object head;
    struct node *next;
};
struct inner {
    long before[3];
    hk_object head;
    struct inner *next;
};
struct other {
    uint64_t refs;
    void *peer;
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
static const hk_field inner_fields[] = {
    {"next", HK_REF, offsetof(struct inner, next), 0}, {0}};
static const hk_field other_fields[] = {
    {"peer", HK_REF, offsetof(struct other, peer), 0}, {0}};

static hk_type *
make(const char *name, const hk_field *fields, size_t size, unsigned flags,
     size_t header_offset)
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = size;
    s.fields = fields;
    s.flags = flags;
    s.header_offset = header_offset;
    s.refcount_width = flags & HK_TYPE_FOREIGN ? 8 : 0;
    return hk_type_register(&s);
}

static void
tells(int births, int increments, int decrements, int deaths, const char *what)
{
    ok(host_refs.births == births && host_refs.increments == increments
           && host_refs.decrements == decrements
           && host_refs.deaths == deaths,
       "%s: +%d +%d -%d, %d dead", what, host_refs.births,
       host_refs.increments, host_refs.decrements, host_refs.deaths);
    host_refs.births = host_refs.increments = 0;
    host_refs.decrements = host_refs.deaths = 0;
}

/* Every way to take or drop a reference, of an object named by its struct and
   by its header. */
static void
every_way(void *object, void *header, const char *what)
{
    void *slot = NULL, *second = NULL;
    hk_token token;
    hk_weak *weak;
    hk_finalizer f;

    diag("%s", what);
    tells(1, 0, 0, 0, "born");
    ok(host_refs.header == header, "named by its header");
    hk_incref(header);
    tells(0, 1, 0, 0, "hk_incref");
    hk_decref(header);
    tells(0, 0, 1, 0, "hk_decref");
    hk_xincref(header);
    hk_xdecref(hk_newref(header));
    hk_decref(header);
    tells(0, 2, 2, 0, "hk_xincref, hk_newref, hk_xdecref");
    ok(hk_try_incref(header), "hk_try_incref");
    tells(0, 1, 0, 0, "hk_try_incref");
    hk_setref(&slot, object);
    tells(0, 1, 0, 0, "hk_setref of a new one");
    hk_moveref(&second, &slot);
    tells(0, 0, 0, 0, "hk_moveref takes none");
    hk_setref(&second, object);
    tells(0, 1, 1, 0, "hk_setref instead of an old one");
    hk_clearref(&second);
    tells(0, 0, 1, 0, "hk_clearref");
    hk_hold(object, &token, "test");
    tells(0, 1, 0, 0, "hk_hold");
    hk_put(object, &token);
    tells(0, 0, 1, 0, "hk_put");
    weak = hk_weak_new(object, NULL, NULL);
    tells(0, 0, 0, 0, "hk_weak_new takes none");
    ok(hk_weak_lock(weak) == object, "hk_weak_lock");
    tells(0, 1, 0, 0, "hk_weak_lock");
    f = hk_finalizer_add(object, free, NULL, 0);
    ok(hk_finalizer_peek(f) == object, "hk_finalizer_peek");
    tells(0, 1, 0, 0, "hk_finalizer_peek");
    while (hk_refcount(header) > 1)
        hk_decref(header);
    tells(0, 0, 3, 0, "and these are dropped");
    hk_decref(header);
    tells(0, 0, 1, 1, "the last one, and the end");
    hk_weak_free(weak);
}

static void
types(void)
{
    hk_type *plain = make("plain", node_fields, sizeof(struct node), 0, 0);
    struct inner *in;
    struct node *n;

    host_traced = "tracked";
    n = hk_new(make("tracked", node_fields, sizeof(*n), 0, 0));
    ok(n->head.bits & HK_BIT_TRACED, "an object of the type is marked");
    every_way(n, n, "a container");
    host_traced = "leaf";
    n = hk_new(make("leaf", NULL, sizeof(*n), HK_TYPE_LEAF, 0));
    every_way(n, n, "a leaf");
    host_traced = "nonatomic";
    n = hk_new(make("nonatomic", node_fields, sizeof(*n), HK_TYPE_NONATOMIC,
                    0));
    every_way(n, n, "a type of one thread");
    host_traced = "inner";
    in = hk_new(make("inner", inner_fields, sizeof(*in), 0,
                     offsetof(struct inner, head)));
    every_way(in, &in->head, "a header further in");
    n = hk_new(plain);
    hk_incref(n);
    hk_decref(n);
    hk_decref(n);
    tells(0, 0, 0, 0, "another type is none of the host's business");
}

/* The host has no memory for it: it is not asked again. */
static void
given_up(void)
{
    hk_type *type;
    struct node *n;

    host_traced = "given up";
    type = make("given up", node_fields, sizeof(*n), 0, 0);
    host_refs_refused = 1;
    n = hk_new(type);
    hk_incref(n);
    hk_decref(n);
    hk_decref(n);
    tells(1, 0, 0, 0, "refused at birth");
    host_refs_refused = 0;
    n = hk_new(type);
    host_refs_refused = 1;
    hk_incref(n);
    hk_incref(n);
    hk_decref(n);
    hk_decref(n);
    is_int(1, (int64_t)hk_refcount(n), "counted all the same");
    hk_decref(n);
    tells(1, 1, 0, 0, "refused later");
    host_refs_refused = 0;
    host_agent = 0;
    n = hk_new(type);
    hk_incref(n);
    hk_decref(n);
    hk_decref(n);
    host_agent = 1;
    tells(0, 0, 0, 0, "without the agent");
}

/* What the collector lends and takes back is even, and what it ends, ends. */
static void
collected(void)
{
    hk_type *type;
    struct node *a, *b;

    host_traced = "collected";
    type = make("collected", node_fields, sizeof(*a), 0, 0);
    a = hk_new(type);
    b = hk_new(type);
    hk_setref(&a->next, b);
    hk_setref(&b->next, a);
    hk_decref(a);
    hk_decref(b);
    tells(2, 2, 2, 0, "a cycle");
    is_int(2, hk_gc_collect(2), "is collected");
    is_int(2, host_refs.deaths, "both are told to be dead");
    is_int(2, host_refs.decrements - host_refs.increments,
           "and the references of the cycle dropped");
    tells(0, host_refs.increments, host_refs.decrements, 2, "nothing else");
}

static void
mistaken(void)
{
    hk_type *type;
    struct node *n;

    host_traced = "mistaken";
    type = make("mistaken", node_fields, sizeof(*n), 0, 0);
    n = malloc(sizeof(*n));
    hk_init(n, type);
    tells(1, 0, 0, 0, "hk_init is a birth");
    n->head.word = 0;
    hk_incref(n);
    hk_decref(n);
    tells(0, 0, 0, 0, "what is undone is not told");
    is_int(0, (int64_t)hk_refcount(n), "the count of the dead");
    free(n);
}

/* ---- notes --------------------------------------------------------------- */

static void
notes(void)
{
    hk_type *type = make("noted", node_fields, sizeof(struct node), 0, 0);
    hk_type *foreign = make("foreign", other_fields, sizeof(struct other),
                            HK_TYPE_FOREIGN, 0);
    struct other o = {1, NULL};
    struct node *n = hk_new(type);
    char junk[64] = {0};

    is_int(0, hk_annotate(n, "hello"), "a note");
    ok(host_noted == n, "on this object");
    is_str("hello", host_noted_text, "with this text");
    host_note_error = ENOSPC;
    ok(hk_annotate(n, "more") == -1 && errno == ENOSPC, "ENOSPC");
    host_note_error = EAGAIN;
    ok(hk_annotate(n, "more") == -1 && errno == EAGAIN, "EAGAIN");
    host_note_error = 0;
    ok(hk_annotate(NULL, "x") == -1 && errno == EINVAL, "NULL: EINVAL");
    ok(hk_annotate(junk, "x") == -1 && errno == EINVAL,
       "no object: EINVAL");
    host_noted = NULL;
    hk_decref(n);
    ok(host_noted == n && strcmp(host_noted_text, "(none)") == 0,
       "forgotten at its death");
    host_noted = NULL;
    hk_decref(hk_new(type));
    ok(!host_noted, "without a note nobody asks");
    hk_adopt(&o, foreign);
    is_int(0, hk_annotate(&o, "of another"), "a foreign object");
    hk_forget(&o);
    ok(host_noted == &o && strcmp(host_noted_text, "(none)") == 0,
       "forgotten with it");
    ok(hk_annotate(&o, "x") == -1 && errno == EINVAL, "then no object");
    host_agent = 0;
    n = hk_new(type);
    host_noted = NULL;
    is_int(0, hk_annotate(n, "x"), "without the agent");
    ok(!host_noted, "nothing is kept");
    host_agent = 1;
    hk_decref(n);
}

static void
ignoring(void)
{
    struct node *n =
        hk_new(make("ignored", node_fields, sizeof(struct node), 0, 0));
    hk_type *foreign = make("alien", other_fields, sizeof(struct other),
                            HK_TYPE_FOREIGN, 0);
    unsigned before = n->head.bits;
    struct other o = {1, NULL};

    is_int(0, hk_ignore(n), "hk_ignore");
    is_int(before | HK_BIT_IGNORED, n->head.bits, "marks the header");
    is_int(0, hk_ignore(n), "again");
    hk_incref(n);
    hk_decref(n);
    ok(n->head.bits & HK_BIT_IGNORED, "the mark stays");
    hk_decref(n);
    hk_adopt(&o, foreign);
    ok(hk_ignore(&o) == -1 && errno == ENOTSUP, "foreign: ENOTSUP");
    hk_forget(&o);
    ok(hk_ignore(NULL) == -1 && errno == EINVAL, "NULL: EINVAL");
}

int
main(void)
{
    types();
    given_up();
    collected();
    mistaken();
    notes();
    ignoring();
    return done_testing();
}
