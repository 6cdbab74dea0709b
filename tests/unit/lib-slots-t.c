/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-slots -- slots, scopes, plain counts, inheritance, retain and release;
 * and what happens to an object that free() got while it was tracked.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "heapknot.h"
#include "tests/tap/tap.h"

struct base {
    hk_object head;
    void *first;
    long number;
};
struct derived {
    struct base base;
    void *second;
};
struct inner { /* its header comes last */
    long number;
    void *link;
    hk_object head;
};
struct own { /* a count of its own, one less than its references */
    void *peer;
    int32_t refs;
};

static const hk_field base_fields[] = {
    {"first", HK_REF, offsetof(struct base, first), 0}, {0}};
static const hk_field derived_fields[] = {
    {"base", HK_EMBED, offsetof(struct derived, base), (size_t)base_fields},
    {"second", HK_REF, offsetof(struct derived, second), 0},
    {0}};
static const hk_field inner_fields[] = {
    {"link", HK_REF, offsetof(struct inner, link), 0}, {0}};
static const hk_field own_fields[] = {
    {"peer", HK_REF, offsetof(struct own, peer), 0}, {0}};

static hk_type *bases, *deriveds, *inners, *owns, *plains;
static int mistakes, last_kind, own_ends;

static void
note_mistake(const hk_error *e, void *arg)
{
    (void)arg;
    mistakes++;
    last_kind = e->kind;
}

static void
own_retain(void *self)
{
    ((struct own *)self)->refs++;
}

static void
own_release(void *self)
{
    struct own *o = self;

    if (o->refs-- > 0)
        return;
    own_ends++;
    hk_forget(o);
    hk_clearref(&o->peer);
    free(o);
}

static int
own_clear(void *self)
{
    hk_clearref(&((struct own *)self)->peer);
    return 0;
}

static struct own *
own_new(void)
{
    struct own *o = calloc(1, sizeof(*o));

    if (hk_adopt(o, owns))
        bail_out(hk_last_error());
    return o;
}

