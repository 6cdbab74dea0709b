/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-fuzz [SECONDS [SEED]] -- random graphs, random operations, and after
 * each of them a comparison with what a few lines can find out by themselves
 * (lib-gc-fuzz.h).  Without SECONDS a fixed set of 300 runs.
 */
#include <time.h>

#include "tests/tap/tap.h"

#include "tests/unit/knot.h"
#include "tests/unit/lib-gc-fuzz.h"

#define STEPS 400

/* ---- operations --------------------------------------------------------- */

static struct thing *
any(void)
{
    struct thing *t = &things[dice(THINGS)];

    return t->body ? t : NULL;
}

static struct thing *
any_held(void)
{
    struct thing *t = any();

    return t && t->held ? t : NULL;
}

static void
drop(struct thing *t)
{
    t->held--;
    if (t->head)
        hk_decref(t->head);
    else
        foreign_release(t->self);
}

static void
create(void)
{
    struct thing *t = &things[dice(THINGS)];
    int kind = (int)dice(KINDS + 4), has_finalizer = (int)dice(2);
    void *self;

    if (t->body)
        return;
    if (kind >= KINDS)
        kind = TABLE;
    if (kind == FOREIGN) {
        self = calloc(1, sizeof(struct foreign));
        ((struct foreign *)self)->refs = 1;
        hk_adopt(self, types[kind][0]);
    } else
        self = hk_new(types[kind][has_finalizer]);
    memset(t, 0, sizeof(*t));
    t->kind = kind;
    t->self = self;
    t->body = body_of(self, kind);
    t->body->thing = t;
    t->head = kind == FOREIGN  ? NULL
              : kind == MIDDLE ? &((struct middle *)self)->head
                               : self;
    t->held = 1;
    t->action = (int)dice(ACTIONS);
    t->has_finalizer = has_finalizer && kind != FOREIGN && kind != LEGACY;
    t->generation = kind == LEAF ? -1 : 0;
}

/* Leaves hold nothing. */
static void
relink(void)
{
    struct thing *t = any(), *to = any();
    void **slot;

    if (!t || t->kind == LEAF)
        return;
    slot = &t->body->slot[dice(SLOTS)];
    switch (dice(4)) {
    case 0:
        hk_clearref(slot);
        break;
    case 1:
        if (to && to->kind != LEAF)
            hk_moveref(slot, &to->body->slot[dice(SLOTS)]);
        break;
    default:
        if (to)
            hk_setref(slot, to->self);
    }
}

static void
hold_or_drop(void)
{
    struct thing *t = any();

    if (!t)
        return;
    if (t->held && dice(3)) {
        drop(t);
    } else if (!dice(4)) {
        t->held++;
        if (t->head)
            hk_incref(t->head);
        else
            foreign_retain(t->self);
    }
}

static void
watch(void)
{
    struct watch *w = &watches[dice(WEAKS)];
    struct thing *t = any_held();

    if (w->weak && !dice(3)) {
        hk_weak_free(w->weak);
        memset(w, 0, sizeof(*w));
    } else if (!w->weak && t && t->kind != FOREIGN) {
        w->has_callback = (int)dice(2);
        w->target = t;
        w->weak = hk_weak_new(t->self, w->has_callback ? on_weak : NULL, w);
        if (!w->weak)
            complain("no weak reference: %s", hk_last_error());
    }
}

/* A foreign object stays adopted: else nobody knows how to release it. */
static void
untrack_or_track(void)
{
    struct thing *t = any();

    if (!t || t->kind == LEAF || t->kind == FOREIGN || dice(3))
        return;
    if (t->generation >= 0) {
        hk_untrack(t->self);
        t->generation = -1;
    } else {
        hk_track(t->self);
        t->generation = 0;
    }
}

static void
freeze_or_thaw(void)
{
    int thaw = dice(5) != 0;

    if (thaw)
        hk_gc_unfreeze();
    else
        hk_gc_freeze();
    for (int i = 0; i < THINGS; i++)
        if (thaw && things[i].generation == 3)
            things[i].generation = 2;
        else if (!thaw && things[i].generation >= 0)
            things[i].generation = 3;
}

