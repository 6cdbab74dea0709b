/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * vector.h -- a file of scenarios for the collector, with what CPython did.
 *
 *      {"scenarios": [{
 *          "nodes": [{"name": 0, "fin": "log"}, ...],
 *          "edges": [[from, slot, to], ...],
 *          "weak": [{"target": node, "cb": true}, ...],
 *          "age": [generation, ...], "roots": [node, ...],
 *          "ops": [generation, ...],
 *          "expect": [step, ...]}, ...]}
 *
 * A step is {"op": "collect(1)", "ret": 3, "log": [...], "alive_gen":
 * [[name, generation], ...], "weak_dead": [...], "resurrected": [...]}.
 * Everything is checked when it is read: who runs it needs no checks.
 */
#ifndef HK_TESTS_REPLAY_VECTOR_H
#define HK_TESTS_REPLAY_VECTOR_H

#include <stddef.h>

#define VECTOR_SLOTS 6

/* What the finalizer of a node does. */
enum vector_fin {
    FIN_NONE,
    FIN_LOG,
    FIN_RESURRECT,
    FIN_SUICIDE,
    FIN_RAISE
};

/* What a log holds. */
enum vector_event { EVENT_FIN, EVENT_CALLBACK, EVENT_UNRAISABLE };

/*
 * One line of what a step says; the meaning depends on the list:
 *
 *      log          a: enum vector_event, b: node or weak reference,
 *                   c: the reference was dead (of a callback)
 *      alive_gen    a: name, b: generation
 *      weak_dead    a: number of the weak reference, b: dead
 *      resurrected  a: name
 */
struct vector_item {
    int a, b, c;
    int garbage; /* seen only: belongs to what this collection found */
};
struct vector_list {
    struct vector_item *items;
    size_t count, room;
};

struct vector_node {
    int name;
    enum vector_fin fin;
};
struct vector_edge {
    int from, slot, to;
};
struct vector_weak {
    int target, has_callback;
};
struct vector_step {
    const char *op;
    int has_result;
    long long result;
    struct vector_list log, alive, weak_dead, resurrected;
};

struct vector_scenario {
    long long seed; /* -1: none is given */
    size_t node_count, edge_count, weak_count, age_count, root_count;
    size_t op_count, step_count;
    struct vector_node *nodes;
    struct vector_edge *edges;
    struct vector_weak *weak;
    int *age, *roots, *ops;
    struct vector_step *steps;
};
struct vector_file {
    size_t count;
    struct vector_scenario *scenarios;
    void *document; /* strings live in it */
};

/* Reads a file.  A bad one: a line on stderr, and exit with status 2. */
void vector_read(const char *path, struct vector_file *file);
void vector_free(struct vector_file *file);

/* Zeroed, or exit. */
void *vector_calloc(size_t count, size_t bytes);
struct vector_item *vector_append(struct vector_list *list, int a, int b,
                                  int c);
void vector_sort(struct vector_list *list);

#endif
