/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-module -- the functions of the gc module: what they return, when a
 * collection is due, who is there and refers to whom.  Where CPython's
 * test_gc.py has such a test, its name is in the description.
 */
#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

/* ---- counts and thresholds ---------------------------------------------- */

static void
counts_are(int c0, int c1, int c2, const char *what)
{
    int count[3];

    hk_gc_get_count(count);
    if (!ok(count[0] == c0 && count[1] == c1 && count[2] == c2, "%s", what))
        diag("counts are %d, %d, %d", count[0], count[1], count[2]);
}

static void
test_get_count(void)
{
    struct knot *k, *l;

    hk_gc_collect(2);
    counts_are(0, 0, 0, "test_get_count: 0 after a full collection");
    k = knot_new(plain, 1);
    counts_are(1, 0, 0, "an object counts");
    l = knot_new(leaf, 2);
    counts_are(1, 0, 0, "a leaf does not");
    hk_decref(l);
    hk_decref(k);
    counts_are(0, 0, 0, "a freed one no more");
    k = knot_new(plain, 1);
    hk_gc_collect(2);
    hk_decref(k);
    counts_are(0, 0, 0, "and never below 0");
    noted();
}

static void
test_collect_generations(void)
{
    struct knot *k = knot_new(plain, 1);

    hk_gc_collect(2);
    hk_gc_collect(0);
    counts_are(0, 1, 0, "test_collect_generations: 0");
    hk_gc_collect(0);
    counts_are(0, 2, 0, "0 again");
    hk_gc_collect(1);
    counts_are(0, 0, 1, "1");
    hk_gc_collect(2);
    counts_are(0, 0, 0, "2");
    hk_decref(k);
}

static void
thresholds(void)
{
    int t[3];

    hk_gc_get_threshold(t);
    ok(t[0] == 700 && t[1] == 10 && t[2] == 10, "700, 10, 10 at the start");
    hk_gc_set_threshold(5, -1, 7);
    hk_gc_get_threshold(t);
    ok(t[0] == 5 && t[1] == 10 && t[2] == 7, "a negative one stays");
    hk_gc_set_threshold(700, 10, 10);
}

static void
collections(int64_t n[3])
{
    hk_gc_stats stats[3];

    hk_gc_get_stats(stats);
    for (int i = 0; i < 3; i++)
        n[i] = (int64_t)stats[i].collections;
}

/* The generation that hk_gc_poll() collects; -1: none, -2: more than one. */
static int
polled(void)
{
    int64_t before[3], after[3];
    int result = -1;

    collections(before);
    hk_gc_poll();
    collections(after);
    for (int i = 0; i < 3; i++)
        if (after[i] != before[i])
            result = result == -1 && after[i] == before[i] + 1 ? i : -2;
    return result;
}

static struct knot *kept[2000];
static int kept_count;

static void
keep(int n)
{
    while (n-- > 0)
        kept[kept_count++] = knot_new(plain, 0);
}

static void
drop_kept(void)
{
    while (kept_count > 0)
        hk_decref(kept[--kept_count]);
    hk_gc_collect(2);
}

static void
poll_threshold(void)
{
    hk_gc_enable();
    hk_gc_collect(2);
    hk_gc_set_threshold(5, 10, 10);
    keep(5);
    is_int(-1, polled(), "hk_gc_poll: the threshold itself is not over it");
    keep(1);
    is_int(0, polled(), "one more is");
    is_int(-1, polled(), "which is then done");
    hk_gc_disable();
    keep(10);
    is_int(-1, polled(), "test_indirect_calls_with_gc_disabled: none");
    hk_gc_enable();
    hk_gc_set_threshold(0, 10, 10);
    is_int(-1, polled(), "a threshold of 0 stops it");
    hk_gc_set_threshold(9, 10, 10);
    is_int(0, polled(), "and one that is passed does not");
    hk_gc_set_threshold(1, 10, 10);
    knot_loop(plain, 1);
    knot_loop(plain, 1);
    is_int(2, hk_gc_poll(), "it returns what it found");
    is_int(0, hk_gc_poll(), "or 0");
    drop_kept();
}