/* What keeps garbage is released, and its cycles cut. */
static void
empty_garbage(void)
{
    while (hk_gc_garbage_count() > 0) {
        struct first *f = hk_gc_garbage_take(0);

        f->body.thing->held++;
        clear_slots(&f->body);
        drop(f->body.thing);
    }
}

/* ---- collections -------------------------------------------------------- */

static void
check_scan(int generation, int garbage, int stuck)
{
    hk_gc_result r = {.struct_size = sizeof(r)};
    int objects = 0, edges = 0;

    for (int i = 0; i < THINGS; i++)
        for (int k = 0; is_in(&things[i], generation) && k < SLOTS; k++) {
            struct thing *child = child_of(&things[i], k);

            edges += child && is_in(child, generation);
            objects += k == 0;
        }
    if (hk_gc_scan(generation, &r))
        complain("scan: %s", hk_last_error());
    if ((int)r.objects != objects || (int)r.references != edges
        || (int)r.unreachable != garbage || (int)r.uncollectable != stuck)
        complain("scan(%d): %zu objects (%d), %zu references (%d), "
                 "%zu unreachable (%d), %zu stuck (%d)",
                 generation, r.objects, objects, r.references, edges,
                 r.unreachable, garbage, r.uncollectable, stuck);
}

/* Survivors go to the next generation, but for those that died by their count
   meanwhile and came back. */
static void
age(int generation, const struct thing *before)
{
    int old = generation < 2 ? generation + 1 : 2;

    for (int i = 0; i < THINGS; i++) {
        struct thing *t = &things[i];

        if (!t->body)
            continue;
        if (before[i].is_garbage && !before[i].is_stuck && t->has_finalizer
            && !t->calls)
            complain("garbage was not finalized");
        if (before[i].generation >= 0 && before[i].generation <= generation
            && !t->was_revived)
            t->generation = old;
    }
}

static int
is_plain_garbage(void)
{
    for (int i = 0; i < THINGS; i++)
        if (things[i].is_garbage && !things[i].is_stuck
            && things[i].has_finalizer && !things[i].is_finalized
            && (things[i].action == RESURRECT || things[i].action == SUICIDE))
            return 0;
    return 1;
}

static void
check_nothing_left(void)
{
    for (int i = 0; i < THINGS; i++)
        if (things[i].body && things[i].generation < 0
            && things[i].kind != LEAF)
            return; /* an untracked one may have hidden something */
    mark(2);
    for (int i = 0; i < THINGS; i++)
        if (is_in(&things[i], 2) && things[i].kind == FROZEN_FIELDS)
            reach(&things[i], 2); /* a cycle of such cannot be broken */
    for (int i = 0; i < THINGS; i++)
        if (is_in(&things[i], 2) && !things[i].is_reached)
            complain("%d is left unreachable", i);
}

static void
collect(int generation)
{
    struct thing before[THINGS];
    int garbage, stuck, plain_garbage, frozen = 0;
    ptrdiff_t n;

    predict(generation, &garbage, &stuck);
    check_scan(generation, garbage, stuck);
    plain_garbage = is_plain_garbage();
    for (int i = 0; i < THINGS; i++)
        frozen += things[i].body && things[i].generation == 3;
    memcpy(before, things, sizeof(before));
    collecting = 1;
    finalizer_ran = 0;
    n = hk_gc_collect(generation);
    collecting = 0;
    if (n < 0)
        complain("collect: %s", hk_last_error());
    for (int i = 0; i < THINGS; i++)
        if (before[i].is_stuck && !things[i].body) {
            garbage--; /* freed with the garbage that held it */
            stuck--;
        }
    if (plain_garbage ? n != garbage : n > garbage || n < stuck)
        complain("collect(%d) returns %td, garbage %d, stuck %d", generation,
                 n, garbage, stuck);
    for (int i = 0; i < THINGS; i++)
        if (before[i].is_garbage && !before[i].is_stuck)
            forget_targets(&things[i]);
    age(generation, before);
    if (generation == 2 && !frozen)
        check_nothing_left();
}

/* ---- comparison --------------------------------------------------------- */

static uint64_t
count_of(const struct thing *t)
{
    return t->head ? hk_refcount(t->head) : ((struct foreign *)t->self)->refs;
}

static int
list_place(void *obj, const hk_type *type, void *arg)
{
    int *generations = arg;

    (void)type;
    for (int i = 0; i < THINGS; i++)
        if (things[i].body && things[i].self == obj)
            generations[i] = generations[THINGS];
    return 0;
}

