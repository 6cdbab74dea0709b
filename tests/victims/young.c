/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * young.c -- makes, loses, changes and finds again cycles as it is told.
 *
 * Reads commands from stdin, a line each: see commands[] below.  Answers each
 * with its number, "ok", and what it has to say.  Objects lie in an arena of
 * its own, in which the last one that died is the place of the next one.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "heapknot.h"

enum { ARENA = 200000, KEPT = 100, SLOW_MS = 500 };

struct node {
    hk_object header;
    struct node *next, *side;
};

static const hk_field fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0},
    {"side", HK_REF, offsetof(struct node, side), 0},
    {NULL, HK_END, 0, 0},
};

static struct node arena[ARENA];
static struct node *spare[ARENA];
static int spare_count, arena_used;

static hk_type *live, *lost, *old, *chain, *coded, *slow;
static struct node *kept[KEPT]; /* one reference to each cycle */
static int kept_count;
static struct node *knot;     /* borrowed: the cycle of "knot" */
static struct node *revived;
static hk_weak *weak;
static int number;

/* ---- objects ------------------------------------------------------------- */

static void
bury(void *self)
{
    struct node *n = self;
    struct node *next = n->next, *side = n->side;

    hk_untrack(n);
    n->next = n->side = NULL;
    spare[spare_count++] = n;
    hk_xdecref(next);
    hk_xdecref(side);
}

static int
traverse(void *self, hk_visit_fn visit, void *arg)
{
    const struct node *n = self;
    int err = visit(n->next, "next", -1, arg);

    return err ? err : visit(n->side, "side", -1, arg);
}

static int
traverse_slowly(void *self, hk_visit_fn visit, void *arg)
{
    struct timespec t;
    long end, now;

    (void)self;
    (void)visit;
    (void)arg;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    end = t.tv_sec * 1000 + t.tv_nsec / 1000000 + SLOW_MS;
    do {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        now = t.tv_sec * 1000 + t.tv_nsec / 1000000;
    } while (now < end);
    return 0;
}

static hk_type *
make_type(const char *name, int (*fn)(void *, hk_visit_fn, void *))
{
    hk_type_spec spec = {.struct_size = sizeof spec,
                         .name = name,
                         .size = sizeof(struct node),
                         .fields = fn ? NULL : fields,
                         .traverse = fn,
                         .dealloc = bury};

    return hk_type_register(&spec);
}

static struct node *
make(hk_type *type)
{
    struct node *n = spare_count ? spare[--spare_count] : &arena[arena_used++];

    hk_init(n, type);
    hk_track(n);
    return n;
}

/* Two objects that refer to each other, and the reference to the first. */
static struct node *
make_cycle(hk_type *type)
{
    struct node *a = make(type), *b = make(type);

    a->next = b;
    b->next = hk_newref(a);
    return a;
}

/* ---- commands ------------------------------------------------------------ */

/* Objects that stay, referred to by the next one. */
static void
stay(int n)
{
    static struct node *last;

    while (n-- > 0) {
        struct node *o = make(live);

        o->next = last;
        last = o;
    }
}

static void
keep(int n)
{
    while (n-- > 0)
        kept[kept_count++] = make_cycle(old);
}

static void
drop(int n)
{
    while (n-- > 0)
        hk_decref(kept[--kept_count]);
}

static void
lose(int n)
{
    while (n-- > 0)
        hk_decref(make_cycle(lost));
}

static void
lose_coded(int n)
{
    while (n-- > 0)
        hk_decref(make_cycle(coded));
}

/* Objects that do not stay. */
static void
churn(int n)
{
    while (n-- > 0)
        hk_decref(make(live));
}

/* An object whose traverse takes half a second of a processor. */
static void
make_slow(int n)
{
    while (n-- > 0)
        make(slow);
}

/* Two lost cycles; what leads from one to the other is older than both. */
static void
hang(int n)
{
    struct timespec moment = {0, 30000000};
    struct node *between = make(chain), *above, *below;

    (void)n;
    nanosleep(&moment, NULL);
    above = make_cycle(chain);
    below = make_cycle(chain);
    between->next = below;
    above->side = between;
    hk_decref(above);
}

