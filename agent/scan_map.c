/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_map.c -- the map from addresses to places.
 *
 * Called by   scan_graph.c; unit tests.
 * Threads     none: one map, one user.
 * Memory      os_map(), given back by map_free.
 * Fails       see scan_map.h.
 * Invariants  an entry's rank is right once map_number has run; bits that are
 *             put after that have no place.
 */
#include "agent/scan_map.h"

#include <linux/mman.h>
#include <string.h>

#include "agent/os.h"

#define REGION_BYTES (MAP_ENTRIES * sizeof(struct map_entry))
#define BLOCK_BYTES (MAP_MIDDLE * sizeof(struct map_entry *))
#define TOP_BYTES (MAP_TOP * sizeof(struct map_entry **))
/* A look-up is a random access, and the TLB is small: regions share huge pages
   where there are many of them. */
#define CHUNK_BYTES ((size_t)2 << 20)
#define FLAT_MAX (UINT64_C(1) << 24) /* regions: a heap and what mmap gives */

static void *
take(struct map *m, size_t bytes)
{
    void *p = os_map_unforked(bytes);

    if (p)
        m->bytes += bytes;
    return p;
}

int
map_start(struct map *m)
{
    memset(m, 0, sizeof(*m));
    m->top = take(m, TOP_BYTES);
    return m->top ? 0 : -1;
}

void
map_free(struct map *m)
{
    for (uint32_t i = 0; m->top && i < MAP_TOP; i++) {
        if (!m->top[i])
            continue;
        os_unmap(m->top[i], BLOCK_BYTES);
    }
    for (uint32_t i = 0; i < m->regions && i < MAP_FEW; i++)
        os_unmap(m->few[i], REGION_BYTES);
    while (m->chunks) {
        char *chunk = m->chunks;

        m->chunks = *(char **)(void *)chunk;
        os_unmap(chunk, CHUNK_BYTES);
    }
    if (m->flat)
        os_unmap(m->flat, m->flat_count * sizeof(*m->flat));
    if (m->top)
        os_unmap(m->top, TOP_BYTES);
    memset(m, 0, sizeof(*m));
}

static int
take_chunk(struct map *m)
{
    char *chunk = take(m, CHUNK_BYTES);

    if (!chunk)
        return -1;
    os_call(SYS_madvise, (long)chunk, CHUNK_BYTES, MADV_HUGEPAGE, 0, 0, 0);
    *(char **)(void *)chunk = m->chunks;
    m->chunks = chunk;
    m->chunk_used = REGION_BYTES;
    return 0;
}

static void *
take_region(struct map *m)
{
    void *region;

    if (m->regions < MAP_FEW) {
        region = m->few[m->regions] = take(m, REGION_BYTES);
    } else {
        if ((!m->chunks || m->chunk_used == CHUNK_BYTES) && take_chunk(m))
            return NULL;
        region = m->chunks + m->chunk_used;
        m->chunk_used += REGION_BYTES;
    }
    m->regions += region != NULL;
    return region;
}

static struct map_entry *
make_entry(struct map *m, uint64_t address)
{
    uint64_t region = address >> 22;
    struct map_entry ***block;

    if (region >> 12 >= MAP_TOP)
        return NULL;
    block = &m->top[region >> 12];
    if (!*block && !(*block = take(m, BLOCK_BYTES)))
        return NULL;
    if (!(*block)[region % MAP_MIDDLE] &&
        !((*block)[region % MAP_MIDDLE] = take_region(m)))
        return NULL;
    return map_entry(m, address);
}

int
map_put(struct map *m, uint64_t address)
{
    struct map_entry *e = map_near(m, address);
    uint64_t bit = UINT64_C(1) << (address / MAP_GRANULE % 64);

    if (__builtin_expect(!e, 0) && !(e = m->near = make_entry(m, address)))
        return -1;
    if (e->bits & bit)
        return 0;
    e->bits |= bit;
    return 1;
}

/* One array of all regions, most of it pages that are never touched. */
static void
flatten(struct map *m, uint64_t last)
{
    struct map_cursor at = {m->low * MAP_ENTRIES};
    uint64_t address;

    m->flat_count = last - m->low + 1;
    m->flat = m->flat_count <= FLAT_MAX
                  ? os_map(m->flat_count * sizeof(*m->flat))
                  : NULL;
    if (!m->flat) {
        m->flat_count = 0;
        return;
    }
    while (map_next(m, &at, &address)) {
        uint64_t region = address >> 22;

        m->flat[region - m->low] = map_entry(m, region << 22);
        at.entry = (region + 1) * MAP_ENTRIES;
    }
}

void
map_number(struct map *m)
{
    struct map_cursor at = {0};
    const struct map_entry *found;
    uint64_t address, last = 0;

    m->count = 0;
    while ((found = map_next(m, &at, &address))) {
        struct map_entry *e = map_entry(m, address);

        last = address >> 22;
        if (!m->count)
            m->low = last;
        e->rank = m->count;
        m->count += map_count_bits(found->bits, 0);
    }
    if (m->count)
        flatten(m, last);
}

const struct map_entry *
map_next(const struct map *m, struct map_cursor *at, uint64_t *address)
{
    const uint64_t in_block = (uint64_t)MAP_ENTRIES * MAP_MIDDLE;

    while (at->entry < in_block * MAP_TOP) {
        struct map_entry **block = m->top[at->entry / in_block];
        struct map_entry *entries;

        if (!block) {
            at->entry = (at->entry / in_block + 1) * in_block;
            continue;
        }
        entries = block[at->entry / MAP_ENTRIES % MAP_MIDDLE];
        if (!entries) {
            at->entry = (at->entry / MAP_ENTRIES + 1) * MAP_ENTRIES;
            continue;
        }
        *address = at->entry * MAP_ENTRY_BYTES;
        if (entries[at->entry++ % MAP_ENTRIES].bits)
            return map_entry(m, *address);
    }
    return NULL;
}
