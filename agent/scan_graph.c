/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_graph.c -- the object graph of a scan.
 *
 * What        copies references into an array, and counts for each object those
 *             that come from other objects.
 * Called by   scan_walk.c, scan_work.c, scan_census.c; unit tests.
 * Threads     none: one graph, one user.
 * Memory      graph_map().
 * Fails       -1: no memory.
 * Invariants  see scan_graph.h.
 *
 * At a few million objects the time goes into cache misses.  A reference costs
 * two accesses that cannot be foreseen: one to the map, which is small, and one
 * to a cell.
 */
#include "agent/scan_graph.h"

#include <linux/mman.h>
#include <string.h>

#include "agent/os.h"

#define HUGE_BYTES ((size_t)2 << 20)
#define EDGES_LEAST 4096u
#define STACK_BYTES 2048u
#define READ_AGE 16u  /* references under way until an entry is read */
#define COUNT_AGE 48u /* and until the node is counted */

/* So many edges more than references: no further ones are counted. */
#define SHORTEST (-((int32_t)GRAPH_REFS_MAX + 1) * (int32_t)CELL_ONE)

void *
graph_map(size_t count, size_t each)
{
    size_t bytes = (count ? count : 1) * each;
    void *p = os_map_unforked(bytes);

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
    uint64_t more = *room ? *room : EDGES_LEAST;
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
graph_start(struct graph *g)
{
    memset(g, 0, sizeof(*g));
    g->is_plain = 1;
#ifdef __x86_64__
    g->has_popcnt = __builtin_cpu_supports("popcnt") != 0;
#endif
    return map_start(&g->map);
}

void
graph_free(struct graph *g)
{
    map_free(&g->map);
    graph_unmap(g->cells, g->count, 4);
    graph_unmap(g->slots, g->count, 4);
    graph_unmap(g->types, g->count, 2);
    graph_unmap(g->first, (size_t)g->count + 1, 4);
    graph_unmap(g->edges, g->edge_room, 4);
    graph_unmap(g->lost, g->count, 4);
    graph_unmap(g->parent, g->count, 4);
    graph_unmap(g->extras, g->extra_room, sizeof(*g->extras));
    memset(g, 0, sizeof(*g));
}

/* Of all references until the end of the next batch. */
static int
make_room(struct graph *g)
{
    uint64_t need = g->edge_count + 2 * GRAPH_BATCH;

    if (need > GRAPH_EDGES_MAX ||
        graph_grow((void **)&g->edges, &g->edge_room, 4, need))
        g->failed = 1;
    return g->failed ? -1 : 0;
}

/* ---- objects ------------------------------------------------------------ */

static int
add(struct graph *g, uint64_t address)
{
    int put;

    if (address / MAP_ADDRESSES)
        return 0;
    put = map_put(&g->map, address);
    g->extra_room += put == 0;
    g->is_plain &= put == 1 && address % MAP_GRANULE == 0;
    return put < 0 ? -1 : 0;
}

int
graph_add(struct graph *g, uint64_t address, size_t header_offset)
{
    if (header_offset) {
        g->is_plain = 0;
        if (add(g, address + header_offset))
            return -1;
    }
    return add(g, address);
}

void *
graph_table(struct graph *g, size_t count, size_t each)
{
    g->bytes += (count ? count : 1) * each;
    return graph_map(count, each);
}

int
graph_number(struct graph *g)
{
    uint64_t count;

    map_number(&g->map);
    count = (uint64_t)g->map.count + g->extra_room;
    if (count >= GRAPH_NONE)
        return -1;
    g->count = (uint32_t)count;
    g->bytes += g->map.bytes;
    g->cells = graph_table(g, count, 4);
    g->slots = graph_table(g, count, 4);
    g->types = graph_table(g, count, 2);
    g->first = graph_table(g, count + 1, 4);
    g->extras = graph_table(g, g->extra_room, sizeof(*g->extras));
    if (!g->cells || !g->slots || !g->types || !g->first || !g->extras)
        return -1;
    return make_room(g);
}

/* Where the extras of an address begin, or would. */
static uint32_t
extra_at(const struct graph *g, uint64_t address)
{
    uint32_t low = 0, high = g->extra_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (g->extras[middle].address < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t
add_extra(struct graph *g, uint64_t address)
{
    uint32_t place = g->map.count + g->extra_count;

    if (g->extra_count == g->extra_room)
        return GRAPH_NONE;
    g->extras[g->extra_count++] =
        (struct graph_extra){.address = address, .place = place};
    return place;
}

/* An edge to the address may be to either, so both are held. */
static void
pin(struct graph *g, uint32_t place)
{
    if (g->cells[place] & NODE_ALIAS)
        place = g->slots[place] - 1;
    g->cells[place] |= NODE_PINNED;
}

static inline uint32_t
set(struct graph *g, uint64_t address, uint32_t slot, uint32_t flags)
{
    struct map_entry *e = map_near(&g->map, address);
    uint32_t place = e ? map_place(e, address, 0) : MAP_NONE;
    int is_double = 0;

    if (__builtin_expect(place == MAP_NONE, 0))
        return GRAPH_NONE;
    if (__builtin_expect(g->slots[place], 0)) {
        uint32_t first = place;

        g->cells[first] |= NODE_CROWDED;
        place = add_extra(g, address);
        if (place == GRAPH_NONE)
            return place;
        is_double = !((g->cells[first] ^ (uint32_t)address) & CELL_LOW);
        if (is_double)
            pin(g, first);
    }
    g->cells[place] = ((uint32_t)address & CELL_LOW) | flags;
    g->slots[place] = slot;
    if (is_double)
        pin(g, place);
    return place;
}

void
graph_set(struct graph *g, uint64_t address, size_t header_offset,
          uint32_t slot, uint16_t type, uint32_t flags)
{
    uint32_t place = set(g, address, slot, flags);

    if (place == GRAPH_NONE)
        return;
    g->types[place] = type;
    g->nodes++;
    if (header_offset)
        set(g, address + header_offset, place + 1, NODE_ALIAS);
}

static int
is_behind(const struct graph_extra *a, const struct graph_extra *b)
{
    return a->address > b->address ||
           (a->address == b->address && a->place > b->place);
}

static void
sift(struct graph_extra *a, size_t root, size_t n)
{
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        struct graph_extra t = a[root];

        child += child + 1 < n && is_behind(&a[child + 1], &a[child]);
        if (!is_behind(&a[child], &t))
            return;
        a[root] = a[child];
        a[child] = t;
    }
}

/* Heapsort: in a heap of small objects all may be extras, in any order. */
static void
sort_extras(struct graph_extra *a, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(a, i, n);
    for (size_t end = n; end > 1;) {
        struct graph_extra t = a[0];

        a[0] = a[--end];
        a[end] = t;
        sift(a, 0, end);
    }
}

void
graph_sort(struct graph *g)
{
    struct graph_extra *a = g->extras;
    uint32_t n = g->extra_count, in_order = 1;

    while (in_order < n && is_behind(&a[in_order], &a[in_order - 1]))
        in_order++;
    if (in_order < n)
        sort_extras(a, n);
    for (uint32_t i = 1; i < n; i++)
        if (a[i].address == a[i - 1].address) {
            pin(g, a[i - 1].place);
            pin(g, a[i].place);
        }
}

static uint32_t
find_extra(const struct graph *g, uint64_t address)
{
    uint32_t at = extra_at(g, address);

    return at < g->extra_count && g->extras[at].address == address
               ? g->extras[at].place
               : GRAPH_NONE;
}

/* What begins at the address, given what begins in its granule. */
static uint32_t
settle_rest(const struct graph *g, uint64_t address, uint32_t place)
{
    uint32_t cell = g->cells[place];

    if ((cell ^ (uint32_t)address) & CELL_LOW)
        place = cell & NODE_CROWDED ? find_extra(g, address) : GRAPH_NONE;
    if (place != GRAPH_NONE && g->cells[place] & NODE_ALIAS)
        place = g->slots[place] - 1;
    return place;
}

static inline uint32_t
settle(const struct graph *g, uint64_t address, uint32_t place)
{
    uint32_t odd = g->cells[place] ^ ((uint32_t)address & CELL_LOW);

    if (__builtin_expect(odd & (CELL_LOW | NODE_ALIAS), 0))
        place = settle_rest(g, address, place);
    return place;
}

uint32_t
graph_find(const struct graph *g, uint64_t address)
{
    uint32_t place = map_find(&g->map, address);

    return place == MAP_NONE ? GRAPH_NONE : settle(g, address, place);
}

/* ---- references --------------------------------------------------------- */

static inline void
fetch_entry(struct graph *g, uint64_t n)
{
    uint64_t address = g->ring_address[n % GRAPH_RING];
    const struct map_entry *e = g->map.flat ? map_entry_flat(&g->map, address)
                                            : map_entry(&g->map, address);

    __builtin_prefetch(e);
    g->ring_entry[n % GRAPH_RING] = e;
}

static inline void
read_entry(struct graph *g, uint64_t n, int fast)
{
    const struct map_entry *e = g->ring_entry[n % GRAPH_RING];
    uint32_t place = e ? map_place(e, g->ring_address[n % GRAPH_RING], fast)
                       : MAP_NONE;

    if (place != MAP_NONE)
        __builtin_prefetch(&g->cells[place], 1);
    g->edges[n] = place;
    g->read = n + 1;
}

static inline void
count_edge(struct graph *g, uint64_t n)
{
    uint32_t *edge = &g->edges[n];

    if (*edge != MAP_NONE)
        *edge = settle(g, g->ring_address[n % GRAPH_RING], *edge);
    g->counted = n + 1;
    if (*edge == GRAPH_NONE)
        g->unknown++;
    else if ((int32_t)g->cells[*edge] > SHORTEST)
        g->cells[*edge] -= CELL_ONE;
    else
        g->cells[*edge] |= NODE_PINNED;
}

/* Three steps, each far enough behind the one before for what that fetched. */
static inline __attribute__((always_inline)) void
advance(struct graph *g, uint64_t end, int fast)
{
    for (uint64_t n = g->fetched; n < end; n++) {
        fetch_entry(g, n);
        if (n >= g->read + READ_AGE)
            read_entry(g, g->read, fast);
        if (n >= g->counted + COUNT_AGE)
            count_edge(g, g->counted);
    }
    g->fetched = end;
}

#ifdef __x86_64__
static __attribute__((target("popcnt"))) void
advance_fast(struct graph *g, uint64_t end)
{
    advance(g, end, 1);
}

static void
advance_any(struct graph *g, uint64_t end)
{
    if (g->has_popcnt)
        advance_fast(g, end);
    else
        advance(g, end, 0);
}
#else
static void
advance_any(struct graph *g, uint64_t end)
{
    advance(g, end, 1);
}
#endif

/* A traverse that has almost used up its stack ends here, before anything is in
   pieces: what is called below needs less than this. */
static __attribute__((noinline)) void
try_stack(void)
{
    volatile char room[STACK_BYTES];

    room[0] = 0;
    (void)room[0];
}

void
graph_go_on(struct graph *g)
{
    try_stack();
    if (make_room(g))
        g->edge_count = g->fetched; /* what comes is lost */
    else
        advance_any(g, g->edge_count);
}

static void
drain(struct graph *g)
{
    graph_go_on(g);
    while (g->read < g->fetched)
        read_entry(g, g->read, 0);
    while (g->counted < g->fetched)
        count_edge(g, g->counted);
}

void
graph_drop(struct graph *g, uint32_t i)
{
    drain(g);
    for (uint64_t e = g->first[i]; e < g->edge_count; e++) {
        if (g->edges[e] == GRAPH_NONE)
            g->unknown--;
        else
            g->cells[g->edges[e]] += CELL_ONE;
    }
    if (g->edge_count > g->first[i])
        g->edge_count = g->fetched = g->read = g->counted = g->first[i];
    g->cells[i] |= NODE_SKIPPED;
    g->skipped++;
}

int
graph_close(struct graph *g)
{
    drain(g);
    g->first[g->count] = (uint32_t)g->edge_count;
    g->bytes += g->edge_count * 4;
    return g->failed ? -1 : 0;
}