static hk_type *
make(const char *name, size_t size, const hk_field *fields, hk_type_spec s)
{
    hk_type *type;

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = size;
    s.fields = fields;
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

static void
make_types(void)
{
    hk_type_spec s = {0};

    bases = make("base", sizeof(struct base), base_fields, s);
    deriveds = make("derived", sizeof(struct derived), derived_fields, s);
    s.flags = HK_TYPE_NONATOMIC;
    plains = make("plain", sizeof(struct base), base_fields, s);
    s.flags = 0;
    s.header_offset = offsetof(struct inner, head);
    inners = make("inner", sizeof(struct inner), inner_fields, s);
    s.header_offset = 0;
    s.flags = HK_TYPE_FOREIGN;
    s.refcount_offset = offsetof(struct own, refs);
    s.refcount_width = sizeof(int32_t);
    s.refcount_bias = 1;
    s.retain = own_retain;
    s.release = own_release;
    s.clear = own_clear;
    s.traverse = NULL;
    owns = make("own", sizeof(struct own), own_fields, s);
}

static uint64_t
live(hk_type *type)
{
    uint64_t created, destroyed;

    hk_type_counts(type, &created, &destroyed, NULL);
    return created - destroyed;
}

static void
test_slots(void)
{
    struct base *a = hk_new(bases), *b = hk_new(bases);
    void *slot = NULL, *other = NULL;
    uint64_t before;

    hk_setref(&slot, a);
    ok(slot == a && hk_refcount(a) == 2, "setref adds a reference");
    hk_setref(&slot, b);
    ok(slot == b && hk_refcount(a) == 1 && hk_refcount(b) == 2,
       "setref drops the old one");
    hk_setref(&slot, b);
    ok(slot == b && hk_refcount(b) == 2, "setref of the same changes nothing");
    before = b->head.word;
    hk_moveref(&other, &slot);
    ok(!slot && other == b && hk_refcount(b) == 2, "moveref moves");
    ok(b->head.word != before, "and leaves a trace in the word");
    hk_setref(&slot, a);
    hk_moveref(&other, &slot);
    ok(!slot && other == a && hk_refcount(b) == 1 && hk_refcount(a) == 2,
       "moveref drops what it takes the place of");
    hk_moveref(&other, &other);
    ok(other == a && hk_refcount(a) == 2, "moveref onto itself does nothing");
    hk_clearref(&other);
    hk_clearref(&other);
    ok(!other && hk_refcount(a) == 1, "clearref, twice");
    hk_decref(a);
    hk_decref(b);
    is_int(0, (int64_t)live(bases), "all are gone");
}

/* The slot has its new value when the end of the old one runs code. */
static void *seen_slot, *seen_value;

static void
look(void *self)
{
    (void)self;
    seen_value = *(void **)seen_slot;
}

static void
test_order(void)
{
    hk_type_spec s = {0};
    hk_type *lookers;
    void *slot, *next = hk_new(bases);

    s.finalize = look;
    lookers = make("looker", sizeof(struct base), base_fields, s);
    slot = hk_new(lookers);
    seen_slot = &slot;
    hk_setref(&slot, next);
    ok(seen_value == next, "setref: the new value is there first");
    hk_setref(&slot, NULL);
    slot = hk_new(lookers);
    seen_value = next;
    hk_clearref(&slot);
    ok(!seen_value, "clearref: NULL is there first");
    hk_decref(next);
}

static void
use_scope(int early)
{
    HK_AUTO struct base *a = hk_new(bases);
    HK_AUTO struct inner *b = hk_new(inners);

    if (early)
        return;
    hk_setref(&a->first, b);
}

static void
test_scope(void)
{
    use_scope(0);
    use_scope(1);
    ok(live(bases) == 0 && live(inners) == 0, "HK_AUTO drops at the end");
}

static void
test_plain(void)
{
    struct base *a = hk_new(plains);
    uint64_t before = a->head.word;

    hk_incref(a);
    hk_decref(a);
    is_int(1, (int64_t)hk_refcount(a), "plain counts count");
    ok(a->head.word != before, "with a stamp");
    hk_setref(&a->first, a);
    hk_decref(a);
    is_int(1, (int64_t)live(plains), "a loop of plain objects");
    is_int(1, hk_gc_collect(2), "is collected");
    is_int(0, (int64_t)live(plains), "and gone");
    mistakes = 0;
    a = hk_new(plains);
    hk_decref(a);
    hk_decref(NULL);
    ok(mistakes == 1 && last_kind == HK_ERROR_NULL, "NULL is reported");
}

static void
test_inheritance(void)
{
    struct derived *d = hk_new(deriveds);
    struct base *b = hk_new(bases);

    hk_setref(&d->base.first, b);
    hk_setref(&d->second, b);
    hk_setref(&b->first, d);
    is_int(3, (int64_t)hk_refcount(b), "both the base's and its own field");
    is_int(0, hk_type_check(d), "its type tells the truth");
    hk_decref(b);
    hk_decref(d);
    is_int(2, hk_gc_collect(2), "a cycle through the base is found");
    ok(live(deriveds) == 0 && live(bases) == 0, "and ended");
}

static void
test_try(void)
{
    struct base *a = hk_new(bases);

    ok(hk_try_incref(a) && hk_refcount(a) == 2, "try_incref of a live one");
    hk_decref(a);
    a->head.word &= ~UINT64_C(0xffffffff);
    ok(!hk_try_incref(a), "try_incref of a dead one");
    a->head.word |= 1;
    hk_decref(a);
}

static void
test_foreign(void)
{
    struct own *o = own_new();
    struct inner *i = hk_new(inners);
    struct base *b = hk_new(bases);
    void *slot = NULL;

    hk_setref(&slot, o);
    is_int(1, o->refs, "setref retains a foreign object");
    ok(hk_type_of(o) == owns && hk_type_of(i) == inners
           && hk_type_of(b) == bases && !hk_type_of(NULL),
       "each has its type");
    hk_clearref(&slot);
    is_int(0, o->refs, "clearref releases it");
    hk_setref(&o->peer, i);
    hk_setref(&i->link, b);
    hk_setref(&b->first, o);
    own_release(o);
    hk_decref(&i->head);
    hk_decref(b);
    ok(own_ends == 0 && live(inners) == 1, "a ring of three kinds");
    is_int(3, hk_gc_collect(2), "is collected");
    ok(own_ends == 1 && live(inners) == 0 && live(bases) == 0
           && live(owns) == 0,
       "each in its own way");
}

static void
test_without_release(void)
{
    hk_type_spec s = {0};
    hk_type *bare;
    static struct own two[2];
    hk_gc_result r = {.struct_size = sizeof(r)};

    s.flags = HK_TYPE_FOREIGN;
    s.refcount_offset = offsetof(struct own, refs);
    s.refcount_width = sizeof(int32_t);
    bare = make("bare", sizeof(struct own), own_fields, s);
    for (int i = 0; i < 2; i++) {
        two[i] = (struct own){&two[1 - i], 1};
        hk_adopt(&two[i], bare);
    }
    ok(hk_gc_scan(2, &r) == 0 && r.unreachable == 2 && r.uncollectable == 2,
       "foreign garbage without release is found");
    is_int(2, hk_gc_collect(2), "and not touched");
    ok(two[0].peer == &two[1] && two[1].peer == &two[0], "at all");
    mistakes = 0;
    hk_setref(&two[0].peer, NULL);
    ok(mistakes == 1 && last_kind == HK_ERROR_NO_TYPE,
       "dropping such a reference is reported");
    hk_forget(&two[0]);
    hk_forget(&two[1]);
}

static void
test_refused(void)
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = "liar";
    s.size = sizeof(struct base);
    s.fields = base_fields;
    s.retain = own_retain;
    ok(!hk_type_register(&s) && errno == EINVAL,
       "retain of what is not foreign: %s", hk_last_error());
    s.flags = HK_TYPE_FOREIGN;
    s.refcount_width = 4;
    ok(!hk_type_register(&s) && errno == EINVAL, "retain alone: %s",
       hk_last_error());
    s.release = own_release;
    s.finalize = look;
    ok(!hk_type_register(&s) && errno == EINVAL, "a foreign finalize: %s",
       hk_last_error());
    memset(&s, 0, sizeof(s));
    s.struct_size = sizeof(s);
    s.name = "liar";
    s.size = sizeof(struct base);
    s.fields = base_fields;
    s.flags = HK_TYPE_IMMUTABLE;
    s.clear = own_clear;
    ok(!hk_type_register(&s) && errno == EINVAL, "immutable with clear: %s",
       hk_last_error());
    s.clear = NULL;
    s.flags = HK_TYPE_LEAF;
    ok(!hk_type_register(&s) && errno == EINVAL, "a leaf with fields: %s",
       hk_last_error());
}

/* A type whose dealloc is forgotten: the memory goes, the record stays. */
static void
test_freed(void)
{
    struct base *a = hk_new(bases);
    hk_gc_result r = {.struct_size = sizeof(r)};

    a->head.slot ^= 1; /* what free() and the next owner do to it */
    mistakes = 0;
    ok(hk_gc_scan(2, &r) == 0 && r.objects == 0, "it is not looked into");
    ok(mistakes == 1 && last_kind == HK_ERROR_FREED, "and reported");
    hk_gc_scan(2, &r);
    is_int(1, mistakes, "once");
    free(a);
}

int
main(void)
{
    make_types();
    hk_set_error_fn(note_mistake, NULL);
    test_slots();
    test_order();
    test_scope();
    test_plain();
    test_inheritance();
    test_try();
    test_foreign();
    test_without_release();
    test_refused();
    test_freed();
    return done_testing();
}
