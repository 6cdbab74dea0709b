/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-finalization -- finalizers, resurrection and what becomes of the
 * neighbours: a case for each test of CPython's test_finalization.py, whose
 * name is in the description.
 */
#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

#define NODES_MAX 4

static struct knot *survivors[16];
static size_t survivor_count;

static void
resurrect(struct knot *self)
{
    hk_incref(self);
    survivors[survivor_count++] = self;
}

static void
clear_survivors(void)
{
    struct knot *old[16];
    size_t n = survivor_count;

    memcpy(old, survivors, sizeof(old));
    survivor_count = 0;
    while (n > 0)
        hk_decref(old[--n]);
}

static void
suicide(struct knot *self)
{
    for (int i = 0; i < KNOT_REFS; i++)
        hk_clearref(&self->ref[i]);
}

/* ---- SimpleFinalizationTest --------------------------------------------- */

static void
simple(void)
{
    struct knot *k = knot_new(final, 1);
    hk_weak *weak = knot_weak(k, NULL, NULL);

    hk_decref(k);
    is_str("fin1", noted(), "SimpleFinalizationTest.test_simple: one call");
    ok(!knot_weak_is_alive(weak), "the weak reference is dead");
    is_int(0, hk_gc_collect(2), "nothing is left to collect");
    is_str("", noted(), "and nothing runs again");
    hk_weak_free(weak);
}

static void
simple_resurrect(void)
{
    struct knot *k = knot_new(final, 1);
    hk_weak *weak = knot_weak(k, NULL, NULL);

    k->action = resurrect;
    hk_decref(k);
    is_str("fin1", noted(),
           "SimpleFinalizationTest.test_simple_resurrect: one call");
    is_int(1, (int64_t)survivor_count, "it survives");
    ok(knot_weak_is_alive(weak), "its weak reference too");
    ok(hk_gc_is_tracked(k), "it is tracked");
    clear_survivors();
    is_str("", noted(), "its second death calls nothing");
    is_int(0, (int64_t)survivor_count, "it does not survive again");
    ok(!knot_weak_is_alive(weak), "and its weak reference is dead");
    hk_weak_free(weak);
}

static void
non_gc(void)
{
    struct knot *k = knot_new(leaf, 1);

    hk_decref(k);
    is_str("fin1", noted(), "SimpleFinalizationTest.test_non_gc: one call");
    is_int(0, hk_gc_collect(2), "nothing is left to collect");
    is_str("", noted(), "and nothing runs again");
    is_int(0, knot_live(leaf), "it is gone");
}

static void
non_gc_resurrect(void)
{
    struct knot *k = knot_new(leaf, 1);

    k->action = resurrect;
    hk_decref(k);
    is_str("fin1", noted(),
           "SimpleFinalizationTest.test_non_gc_resurrect: one call");
    is_int(1, (int64_t)survivor_count, "it survives");
    clear_survivors();
    is_str("fin1", noted(), "its second death calls again");
    is_int(1, (int64_t)survivor_count, "and it survives again");
    k->action = NULL;
    clear_survivors();
    is_str("fin1", noted(), "and so a third time");
    is_int(0, knot_live(leaf), "then it is gone");
}

/* ---- SelfCycleFinalizationTest ------------------------------------------ */

static void
self_simple(void)
{
    struct knot *k = knot_loop(final, 1);
    hk_weak *weak;

    hk_incref(k);
    weak = knot_weak(k, NULL, NULL);
    hk_decref(k);
    is_str("", noted(),
           "SelfCycleFinalizationTest.test_simple: it lives on by itself");
    is_int(1, hk_gc_collect(2), "it is collected");
    is_str("fin1", noted(), "with one call");
    ok(!knot_weak_is_alive(weak), "the weak reference is dead");
    is_int(0, knot_live(final), "it is gone");
    hk_weak_free(weak);
}

