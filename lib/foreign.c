/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * foreign.c -- the side table: which slot belongs to the object at an address.
 *
 * Levels of buckets; each level has twice as many as the one below.  A bucket
 * is a cache line of eight cells, a cell is 38 bits of the address's hash and
 * 26 of slot; the record at that slot holds the whole address.  An object goes
 * into the first level whose bucket has an empty cell.  So nothing ever moves:
 * an insert or a removal is one compare-and-swap, and no lock is needed
 * even to grow.  Look-ups visit every level; the lower ones stay in the cache.
 *
 * Called by   hk_adopt, hk_forget, object.c; registry_forget_freed inside
 *             free(), perhaps in a signal handler amid any of the others.
 * Threads     any, lock-free.
 * Memory      host_map(), 8 to 24 bytes an object, never returned.
 * Fails       foreign_insert: ENOMEM.
 * Invariants  a cell in the table names a record that is not FREE, and
 *             that record names the object; an object is in one cell.
 */
#include "lib/foreign.h"

#include <errno.h>

#include "lib/error.h"
#include "lib/host.h"
#include "lib/registry.h"
#include "lib/type.h"

#define LEVELS 18
#define BUCKET_CELLS 8
#define FIRST_BITS 6 /* log2 of the buckets of level 0 */
#define SLOT_BITS 26
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)
#define ANY_SLOT (SLOT_MASK + 1)

_Static_assert(SLOT_MASK + 1 == (uint64_t)REGISTRY_SEGMENTS
                                    * REGISTRY_SEGMENT_RECORDS,
               "a slot fits");

static void *levels[LEVELS];

static inline uint64_t
hash_address(const void *object)
{
    uint64_t h = (uintptr_t)object;

    h ^= h >> 32;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    return h * UINT64_C(0xbf58476d1ce4e5b9);
}

static inline uint64_t *
bucket_of(void *level, int number, uint64_t hash)
{
    return (uint64_t *)level
           + (hash >> (64 - FIRST_BITS - number)) * BUCKET_CELLS;
}

static inline int
cell_names(uint64_t cell, uint64_t hash, const void *object)
{
    struct record *r;

    if (!cell || (cell ^ hash << SLOT_BITS) & ~SLOT_MASK)
        return 0;
    r = registry_record(cell & SLOT_MASK);
    return r && __atomic_load_n(&r->object, __ATOMIC_ACQUIRE) == object;
}

/* The first cell that names the object with a slot below the given one. */
static uint64_t *
find_cell(const void *object, uint64_t below, uint64_t *seen)
{
    uint64_t hash = hash_address(object);
    uint64_t *bucket;
    void *level;

    for (int k = 0; k < LEVELS; k++) {
        level = __atomic_load_n(&levels[k], __ATOMIC_ACQUIRE);
        if (!level)
            break;
        bucket = bucket_of(level, k, hash);
        for (int i = 0; i < BUCKET_CELLS; i++) {
            *seen = __atomic_load_n(&bucket[i], __ATOMIC_SEQ_CST);
            if ((*seen & SLOT_MASK) < below && cell_names(*seen, hash, object))
                return &bucket[i];
        }
    }
    return NULL;
}

static uint64_t *
place(uint64_t cell, uint64_t hash)
{
    uint64_t *bucket, empty;
    void *level;

    for (int k = 0; k < LEVELS; k++) {
        level = registry_map_once(
            &levels[k],
            (sizeof(uint64_t) * BUCKET_CELLS) << (FIRST_BITS + k));
        if (!level)
            break;
        bucket = bucket_of(level, k, hash);
        for (int i = 0; i < BUCKET_CELLS; i++) {
            empty = __atomic_load_n(&bucket[i], __ATOMIC_RELAXED);
            if (!empty
                && __atomic_compare_exchange_n(&bucket[i], &empty, cell, 0,
                                               __ATOMIC_SEQ_CST,
                                               __ATOMIC_RELAXED))
                return &bucket[i];
        }
    }
    return NULL;
}

/* Several threads may enter the same address at once.  Each looks again once
   it is in, and withdraws if there is one with a lower slot. */
int
foreign_insert(const void *object, uint32_t slot)
{
    uint64_t hash = hash_address(object);
    uint64_t mine = hash << SLOT_BITS | slot;
    uint64_t seen, *cell;

    if (find_cell(object, ANY_SLOT, &seen))
        return EEXIST;
    cell = place(mine, hash);
    if (!cell)
        return ENOMEM;
    if (!find_cell(object, slot, &seen))
        return 0;
    seen = mine;
    __atomic_compare_exchange_n(cell, &seen, 0, 0, __ATOMIC_ACQ_REL,
                                __ATOMIC_RELAXED);
    return EEXIST;
}

uint32_t
foreign_remove(const void *object)
{
    uint64_t seen, *cell;

    while ((cell = find_cell(object, ANY_SLOT, &seen)) != NULL)
        if (__atomic_compare_exchange_n(cell, &seen, 0, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return seen & SLOT_MASK;
    return 0;
}

uint32_t
registry_find(const void *object)
{
    uint64_t seen;

    return find_cell(object, ANY_SLOT, &seen) ? seen & SLOT_MASK : 0;
}

static void
count_destroyed(uint32_t slot)
{
    hk_type *type = registry_type(slot);

    if (type)
        __atomic_fetch_add(&type->destroyed, 1, __ATOMIC_RELAXED);
}

static int
drop(const void *object)
{
    uint32_t slot = foreign_remove(object);

    if (!slot)
        return 0;
    count_destroyed(slot);
    registry_remove(slot);
    return 1;
}

void
registry_forget_freed(void *ptr)
{
    drop(ptr);
}

/* Tracked before it can be found, since from then on another thread may
   forget it and the slot be another's. */
static int
enter(void *ptr, hk_type *type)
{
    uint32_t stack = host_block_adopt(ptr);
    uint32_t slot;
    int code;

    if (!stack)
        stack = host_stack();
    slot = registry_add(ptr, type, stack);
    if (!slot)
        return ENOMEM;
    code = foreign_insert(ptr, slot);
    if (code) {
        registry_remove(slot);
        return code;
    }
    __atomic_fetch_add(&type->created, 1, __ATOMIC_RELAXED);
    return 0;
}

int
hk_adopt(void *ptr, hk_type *type)
{
    int code;

    if (!ptr || !type || !(type->spec.flags & HK_TYPE_FOREIGN)) {
        error_set(EINVAL, "hk_adopt: %s",
                  !ptr    ? "no object"
                  : !type ? "no type"
                          : "the type is not HK_TYPE_FOREIGN");
        return -1;
    }
    code = registry_find(ptr) ? EEXIST : enter(ptr, type);
    if (!code)
        return 0;
    if (code == ENOMEM)
        host_block_forget(ptr);
    error_set(code, "hk_adopt: %s %p %s", type->spec.name, ptr,
              code == EEXIST ? "was adopted before" : "found no memory");
    return -1;
}

/* Is it foreign, and not just an object with its header further in? */
static int
is_foreign(const void *ptr)
{
    const hk_type *type = registry_type(registry_find(ptr));

    return type && type->spec.flags & HK_TYPE_FOREIGN;
}

int
hk_forget(void *ptr)
{
    if (ptr && is_foreign(ptr) && drop(ptr)) {
        host_block_forget(ptr);
        return 0;
    }
    error_set(ENOENT, "hk_forget: %p was not adopted", ptr);
    return -1;
}
