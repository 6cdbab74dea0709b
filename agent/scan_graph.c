/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_graph.c -- the object graph of a scan.
 *
 * What        copies objects and references into arrays; counts for each
 *             object the references that come from other objects; what has
 *             more references than that is held from outside, and so is
 *             everything that it leads to.  The rest is unreachable.
 * Called by   scan_child.c in the snapshot child; unit tests.
 * Threads     one.
 * Memory      os_map(); in the child never given back.
 * Fails       -1: no memory.
 * Invariants  an address is compared, never followed.  Whatever is not
 *             understood (dying, unreadable, more edges than references)
 *             makes objects reachable, never garbage.
 *
 * At a few million objects the time goes into cache misses, so every pass
 * works in batches and fetches ahead.
 */

#include "agent/scan_graph.h"

#include <string.h>
#include <sys/mman.h>

#include "agent/os.h"

#define HASH_FACTOR UINT64_C(0x9E3779B97F4A7C15)
#define HUGE_BYTES ((size_t)2 << 20)
#define BATCH 1024u   /* references looked up together */
#define AHEAD 16u     /* entries fetched ahead */

void *
graph_map(size_t count, size_t each)
{
    size_t bytes = (count ? count : 1) * each;
    void *p = os_map(bytes);

    if (p && bytes >= HUGE_BYTES)
        os_call(SYS_madvise, (long)p, (long)bytes, MADV_HUGEPAGE, 0, 0, 0);
    return p;
}

void
graph_unmap(void *p, size_t count, size_t each)
{
    if (p)
        os_unmap(p, (count ? count : 1) * each);
}

int
graph_grow(void **p, uint64_t *room, size_t each, uint64_t need)
{
    uint64_t more = *room ? *room : 4096;
    void *grown;
    long moved;

    if (need <= *room)
        return 0;
    while (more < need)
        more *= 2;
    if (!*p) {
        grown = graph_map(more, each);
    } else {
        moved = os_call(SYS_mremap, (long)*p, (long)(*room * each),
                        (long)(more * each), MREMAP_MAYMOVE, 0, 0);
        grown = moved < 0 && moved > -4096 ? NULL : (void *)moved;
    }
    if (!grown)
        return -1;
    *p = grown;
    *room = more;
    return 0;
}

int
graph_start(struct graph *g, uint32_t room)
{
    memset(g, 0, sizeof *g);
    g->room = room;
    g->nodes = graph_map((size_t)room + 1, sizeof *g->nodes);
    g->state = graph_map((size_t)room + 1, 1);
    if (!g->nodes || !g->state)
        return -1;
    if (graph_grow((void **)&g->edges, &g->edge_room, 4, BATCH) ||
        graph_grow((void **)&g->pending, &g->pending_room, 8, 2 * BATCH))
        return -1;
    return 0;
}

void
graph_free(struct graph *g)
{
    graph_unmap(g->nodes, (size_t)g->room + 1, sizeof *g->nodes);
    graph_unmap(g->state, (size_t)g->room + 1, 1);
    graph_unmap(g->edges, g->edge_room, 4);
    graph_unmap(g->pending, g->pending_room, 8);
    if (g->table)
        graph_unmap(g->table, (size_t)1 << g->table_bits, 8);
    memset(g, 0, sizeof *g);
}

uint32_t
graph_add_node(struct graph *g, const void *object, size_t header_offset,
               uint32_t slot, uint16_t type)
{
    struct graph_node *n = &g->nodes[g->count];

    if (g->count >= g->room)
        return GRAPH_NONE;
    n->object = (uint64_t)(uintptr_t)object;
    n->slot = slot;
    n->type = type;
    if (header_offset % 8 == 0 && header_offset / 8 <= UINT16_MAX)
        n->alias = (uint16_t)(header_offset / 8);
    return g->count++;
}

/* ---- look-up by address ------------------------------------------------- */

static inline uint64_t
home(const struct graph *g, uint64_t hash)
{
    return hash >> (64 - g->table_bits);
}