static void
self_resurrect(void)
{
    struct knot *k = knot_loop(final, 1);
    hk_weak *weak;

    hk_incref(k);
    k->action = resurrect;
    weak = knot_weak(k, NULL, NULL);
    hk_decref(k);
    is_int(0, hk_gc_collect(2), "SelfCycleFinalizationTest."
                                "test_simple_resurrect: nothing collected");
    is_str("fin1", noted(), "one call");
    ok(survivor_count == 1 && survivors[0] == k, "it survives");
    ok(k->ref[0] == k, "whole");
    ok(!knot_weak_is_alive(weak), "but its weak reference is dead");
    clear_survivors();
    is_int(1, hk_gc_collect(2), "the second time it is collected");
    is_str("", noted(), "without a call");
    is_int(0, (int64_t)survivor_count, "and does not survive");
    ok(!knot_weak_is_alive(weak), "the weak reference stays dead");
    is_int(0, knot_live(final), "it is gone");
    hk_weak_free(weak);
}

static void
self_suicide(void)
{
    struct knot *k = knot_loop(final, 1);
    hk_weak *weak;

    hk_incref(k);
    k->action = suicide;
    weak = knot_weak(k, NULL, NULL);
    hk_decref(k);
    is_int(0, hk_gc_collect(2), "SelfCycleFinalizationTest."
                                "test_simple_suicide: nothing is cleared");
    is_str("fin1", noted(), "one call, which breaks the loop");
    ok(!knot_weak_is_alive(weak), "the weak reference is dead");
    is_int(0, knot_live(final), "it is gone");
    is_int(0, hk_gc_collect(2), "nothing is left");
    is_str("", noted(), "and nothing runs again");
    hk_weak_free(weak);
}

/* ---- CycleChainFinalizationTest ----------------------------------------- */

static int insane;

/* ref[0] is the left neighbour, ref[1] the right one; a suicidal one that is
   through (is_marked) has none. */
static int
is_sane(const struct knot *neighbour, int back, const struct knot *self)
{
    return neighbour->ref[back] == (neighbour->is_marked ? NULL : self);
}

static void
check_sanity(const struct knot *self)
{
    insane += self->is_marked || !self->ref[0] || !self->ref[1];
    insane += !is_sane(self->ref[0], 1, self);
    insane += !is_sane(self->ref[1], 0, self);
}

static void
chained(struct knot *self)
{
    check_sanity(self);
}

static void
chained_resurrector(struct knot *self)
{
    check_sanity(self);
    resurrect(self);
}

static void
chained_suicide(struct knot *self)
{
    check_sanity(self);
    self->is_marked = 1;
    suicide(self);
}

/* A ring of one node for each letter: c, r or s. */
static void
build_chain(const char *kinds, hk_weak **weak)
{
    struct knot *nodes[NODES_MAX];
    int n = (int)strlen(kinds);

    for (int i = 0; i < n; i++) {
        nodes[i] = knot_new(final, i);
        nodes[i]->action = kinds[i] == 'c'   ? chained
                           : kinds[i] == 'r' ? chained_resurrector
                                             : chained_suicide;
        weak[i] = knot_weak(nodes[i], NULL, NULL);
    }
    for (int i = 0; i < n; i++) {
        hk_setref(&nodes[i]->ref[1], nodes[(i + 1) % n]);
        hk_setref(&nodes[(i + 1) % n]->ref[0], nodes[i]);
    }
    for (int i = 0; i < n; i++)
        hk_decref(nodes[i]);
}

/* Each name once, in whatever order. */
static int
all_called(int n)
{
    const char *calls = noted();
    int held = (int)strlen(calls) == 5 * n - 1;
    char one[20];

    for (int i = 0; i < n; i++) {
        snprintf(one, sizeof(one), "fin%d", i);
        held &= strstr(calls, one) != NULL;
    }
    if (!held)
        diag("calls: %s", calls);
    return held;
}

static int
survivors_are(const char *kinds)
{
    size_t expected = 0;
    int held = 1;

    for (const char *kind = kinds; *kind; kind++)
        expected += *kind == 'r';
    for (size_t i = 0; i < survivor_count; i++)
        held &= kinds[survivors[i]->name] == 'r';
    return held && survivor_count == expected;
}

static int
all_dead(hk_weak **weak, int n)
{
    int alive = 0;

    for (int i = 0; i < n; i++)
        alive += knot_weak_is_alive(weak[i]);
    return !alive;
}