static void
poll_generations(void)
{
    int last = -1, ones = 0, twos = 0;

    hk_gc_set_threshold(1, 2, 3);
    hk_gc_collect(2);
    for (int i = 0; i < 13; i++) {
        keep(2);
        last = polled();
        ones += last == 1;
        twos += last == 2;
        if (i == 2)
            is_int(0, last, "the third young collection");
        if (i == 3)
            is_int(1, last, "then generation 1 is over its threshold");
    }
    is_int(3, ones, "every fourth time");
    is_int(0, twos, "and generation 2 is not yet");
    for (int i = 0; i < 4; i++) {
        keep(2);
        last = polled();
    }
    is_int(2, last, "after four of those it is");
    counts_are(0, 0, 0, "which starts all counts again");
    hk_gc_set_threshold(700, 10, 10);
    drop_kept();
}

/* A full collection is due only if what came to the oldest generation since
   the last one is a quarter of what that left. */
static void
quarter_rule(void)
{
    hk_gc_collect(2);
    keep(400);
    hk_gc_collect(2); /* long-lived: 400 */
    hk_gc_set_threshold(1, 1000, 0);
    keep(99);
    hk_gc_collect(1); /* 99 of them pending */
    keep(2);
    is_int(0, polled(), "25 %% rule: 99 new ones of 400 are not enough");
    keep(0);
    hk_gc_set_threshold(700, 1000, 0);
    hk_gc_collect(1); /* two more came from generation 0 */
    hk_gc_set_threshold(1, 1000, 0);
    keep(2);
    is_int(2, polled(), "101 are");
    keep(2);
    is_int(0, polled(), "and then it begins anew");
    hk_gc_set_threshold(700, 10, 10);
    drop_kept();
}

/* 403 / 4 is 100 in whole numbers. */
static void
quarter_exactly(void)
{
    hk_gc_collect(2);
    keep(403);
    hk_gc_collect(2);
    keep(100);
    for (int i = 0; i < 3; i++)
        knot_loop(plain, 1);
    is_int(3, hk_gc_collect(1), "25 %% rule: garbage is no survivor");
    hk_gc_set_threshold(1, 1000, 0);
    keep(2);
    is_int(2, polled(), "100 of 403 are enough");
    hk_gc_set_threshold(700, 10, 10);
    drop_kept();
}

static void
enable(void)
{
    hk_gc_enable();
    is_int(1, hk_gc_enable(), "hk_gc_enable returns what it was");
    is_int(1, hk_gc_isenabled(), "on");
    is_int(1, hk_gc_disable(), "hk_gc_disable too");
    is_int(0, hk_gc_disable(), "off");
    is_int(0, hk_gc_isenabled(), "off");
    knot_loop(plain, 1);
    is_int(1, hk_gc_collect(2), "hk_gc_collect works though disabled");
}

static void
test_get_stats(void)
{
    hk_gc_stats before[3], after[3];
    int wrong = 0;

    for (int g = 0; g < 3; g++) {
        hk_gc_get_stats(before);
        knot_loop(plain, 1);
        knot_pair(legacy, plain, 1);
        is_int(3, hk_gc_collect(g), "test_get_stats: generation %d", g);
        hk_gc_get_stats(after);
        for (int i = 0; i < 3; i++) {
            wrong += after[i].collections
                     != before[i].collections + (i == g);
            wrong += after[i].collected != before[i].collected + (i == g);
            wrong += after[i].uncollectable
                     != before[i].uncollectable + (i == g ? 2 : 0);
        }
        hk_clearref(&((struct knot *)hk_gc_garbage_get(0))->ref[0]);
        knot_empty_garbage();
    }
    is_int(0, wrong, "that one's counts move, and no others");
    noted();
}

static void
bad_generations(void)
{
    hk_gc_result result = {.struct_size = sizeof(result)};

    for (int g = -1; g <= 3; g += 4) {
        errno = 0;
        ok(hk_gc_collect(g) == -1 && errno == EINVAL, "hk_gc_collect(%d)", g);
        errno = 0;
        ok(hk_gc_scan(g, &result) == -1 && errno == EINVAL,
           "hk_gc_scan(%d)", g);
    }
    errno = 0;
    ok(hk_gc_get_objects(3, knot_is_it, NULL) == -1 && errno == EINVAL,
       "test_get_objects_arguments: 3");
    errno = 0;
    ok(hk_gc_get_objects(-2, knot_is_it, NULL) == -1 && errno == EINVAL,
       "test_get_objects_arguments: -2");
}

