/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * index.c -- leaves of the shadow index, and the few sizes that spill.
 *
 * Called by   account.c.
 * Threads     a leaf is put in place by one compare-and-swap; the spill table
 *             is under lock_index.
 * Memory      meta.c: 32 MiB of address space for the top, 8 or 16 MiB for a
 *             leaf; only touched pages cost anything.
 * Fails       NULL, counted as index_full: the block is not recorded.
 */
#include "agent/index.h"

#include "agent/counters.h"
#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/options.h"
#include "agent/retire.h"

#define SPILL_COUNT 1024
#define LOCK_WAIT_NS 10000000u

struct spill {
    uintptr_t block;
    uint64_t size_bytes;
};

uint64_t **index_top;
unsigned index_granule_shift = 5;
static struct spill spills[SPILL_COUNT];

int
index_start(unsigned granule_shift)
{
    index_granule_shift = granule_shift;
    index_top = meta_reserve(INDEX_TOP_COUNT * sizeof(*index_top));
    return index_top != NULL;
}

static size_t
leaf_bytes(void)
{
    return (((size_t)1 << INDEX_LEAF_SHIFT) >> index_granule_shift) * 8;
}

static uint64_t *
fail(void)
{
    count_add(HKC_index_full, 1);
    return NULL;
}

/*
 * What is resident was measured a while ago, and since then the leaves made
 * may have filled up.  Where that matters it is measured again: at most once
 * a leaf, so that memory= is exceeded by what is not yet full alone.
 */
static int
has_room(void)
{
    static uint32_t made; /* leaves since */
    uint32_t n;

    if (meta_resident_bytes() > opt.memory)
        return 0;
    n = __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
    if (n && meta_resident_bytes() + (n + 1) * leaf_bytes() > opt.memory) {
        meta_measure();
        __atomic_store_n(&made, 1, __ATOMIC_RELAXED);
    }
    return meta_resident_bytes() <= opt.memory;
}

uint64_t *
index_cell_slow(uintptr_t p)
{
    uint64_t *leaf, *none = NULL;
    uint64_t **slot;

    if (p >> 47 != 0)
        return fail();
    if (!has_room()) {
        if (meta_may_say())
            degrade("memory= is used up (%lu MiB): further blocks are not "
                    "recorded", (unsigned long)(opt.memory >> 20));
        return fail();
    }
    leaf = meta_reserve(leaf_bytes());
    if (!leaf)
        return fail();
    slot = &index_top[p >> INDEX_LEAF_SHIFT];
    if (!__atomic_compare_exchange_n(slot, &none, leaf, 0, __ATOMIC_RELEASE,
                                     __ATOMIC_ACQUIRE))
        meta_release(leaf, leaf_bytes());
    return index_find(p);
}

static struct spill *
find_spill(uintptr_t block)
{
    for (size_t i = 0; i < SPILL_COUNT; i++)
        if (spills[i].block == block)
            return &spills[i];
    return NULL;
}

int
index_spill(uintptr_t p, uint64_t size_bytes)
{
    struct spill *s;

    if (!lock_take(&lock_index, LOCK_WAIT_NS))
        return 0;
    s = find_spill(0);
    if (s) {
        s->block = p;
        s->size_bytes = size_bytes;
    }
    lock_release(&lock_index);
    return s != NULL;
}

static uint64_t
look_up(uintptr_t p, int remove)
{
    struct spill *s;
    uint64_t size = 0;

    if (!lock_take(&lock_index, LOCK_WAIT_NS))
        return 0;
    s = find_spill(p);
    if (s) {
        size = s->size_bytes;
        if (remove)
            s->block = 0;
    }
    lock_release(&lock_index);
    return size;
}

uint64_t
index_spill_take(uintptr_t p)
{
    return look_up(p, 1);
}

uint64_t
index_spill_peek(uintptr_t p)
{
    return look_up(p, 0);
}
