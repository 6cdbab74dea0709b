/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 08-thresholds.c -- tuning thresholds with a measured run.
 *
 * A low threshold collects often: little garbage waits, much time goes into
 * looking at what lives.  A high one is the reverse.  Which is right depends on
 * the program, so run its real work with each, and measure both sides: what
 * the collector did, and how much was waiting for it at the worst moment.
 *
 * The work here: a store that grows slowly, and for each request a response and
 * a connection that refer to each other and are forgotten (lesson 13).
 *
 * What to see: ten times the threshold, a tenth of the collections and ten
 * times the waiting garbage; what is found does not depend on it.  The times
 * go to stderr: try --figures.
 *
 * In Python: gc.set_threshold(7000, 10, 10), gc.get_stats().
 */
#include "tour.h"

#include <string.h>
#include <time.h>

enum { REQUESTS = 40000, KEPT_EVERY = 8 };

struct node {
    hk_object head;
    struct node *other;
};

static const hk_field node_fields[] = {
    {"other", HK_REF, offsetof(struct node, other), 0}, {0}};

static const hk_type_spec node_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "node",
    .size = sizeof(struct node),
    .fields = node_fields,
};

static hk_type *node_type;
static struct node *store;
static int figures;

static void
request(int number)
{
    struct node *a = must(hk_new(node_type)), *b = must(hk_new(node_type));

    hk_moveref(&a->other, &b);
    hk_setref(&a->other->other, a);
    hk_decref(a); /* garbage from here on */
    if (number % KEPT_EVERY == 0) {
        b = must(hk_new(node_type));
        hk_moveref(&b->other, &store);
        hk_moveref(&store, &b);
    }
}

struct totals {
    int collections, collected;
};

static struct totals
get_totals(void)
{
    struct totals t = {0, 0};
    hk_gc_stats stats[3];

    hk_gc_get_stats(stats);
    for (int i = 0; i < 3; i++) {
        t.collections += (int)stats[i].collections;
        t.collected += (int)stats[i].collected;
    }
    return t;
}

static double
milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void
run(int threshold)
{
    struct totals before = get_totals(), after;
    double start = milliseconds();
    int kept = 0, most = 0;

    hk_gc_set_threshold(threshold, 10, 10);
    for (int i = 0; i < REQUESTS; i++) {
        request(i);
        kept += i % KEPT_EVERY == 0;
        if (alive(node_type) - kept > most)
            most = alive(node_type) - kept;
        hk_gc_poll();
    }
    after = get_totals();
    if (figures)
        fprintf(stderr, "threshold %d: %.1f ms\n", threshold,
                milliseconds() - start);
    hk_gc_collect(2); /* the rest, which had not come to the threshold */
    printf("%9d %12d %15d %10d\n", threshold,
           after.collections - before.collections, most,
           get_totals().collected - before.collected);
    hk_clearref(&store);
    hk_gc_collect(2);
}

int
main(int argc, char **argv)
{
    figures = argc > 1 && strcmp(argv[1], "--figures") == 0;
    node_type = must(hk_type_register(&node_spec));
    printf("threshold  collections  waiting at most  collected\n");
    run(70);
    run(700);
    run(7000);
    return 0;
}