static inline uint64_t
tag(const struct graph *g, uint64_t hash)
{
    return hash << g->table_bits >> 32 << 32;
}

static inline int
is_at(const struct graph_node *n, uint64_t address)
{
    return n->object == address ||
           (n->alias && n->object + 8u * n->alias == address);
}

/* An address that was taken before now means the newer node. */
static void
enter(struct graph *g, uint64_t address, uint32_t i)
{
    uint64_t mask = (UINT64_C(1) << g->table_bits) - 1;
    uint64_t hash = address * HASH_FACTOR, at = home(g, hash);
    uint64_t entry = tag(g, hash) | ((uint64_t)i + 1), old;

    for (; (old = g->table[at]) != 0; at = (at + 1) & mask)
        if (old >> 32 == entry >> 32 &&
            is_at(&g->nodes[(uint32_t)old - 1], address))
            break;
    g->table[at] = entry;
}

int
graph_index(struct graph *g)
{
    uint64_t keys = 0;

    for (uint32_t i = 0; i < g->count; i++)
        keys += g->nodes[i].alias ? 2 : 1;
    for (g->table_bits = 6; UINT64_C(1) << g->table_bits < 2 * keys;)
        g->table_bits++;
    g->table = graph_map((size_t)1 << g->table_bits, 8);
    if (!g->table)
        return -1;
    for (uint32_t i = 0; i < g->count; i++) {
        const struct graph_node *n = &g->nodes[i];

        if (i + AHEAD < g->count)
            __builtin_prefetch(
                &g->table[home(g, n[AHEAD].object * HASH_FACTOR)], 1);
        enter(g, n->object, i);
        if (n->alias)
            enter(g, n->object + 8u * n->alias, i);
    }
    return 0;
}

uint32_t
graph_find(const struct graph *g, const void *address)
{
    uint64_t key = (uint64_t)(uintptr_t)address;
    uint64_t mask = (UINT64_C(1) << g->table_bits) - 1;
    uint64_t hash = key * HASH_FACTOR, at = home(g, hash), e;

    for (; (e = g->table[at]) != 0; at = (at + 1) & mask)
        if (e >> 32 << 32 == tag(g, hash) &&
            is_at(&g->nodes[(uint32_t)e - 1], key))
            return (uint32_t)e - 1;
    return GRAPH_NONE;
}

/* What the table says by the tag alone; is_at() has the last word. */
static inline uint32_t
guess(const struct graph *g, uint64_t key)
{
    uint64_t mask = (UINT64_C(1) << g->table_bits) - 1;
    uint64_t hash = key * HASH_FACTOR, at = home(g, hash), e;

    for (; (e = g->table[at]) != 0; at = (at + 1) & mask)
        if (e >> 32 << 32 == tag(g, hash))
            return (uint32_t)e - 1;
    return GRAPH_NONE;
}

/* ---- references --------------------------------------------------------- */

static void
settle(struct graph *g, uint64_t key, uint32_t *edge)
{
    struct graph_node *n;

    if (*edge != GRAPH_NONE && !is_at(&g->nodes[*edge], key))
        *edge = graph_find(g, (void *)(uintptr_t)key);
    if (*edge == GRAPH_NONE) {
        g->unknown++;
        return;
    }
    n = &g->nodes[*edge];
    if (n->known != UINT32_MAX)
        n->known++;
}

/* Looks up what is pending: first all guesses, then all nodes, so that the
   misses of one step overlap. */
static int
flush(struct graph *g)
{
    uint64_t n = g->pending_count;
    const uint64_t *key = g->pending;
    uint32_t *edge;

    if (g->edge_count + n >= UINT32_MAX ||
        graph_grow((void **)&g->edges, &g->edge_room, 4, g->edge_count + n))
        return -1;
    edge = g->edges + g->edge_count;
    for (uint64_t i = 0; i < n; i++) {
        if (i + AHEAD < n)
            __builtin_prefetch(
                &g->table[home(g, key[i + AHEAD] * HASH_FACTOR)]);
        edge[i] = guess(g, key[i]);
        if (edge[i] != GRAPH_NONE)
            __builtin_prefetch(&g->nodes[edge[i]], 1);
    }
    for (uint64_t i = 0; i < n; i++)
        settle(g, key[i], &edge[i]);
    g->edge_count += n;
    g->pending_count = 0;
    return 0;
}

