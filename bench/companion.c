/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * companion -- one operation of the companion library, or of what it is
 * compared with: companion WHAT COUNT; bench/companion runs it.
 *
 * Built with -DWITH_GLIB it knows GLib's, too.
 */
#include <string.h>
#include <unistd.h>

#ifdef WITH_GLIB
#include <glib-object.h>
#endif

#include "graph.h"

#define NODE_BYTES (sizeof(struct node) + 2 * sizeof(struct node *))

/* ---- counts ------------------------------------------------------------- */

static double
pairs(long n, unsigned flags)
{
    struct node *o = hk_new(graph_node_type(2, flags));
    double start;

    BENCH_FRAME(o);
    start = bench_now_ns();
    for (long i = 0; i < n; i++) {
        hk_incref(o);
        hk_decref(o);
    }
    start = bench_now_ns() - start;
    hk_decref(o);
    return start;
}

static double
atomic_pairs(long n)
{
    uint64_t *count = calloc(1, sizeof(*count));
    double start;

    *count = 1;
    BENCH_FRAME(count);
    start = bench_now_ns();
    for (long i = 0; i < n; i++) {
        __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
        if (__atomic_fetch_sub(count, 1, __ATOMIC_RELEASE) == 1)
            abort();
    }
    start = bench_now_ns() - start;
    free(count);
    return start;
}

/* ---- births and deaths -------------------------------------------------- */

static double
births(long n)
{
    hk_type *type = graph_node_type(2, 0);
    double start = bench_now_ns();

    for (long i = 0; i < n; i++)
        hk_decref(hk_new(type));
    return bench_now_ns() - start;
}

static double
mallocs(long n)
{
    double start = bench_now_ns();

    for (long i = 0; i < n; i++) {
        void *p = malloc(NODE_BYTES);

        BENCH_FRAME(p);
        free(p);
    }
    return bench_now_ns() - start;
}

/* ---- collections -------------------------------------------------------- */

static double
collections(long n)
{
    struct graph_plan plan = {n, 2, 0, GRAPH_OUTSIDE};
    double start;

    graph_build(&plan);
    hk_gc_collect(2);
    start = bench_now_ns();
    if (hk_gc_collect(2) != 0)
        abort();
    return bench_now_ns() - start;
}

/* ---- memory ------------------------------------------------------------- */

static double
resident_bytes(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        abort();
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* Each of n is left where it is. */
static double
memory(long n, hk_type *type)
{
    void **last = NULL, **p;
    double before = resident_bytes();

    for (long i = 0; i < n; i++) {
        p = type ? hk_new(type) : calloc(1, NODE_BYTES);
        if (!type)
            *p = last;
        last = p;
    }
    BENCH_FRAME(last);
    return resident_bytes() - before;
}

/* ---- GLib --------------------------------------------------------------- */

#ifdef WITH_GLIB
static double
box_pairs(long n)
{
    void *box = g_atomic_rc_box_alloc0(NODE_BYTES);
    double start = bench_now_ns();

    for (long i = 0; i < n; i++) {
        g_atomic_rc_box_acquire(box);
        g_atomic_rc_box_release(box);
    }
    return bench_now_ns() - start;
}

static double
gobject_pairs(long n)
{
    GObject *o = g_object_new(G_TYPE_OBJECT, NULL);
    double start = bench_now_ns();

    for (long i = 0; i < n; i++) {
        g_object_ref(o);
        g_object_unref(o);
    }
    return bench_now_ns() - start;
}

static double
gobject_births(long n)
{
    double start = bench_now_ns();

    for (long i = 0; i < n; i++)
        g_object_unref(g_object_new(G_TYPE_OBJECT, NULL));
    return bench_now_ns() - start;
}
#endif

/* ------------------------------------------------------------------------- */

static double
measure(const char *what, long n)
{
    if (!strcmp(what, "pair"))
        return pairs(n, 0);
    if (!strcmp(what, "plain-pair"))
        return pairs(n, HK_TYPE_NONATOMIC);
    if (!strcmp(what, "atomic"))
        return atomic_pairs(n);
    if (!strcmp(what, "new"))
        return births(n);
    if (!strcmp(what, "malloc"))
        return mallocs(n);
    if (!strcmp(what, "collect"))
        return collections(n);
    if (!strcmp(what, "memory"))
        return memory(n, graph_node_type(2, 0));
    if (!strcmp(what, "malloc-memory"))
        return memory(n, NULL);
#ifdef WITH_GLIB
    if (!strcmp(what, "box"))
        return box_pairs(n);
    if (!strcmp(what, "gobject-pair"))
        return gobject_pairs(n);
    if (!strcmp(what, "gobject-new"))
        return gobject_births(n);
#endif
    fprintf(stderr, "companion: no operation is called %s here\n", what);
    exit(2);
}

int
main(int argc, char **argv)
{
    long n = bench_argument(argc, argv, 2, 1000000);

    if (argc < 2) {
        fprintf(stderr, "usage: companion WHAT COUNT\n");
        return 2;
    }
    bench_print(measure(argv[1], n), n);
    return 0;
}
