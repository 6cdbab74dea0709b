/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-collect -- what a collection finds, and what it does to it: a case
 * for each test of CPython's test_gc.py, class GCTests, whose name is in the
 * description.  What the functions of the module say is in lib-gc-module,
 * what happens while it happens in lib-gc-during.
 */
#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

/* Garbage that is found is found once. */
static void
collects(int64_t expected, const char *what)
{
    is_int(expected, hk_gc_collect(2), "%s: found", what);
    is_int(0, hk_gc_collect(2), "%s: nothing is left", what);
}

/* ---- shapes of cycles --------------------------------------------------- */

static void
test_list(void)
{
    knot_loop(plain, 1);
    collects(1, "test_list, a loop of one object");
    is_int(0, knot_live(plain), "it is gone");
}

/* An object with a keyed table: a list of entries that are no objects. */
struct entry {
    struct entry *next;
    const char *key;
    void *value;
};
struct dict {
    hk_object head;
    struct entry *entries;
};

static const hk_slist_spec entry_list = {offsetof(struct entry, next),
                                         offsetof(struct entry, value)};

static void
dict_dealloc(void *self)
{
    struct dict *d = self;
    struct entry *e;

    while ((e = d->entries)) {
        d->entries = e->next;
        hk_clearref(&e->value);
        free(e);
    }
    free(d);
}

static void
test_dict(void)
{
    static const hk_field fields[] = {
        {"entries", HK_SLIST, offsetof(struct dict, entries),
         (size_t)&entry_list},
        {NULL, HK_END, 0, 0}};
    hk_type *type = knot_type("Dict",
                              (hk_type_spec){.size = sizeof(struct dict),
                                             .fields = fields,
                                             .dealloc = dict_dealloc});
    struct dict *d = hk_new(type);

    for (int i = 0; i < 2; i++) {
        struct entry *e = calloc(1, sizeof(*e));

        e->key = i ? "self" : "nothing";
        e->next = d->entries;
        d->entries = e;
    }
    hk_setref(&d->entries->value, d);
    hk_decref(d);
    collects(1, "test_dict, a loop through a keyed entry");
    is_int(0, knot_live(type), "it is gone");
}

static int whole;

/* It still holds what it always held. */
static void
end_tuple(void *self)
{
    struct knot *k = self;

    whole += k->ref[0] != NULL;
    hk_clearref(&k->ref[0]);
    free(k);
}

static void
test_tuple(void)
{
    hk_type *tuple = knot_type("Tuple",
                               (hk_type_spec){.flags = HK_TYPE_IMMUTABLE,
                                              .dealloc = end_tuple});

    knot_pair(tuple, plain, 1);
    collects(2, "test_tuple, an immutable object closed by another");
    is_int(0, knot_live(tuple) + knot_live(plain), "both are gone");
    knot_pair(plain, tuple, 1);
    collects(2, "test_tuple, the other way round");
    is_int(0, knot_live(tuple) + knot_live(plain), "both are gone");
    is_int(2, whole, "the immutable ones were not cleared");
}

/* Inheritance: an instance refers to its class, the class to its method table
   and its base, the table back to the class. */
struct derived {
    struct knot base;
    int payload;
    struct knot *more;
};

static hk_type *
derived_type(void)
{
    static const hk_field fields[] = {
        {"base", HK_EMBED, 0, (size_t)knot_fields},
        {"more", HK_REF, offsetof(struct derived, more), 0},
        {NULL, HK_END, 0, 0}};

    return knot_type("Derived", (hk_type_spec){.size = sizeof(struct derived),
                                               .fields = fields});
}

static void
test_class(const char *name, int levels, int has_method, int has_instance)
{
    hk_type *type = derived_type();
    struct knot *class = NULL, *base, *method;
    struct derived *instance;
    int64_t objects = levels + has_method + has_instance;

    for (int i = 0; i < levels; i++) {
        base = class;
        class = knot_new(plain, i);
        knot_link(class, class); /* its own resolution order */
        if (base) {
            knot_link(class, base);
            hk_decref(base);
        }
    }
    if (has_method) {
        method = knot_new(plain, 10);
        knot_link(method, class);
        knot_link(class, method);
        hk_decref(method);
    }
    if (has_instance) {
        instance = hk_new(type);
        knot_link(&instance->base, class);
        hk_setref(&instance->more, instance);
        hk_decref(instance);
    }
    hk_decref(class);
    collects(objects, name);
    is_int(0, knot_live(plain) + knot_live(type), "all are gone");
}

static void
test_function(void)
{
    hk_type *other = knot_type("Other", (hk_type_spec){.flags = 0});

    knot_pair(plain, other, 1);
    collects(2, "test_function, two objects of two types");
    is_int(0, knot_live(plain) + knot_live(other), "both are gone");
}