int
graph_open_node(struct graph *g, uint32_t i)
{
    if (g->pending_count >= BATCH && flush(g))
        return -1;
    g->nodes[i].first = (uint32_t)(g->edge_count + g->pending_count);
    return 0;
}

void
graph_set_refs(struct graph *g, uint32_t i, uint64_t refs)
{
    g->nodes[i].refs = refs > UINT32_MAX ? UINT32_MAX : (uint32_t)refs;
}

int
graph_add_edge(struct graph *g, const void *child)
{
    if (g->pending_count >= g->pending_room &&
        graph_grow((void **)&g->pending, &g->pending_room, 8,
                   g->pending_count + 1))
        return -1;
    g->pending[g->pending_count++] = (uint64_t)(uintptr_t)child;
    return 0;
}

void
graph_drop_node(struct graph *g, uint32_t i)
{
    g->pending_count = g->nodes[i].first - g->edge_count;
    g->state[i] = NODE_SKIPPED;
    g->skipped++;
}

int
graph_close(struct graph *g)
{
    if (flush(g))
        return -1;
    g->nodes[g->count].first = (uint32_t)g->edge_count;
    return 0;
}

/* ---- reachability ------------------------------------------------------- */

/* Is it held from outside?  More edges than references: somebody counts
   wrongly, so nothing can be said against it. */
static int
is_root(struct graph *g, uint32_t i)
{
    const struct graph_node *n = &g->nodes[i];

    if (n->known > n->refs)
        g->excess++;
    return n->known != n->refs || n->refs == UINT32_MAX;
}

static uint32_t
roots(struct graph *g, uint32_t *queue)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < g->count; i++)
        if (!(g->state[i] & NODE_SKIPPED) && is_root(g, i)) {
            g->state[i] |= NODE_REACHABLE;
            queue[n++] = i;
        }
    return n;
}

static inline void
fetch_ahead(const struct graph *g, const uint32_t *queue, uint32_t at,
            uint32_t end)
{
    const struct graph_node *n;

    if (at + 2 * AHEAD < end)
        __builtin_prefetch(&g->nodes[queue[at + 2 * AHEAD]]);
    if (at + AHEAD < end) {
        n = &g->nodes[queue[at + AHEAD]];
        __builtin_prefetch(&g->edges[n->first]);
    }
    if (at + AHEAD / 2 < end) {
        n = &g->nodes[queue[at + AHEAD / 2]];
        if (n[0].first != n[1].first &&
            g->edges[n[0].first] != GRAPH_NONE)
            __builtin_prefetch(&g->state[g->edges[n[0].first]], 1);
    }
}

/* Breadth first: the queue tells far ahead what will be wanted. */
static void
propagate(struct graph *g, uint32_t *queue, uint32_t end)
{
    for (uint32_t at = 0; at < end; at++) {
        uint32_t i = queue[at], last = graph_edges_end(g, i);

        fetch_ahead(g, queue, at, end);
        for (uint32_t e = g->nodes[i].first; e < last; e++) {
            uint32_t to = g->edges[e];

            if (to != GRAPH_NONE && g->state[to] == 0) {
                g->state[to] = NODE_REACHABLE;
                queue[end++] = to;
            }
        }
    }
}

int
graph_reach(struct graph *g)
{
    uint32_t *queue = graph_map(g->count, sizeof *queue);

    if (!queue)
        return -1;
    propagate(g, queue, roots(g, queue));
    graph_unmap(queue, g->count, sizeof *queue);
    g->unreachable = 0;
    for (uint32_t i = 0; i < g->count; i++)
        if (graph_is_lost(g, i))
            g->nodes[i].lost = (uint32_t)++g->unreachable;
    return 0;
}
