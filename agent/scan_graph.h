/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_graph.h -- a compact copy of the object graph, and CPython's way of
 * finding what nobody outside of it refers to.
 *
 * A node is a place in the order of addresses.  Fill it so: graph_start,
 * graph_add for each object, graph_number, graph_set for each object,
 * graph_sort, then for each place from 0 graph_open and, if a node is there,
 * graph_count_refs and graph_push for each of its references (or graph_drop),
 * then graph_close and graph_reach.
 *
 * Source      gcmodule.c: update_refs, subtract_refs, move_unreachable.
 * Threads     none: one graph, one user.
 * Memory      graph_map(): at most 22 bytes a node, of an object whose header
 *             is not its beginning twice that; 4 an edge; scan_map.h.
 * Fails       functions that return int: 0, or -1 when there is no memory.
 * Invariants  after graph_close: the edges of node i are edges[first[i]] ..
 *             edges[first[i + 1] - 1], in the order in which they were pushed.
 *             An address is compared, never followed.  Whatever is not
 *             understood (dying, unreadable, more edges than references, two
 *             objects at one address, an address that no user space has) makes
 *             objects reachable, never garbage.
 */
#ifndef HK_AGENT_SCAN_GRAPH_H
#define HK_AGENT_SCAN_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "agent/scan_map.h"

#define GRAPH_NONE UINT32_MAX
#define GRAPH_REFERENCES_MAX (UINT64_C(1) << 24) /* of one object */
#define GRAPH_EDGES_MAX (UINT64_C(0xffffff00)) /* first[] is 32 bits wide */

/* A cell: the low four bits of the node's address, flags, and, signed, how
   many of its references are not yet found as edges. */
#define CELL_LOW 15u
#define CELL_SHIFT 11
#define CELL_ONE (UINT32_C(1) << CELL_SHIFT)
enum {
    NODE_ALIAS = 1 << 4,     /* the header of another node */
    NODE_CROWDED = 1 << 5,   /* others begin in the same granule */
    NODE_SKIPPED = 1 << 6,   /* dying or unreadable: neither live nor lost */
    NODE_REACHABLE = 1 << 7, /* held from outside, or from such a one */
    NODE_PINNED = 1 << 8,    /* too many references to count: held */
    NODE_WATCHED = 1 << 9,  /* of a type that a census is made of */
    NODE_SOLE = 1 << 10,     /* has one reference */
    NODE_NOT_LOST = NODE_ALIAS | NODE_SKIPPED | NODE_REACHABLE
};

#define GRAPH_BATCH 256u /* references looked up together */
#define GRAPH_RING 512u

struct graph_extra {
    uint64_t address;
    uint32_t place;
};

struct graph {
    struct map map;
    uint32_t count; /* places */
    uint32_t nodes; /* objects among them */
    uint32_t *cells;
    uint32_t *slots;  /* of an alias: 1 + its node; 0: nothing is there */
    uint16_t *types;
    uint32_t *first;  /* index of the first edge; count + 1 of them */
    uint32_t *edges;  /* target node, or GRAPH_NONE: not in the graph */
    uint64_t edge_count, edge_room;
    uint32_t *lost;   /* after graph_reach: 1 + number among the lost, or 0 */
    uint32_t *parent; /* if wanted: from where a node was reached */
    struct graph_extra *extras; /* second objects of a granule, by address */
    uint32_t extra_count, extra_room;
    int is_plain; /* every place is an object that begins there, with its
                     header, at a multiple of 16 */

    uint64_t unknown; /* edges to what is not in the graph */
    uint64_t excess;  /* nodes with more edges to them than references */
    uint64_t skipped;
    uint64_t unreachable;
    uint64_t bytes;   /* mapped */
    int failed;       /* an edge had no room, or nobody wants to know */
    int has_popcnt;   /* the processor can count bits */

    uint64_t ring_address[GRAPH_RING];
    const struct map_entry *ring_entry[GRAPH_RING];
    uint64_t fetched, read, counted; /* edges that have come so far */
};

