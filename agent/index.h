/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * index.h -- the live blocks, as shadow memory.
 *
 * One cell of 8 bytes for each granule of address space, two levels: the top
 * table has an entry for every 32 MiB, its leaf a cell for every granule.
 * Found with one load, stored with one store, no lock, no hash.
 *
 *      63      40 39          8 7       2     1        0
 *      +---------+-------------+---------+--------+--------+
 *      | stack   | size_bytes  | epoch   | object | moving |
 *      +---------+-------------+---------+--------+--------+
 *
 * stack    24 bits, never 0 in a cell that is in use
 * size     32 bits, as requested; INDEX_SIZE_SPILLED: see index_spill
 * epoch    6 bits of the publication in which it was allocated, so that a
 *          block and a later one at its address rarely look alike
 * object   registered with the companion: a free must tell it
 * moving   a realloc is under way: the cell is cleared afterwards only if
 *          nobody else has stored a new block there meanwhile
 *
 * Granule  32 bytes on glibc, which never starts two blocks nearer than that;
 *          16 elsewhere, where requests under 16 bytes are rounded up to 16.
 */
#ifndef HK_AGENT_INDEX_H
#define HK_AGENT_INDEX_H

#include <stddef.h>
#include <stdint.h>

#define INDEX_LEAF_SHIFT 25 /* 32 MiB a leaf */
#define INDEX_TOP_COUNT (1u << (47 - INDEX_LEAF_SHIFT))
#define INDEX_SIZE_SPILLED UINT32_MAX
#define INDEX_MOVING UINT64_C(1)
#define INDEX_OBJECT UINT64_C(2)

extern uint64_t **index_top;
extern unsigned index_granule_shift;

int index_start(unsigned granule_shift); /* 0: no memory */
uint64_t *index_cell_slow(uintptr_t p);  /* makes the leaf; NULL: full */

/* The cell of the block at p, or NULL while its leaf does not exist. */
static inline uint64_t *
index_find(uintptr_t p)
{
    uint64_t *leaf;

    if (__builtin_expect(p >> 47 != 0, 0))
        return NULL;
    leaf = __atomic_load_n(&index_top[p >> INDEX_LEAF_SHIFT],
                           __ATOMIC_ACQUIRE);
    if (__builtin_expect(!leaf, 0))
        return NULL;
    return &leaf[(p & ((1u << INDEX_LEAF_SHIFT) - 1)) >> index_granule_shift];
}

static inline uint64_t *
index_cell(uintptr_t p)
{
    uint64_t *cell = index_find(p);

    return __builtin_expect(cell != NULL, 1) ? cell : index_cell_slow(p);
}

static inline uint64_t
index_pack(uint32_t stack, uint32_t size, uint32_t epoch)
{
    return (uint64_t)stack << 40 | (uint64_t)size << 8 | (epoch & 63) << 2;
}

static inline uint32_t
index_stack(uint64_t cell)
{
    return (uint32_t)(cell >> 40);
}

static inline uint32_t
index_size(uint64_t cell)
{
    return (uint32_t)(cell >> 8);
}

/* Sizes that do not fit a cell.  take removes and returns it, 0 if lost. */
int index_spill(uintptr_t p, uint64_t size_bytes);
uint64_t index_spill_take(uintptr_t p);
uint64_t index_spill_peek(uintptr_t p);

#endif
