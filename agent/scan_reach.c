/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_reach.c -- what is reachable in the graph, and what is lost.
 *
 * What        what has more references than were found as edges is held from
 *             outside, and so is everything that it leads to.  The rest is
 *             unreachable.
 * Called by   scan_work.c; unit tests.
 * Threads     none: one graph, one user.
 * Memory      graph_map().
 * Fails       -1: no memory.
 * Invariants  see scan_graph.h.
 */
#include "agent/scan_graph.h"

#define AHEAD 16u /* entries fetched ahead */

/* Is it held from outside?  More edges than references: somebody counts
   wrongly, so nothing can be said against it. */
static int
is_root(struct graph *g, uint32_t i)
{
    int32_t left = (int32_t)g->cells[i] >> CELL_SHIFT; /* rounds down */

    g->excess += left < 0;
    return left != 0 || g->cells[i] & NODE_PINNED;
}

/* Marks them; how many nodes are left. */
static uint32_t
mark_roots(struct graph *g)
{
    uint32_t left = 0;

    for (uint32_t i = 0; i < g->count; i++) {
        if (g->cells[i] & NODE_NOT_LOST)
            continue;
        if (is_root(g, i))
            g->cells[i] |= NODE_REACHABLE;
        else
            left++;
    }
    return left;
}

static inline void
fetch_ahead(const struct graph *g, const uint32_t *queue, uint32_t at,
            uint32_t end)
{
    if (at + 2 * AHEAD < end)
        __builtin_prefetch(&g->first[queue[at + 2 * AHEAD]]);
    if (at + AHEAD < end)
        __builtin_prefetch(&g->edges[g->first[queue[at + AHEAD]]]);
    if (at + AHEAD / 2 < end) {
        uint32_t i = queue[at + AHEAD / 2];

        for (uint32_t e = g->first[i]; e < g->first[i] + 2 &&
                                       e < g->first[i + 1]; e++)
            if (g->edges[e] != GRAPH_NONE)
                __builtin_prefetch(&g->cells[g->edges[e]], 1);
    }
}

/* Breadth first: the queue tells far ahead what will be wanted, and paths are
   short.  Over as soon as nothing is left, since most heaps have little
   garbage. */
static uint32_t
propagate(struct graph *g, uint32_t *queue, uint32_t end, uint32_t left)
{
    for (uint32_t at = 0; at < end && left; at++) {
        uint32_t i = queue[at], last = graph_edges_end(g, i);

        fetch_ahead(g, queue, at, end);
        for (uint32_t e = g->first[i]; e < last; e++) {
            uint32_t to = g->edges[e];

            if (to == GRAPH_NONE || g->cells[to] & NODE_NOT_LOST)
                continue;
            g->cells[to] |= NODE_REACHABLE;
            if (g->parent)
                g->parent[to] = i;
            queue[end++] = to;
            left--;
        }
    }
    return left;
}

static uint32_t
queue_roots(struct graph *g)
{
    uint32_t end = 0;

    for (uint32_t i = 0; i < g->count; i++)
        if (g->cells[i] & NODE_REACHABLE) {
            if (g->parent)
                g->parent[i] = GRAPH_NONE;
            g->lost[end++] = i;
        }
    return end;
}

static void
number_lost(struct graph *g)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->count; i++)
        g->lost[i] = graph_is_lost(g, i) ? ++n : 0;
    g->unreachable = n;
}

int
graph_reach(struct graph *g, int with_parents)
{
    uint32_t left = mark_roots(g);

    g->unreachable = 0;
    if (!left && !with_parents)
        return 0;
    g->lost = graph_table(g, g->count, 4); /* the queue, at first */
    g->parent = with_parents ? graph_table(g, g->count, 4) : NULL;
    if (!g->lost || (with_parents && !g->parent))
        return -1;
    if (propagate(g, g->lost, queue_roots(g), left))
        number_lost(g);
    return 0;
}

/* ---- once more ---------------------------------------------------------- */

static void
count_node_again(struct graph *g, uint32_t i, uint64_t refs)
{
    g->cells[i] %= CELL_ONE;
    graph_count_refs(g, i, refs ? refs : GRAPH_REFS_MAX);
}

static void
count_edges_again(struct graph *g)
{
    for (uint32_t i = 0; i < g->count; i++)
        for (uint32_t e = g->first[i];
             graph_is_lost(g, i) && e < graph_edges_end(g, i); e++)
            if (g->edges[e] != GRAPH_NONE && graph_is_lost(g, g->edges[e]))
                g->cells[g->edges[e]] -= CELL_ONE;
}

/* Those that have become roots, queued. */
static uint32_t
rescue(struct graph *g)
{
    uint64_t excess = g->excess;
    uint32_t end = 0;

    for (uint32_t i = 0; i < g->count; i++)
        if (graph_is_lost(g, i) && is_root(g, i)) {
            g->cells[i] |= NODE_REACHABLE;
            if (g->parent)
                g->parent[i] = GRAPH_NONE;
            g->lost[end++] = i;
        }
    g->excess = excess;
    return end;
}

void
graph_recheck(struct graph *g, const uint32_t *order, uint32_t n,
              uint64_t (*read_again)(uint32_t i, void *), void *arg)
{
    uint32_t end, left = (uint32_t)g->unreachable;

    if (!left)
        return;
    for (uint32_t k = 0; k < (order ? n : g->count) && !g->failed; k++) {
        uint32_t i = order ? order[k] : k;

        if (graph_is_lost(g, i))
            count_node_again(g, i, read_again(i, arg));
    }
    count_edges_again(g);
    end = rescue(g);
    propagate(g, g->lost, end, left - end);
    number_lost(g);
}
