/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * foreign.c -- the side table: which slot belongs to the object at an address.
 *
 * Levels of buckets; each level has twice as many as the one below.  A bucket
 * is a cache line of eight cells, a cell is 37 bits of the address's hash, a
 * mark and 26 bits of slot; the record at that slot holds the whole address.
 * An object goes into the first level whose bucket has an empty cell.  So
 * nothing ever moves, and no lock is needed even to grow.  Look-ups visit
 * every level; the lower ones stay in the cache.
 *
 * Entering takes two steps, since several threads may enter one address into
 * different cells at once.  A cell is first an offer, which nobody finds.  Its
 * owner then looks at all other cells of the address: a settled one means
 * EEXIST, a rival offer is erased.  Only then does it settle its own, if
 * that was not erased meanwhile; else it starts again.  Of two who meet, one
 * offered later and therefore sees the other, so both cannot settle.  An offer
 * never has to be waited for: its owner may be the code that this signal
 * interrupted, or a thread that a fork left behind.
 *
 * Called by   hk_adopt, hk_forget, object.c; registry_forget_freed inside
 *             free(), perhaps in a signal handler amid any of the others.
 * Threads     any, no locks; a removal is one compare-and-swap.
 * Memory      host_map(), 8 to 24 bytes an object, never returned.
 * Fails       foreign_insert: ENOMEM.
 * Invariants  a settled cell names a record that is not FREE, and that
 *             record names the object; an object has one settled cell.
 *             Who takes a settled cell out owns the slot; the slot of an
 *             offer stays with who made it.
 */
#include "lib/foreign.h"

#include <errno.h>
#include <sched.h>

#include "lib/error.h"
#include "lib/host.h"
#include "lib/mistake.h"
#include "lib/registry.h"
#include "lib/shard.h"
#include "lib/type.h"

#define LEVELS 18
#define BUCKET_CELLS 8
#define FIRST_BITS 6 /* log2 of the buckets of level 0 */
#define SLOT_BITS 26
#define SLOT_MASK ((UINT64_C(1) << SLOT_BITS) - 1)
#define OFFER (SLOT_MASK + 1)
#define HASH_SHIFT (SLOT_BITS + 1)

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

    if (!cell || (cell ^ hash << HASH_SHIFT) >> HASH_SHIFT)
        return 0;
    r = registry_record(cell & SLOT_MASK);
    return r && __atomic_load_n(&r->object, __ATOMIC_ACQUIRE) == object;
}

/* The first cell that names the object.  A look-up (mine is NULL) sees settled
   cells only; who made an offer sees every cell but its own. */
static uint64_t *
find_cell(const void *object, const uint64_t *mine, uint64_t *seen)
{
    uint64_t hash = hash_address(object);
    uint64_t *bucket;
    void *level;

    for (int k = 0; k < LEVELS; k++) {
        level = __atomic_load_n(&levels[k], __ATOMIC_SEQ_CST);
        if (!level)
            break;
        bucket = bucket_of(level, k, hash);
        for (int i = 0; i < BUCKET_CELLS; i++) {
            *seen = __atomic_load_n(&bucket[i], __ATOMIC_SEQ_CST);
            if (&bucket[i] != mine && (mine || !(*seen & OFFER))
                && cell_names(*seen, hash, object))
                return &bucket[i];
        }
    }
    return NULL;
}

static inline int
change(uint64_t *cell, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(cell, &from, to, 0, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

static uint64_t *
place(uint64_t cell, uint64_t hash)
{
    uint64_t *bucket;
    void *level;

    for (int k = 0; k < LEVELS; k++) {
        level = registry_map_once(
            &levels[k],
            (sizeof(uint64_t) * BUCKET_CELLS) << (FIRST_BITS + k));
        if (!level)
            break;
        bucket = bucket_of(level, k, hash);
        for (int i = 0; i < BUCKET_CELLS; i++)
            if (!__atomic_load_n(&bucket[i], __ATOMIC_RELAXED)
                && change(&bucket[i], 0, cell))
                return &bucket[i];
    }
    return NULL;
}

/* 0, EEXIST, or EAGAIN: a rival erased the offer.  No rival can take it for
   one made later: it carries a slot that is the caller's. */
static int
settle(const void *object, uint64_t *mine, uint64_t offer)
{
    uint64_t seen, *other;

    while ((other = find_cell(object, mine, &seen)) != NULL) {
        if (!(seen & OFFER)) {
            change(mine, offer, 0);
            return EEXIST;
        }
        change(other, seen, 0);
    }
    return change(mine, offer, offer & ~OFFER) ? 0 : EAGAIN;
}

/* Two who erase each other's offers have to meet in the same few
   instructions again and again, so this ends. */
int
foreign_insert(const void *object, uint32_t slot)
{
    uint64_t hash = hash_address(object);
    uint64_t offer = hash << HASH_SHIFT | OFFER | slot;
    uint64_t seen, *cell;
    int code;

    for (;;) {
        if (find_cell(object, NULL, &seen))
            return EEXIST;
        cell = place(offer, hash);
        if (!cell)
            return ENOMEM;
        code = settle(object, cell, offer);
        if (code != EAGAIN)
            return code;
        sched_yield();
    }
}

/* If the cell was another object's by the time of the swap, that object's hash
   would have to agree in all its 43 bits that bucket and cell hold, and its
   slot too. */
uint32_t
foreign_remove(const void *object)
{
    uint64_t seen, *cell;

    while ((cell = find_cell(object, NULL, &seen)) != NULL)
        if (change(cell, seen, 0))
            return seen & SLOT_MASK;
    return 0;
}

uint32_t
registry_find(const void *object)
{
    uint64_t seen;

    return find_cell(object, NULL, &seen) ? seen & SLOT_MASK : 0;
}

static void
count_destroyed(uint32_t slot)
{
    hk_type *type = registry_type(slot);

    if (!type)
        return;
    type_count_shared(type, 0, 1);
    if (type->is_container)
        shard_count_freed();
}

static int
drop(const void *object)
{
    uint32_t slot = foreign_remove(object);

    if (!slot)
        return 0;
    host_note(object, NULL);
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
    slot = registry_add(ptr, type, stack,
                        type->is_container ? RECORD_TRACKED : RECORD_PARKED);
    if (!slot)
        return ENOMEM;
    code = foreign_insert(ptr, slot);
    if (code) {
        registry_remove(slot);
        return code;
    }
    type_count_shared(type, 1, 0);
    if (type->is_container)
        shard_count_allocated();
    return 0;
}

int
hk_adopt(void *ptr, hk_type *type)
{
    int code;

    if (!ptr || !type || !type_is_foreign(type)) {
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
    if (code == EEXIST)
        mistake(HK_ERROR_ADOPTED_TWICE, ptr, type, registry_find(ptr),
                "adopted twice");
    error_set(code, "hk_adopt: %s %p %s", type->spec.name, ptr,
              code == EEXIST ? "was adopted before" : "found no memory");
    return -1;
}

/* Is it foreign, and not just an object with its header further in? */
static int
is_foreign(const void *ptr)
{
    const hk_type *type = registry_type(registry_find(ptr));

    return type && type_is_foreign(type);
}

int
hk_forget(void *ptr)
{
    if (ptr && is_foreign(ptr)) {
        host_block_forget(ptr); /* first, lest it undo a new hk_adopt */
        if (drop(ptr))
            return 0;
    }
    error_set(ENOENT, "hk_forget: %p was not adopted", ptr);
    return -1;
}