static void
set_threshold(int n)
{
    hk_gc_set_threshold(n, 1, -1);
}

/* Three objects: the first one refers to both others, and they to it. */
static void
build_knot(int n)
{
    struct node *b, *c;

    (void)n;
    knot = make(lost);
    b = make(lost);
    c = make(lost);
    knot->next = b;
    knot->side = c;
    b->next = hk_newref(knot);
    c->next = hk_newref(knot);
    hk_decref(knot);
}

static void
collect(int n)
{
    printf(" %td", hk_gc_collect(n));
}

/* What had been the knot is built again, in the same order of addresses. */
static void
build_again(int n)
{
    struct node *before[3] = {knot, knot->next, knot->side};

    (void)n;
    hk_incref(knot);
    hk_clearref(&before[1]->next);
    hk_clearref(&before[2]->next);
    hk_decref(knot);
    if (spare_count < 3)
        abort();
    for (int i = 0; i < 3; i++)
        spare[spare_count - 1 - i] = before[i];
    build_knot(0);
    if (knot != before[0] || knot->next != before[1] ||
        knot->side != before[2])
        abort();
}

/* A collection ends the knot, and an equal one takes its place. */
static void
collect_and_build(int n)
{
    struct node *before[3] = {knot, knot->next, knot->side};

    (void)n;
    printf(" %td", hk_gc_collect(2));
    if (spare_count < 3)
        abort();
    for (int i = 0; i < 3; i++)
        spare[spare_count - 1 - i] = before[i];
    build_knot(0);
}

static void
touch(int n)
{
    (void)n;
    hk_incref(knot->next);
    hk_decref(knot->next);
}

/* Neither a count nor a stamp changes. */
static void
swap(int n)
{
    struct node *next = knot->next;

    (void)n;
    knot->next = knot->side;
    knot->side = next;
}

static void
watch(int n)
{
    (void)n;
    weak = hk_weak_new(knot, NULL, NULL);
}

static void
revive(int n)
{
    (void)n;
    revived = hk_weak_lock(weak);
    printf(" %d", revived == knot);
}

static void
let_go(int n)
{
    (void)n;
    hk_clearref(&revived);
}

/* The same number each time, as nothing else is going on. */
static void
scan(int n)
{
    hk_gc_result r = {.struct_size = sizeof r};
    size_t least = SIZE_MAX, most = 0;

    while (n-- > 0) {
        if (hk_gc_scan(2, &r) != 0)
            abort();
        least = r.unreachable < least ? r.unreachable : least;
        most = r.unreachable > most ? r.unreachable : most;
    }
    printf(" %zu..%zu", least, most);
}

static const struct {
    const char *name;
    void (*run)(int n);
} commands[] = {
    {"stay", stay},   {"keep", keep},       {"drop", drop},
    {"lose", lose},   {"coded", lose_coded}, {"churn", churn},
    {"slow", make_slow}, {"hang", hang},   {"threshold", set_threshold},
    {"knot", build_knot}, {"again", build_again},
    {"collect", collect}, {"replace", collect_and_build},
    {"touch", touch}, {"swap", swap},       {"watch", watch},
    {"revive", revive}, {"release", let_go}, {"scan", scan},
};

static void
obey(const char *name, int n)
{
    printf("%d ok", ++number);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(name, commands[i].name) == 0)
            commands[i].run(n);
    printf("\n");
    fflush(stdout);
}

static void *
do_nothing(void *arg)
{
    return arg;
}

/* The agent has a thread of its own in programs that have. */
static void
have_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
}

int
main(void)
{
    char name[32];
    int n;

    have_thread();
    live = make_type("live", NULL);
    lost = make_type("lost", NULL);
    old = make_type("old", NULL);
    chain = make_type("chain", NULL);
    coded = make_type("coded", traverse);
    slow = make_type("slow", traverse_slowly);
    while (scanf("%31s %d", name, &n) == 2)
        obey(name, n);
    return 0;
}
