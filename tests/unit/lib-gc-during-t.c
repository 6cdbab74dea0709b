/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-during -- code of the program that runs inside a collection, in
 * finalizers and callbacks of weak references, and does what it likes: a case
 * for each test of CPython's test_gc.py, whose name is in the description.
 */
#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

static struct knot *saved[256];
static size_t saved_count;

static void
revive(struct knot *self)
{
    hk_incref(self);
    saved[saved_count++] = self;
}

static void
drop_saved(void)
{
    while (saved_count > 0)
        hk_decref(saved[--saved_count]);
}

static void
on_weak(hk_weak *weak, void *arg)
{
    note("cb%s%s", (const char *)arg, knot_weak_is_alive(weak) ? "!" : "");
}

/* ---- the order ---------------------------------------------------------- */

static void
order(void)
{
    struct knot *k = knot_loop(final, 1);
    hk_weak *a, *b, *dead;

    hk_incref(k);
    dead = knot_weak(k, NULL, NULL);
    a = knot_weak(k, on_weak, "a");
    b = knot_weak(k, on_weak, "b");
    hk_decref(k);
    is_int(1, hk_gc_collect(2), "handle_weakrefs: found");
    is_str("cbb cba fin1", noted(),
           "callbacks, newest first, then the finalizer");
    ok(!knot_weak_is_alive(dead), "and all references are dead");
    hk_weak_free(a);
    hk_weak_free(b);
    hk_weak_free(dead);
}

/* Of many, every callback comes before the first finalizer. */
static void
order_of_many(void)
{
    struct knot *first = knot_new(final, 0), *last = first, *k;
    hk_weak *weak[9];
    const char *log;

    for (int i = 0; i < 9; i++) {
        k = knot_new(i % 2 ? final : plain, i + 1);
        knot_link(last, k);
        weak[i] = knot_weak(k, on_weak, "");
        hk_decref(k);
        last = k;
    }
    knot_link(last, first);
    hk_decref(first);
    is_int(10, hk_gc_collect(2), "a ring of ten with weak references: found");
    log = noted();
    if (!ok(strncmp(log, "cb cb cb cb cb cb cb cb cb fin", 30) == 0
                && !strstr(log, "!"),
            "nine callbacks, which see nothing, then finalizers"))
        diag("%s", log);
    for (int i = 0; i < 9; i++)
        hk_weak_free(weak[i]);
}

static hk_weak *of_both[2];

static void
fetch_both(hk_weak *weak, void *arg)
{
    (void)weak;
    note("cb%s%s", (const char *)arg,
         knot_weak_is_alive(of_both[0]) || knot_weak_is_alive(of_both[1])
             ? "!" : "");
}

static void
test_bug1055820b(void)
{
    struct knot *a = knot_loop(plain, 1), *b = knot_loop(plain, 2);

    hk_incref(a);
    hk_incref(b);
    of_both[0] = knot_weak(a, fetch_both, "a");
    of_both[1] = knot_weak(b, fetch_both, "b");
    hk_decref(a);
    hk_decref(b);
    is_int(2, hk_gc_collect(2), "test_bug1055820b: two loops are found");
    is_str("cba cbb", noted_sorted(),
           "both callbacks run, and see dead references");
    hk_weak_free(of_both[0]);
    hk_weak_free(of_both[1]);
}

/* An old object that only young garbage keeps alive dies by its count, in the
   middle of the collection: by then no reference leads to garbage. */
static hk_weak *of_young;

static void
see_young(hk_weak *weak, void *arg)
{
    (void)weak;
    (void)arg;
    note("cb%s", knot_weak_is_alive(of_young) ? "!" : "");
}

static void
see_young_too(struct knot *self)
{
    (void)self;
    note("sees%s", knot_weak_is_alive(of_young) ? "!" : "");
}

static void
test_bug1055820cd(hk_type *type, const char *expected, const char *name)
{
    struct knot *old = knot_new(type, 0), *young;
    hk_weak *weak = knot_weak(old, type == plain ? see_young : NULL, NULL);

    old->action = see_young_too;
    hk_gc_collect(2);
    young = knot_pair(plain, plain, 1);
    knot_link(young, old);
    of_young = knot_weak(young->ref[0], NULL, NULL);
    hk_decref(old);
    is_str("", noted(), "%s: nothing has run", name);
    is_int(2, hk_gc_collect(0), "the young ones are collected");
    is_str(expected, noted(), "and the old one sees no garbage");
    is_int(0, knot_live(plain) + knot_live(final), "all are gone");
    hk_weak_free(weak);
    hk_weak_free(of_young);
}

/* A weak reference that dies with its target: hidden behind an object that
   shows nothing, the target is not known to be garbage. */
static void
hidden_dealloc(void *self)
{
    struct knot *k = self;

    hk_clearref(&k->ref[0]);
    free(k);
}