/* What finalizers have freed is not counted as collected. */
static void
chain(const char *kinds, int collected, const char *name)
{
    hk_weak *weak[NODES_MAX];
    int n = (int)strlen(kinds);

    insane = 0;
    build_chain(kinds, weak);
    is_int(collected, hk_gc_collect(2),
           "CycleChainFinalizationTest.%s: %d of %d are cleared", name,
           collected, n);
    ok(all_called(n), "each finalizer runs once");
    is_int(0, insane, "and finds its neighbours whole");
    ok(survivors_are(kinds), "the resurrectors survive");
    ok(all_dead(weak, n), "all weak references are dead");
    clear_survivors();
    hk_gc_collect(2);
    is_str("", noted(), "no finalizer runs again");
    is_int(0, (int64_t)survivor_count, "nothing survives again");
    is_int(0, knot_live(final), "all are gone");
    for (int i = 0; i < n; i++)
        hk_weak_free(weak[i]);
}

/* ---- LegacyFinalizationTest --------------------------------------------- */

static void
legacy_simple(void)
{
    struct knot *k = knot_new(legacy, 1);
    hk_weak *weak = knot_weak(k, NULL, NULL);

    hk_decref(k);
    is_str("del1", noted(), "LegacyFinalizationTest.test_legacy: one call");
    ok(!knot_weak_is_alive(weak), "the weak reference is dead");
    hk_gc_collect(2);
    is_str("", noted(), "nothing runs again");
    is_int(0, knot_live(legacy), "it is gone");
    hk_weak_free(weak);
}

static void
legacy_resurrect(void)
{
    struct knot *k = knot_new(legacy, 1);
    hk_weak *weak = knot_weak(k, NULL, NULL);

    k->action = resurrect;
    hk_decref(k);
    is_str("del1", noted(),
           "LegacyFinalizationTest.test_legacy_resurrect: one call");
    is_int(1, (int64_t)survivor_count, "it survives");
    ok(!knot_weak_is_alive(weak),
       "but its weak references were dead before that");
    clear_survivors();
    is_str("del1", noted(), "its second death calls again");
    is_int(1, (int64_t)survivor_count, "and it survives again");
    k->action = NULL;
    clear_survivors();
    is_str("del1", noted(), "and again");
    is_int(0, knot_live(legacy), "until it lets go");
    hk_weak_free(weak);
}

static void
legacy_self_cycle(void)
{
    struct knot *k = knot_loop(legacy, 1);
    hk_weak *weak;

    hk_incref(k);
    weak = knot_weak(k, NULL, NULL);
    hk_decref(k);
    is_int(1, hk_gc_collect(2),
           "LegacyFinalizationTest.test_legacy_self_cycle: one is found");
    is_str("", noted(), "nothing runs");
    ok(knot_weak_is_alive(weak), "the weak reference is alive");
    is_int(1, (int64_t)hk_gc_garbage_count(), "it is garbage");
    ok(hk_gc_garbage_get(0) == k, "namely this one");
    hk_clearref(&k->ref[0]);
    is_str("", noted(), "with its loop broken the garbage still has it");
    knot_empty_garbage();
    is_str("del1", noted(), "then it dies by its count");
    ok(!knot_weak_is_alive(weak), "and the weak reference is dead");
    is_int(0, hk_gc_collect(2), "nothing is left");
    is_int(0, knot_live(legacy), "it is gone");
    hk_weak_free(weak);
}

int
main(void)
{
    knot_types();
    hk_gc_disable();
    simple();
    simple_resurrect();
    non_gc();
    non_gc_resurrect();
    self_simple();
    self_resurrect();
    self_suicide();
    chain("ccc", 3, "test_homogenous");
    chain("rrr", 0, "test_homogenous_resurrect");
    chain("sss", 0, "test_homogenous_suicidal");
    chain("scsc", 0, "test_heterogenous_suicidal_one");
    chain("ccss", 4, "test_heterogenous_suicidal_two");
    chain("rcrc", 0, "test_heterogenous_resurrect_one");
    chain("ccsr", 0, "test_heterogenous_resurrect_two");
    chain("rrss", 0, "test_heterogenous_resurrect_three");
    legacy_simple();
    legacy_resurrect();
    legacy_self_cycle();
    return done_testing();
}