static void
check_things(void)
{
    int seen[THINGS + 1];

    for (int i = 0; i < THINGS; i++)
        seen[i] = -1;
    for (seen[THINGS] = 0; seen[THINGS] < 3; seen[THINGS]++)
        hk_gc_get_objects(seen[THINGS], list_place, seen);
    for (int i = 0; i < THINGS; i++) {
        struct thing *t = &things[i];

        if (!t->body)
            continue;
        if (count_of(t) != (uint64_t)references(t))
            complain("%d has %" PRIu64 " references, but there are %d", i,
                     count_of(t), references(t));
        if (seen[i] != (t->generation == 3 ? -1 : t->generation))
            complain("%d is in generation %d, not %d", i, seen[i],
                     t->generation);
        if (hk_gc_is_tracked(t->self) != (t->generation >= 0))
            complain("%d: is_tracked", i);
        if (t->kind != LEAF
            && hk_gc_is_finalized(t->self) != t->is_finalized)
            complain("%d: is_finalized", i);
    }
}

static void
check_watches(void)
{
    for (int i = 0; i < WEAKS; i++) {
        struct watch *w = &watches[i];
        hk_object *head = NULL;
        void *target = w->weak ? hk_weak_lock(w->weak) : NULL;

        if (target != (w->target ? w->target->self : NULL))
            complain("weak reference %d is %s", i,
                     target ? "alive" : "dead");
        if (w->weak && w->calls != (!w->target && w->has_callback))
            complain("weak reference %d: %d calls", i, w->calls);
        for (int k = 0; target && k < THINGS; k++)
            if (things[k].body && things[k].self == target)
                head = things[k].head;
        hk_xdecref(head);
    }
}

/* ---- a run -------------------------------------------------------------- */

static void
step(void)
{
    for (int i = 0; i < THINGS; i++)
        things[i].was_revived = 0;
    switch (dice(16)) {
    case 0: case 1: case 2:
        create();
        break;
    case 3: case 4: case 5: case 6: case 7:
        relink();
        break;
    case 8: case 9: case 10:
        hold_or_drop();
        break;
    case 11:
        watch();
        break;
    case 12:
        untrack_or_track();
        break;
    case 13:
        if (!dice(4))
            freeze_or_thaw();
        break;
    default:
        collect((int)dice(3));
        if (!dice(3))
            empty_garbage();
    }
    check_things();
    check_watches();
}

static void
clean_up(void)
{
    hk_gc_unfreeze();
    for (int i = 0; i < THINGS; i++) {
        things[i].action = LOG;
        if (!things[i].body)
            continue;
        things[i].held++;
        if (things[i].head)
            hk_incref(things[i].head);
        else
            foreign_retain(things[i].self);
    }
    for (int i = 0; i < THINGS; i++)
        if (things[i].body)
            clear_slots(things[i].body);
    while (hk_gc_garbage_count() > 0) {
        struct first *f = hk_gc_garbage_take(0);

        f->body.thing->held++;
        drop(f->body.thing);
    }
    for (int i = 0; i < THINGS; i++)
        while (things[i].body && things[i].held)
            drop(&things[i]);
    for (int i = 0; i < WEAKS; i++)
        hk_weak_free(watches[i].weak);
    memset(watches, 0, sizeof(watches));
}

static void
run(uint64_t seed)
{
    seed_now = seed;
    dice_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 88172645463325252u;
    for (step_now = 0; step_now < STEPS && !wrong; step_now++)
        step();
    if (wrong)
        return;
    clean_up();
    for (int i = 0; i < THINGS; i++)
        if (things[i].body)
            complain("%d lives on", i);
}

int
main(int argc, char **argv)
{
    long seconds = argc > 1 ? atol(argv[1]) : 0;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t runs = 0;
    time_t last = time(NULL) + seconds;

    make_types();
    hk_gc_disable();
    hk_set_error_fn(on_error, NULL);
    while (!wrong && (seconds ? time(NULL) < last : runs < 300)) {
        run(seed++);
        runs++;
    }
    is_int(0, wrong, "%" PRIu64 " random runs agree with the model", runs);
    is_int(0, mistakes, "and none is a mistake of the program");
    return done_testing();
}