static void
test_trash_weakref_clear(void)
{
    hk_type *opaque = knot_type("Opaque",
                                (hk_type_spec){.flags = HK_TYPE_LEAF,
                                               .dealloc = hidden_dealloc});
    struct knot *target = knot_new(plain, 1), *box = knot_new(opaque, 2);
    struct knot *k = knot_new(plain, 3), *owner = knot_new(plain, 4);

    hk_setref(&box->ref[0], target);
    knot_link(k, box); /* the first that is cleared */
    knot_link(k, owner);
    knot_link(owner, k);
    owner->weak = knot_weak(target, on_weak, "never");
    hk_decref(target);
    hk_decref(box);
    hk_decref(owner);
    hk_decref(k);
    is_int(2, hk_gc_collect(2), "test_trash_weakref_clear: found");
    is_str("", noted(), "the callback in the garbage never runs");
    is_int(0, knot_live(plain) + knot_live(opaque), "all are gone");
}

/* ---- finalizers that do things ------------------------------------------ */

static void
mutate(struct knot *self)
{
    struct knot *fresh = knot_new(plain, 100);

    for (int i = 0; i < KNOT_REFS; i++)
        hk_clearref(&self->ref[i]);
    knot_link(self, fresh);
    knot_link(fresh, fresh);
    hk_decref(fresh);
}

static void
test_bug21435(void)
{
    struct knot *k = knot_pair(final, plain, 1);
    struct knot *tail = knot_pair(final, final, 3);

    k->action = mutate;
    knot_link(k->ref[0], tail);
    tail->ref[0]->action = mutate;
    hk_gc_collect(2);
    is_str("fin1 fin3 fin4", noted_sorted(), "test_bug21435: each runs once");
    hk_gc_collect(2);
    is_str("", noted(), "and once only");
    is_int(0, knot_live(plain) + knot_live(final), "all are gone");
}

static void
collect_again(struct knot *self)
{
    ptrdiff_t n;
    hk_gc_result result = {.struct_size = sizeof(result)};

    (void)self;
    for (int i = 0; i < 20; i++)
        knot_loop(plain, 100);
    n = hk_gc_poll();
    note("poll%d", (int)n);
    n = hk_gc_collect(2);
    note("collect%d", (int)n);
    errno = 0;
    if (hk_gc_scan(2, &result) == -1 && errno == EBUSY)
        note("busy");
}

static void
test_del(hk_type *type, const char *name)
{
    struct knot *k = knot_loop(type, 1);

    k->action = collect_again;
    hk_gc_enable();
    hk_gc_set_threshold(1, -1, -1);
    is_int(1, hk_gc_collect(2), "%s, in a collection: found", name);
    is_str("fin1 poll0 collect0 busy", noted(), "there is but one at a time");
    is_int(20, hk_gc_collect(2), "what was made meanwhile is for the next");
    k = knot_new(type, 1);
    k->action = collect_again;
    hk_decref(k);
    is_str("fin1 poll20 collect0", noted(), "%s: at a death by count", name);
    hk_gc_set_threshold(700, 10, 10);
    hk_gc_disable();
    is_int(0, knot_live(plain) + knot_live(type), "all are gone");
}

/* A finalizer leaves a weak reference to a fellow in garbage with an object
   that dies while the garbage is cleared, and looks through it then. */
static int inconsistent;

static void
late(struct knot *self)
{
    struct knot *k = self->weak ? hk_weak_lock(self->weak) : NULL;

    if (k) {
        inconsistent += k->name != 2 || hk_refcount(k) < 2;
        for (int i = 0; i < KNOT_REFS; i++)
            inconsistent += k->ref[i] && k->ref[i]->name < 1;
        hk_decref(k);
    }
}

static void
prepare_late(struct knot *self)
{
    struct knot *l = knot_new(final, 9);

    l->action = late;
    l->weak = knot_weak(self->ref[0], NULL, NULL);
    knot_link(self, l);
    hk_decref(l);
}

static void
test_function_tp_clear_leaves_consistent_state(void)
{
    struct knot *k = knot_pair(final, plain, 1);

    k->action = prepare_late;
    is_int(2, hk_gc_collect(2),
           "test_function_tp_clear_leaves_consistent_state: found");
    is_str("fin1 fin9", noted(), "one finalizer runs while it is cleared");
    is_int(0, inconsistent, "and meets nothing half cleared");
    is_int(0, knot_live(plain) + knot_live(final), "all are gone");
}

static int
count_names(void *obj, const hk_type *type, void *arg)
{
    int *count = arg;

    (void)type;
    *count += ((struct knot *)obj)->name < 100;
    return 0;
}

static void
look_around(struct knot *self)
{
    void *me = self;
    int objects = 0, referrers = 0, referents = 0;

    hk_gc_get_objects(-1, count_names, &objects);
    hk_gc_get_referrers(&me, 1, count_names, &referrers);
    hk_gc_get_referents(&me, 1, count_names, &referents);
    note("%d,%d,%d", objects, referrers, referents);
}