/* ---- who is there, who refers to whom ----------------------------------- */

static int
list_name(void *obj, const hk_type *type, void *arg)
{
    note("%s%d", hk_type_name(type), ((struct knot *)obj)->name);
    return arg && *(int *)arg == ((struct knot *)obj)->name ? 77 : 0;
}

static void
test_get_objects(void)
{
    struct knot *k;
    int where[4];

    hk_gc_collect(2);
    k = knot_new(plain, 1);
    is_int(0, hk_gc_get_objects(-1, list_name, NULL), "test_get_objects");
    is_str("Plain1", noted(), "finds it");
    for (int g = 0; g < 3; g++) {
        where[g] = knot_generation(k);
        hk_gc_collect(g);
    }
    where[3] = knot_generation(k);
    ok(where[0] == 0 && where[1] == 1 && where[2] == 2 && where[3] == 2,
       "test_get_objects_generations: 0, 1, 2, 2");
    hk_decref(k);
    k = knot_new(plain, 1);
    is_int(77, hk_gc_get_objects(0, list_name, &(int){1}),
           "what the function returns ends the walk");
    hk_decref(k);
    noted();
}

static void
test_get_referents(void)
{
    struct knot *a = knot_new(plain, 1), *b = knot_new(plain, 2);
    struct knot *c = knot_new(leaf, 3);
    void *objs[3] = {a, c, b};

    knot_link(a, c);
    knot_link(a, b);
    knot_link(a, c);
    knot_link(b, a);
    is_int(0, hk_gc_get_referents(objs, 1, list_name, NULL),
           "test_get_referents");
    is_str("Leaf3 Plain2 Leaf3", noted(), "in order, repeated");
    hk_gc_get_referents(objs, 3, list_name, NULL);
    is_str("Leaf3 Plain2 Leaf3 Plain1", noted(), "of several; a leaf has none");
    is_int(77, hk_gc_get_referents(objs, 1, list_name, &(int){2}),
           "it ends when it is told to");
    is_str("Leaf3 Plain2", noted(), "at once");
    hk_untrack(a);
    hk_gc_get_referents(objs, 1, list_name, NULL);
    is_str("Leaf3 Plain2 Leaf3", noted(),
           "test_get_referents_on_capsule: also of an untracked object");
    hk_gc_get_referents(&objs[1], 1, list_name, NULL);
    is_str("", noted(), "and of one that can have none");
    hk_gc_get_referents(objs, 0, list_name, NULL);
    is_str("", noted(), "or of nobody");
    hk_decref(b);
    hk_clearref(&a->ref[1]);
    hk_decref(a);
    hk_decref(c);
    noted();
}

static void
get_referrers(void)
{
    struct knot *a = knot_new(plain, 1), *b = knot_new(plain, 2);
    struct knot *c = knot_new(leaf, 3), *d = knot_new(plain, 4);
    void *objs[2] = {c, a};

    knot_link(a, c);
    knot_link(a, c);
    hk_gc_collect(2); /* a, b and d are old */
    knot_link(b, c);
    knot_link(d, a);
    is_int(0, hk_gc_get_referrers(objs, 1, list_name, NULL),
           "hk_gc_get_referrers");
    is_str("Plain1 Plain2", noted_sorted(), "each once");
    hk_gc_get_referrers(objs, 2, list_name, NULL);
    is_str("Plain1 Plain2 Plain4", noted_sorted(), "to any of several");
    is_int(77, hk_gc_get_referrers(&objs[1], 1, list_name, &(int){4}),
           "it ends when it is told to");
    noted();
    hk_untrack(a);
    hk_gc_get_referrers(objs, 1, list_name, NULL);
    is_str("Plain2", noted(), "an untracked one is not found");
    hk_decref(d);
    hk_decref(a);
    hk_decref(b);
    hk_decref(c);
    noted();
}

/* ---- freeze ------------------------------------------------------------- */

