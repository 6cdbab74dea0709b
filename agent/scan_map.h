/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_map.h -- from the address of an object to its place among all, in
 * order of address.
 *
 * One bit for each granule of 16 bytes in which an object begins, and for each
 * 64 granules the number of bits before them: the place is that number and a
 * count of bits.  A look-up reads one entry, and the entries of a dense heap
 * are a 64th of it, so that they stay in the cache where a hash of as many
 * objects would not.  No address is ever followed.
 *
 *      address  | 14 bits top | 12 bits middle | 12 bits entry | 6 bit | 4 |
 *
 * Source      rank of a bit vector: Jacobson 1989.
 * Threads     none: one map, one user.
 * Memory      os_map(): 16 bytes for each KiB of address space, in pages of
 *             256 KiB of it, where there are objects; from the ninth region of
 *             4 MiB on in huge pages.
 * Fails       map_put: -1, no memory.
 */
#ifndef HK_AGENT_SCAN_MAP_H
#define HK_AGENT_SCAN_MAP_H

#include <stddef.h>
#include <stdint.h>

#define MAP_NONE UINT32_MAX
#define MAP_GRANULE 16u
#define MAP_ENTRY_BYTES 1024u /* of address space, for each entry */
#define MAP_ENTRIES 4096u     /* of a region */
#define MAP_MIDDLE 4096u      /* regions of a block */
#define MAP_TOP 16384u
#define MAP_FEW 8u            /* regions on their own */
#define MAP_ADDRESSES (UINT64_C(1) << 48)

struct map_entry {
    uint64_t bits;
    uint32_t rank; /* of the first bit, after map_number */
    uint32_t pad;
};

struct map {
    struct map_entry ***top;
    struct map_entry **flat; /* after map_number, if it fits: the regions from
                                low on */
    uint64_t low, flat_count;
    uint32_t count;  /* bits that are set, after map_number */
    uint64_t bytes;  /* mapped */
    void *few[MAP_FEW];    /* the first regions */
    char *chunks;    /* huge pages with regions, each leads to the one before */
    size_t chunk_used;
    uint32_t regions;
    struct map_entry *near; /* of the KiB at near_key */
    uint64_t near_key;
};

int map_start(struct map *m);
void map_free(struct map *m);

/* 1: the granule was free, 0: it was taken, -1: no memory, or no address of
   user space. */
int map_put(struct map *m, uint64_t address);
void map_number(struct map *m);

/* NULL: nothing is near. */
static inline struct map_entry *
map_entry(const struct map *m, uint64_t address)
{
    uint64_t region = address >> 22;
    struct map_entry **block =
        region >> 12 < MAP_TOP ? m->top[region >> 12] : NULL;
    struct map_entry *entries = block ? block[region % MAP_MIDDLE] : NULL;

    return entries ? &entries[address / MAP_ENTRY_BYTES % MAP_ENTRIES] : NULL;
}

/* The same after map_number, with less to look at. */
static inline struct map_entry *
map_entry_flat(const struct map *m, uint64_t address)
{
    uint64_t region = (address >> 22) - m->low;
    struct map_entry *entries = region < m->flat_count ? m->flat[region] : NULL;

    return entries ? &entries[address / MAP_ENTRY_BYTES % MAP_ENTRIES] : NULL;
}

/* The same as map_entry, faster where many addresses come in order. */
static inline struct map_entry *
map_near(struct map *m, uint64_t address)
{
    if (address / MAP_ENTRY_BYTES != m->near_key || !m->near) {
        m->near = map_entry(m, address);
        m->near_key = address / MAP_ENTRY_BYTES;
    }
    return m->near;
}

/* fast: the compiler may use an instruction that not every processor has. */
static inline uint32_t
map_count_bits(uint64_t bits, int fast)
{
    if (fast)
        return (uint32_t)__builtin_popcountll(bits);
    bits -= bits >> 1 & UINT64_C(0x5555555555555555);
    bits = (bits & UINT64_C(0x3333333333333333)) +
           (bits >> 2 & UINT64_C(0x3333333333333333));
    bits = (bits + (bits >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)(bits * UINT64_C(0x0101010101010101) >> 56);
}

/* The place of what begins in the granule of address, or MAP_NONE. */
static inline uint32_t
map_place(const struct map_entry *e, uint64_t address, int fast)
{
    uint64_t bit = UINT64_C(1) << (address / MAP_GRANULE % 64);

    if (!(e->bits & bit))
        return MAP_NONE;
    return e->rank + map_count_bits(e->bits & (bit - 1), fast);
}

static inline uint32_t
map_find(const struct map *m, uint64_t address)
{
    const struct map_entry *e = map_entry(m, address);

    return e ? map_place(e, address, 0) : MAP_NONE;
}

/* Where a walk through all entries, in order of address, stands. */
struct map_cursor {
    uint64_t entry; /* number of the entry that comes next */
};

/* The next entry that is not empty, and the address where it begins; NULL:
   there are no more. */
const struct map_entry *map_next(const struct map *m, struct map_cursor *at,
                                 uint64_t *address);

#endif