static void
test_get_objects_during_gc(void)
{
    struct knot *k = knot_pair(final, plain, 1);
    struct knot *outside = knot_new(plain, 100);

    k->action = look_around;
    is_int(2, hk_gc_collect(2), "test_get_objects_during_gc: found");
    is_str("fin1 0,0,1", noted(),
           "what is being collected is in no generation and refers to nothing");
    hk_decref(outside);
}

/* ---- resurrection ------------------------------------------------------- */

static void
test_resurrection_once(void)
{
    struct knot *k = knot_loop(final, 1);

    k->action = revive;
    is_int(0, hk_gc_collect(2),
           "test_resurrection_only_happens_once_per_object: not collected");
    is_str("fin1", noted(), "one call");
    is_int(1, (int64_t)saved_count, "it lives");
    ok(hk_gc_is_finalized(k), "finalized");
    drop_saved();
    is_int(1, hk_gc_collect(2), "the second time it is collected");
    is_str("", noted(), "without a call");
    is_int(0, (int64_t)saved_count, "and stays dead");
}

static void
test_resurrection_is_transitive(void)
{
    struct knot *lazarus = knot_loop(final, 1), *cargo = knot_loop(plain, 2);
    hk_weak *weak;

    lazarus->action = revive;
    hk_incref(cargo);
    weak = knot_weak(cargo, NULL, NULL);
    knot_link(lazarus, cargo);
    knot_link(cargo, lazarus);
    hk_decref(cargo);
    is_int(0, hk_gc_collect(2),
           "test_resurrection_is_transitive: none is collected");
    ok(saved_count == 1 && saved[0] == lazarus, "one asked for it");
    ok(lazarus->ref[1] == cargo && cargo->ref[0] == cargo
           && cargo->ref[1] == lazarus,
       "and what it refers to is whole");
    ok(!knot_weak_is_alive(weak), "the cargo's weak reference is dead");
    is_int(2, knot_generation(cargo), "both are old");
    hk_clearref(&lazarus->ref[1]);
    drop_saved();
    noted();
    is_int(2, hk_gc_collect(2), "afterwards both can go");
    hk_weak_free(weak);
}

static void
test_resurrection_does_not_block(void)
{
    hk_gc_stats before[3], after[3];
    const int n = 100;

    for (int i = 0; i < n; i++)
        knot_loop(plain, i);
    is_int(n, hk_gc_collect(2), "test_resurrection_does_not_block_cleanup_of"
                                "_other_objects: without one");
    for (int i = 0; i < n; i++) {
        knot_loop(plain, i);
        knot_loop(final, i)->action = revive;
    }
    hk_gc_get_stats(before);
    is_int(n, hk_gc_collect(2), "with as many that come back");
    hk_gc_get_stats(after);
    is_int(n, (int64_t)(after[2].collected - before[2].collected),
           "which the statistics do not count");
    is_int(n, (int64_t)saved_count, "they are back");
    noted();
    drop_saved();
    hk_gc_get_stats(before);
    is_int(n, hk_gc_collect(2), "and go the next time");
    hk_gc_get_stats(after);
    is_int(n, (int64_t)(after[2].collected - before[2].collected),
           "which the statistics do count");
    is_int(0, hk_gc_collect(2), "nothing is left");
}

/* It goes to the next generation, and keeps its mark. */
static void
resurrected_generation(void)
{
    struct knot *k = knot_loop(final, 1);

    k->action = revive;
    is_int(0, hk_gc_collect(0), "resurrected by a young collection");
    is_int(1, knot_generation(k), "it is in generation 1");
    noted();
    drop_saved();
    hk_gc_collect(2);
    k = knot_new(final, 1);
    hk_gc_collect(2);
    is_int(2, knot_generation(k), "an old object");
    k->action = revive;
    hk_decref(k);
    is_int(0, knot_generation(k),
           "that its finalizer brings back from a death by count is young");
    noted();
    drop_saved();
}

int
main(void)
{
    hk_type *newclass;

    knot_types();
    newclass = knot_type("NewClass",
                         (hk_type_spec){.finalize = knot_finalize,
                                        .size = sizeof(struct knot) + 64});
    hk_gc_disable();
    order();
    order_of_many();
    test_bug1055820b();
    test_bug1055820cd(plain, "cb", "test_bug1055820c");
    test_bug1055820cd(final, "fin0 sees", "test_bug1055820d");
    test_trash_weakref_clear();
    test_bug21435();
    test_del(final, "test_del");
    test_del(newclass, "test_del_newclass");
    test_function_tp_clear_leaves_consistent_state();
    test_get_objects_during_gc();
    test_resurrection_once();
    test_resurrection_is_transitive();
    test_resurrection_does_not_block();
    resurrected_generation();
    return done_testing();
}
