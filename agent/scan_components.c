/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_components.c -- Tarjan's algorithm over the unreachable subgraph.
 *
 * What        numbers the components, lists their members, tells which are
 *             cycles and what hangs off them.
 * Called by   scan_work.c; unit tests.
 * Threads     one.
 * Memory      graph_map().
 * Fails       -1: no memory; components_free gives back what there was.
 * Invariants  no recursion: a list of a million objects is one component deep
 *             a million calls.
 */
#include "agent/scan_components.h"

#include <string.h>

struct frame {
    uint32_t lost, edge;
};

struct walk {
    const struct graph *g;
    struct components *c;
    uint32_t *index, *low; /* index 0: not yet seen */
    uint32_t *stack;
    struct frame *frames;
    uint32_t next_index, depth, held;
};

static int
allocate(const struct graph *g, struct components *c, struct walk *w)
{
    size_t n = (size_t)g->unreachable;

    memset(c, 0, sizeof *c);
    memset(w, 0, sizeof *w);
    w->g = g;
    w->c = c;
    c->lost_count = (uint32_t)n;
    c->node = graph_map(n, 4);
    c->component = graph_map(n, 4);
    c->first = graph_map(n + 2, 4);
    c->members = graph_map(n, 4);
    c->is_cyclic = graph_map(n, 1);
    c->dominator = graph_map(n, 4);
    c->jump = graph_map(n + 1, 4);
    c->depth = graph_map(n + 1, 4);
    w->index = graph_map(n, 4);
    w->low = graph_map(n, 4);
    w->stack = graph_map(n, 4);
    w->frames = graph_map(n, sizeof *w->frames);
    return c->node && c->component && c->first && c->members &&
                   c->is_cyclic && c->dominator && c->jump && c->depth &&
                   w->index && w->low && w->stack && w->frames
               ? 0
               : -1;
}

static void
release_walk(struct walk *w)
{
    size_t n = w->c->lost_count;

    graph_unmap(w->index, n, 4);
    graph_unmap(w->low, n, 4);
    graph_unmap(w->stack, n, 4);
    graph_unmap(w->frames, n, sizeof *w->frames);
}

static void
release_ways(struct components *c)
{
    size_t n = c->lost_count;

    graph_unmap(c->jump, n + 1, 4);
    graph_unmap(c->depth, n + 1, 4);
    c->jump = c->depth = NULL;
}

void
components_free(struct components *c)
{
    size_t n = c->lost_count;

    release_ways(c);
    graph_unmap(c->node, n, 4);
    graph_unmap(c->component, n, 4);
    graph_unmap(c->first, n + 2, 4);
    graph_unmap(c->members, n, 4);
    graph_unmap(c->is_cyclic, n, 1);
    graph_unmap(c->dominator, n, 4);
    memset(c, 0, sizeof *c);
}

/* The lost object at the end of an edge, or GRAPH_NONE. */
static inline uint32_t
lost_target(const struct graph *g, uint32_t edge)
{
    uint32_t to = g->edges[edge];

    return to == GRAPH_NONE ? GRAPH_NONE : g->lost[to] - 1;
}

static void
enter(struct walk *w, uint32_t u)
{
    struct frame *f = &w->frames[w->depth++];

    w->index[u] = w->low[u] = ++w->next_index;
    w->stack[w->held++] = u;
    w->c->component[u] = GRAPH_NONE;
    f->lost = u;
    f->edge = w->g->first[w->c->node[u]];
}

/* All edges of u are done: if it is the root of a component, take that off
   the stack. */
static void
leave(struct walk *w, uint32_t u)
{
    uint32_t v;

    w->depth--;
    if (w->depth) {
        uint32_t above = w->frames[w->depth - 1].lost;

        if (w->low[u] < w->low[above])
            w->low[above] = w->low[u];
    }
    if (w->low[u] != w->index[u])
        return;
    do {
        v = w->stack[--w->held];
        w->c->component[v] = w->c->count;
    } while (v != u);
    w->c->count++;
}

static void
step(struct walk *w)
{
    struct frame *f = &w->frames[w->depth - 1];
    uint32_t u = f->lost, end = graph_edges_end(w->g, w->c->node[u]);

    while (f->edge < end) {
        uint32_t v = lost_target(w->g, f->edge++);

        if (v == GRAPH_NONE)
            continue;
        if (!w->index[v]) {
            enter(w, v);
            return;
        }
        if (w->c->component[v] == GRAPH_NONE && w->index[v] < w->low[u])
            w->low[u] = w->index[v];
    }
    leave(w, u);
}

