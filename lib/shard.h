/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * shard.h -- what each thread keeps for itself, so that making and ending an
 * object touches nothing that threads share: some free slots of the registry,
 * and its share of the counts.
 *
 * Threads     a shard has one owner at a time, which alone stores to it; all
 *             others only sum.  (The collector, with everybody standing still,
 *             sets `allocated` to 0.)  A thread that ends leaves its shard,
 *             with all that is in it, to the next one.
 * Memory      host_map(), 4 KiB a thread, never returned.
 * Fails       shard_mine(): NULL; the shared counts and slots do as well.
 */
#ifndef HK_LIB_SHARD_H
#define HK_LIB_SHARD_H

#include <stdint.h>

#include "heapknot.h"

#define SHARD_SLOTS 64u
#define SHARD_BELOW 512
#define SHARD_TYPES 128u /* the first ones; others count in hk_type */

/* Modulo 2^64.  Tracked objects are created - destroyed + tracked: the usual
   object is tracked from birth to death and moves the first two alone. */
struct shard_count {
    uint64_t created, destroyed, tracked;
};

struct shard {
    uint32_t slot_count;
    uint32_t slots[SHARD_SLOTS]; /* free, this thread's */
    uint32_t order_next, order_end; /* keys of its own, see registry.h */
    int64_t allocated; /* allocations less frees since the last collection */
    struct shard_count counts[SHARD_TYPES]; /* by type id */
    struct shard *next; /* all there are */
    int is_owned;
};

extern __thread struct shard *shard_self
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct shard *shard_claim(void);
/* In a forked child. */
void shard_after_fork(void);

/* This thread's, or NULL: no memory. */
static inline struct shard *
shard_mine(void)
{
    struct shard *s = shard_self;

    return __builtin_expect(s != NULL, 1) ? s : shard_claim();
}

/* Of an owner: no other stores, so no read-modify-write is needed. */
static inline void
shard_add(uint64_t *count, uint64_t by)
{
    __atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + by,
                     __ATOMIC_RELAXED);
}

/* Live threads that have used the library. */
uint32_t shard_threads(void);

/* Sums over all shards for a type below SHARD_TYPES. */
void shard_sum(uint16_t type, struct shard_count *sum);

/* Allocations less frees of containers since shard_reset_allocated(), never
   below 0.  The last two are for who has no shard, or may be in a signal
   handler. */
int64_t shard_allocated(void);
void shard_reset_allocated(void);
void shard_count_allocated(void);
void shard_count_freed(void);

static inline void
shard_note_alloc(struct shard *s)
{
    shard_add((uint64_t *)&s->allocated, 1);
}

/* Not below 0 while there is but one thread, as in CPython; else not far, so
   that one thread that only ends old objects does not hide what others make. */
static inline void
shard_note_free(struct shard *s)
{
    int64_t n = __atomic_load_n(&s->allocated, __ATOMIC_RELAXED);

    if (__builtin_expect(n > 0, 1)
        || (n > -SHARD_BELOW && shard_threads() > 1))
        shard_add((uint64_t *)&s->allocated, (uint64_t)-1);
}

#endif