static void
test_freeze(void)
{
    struct knot *k;

    hk_gc_collect(2);
    k = knot_new(plain, 1);
    hk_gc_collect(0);
    is_int(0, (int64_t)hk_gc_get_freeze_count(), "nothing is frozen");
    is_int(0, hk_gc_freeze(), "test_freeze: freeze");
    is_int(1, (int64_t)hk_gc_get_freeze_count(), "one is");
    counts_are(0, 0, 0, "and counts begin anew");
    is_int(-1, knot_generation(k), "it is in no generation");
    ok(hk_gc_is_tracked(k), "but tracked");
    is_int(0, hk_gc_unfreeze(), "unfreeze");
    is_int(0, (int64_t)hk_gc_get_freeze_count(), "nothing is frozen");
    is_int(2, knot_generation(k), "it is in the oldest generation");
    hk_gc_freeze();
    hk_decref(k);
    is_int(0, (int64_t)hk_gc_get_freeze_count(),
           "a frozen object dies by its count");
    hk_gc_unfreeze();
}

/* ---- scan --------------------------------------------------------------- */

static void
scan(void)
{
    hk_gc_result result = {.struct_size = sizeof(result)};
    struct knot *k = knot_pair(final, plain, 1), *rooted = knot_new(plain, 3);
    hk_weak *weak;
    int count[3], after[3];

    hk_incref(k);
    weak = knot_weak(k, NULL, NULL);
    hk_decref(k);
    knot_link(rooted, rooted);
    knot_pair(legacy, final, 4);
    hk_gc_get_count(count);
    is_int(0, hk_gc_scan(0, &result), "hk_gc_scan");
    is_int(5, (int64_t)result.objects, "five objects");
    is_int(5, (int64_t)result.references, "five references");
    is_int(4, (int64_t)result.unreachable, "four unreachable");
    is_int(2, (int64_t)result.uncollectable, "two that cannot be collected");
    is_str("", noted(), "nothing has run");
    ok(knot_weak_is_alive(weak), "weak references live");
    is_int(0, knot_generation(k), "no generation has changed");
    hk_gc_get_count(after);
    ok(memcmp(count, after, sizeof(count)) == 0, "and no count");
    ok(!hk_gc_is_finalized(k), "none is finalized");
    result = (hk_gc_result){.struct_size
                            = offsetof(hk_gc_result, unreachable)};
    is_int(0, hk_gc_scan(2, &result), "a caller of an older version");
    is_int(5, (int64_t)result.objects, "gets what it knows");
    is_int(0, (int64_t)result.unreachable, "and no more");
    is_int(4, hk_gc_collect(2), "a collection finds the same");
    hk_clearref(&((struct knot *)hk_gc_garbage_get(0))->ref[0]);
    knot_empty_garbage();
    hk_clearref(&rooted->ref[0]);
    hk_decref(rooted);
    hk_weak_free(weak);
    noted();
}

/* ---- garbage ------------------------------------------------------------ */

static void
garbage(void)
{
    struct knot *k[3];

    for (int i = 0; i < 3; i++) {
        k[0] = knot_loop(legacy, i);
        hk_gc_collect(2);
    }
    is_int(3, (int64_t)hk_gc_garbage_count(), "three in the garbage");
    for (int i = 0; i < 3; i++)
        k[i] = hk_gc_garbage_get((size_t)i);
    ok(k[0]->name == 0 && k[1]->name == 1 && k[2]->name == 2,
       "in the order in which they came");
    ok(!hk_gc_garbage_get(3) && !hk_gc_garbage_get((size_t)-1),
       "hk_gc_garbage_get: NULL beyond the end");
    is_int(2, (int64_t)hk_refcount(k[0]), "what it returns is borrowed");
    ok(hk_gc_garbage_take(1) == k[1], "hk_gc_garbage_take");
    ok(hk_gc_garbage_get(1) == k[2], "the next one takes its place");
    is_int(2, (int64_t)hk_refcount(k[1]), "the list's reference is ours");
    ok(!hk_gc_garbage_take(2), "hk_gc_garbage_take: NULL beyond the end");
    for (int i = 0; i < 3; i++)
        hk_clearref(&k[i]->ref[0]);
    hk_decref(k[1]);
    knot_empty_garbage();
    is_int(0, knot_live(legacy), "all are gone");
    noted();
}

int
main(void)
{
    knot_types();
    thresholds();
    hk_gc_disable();
    test_get_count();
    test_collect_generations();
    poll_threshold();
    poll_generations();
    quarter_rule();
    quarter_exactly();
    enable();
    test_get_stats();
    bad_generations();
    test_get_objects();
    test_get_referents();
    get_referrers();
    test_freeze();
    scan();
    garbage();
    return done_testing();
}