static void
number(struct walk *w)
{
    for (uint32_t u = 0; u < w->c->lost_count; u++) {
        if (w->index[u])
            continue;
        enter(w, u);
        while (w->depth)
            step(w);
    }
}

/* Lists the members of each component: a counting sort keeps them ascending. */
static void
gather(struct components *c)
{
    for (uint32_t u = 0; u < c->lost_count; u++)
        c->first[c->component[u] + 2]++;
    for (uint32_t i = 1; i <= c->count; i++)
        c->first[i + 1] += c->first[i];
    for (uint32_t u = 0; u < c->lost_count; u++)
        c->members[c->first[c->component[u] + 1]++] = u;
}

static int
refers_to_itself(const struct graph *g, const struct components *c, uint32_t u)
{
    uint32_t end = graph_edges_end(g, c->node[u]);

    for (uint32_t e = g->first[c->node[u]]; e < end; e++)
        if (lost_target(g, e) == u)
            return 1;
    return 0;
}

/* ---- dominators --------------------------------------------------------- */

/* They form a tree.  Its root stands for outside. */
static uint32_t
root_of(const struct components *c)
{
    return c->count;
}

static uint32_t
above(const struct components *c, uint32_t i)
{
    return c->dominator[i] == GRAPH_NONE ? root_of(c) : c->dominator[i];
}

/*
 * Of one whose dominator is settled: how deep it lies, and a longer way up, so
 * that the top is a logarithm of the depth away (Myers 1983, an applicative
 * random-access stack).  A list of a million objects that an array leads to as
 * well would take hours without.
 */
static void
build_way(struct components *c, uint32_t i)
{
    uint32_t up = above(c, i), far = c->jump[up];

    c->depth[i] = c->depth[up] + 1;
    c->jump[i] = c->depth[up] - c->depth[far] ==
                         c->depth[far] - c->depth[c->jump[far]]
                     ? c->jump[far]
                     : up;
}

static uint32_t
climb(const struct components *c, uint32_t i, uint32_t depth)
{
    while (c->depth[i] > depth)
        i = c->depth[c->jump[i]] >= depth ? c->jump[i] : above(c, i);
    return i;
}

/* The last one that both ways have in common. */
static uint32_t
common(const struct components *c, uint32_t a, uint32_t b)
{
    if (a == GRAPH_NONE)
        return GRAPH_NONE;
    a = climb(c, a, c->depth[b]);
    b = climb(c, b, c->depth[a]);
    while (a != b) {
        int is_far = c->jump[a] != c->jump[b];

        a = is_far ? c->jump[a] : above(c, a);
        b = is_far ? c->jump[b] : above(c, b);
    }
    return a == root_of(c) ? GRAPH_NONE : a;
}

static void
hand_down(const struct graph *g, struct components *c, uint8_t *is_entered,
          uint32_t from)
{
    build_way(c, from);
    for (uint32_t k = c->first[from]; k < c->first[from + 1]; k++) {
        uint32_t i = c->node[c->members[k]];

        for (uint32_t e = g->first[i]; e < graph_edges_end(g, i); e++) {
            uint32_t v = lost_target(g, e);
            uint32_t to = v == GRAPH_NONE ? from : c->component[v];

            if (to == from)
                continue;
            c->dominator[to] =
                is_entered[to] ? common(c, c->dominator[to], from) : from;
            is_entered[to] = 1;
        }
    }
}

/* Every edge leads to a smaller number, so one pass downwards is enough.  A
   cycle that nothing leads to has no dominator. */
static int
find_dominators(const struct graph *g, struct components *c)
{
    uint8_t *is_entered = graph_map(c->count, 1);

    if (!is_entered)
        return -1;
    for (uint32_t i = 0; i < c->count; i++) {
        c->is_cyclic[i] = c->first[i + 1] - c->first[i] > 1 ||
                          refers_to_itself(g, c, c->members[c->first[i]]);
        c->dominator[i] = GRAPH_NONE;
    }
    c->jump[root_of(c)] = root_of(c);
    for (uint32_t i = c->count; i-- > 0;)
        hand_down(g, c, is_entered, i);
    graph_unmap(is_entered, c->count, 1);
    release_ways(c);
    return 0;
}

int
components_find(const struct graph *g, struct components *c)
{
    struct walk w;

    if (allocate(g, c, &w)) {
        release_walk(&w);
        return -1;
    }
    for (uint32_t i = 0, u = 0; u < c->lost_count; i++)
        if (g->lost[i])
            c->node[u++] = i;
    number(&w);
    release_walk(&w);
    gather(c);
    return find_dominators(g, c);
}
