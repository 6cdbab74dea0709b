/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * held.c -- see held.h: a ring of blocks that wait for their real free.
 *
 * Called by   account.c.
 * Threads     any.  Who exchanges a block out of the ring owns it.
 * Memory      static, 8 KiB; of the program's at most HELD_BYTES and one block.
 * Fails       a block that is too large is freed at once.
 * Invariants  a block stands in the ring once, and is freed by whoever takes
 *             it out; its cell is cleared before.
 */
#include "agent/held.h"

#include "agent/account.h"
#include "agent/counters.h"
#include "agent/real.h"
#include "agent/thread.h"
#include "lib/quarantine.h"

#define HELD_COUNT 1024u
#define HELD_BYTES (1u << 20)
#define HELD_LARGEST (64u << 10)

static void *ring[HELD_COUNT];
static uint32_t head, tail; /* of the ring, ever: head is the next place */
static uint64_t bytes;

uint64_t
held_bytes(void)
{
    return __atomic_load_n(&bytes, __ATOMIC_RELAXED);
}

/* Outside the guard: stacks are captured, and perhaps the program's own
   hk_error_fn runs. */
int
held_leave(void *p)
{
    uintptr_t frame = self.guard;
    int how;

    self.guard = 0;
    how = quarantine_block_freed(p);
    self.guard = frame;
    if (how & QUARANTINE_RAW)
        count_add(HKC_objects_freed_raw, 1);
    return (how & QUARANTINE_HOLD) != 0;
}

static void
take_off(void *p, uint64_t cell)
{
    uint64_t *at = index_find((uintptr_t)p);

    if (at)
        __atomic_store_n(at, 0, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&bytes, index_size(cell), __ATOMIC_RELAXED);
}

static void
give_back(void *p)
{
    uint64_t *at = index_find((uintptr_t)p);

    if (at)
        take_off(p, __atomic_load_n(at, __ATOMIC_RELAXED));
    real.free(p);
}

/* The oldest one; 0: there is none. */
static int
give_oldest_back(void)
{
    uint32_t at = __atomic_load_n(&tail, __ATOMIC_RELAXED);
    void *p;

    do
        if (at == __atomic_load_n(&head, __ATOMIC_RELAXED))
            return 0;
    while (!__atomic_compare_exchange_n(&tail, &at, at + 1, 1,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    p = __atomic_exchange_n(&ring[at % HELD_COUNT], NULL, __ATOMIC_ACQ_REL);
    if (p)
        give_back(p);
    return 1;
}

int
held_keep(void *p, uint32_t size_bytes)
{
    uint64_t *cell = index_find((uintptr_t)p);
    uint32_t at;
    void *old;

    if (!cell || size_bytes > HELD_LARGEST)
        return 0;
    quarantine_bury(p);
    __atomic_store_n(cell,
                     index_pack(0, size_bytes, 0) | INDEX_OBJECT |
                         INDEX_MOVING,
                     __ATOMIC_RELAXED);
    __atomic_fetch_add(&bytes, size_bytes, __ATOMIC_RELAXED);
    while (__atomic_load_n(&head, __ATOMIC_RELAXED) -
                   __atomic_load_n(&tail, __ATOMIC_RELAXED) >=
               HELD_COUNT ||
           held_bytes() > HELD_BYTES)
        if (!give_oldest_back())
            break;
    at = __atomic_fetch_add(&head, 1, __ATOMIC_RELAXED) % HELD_COUNT;
    old = __atomic_exchange_n(&ring[at], p, __ATOMIC_ACQ_REL);
    if (old)
        give_back(old);
    return 1;
}

void
held_again(void *p, uint64_t cell)
{
    uintptr_t frame = self.guard;
    uint64_t *at = index_find((uintptr_t)p);

    if (at)
        __atomic_store_n(at, cell, __ATOMIC_RELAXED);
    self.guard = 0;
    quarantine_freed_again(p);
    self.guard = frame;
}

void
held_drop(void *p, uint64_t cell)
{
    void *seen;

    for (uint32_t i = 0; i < HELD_COUNT; i++) {
        seen = p;
        if (__atomic_compare_exchange_n(&ring[i], &seen, NULL, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
            take_off(p, cell);
            return;
        }
    }
}