static void
arrays(void)
{
    struct list {
        hk_object head;
        void **items;
        size_t count;
    };
    static const hk_field fields[] = {
        {"items", HK_REF_ARRAY, offsetof(struct list, items),
         offsetof(struct list, count)},
        {NULL, HK_END, 0, 0}};
    hk_type *type = knot_type("List",
                              (hk_type_spec){.size = sizeof(struct list),
                                             .fields = fields});
    struct list *a = hk_new(type);
    void *items[3] = {NULL, NULL, NULL};

    hk_setref(&items[0], a);
    hk_setref(&items[2], a);
    a->items = items;
    a->count = 3;
    hk_decref(a);
    collects(1, "test_list, a loop through an array");
    is_int(0, knot_live(type), "it is gone");
}

/* ---- what is not garbage ------------------------------------------------ */

static void
reachable(void)
{
    struct knot *root = knot_new(plain, 1), *inner = knot_pair(plain, plain, 2);

    knot_link(root, inner);
    knot_link(inner->ref[0], root);
    knot_pair(plain, plain, 4);
    is_int(2, hk_gc_collect(2), "what is reachable stays");
    ok(root->ref[0] == inner && inner->ref[0]->ref[1] == root, "whole");
    is_int(3, knot_live(plain), "all three");
    hk_decref(root);
    collects(3, "until the reference from outside goes");
}

static void
long_ring(void)
{
    struct knot *first = knot_new(plain, 0), *last = first, *k;
    hk_weak *weak = knot_weak(first, NULL, NULL);

    for (int i = 1; i < 100000; i++) {
        k = knot_new(plain, i);
        knot_link(last, k);
        hk_decref(k);
        last = k;
    }
    is_int(0, hk_gc_collect(2), "a list of 100,000 stays");
    knot_link(last, first);
    hk_decref(first);
    collects(100000, "a ring of 100,000");
    is_int(0, knot_live(plain), "all are gone");
    ok(!knot_weak_is_alive(weak), "and none is left to lock");
    hk_weak_free(weak);
}

static void
young_only(void)
{
    struct knot *old = knot_pair(plain, plain, 1), *young;

    hk_incref(old);
    hk_gc_collect(2);
    hk_decref(old);
    young = knot_pair(plain, plain, 3);
    hk_incref(young);
    is_int(0, hk_gc_collect(0), "a young collection does not see old garbage");
    is_int(0, hk_gc_collect(1), "nor does that of generation 1");
    knot_link(old, young);
    hk_decref(young);
    is_int(0, hk_gc_collect(0), "what old garbage refers to stays");
    is_int(0, hk_gc_collect(1), "and stays");
    collects(4, "a full collection sees it");
}

/* ---- legacy finalizers and garbage -------------------------------------- */

static void
test_legacy_finalizer(hk_type *type, const char *name)
{
    struct knot *a = knot_loop(type, 1);

    knot_loop(plain, 2);
    is_int(2, hk_gc_collect(2), "%s: both loops are found", name);
    is_int(0, knot_live(plain), "the ordinary one is freed");
    is_int(1, knot_live(type), "the other is not");
    is_str("", noted(), "its legacy_del has not run");
    is_int(1, (int64_t)hk_gc_garbage_count(), "it is garbage");
    ok(hk_gc_garbage_get(0) == a && hk_gc_garbage_get(1) == NULL, "alone");
    ok(a->ref[0] == a, "and whole");
    is_int(0, hk_gc_collect(2), "from there it is reachable");
    is_int(1, (int64_t)hk_gc_garbage_count(), "and kept once");
    hk_clearref(&a->ref[0]);
    ok(hk_gc_garbage_take(0) == a, "the program breaks the loop, takes it");
    is_int(0, (int64_t)hk_gc_garbage_count(), "out");
    hk_decref(a);
    is_str("del1", noted(), "and it dies by its count");
    is_int(0, knot_live(type), "it is gone");
}

/* What it reaches cannot be collected either, but is no garbage. */
static void
legacy_reaches(void)
{
    struct knot *a = knot_pair(legacy, final, 1);
    struct knot *tail = knot_new(final, 3);
    hk_weak *weak;

    knot_link(a->ref[0], tail);
    hk_decref(tail);
    weak = knot_weak(tail, NULL, NULL);
    is_int(3, hk_gc_collect(2), "reached from a legacy finalizer: found");
    is_str("", noted(), "but not finalized");
    ok(knot_weak_is_alive(weak), "and its weak references live");
    is_int(1, (int64_t)hk_gc_garbage_count(), "only the culprit is garbage");
    is_int(2, knot_generation(tail), "all are old now");
    hk_clearref(&a->ref[0]->ref[0]);
    knot_empty_garbage();
    is_str("del1 fin2 fin3", noted(), "broken by hand, all die in order");
    hk_weak_free(weak);
}

