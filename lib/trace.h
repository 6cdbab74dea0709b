/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.h -- which of a set of tracked objects nobody outside of the set
 * refers to.
 *
 * Source      gcmodule.c: update_refs, subtract_refs, move_unreachable,
 *             move_legacy_finalizers.
 * Threads     one; nobody may change an object meanwhile.
 * Memory      host_map_scratch(): 17 bytes for each slot of the registry (29
 *             for each object of a young collection), 4 for each reference, 20
 *             for each object that has to be sorted.  It is all there before
 *             trace_run() returns; what follows needs no more.
 * Fails       -1: no memory; nothing was touched.
 * Invariants  a node is known by its number: its slot when `slots` is NULL, its
 *             place in `slots` otherwise.
 */
#ifndef HK_LIB_TRACE_H
#define HK_LIB_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/registry.h"

/* What is none of the first three is unreachable. */
enum {
    TRACE_REACHABLE = 1,
    TRACE_ABSENT = 2, /* no object of the set */
    TRACE_LEGACY = 4, /* has, or is reached from, what cannot be collected */
    TRACE_PASSED = 8  /* had nothing to hold it when its turn came */
};

#define TRACE_MISTAKES 16

struct trace_node { /* 8 bytes */
    uint32_t refs; /* references less those found as edges, modulo 2^32 */
    uint32_t tag;  /* of the address, so that a wrong edge is noticed */
};

struct trace {
    struct trace_node *nodes;
    uint32_t *first; /* edges of node i: first[i] .. first[i + 1] - 1 */
    uint8_t *state;
    uint32_t *queue; /* what was pulled back, then what is legacy, in order */
    uint32_t *order; /* nodes as CPython's list has them; NULL: by number */
    uint32_t *slots; /* NULL: a node's number is its slot */
    uint32_t *table; /* of slots: number + 1 by slot, open addressing */
    uint32_t table_bits;
    uint32_t *edges; /* target's number; UINT32_MAX: not in the set */
    uint64_t edge_count, edge_room, known_edges;
    uint32_t room;   /* nodes that fit */
    uint32_t count;  /* numbers 0 .. count - 1 */
    uint32_t objects, unreachable, pulled, legacy;
    uint32_t moving; /* objects that are not in the oldest generation */
    int failed;      /* an edge found no memory */
    struct trace_mistake {
        int kind; /* HK_ERROR_* */
        uint32_t slot;
        int excess; /* references */
        const void *object;
        const hk_type *type;
    } mistakes[TRACE_MISTAKES]; /* the first ones */
    int mistake_count;
};

/* Reports the mistakes that were seen, which may run code of the program; 1 if
   there were any.  Not before the graph has been used. */
int trace_tell(struct trace *t);

/* Looks at generations 0 .. generation.  trace_free() in any case. */
int trace_run(struct trace *t, int generation);
void trace_free(struct trace *t);

/* Memory of the collection at work, zeroed; NULL may be given back. */
void *trace_take(size_t count, size_t each);
void trace_give(void *p, size_t count, size_t each);

static inline uint32_t
trace_slot(const struct trace *t, uint32_t node)
{
    return t->slots ? t->slots[node] : node;
}

/* The node at a place of CPython's list. */
static inline uint32_t
trace_at(const struct trace *t, uint32_t place)
{
    return t->order ? t->order[place] : place;
}

/*
 * Again, for some of what was unreachable, with the memory of the first run,
 * which is overwritten.  slots[]: n of them in the order of their list, the
 * dead ones 0.  reachable[i] becomes 1 for those that have references from
 * outside, or from such a one.  Returns how many of these were pulled back;
 * t->queue has their places in order, and reachable[i] is 2 for them.
 */
uint32_t trace_again(struct trace *t, const uint32_t *slots, uint32_t n,
                     uint8_t *reachable);

#endif