int graph_start(struct graph *g);
void graph_free(struct graph *g);

/* header_offset: where a second address of the object is. */
int graph_add(struct graph *g, uint64_t address, size_t header_offset);
int graph_number(struct graph *g);
/* What was not added is left out.  In a plain graph graph_take() may be called
   instead, when the place is open. */
void graph_set(struct graph *g, uint64_t address, size_t header_offset,
               uint32_t slot, uint16_t type, uint32_t flags);
/* All are set: before any is looked for. */
void graph_sort(struct graph *g);

/* The node that begins at this address, or GRAPH_NONE. */
uint32_t graph_find(const struct graph *g, uint64_t address);

/* Is there an object, and not only another address of one? */
static inline int
graph_is_node(const struct graph *g, uint32_t i)
{
    return g->slots[i] && !(g->cells[i] & NODE_ALIAS);
}

/* After graph_close. */
static inline int
graph_is_lost(const struct graph *g, uint32_t i)
{
    return !(g->cells[i] & NODE_NOT_LOST);
}

/* Place i begins; every place, in order. */
static inline void
graph_open(struct graph *g, uint32_t i)
{
    g->first[i] = (uint32_t)g->edge_count;
    if (!g->is_plain && !g->slots[i])
        g->cells[i] |= NODE_SKIPPED;
}

/* References beyond these are not counted one by one. */
#define GRAPH_REFS_MAX (UINT64_C(1) << 19)

static inline void
graph_count_refs(struct graph *g, uint32_t i, uint64_t refs)
{
    if (__builtin_expect(refs >= GRAPH_REFS_MAX, 0))
        g->cells[i] |= NODE_PINNED;
    else
        g->cells[i] += (uint32_t)refs * CELL_ONE;
    if (refs == 1)
        g->cells[i] |= NODE_SOLE;
}

/* Forgets the references of the node that was opened last, which was not
   readable or is no more. */
void graph_drop(struct graph *g, uint32_t i);
int graph_close(struct graph *g);

static inline void
graph_take(struct graph *g, uint32_t i, uint32_t slot, uint16_t type,
           uint32_t flags)
{
    g->slots[i] = slot;
    g->types[i] = type;
    g->cells[i] |= flags;
    g->nodes++;
}

void graph_go_on(struct graph *g);

/* A reference of the node that was opened last.  It passes through a ring, in
   which what it needs is fetched long before it is looked at. */
static inline void
graph_push(struct graph *g, const void *child)
{
    uint64_t n = g->edge_count++;

    g->ring_address[n % GRAPH_RING] = (uint64_t)(uintptr_t)child;
    if (__builtin_expect(n % GRAPH_BATCH == GRAPH_BATCH - 1, 0))
        graph_go_on(g);
}

/* Marks what is REACHABLE, numbers what is lost.  with_parents: keeps from
   where each node was reached (GRAPH_NONE: from outside). */
int graph_reach(struct graph *g, int with_parents);

/*
 * Once more, when the objects may have changed meanwhile: read_again(i, arg)
 * is the number of references that lost node i has now, or 0 if its edges are
 * not those of before.  What is not lost any more is REACHABLE then.  Each of
 * the n nodes in order[] is read, in that order; NULL: all that are lost.
 */
void graph_recheck(struct graph *g, const uint32_t *order, uint32_t n,
                   uint64_t (*read_again)(uint32_t i, void *), void *arg);

static inline uint32_t
graph_edges_end(const struct graph *g, uint32_t i)
{
    return g->first[i + 1];
}

/* Memory for tables: NULL when there is none; huge pages where it pays.  What a
   scan on live data has would be lost in a forked child: it gets none. */
void *graph_map(size_t count, size_t each);
void graph_unmap(void *p, size_t count, size_t each);
/* The same, counted in g->bytes. */
void *graph_table(struct graph *g, size_t count, size_t each);
/* Makes room for `need` entries, keeping what is there; 0 or -1. */
int graph_grow(void **p, uint64_t *room, size_t each, uint64_t need);

#endif