static void
test_saveall(void)
{
    struct knot *k = knot_loop(plain, 1);

    hk_gc_collect(2);
    k = knot_loop(plain, 1);
    hk_gc_set_debug(HK_GC_SAVEALL);
    is_int(1, hk_gc_collect(2), "test_saveall: the loop is found");
    hk_gc_set_debug(0);
    is_int(1, (int64_t)hk_gc_garbage_count(), "it is in the garbage");
    ok(hk_gc_garbage_get(0) == k, "at the same address");
    ok(k->ref[0] == k && k->name == 1, "not cleared");
    is_int(2, (int64_t)hk_refcount(k), "with a reference of the garbage's");
    knot_empty_garbage();
    collects(1, "test_saveall, without SAVEALL");
    is_int(0, knot_live(plain), "it is gone");
}

static void
saveall_finalizes(void)
{
    struct knot *k = knot_loop(final, 1);
    hk_weak *weak;

    hk_incref(k);
    weak = knot_weak(k, NULL, NULL);
    hk_decref(k);
    hk_gc_set_debug(HK_GC_SAVEALL);
    is_int(1, hk_gc_collect(2), "SAVEALL: found");
    hk_gc_set_debug(0);
    is_str("fin1", noted(), "its finalizer runs");
    ok(hk_gc_is_finalized(k), "it is finalized");
    ok(!knot_weak_is_alive(weak), "and its weak references are dead");
    knot_empty_garbage();
    collects(1, "SAVEALL, afterwards");
    is_str("", noted(), "without a second call");
    hk_weak_free(weak);
}

/* ---- tracked, finalized ------------------------------------------------- */

static void
test_is_tracked(void)
{
    struct knot *k = knot_new(plain, 1), *l = knot_new(leaf, 2);
    struct knot mem = {.name = 3};
    hk_type *kept = knot_type("Kept", (hk_type_spec){.dealloc = hk_untrack});

    ok(!hk_gc_is_tracked(l), "test_is_tracked: a leaf is not");
    ok(hk_gc_is_tracked(k), "an empty container is");
    hk_untrack(k);
    ok(!hk_gc_is_tracked(k), "until it is untracked");
    hk_untrack(k);
    ok(!hk_gc_is_tracked(k), "which may be repeated");
    hk_track(k);
    ok(hk_gc_is_tracked(k), "and it can be tracked again");
    is_int(0, knot_generation(k), "as a young one");
    hk_init(&mem, kept);
    ok(!hk_gc_is_tracked(&mem), "memory of the program's is not");
    hk_track(&mem);
    ok(hk_gc_is_tracked(&mem), "until it is tracked");
    hk_decref(&mem);
    hk_decref(k);
    hk_decref(l);
    noted();
}

static void
revive(struct knot *self)
{
    hk_incref(self);
}

static void
test_is_finalized(void)
{
    struct knot *k = knot_new(final, 1), *l = knot_new(leaf, 2);

    ok(!hk_gc_is_finalized(l), "test_is_finalized: a leaf is not");
    ok(!hk_gc_is_finalized(k), "a fresh object is not");
    k->action = revive;
    hk_decref(k);
    ok(hk_gc_is_finalized(k), "one that its finalizer brought back is");
    is_str("fin1", noted(), "after one call");
    hk_decref(k);
    is_str("", noted(), "and one only");
    hk_decref(l);
    noted();
}

/* An untracked object is not looked into: what it refers to stays. */
static void
untracked(void)
{
    struct knot *a = knot_pair(plain, plain, 1);

    hk_incref(a);
    hk_untrack(a);
    hk_decref(a);
    is_int(0, hk_gc_collect(2), "a cycle with an untracked object stays");
    hk_track(a);
    collects(2, "tracked again");
}

int
main(void)
{
    hk_type *newclass;

    knot_types();
    newclass = knot_type("NewClass",
                         (hk_type_spec){.legacy_del = knot_legacy_del,
                                        .size = sizeof(struct knot) + 64});
    hk_gc_disable();
    test_list();
    test_dict();
    test_tuple();
    test_class("test_class", 1, 0, 0);
    test_class("test_newstyleclass", 2, 0, 0);
    test_class("test_instance", 1, 0, 1);
    test_class("test_newinstance", 3, 0, 1);
    test_class("test_method", 1, 1, 1);
    test_function();
    arrays();
    reachable();
    long_ring();
    young_only();
    test_legacy_finalizer(legacy, "test_legacy_finalizer");
    test_legacy_finalizer(newclass, "test_legacy_finalizer_newclass");
    legacy_reaches();
    test_saveall();
    saveall_finalizes();
    test_is_tracked();
    test_is_finalized();
    untracked();
    return done_testing();
}
