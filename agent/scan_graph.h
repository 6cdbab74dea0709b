/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_graph.h -- a compact copy of the object graph, and CPython's way of
 * finding what nobody outside of it refers to.
 *
 * Fill it in this order: graph_start, graph_add_node for each object,
 * graph_index, then for each node graph_open_node, graph_set_refs and
 * graph_add_edge for each of its references (or graph_drop_node), then
 * graph_close, graph_reach.
 *
 * Source      gcmodule.c: update_refs, subtract_refs, move_unreachable.
 * Threads     none: one graph, one user.
 * Memory      os_map(): 33 bytes a node, 4 an edge, 16 to 32 a node for the
 *             look-up by address.
 * Fails       functions that return int: 0, or -1 when there is no memory.
 * Invariants  after graph_close: the edges of node i are edges[first of i] ..
 *             edges[first of i + 1] - 1, in the order in which they were
 *             added; known of a node = edges to it from nodes not SKIPPED.
 */
#ifndef HK_AGENT_SCAN_GRAPH_H
#define HK_AGENT_SCAN_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#define GRAPH_NONE UINT32_MAX
#define GRAPH_REFERENCES_MAX (UINT64_C(1) << 24) /* of one object */

enum {
    NODE_SKIPPED = 1,  /* dying or unreadable: neither live nor garbage */
    NODE_REACHABLE = 2 /* has a reference from outside, or from such a one */
};

struct graph_node { /* 32 bytes */
    uint64_t object;
    uint32_t refs;  /* references counted, saturated */
    uint32_t known; /* references found as edges */
    uint32_t first; /* index of the first edge */
    uint32_t slot;
    uint16_t type;
    uint16_t alias; /* a second address is 8 * alias further on; 0: none */
    uint32_t lost;  /* 1 + number among the unreachable; 0: not one */
};

struct graph {
    struct graph_node *nodes; /* count, and one that ends the edges */
    uint8_t *state;           /* NODE_* of each node */
    uint32_t count, room;
    uint32_t *edges; /* target node, or GRAPH_NONE: not registered */
    uint64_t edge_count, edge_room;
    uint64_t *table; /* tag << 32 | node + 1, open addressing */
    uint32_t table_bits;
    uint64_t *pending; /* addresses not yet looked up */
    uint64_t pending_count, pending_room;
    uint64_t unknown; /* edges to addresses that are not registered */
    uint64_t excess;  /* nodes with more edges to them than references */
    uint64_t skipped;
    uint64_t unreachable;
};

int graph_start(struct graph *g, uint32_t room);
void graph_free(struct graph *g);

/* header_offset: where a second address of the object is.  GRAPH_NONE when
   there is no room. */
uint32_t graph_add_node(struct graph *g, const void *object,
                        size_t header_offset, uint32_t slot, uint16_t type);
int graph_index(struct graph *g);
/* The node with this address, or GRAPH_NONE.  Never looks at what is there. */
uint32_t graph_find(const struct graph *g, const void *address);

/* Node i begins; every node, in order. */
int graph_open_node(struct graph *g, uint32_t i);
void graph_set_refs(struct graph *g, uint32_t i, uint64_t refs);
/* A reference of the node opened last. */
int graph_add_edge(struct graph *g, const void *child);
/* Forgets the node opened last. */
void graph_drop_node(struct graph *g, uint32_t i);
int graph_close(struct graph *g);

/* Marks what is REACHABLE, numbers what is lost. */
int graph_reach(struct graph *g);

static inline uint32_t
graph_edges_end(const struct graph *g, uint32_t i)
{
    return g->nodes[i + 1].first;
}

static inline int
graph_is_lost(const struct graph *g, uint32_t i)
{
    return g->state[i] == 0;
}

/* Memory for tables: NULL when there is none; huge pages where it pays. */
void *graph_map(size_t count, size_t each);
void graph_unmap(void *p, size_t count, size_t each);
/* Makes room for `need` entries, keeping what is there; 0 or -1. */
int graph_grow(void **p, uint64_t *room, size_t each, uint64_t need);

#endif
