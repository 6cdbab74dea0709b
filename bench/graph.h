/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * graph.h -- the object graph that collections and scans are measured on;
 * graph.py makes the same for CPython.
 *
 * Each object has a number of references to others drawn at random.  How all
 * are held:
 *
 *      outside  each has one more reference, that no object accounts for
 *      array    by the array of one object
 *      walk     a binary tree in random order, whose root is held; only what
 *               is left of the references is random: it has to be walked
 *
 * `garbage` of a hundred objects are in rings of ten that nothing holds; their
 * other references, as those of all others, lead to what is held.
 */
#ifndef BENCH_GRAPH_H
#define BENCH_GRAPH_H

#include <heapknot.h>
#include <stddef.h>
#include <string.h>

#include "bench.h"

#define GRAPH_EDGES_MAX 16
#define GRAPH_RING 10

enum graph_held { GRAPH_OUTSIDE, GRAPH_ARRAY, GRAPH_WALK };

struct graph_plan {
    long count;
    int edges, garbage;
    enum graph_held held;
};

struct node {
    hk_object head;
    struct node *to[];
};

struct root {
    hk_object head;
    struct node **all;
    size_t count;
};

static inline hk_type *
graph_register(const char *name, size_t bytes, const hk_field *fields,
               unsigned flags)
{
    hk_type_spec s = {0};
    hk_type *type;

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = bytes;
    s.fields = fields;
    s.flags = flags;
    type = hk_type_register(&s);
    if (!type) {
        fprintf(stderr, "bench: %s\n", hk_last_error());
        exit(1);
    }
    return type;
}

/* A table of as many fields as there are references: a, b, ... */
static inline hk_type *
graph_node_type(int edges, unsigned flags)
{
    static hk_field fields[GRAPH_EDGES_MAX + 1];
    static char labels[GRAPH_EDGES_MAX][2];

    for (int i = 0; i < edges; i++) {
        labels[i][0] = (char)('a' + i);
        fields[i].label = labels[i];
        fields[i].kind = HK_REF;
        fields[i].offset = offsetof(struct node, to) +
                           (size_t)i * sizeof(struct node *);
    }
    return graph_register("node",
                          sizeof(struct node) +
                              (size_t)edges * sizeof(struct node *),
                          fields, flags);
}

static inline int
graph_is_garbage(const struct graph_plan *plan, long i)
{
    return i / GRAPH_RING * plan->garbage % 100 < plan->garbage &&
           i < plan->count / GRAPH_RING * GRAPH_RING;
}

/* The references of a ring, and of a tree over the objects in this order. */
static inline void
graph_tie(const struct graph_plan *plan, struct node **all, long i)
{
    if (graph_is_garbage(plan, i))
        all[i]->to[0] = hk_newref(
            all[i / GRAPH_RING * GRAPH_RING + (i + 1) % GRAPH_RING]);
    else if (plan->held == GRAPH_WALK)
        for (int e = 0; e < 2 && 2 * i + 1 + e < plan->count; e++)
            all[i]->to[e] = hk_newref(all[2 * i + 1 + e]);
}

static inline void
graph_shuffle(struct node **all, long count, uint64_t *x)
{
    for (long i = count - 1; i > 0; i--) {
        long j = (long)(bench_random(x) % (uint64_t)(i + 1));
        struct node *other = all[j];

        all[j] = all[i];
        all[i] = other;
    }
}

/* One that is held. */
static inline struct node *
graph_draw(const struct graph_plan *plan, struct node **all, uint64_t *x)
{
    long i;

    do
        i = (long)(bench_random(x) % (uint64_t)plan->count);
    while (graph_is_garbage(plan, i));
    return all[i];
}

static inline void
graph_hold(const struct graph_plan *plan, struct node **all)
{
    static const hk_field fields[] = {
        {"all", HK_REF_ARRAY, offsetof(struct root, all),
         offsetof(struct root, count)},
        {0}};
    struct root *root;
    size_t n = 0;

    for (long i = 0; i < plan->count; i++)
        if (graph_is_garbage(plan, i) || (plan->held == GRAPH_WALK && i))
            hk_decref(all[i]);
        else
            all[n++] = all[i];
    if (plan->held != GRAPH_ARRAY)
        return;
    root = hk_new(graph_register("root", sizeof(*root), fields, 0));
    root->all = all;
    root->count = n;
}

/* What is held stays so for ever. */
static inline void
graph_build(const struct graph_plan *plan)
{
    hk_type *type = graph_node_type(plan->edges, 0);
    struct node **all = calloc((size_t)plan->count, sizeof(*all));
    uint64_t x = BENCH_SEED;

    for (long i = 0; i < plan->count; i++)
        all[i] = hk_new(type);
    if (plan->held == GRAPH_WALK)
        graph_shuffle(all, plan->count, &x);
    for (long i = 0; i < plan->count; i++) {
        graph_tie(plan, all, i);
        for (int e = 0; e < plan->edges; e++)
            if (!all[i]->to[e])
                all[i]->to[e] = hk_newref(graph_draw(plan, all, &x));
    }
    graph_hold(plan, all);
    BENCH_FRAME(all);
}

#endif
