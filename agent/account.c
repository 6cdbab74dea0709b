/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * account.c -- the books: index cell for a block, counters for its stack.
 *
 * Called by   interpose.c, host.c, with the guard held.
 * Threads     counters are relaxed atomics in a cache line of their stack.
 * Memory      none of its own.
 * Fails       a block without a cell is not recorded, counted (index_full).
 */
#include "agent/account.h"

#include <errno.h>

#include "agent/capture.h"
#include "agent/counters.h"
#include "agent/index.h"
#include "agent/intern.h"
#include "agent/real.h"
#include "lib/registry.h"

#define FIRST_SAMPLED 8u
#define SAMPLE_MASK 15u

uint32_t account_epoch;

static inline void
add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static void
book(uint32_t id, void *p, size_t bytes)
{
    struct stack *s = &intern_stacks[id];
    uint64_t before = __atomic_fetch_add(&s->allocations, 1,
                                         __ATOMIC_RELAXED);

    add(&s->allocated_bytes, bytes);
    if (before < FIRST_SAMPLED || (before & SAMPLE_MASK) == 0) {
        add(&s->sampled_bytes, bytes);
        add(&s->usable_bytes, real.usable_size(p));
    }
}

static uint32_t
cell_size(void *p, size_t bytes)
{
    if (__builtin_expect(bytes < INDEX_SIZE_SPILLED, 1))
        return (uint32_t)bytes;
    if (!index_spill((uintptr_t)p, bytes))
        count_add(HKC_huge_spilled, 1);
    return INDEX_SIZE_SPILLED;
}

static void
book_free(uint64_t value, uintptr_t p)
{
    struct stack *s = &intern_stacks[index_stack(value)];
    uint64_t bytes = index_size(value);

    if (__builtin_expect(bytes == INDEX_SIZE_SPILLED, 0))
        bytes = index_spill_take(p);
    add(&s->frees, 1);
    add(&s->freed_bytes, bytes);
}

/* A record that still stands here belongs to a block whose free went by
   unseen (from a signal handler inside a hook): book it now. */
static void
store(uint64_t *cell, uint32_t id, void *p, size_t bytes)
{
    uint64_t old = __atomic_load_n(cell, __ATOMIC_RELAXED);

    if (__builtin_expect(old != 0 && !(old & INDEX_MOVING), 0))
        book_free(old, (uintptr_t)p);
    __atomic_store_n(cell,
                     index_pack(id, cell_size(p, bytes), account_epoch),
                     __ATOMIC_RELEASE);
}

void
account_alloc(void *p, size_t bytes, const struct frame_record *caller)
{
    int saved_errno = errno;
    uint64_t *cell = index_cell((uintptr_t)p);
    uint32_t id;

    if (cell) {
        id = capture_stack(caller, 0);
        book(id, p, bytes);
        store(cell, id, p, bytes);
    }
    errno = saved_errno;
}

/* While the address is still the caller's. */
static __attribute__((noinline, cold)) void
forget_object(void *p)
{
    registry_forget_freed(p);
    count_add(HKC_objects_freed_raw, 1);
}

void
account_free(void *p)
{
    uint64_t *cell = index_find((uintptr_t)p);
    uint64_t value = cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : 0;

    if (__builtin_expect(value == 0, 0)) {
        count_add(HKC_unknown_frees, 1);
        return;
    }
    __atomic_store_n(cell, 0, __ATOMIC_RELAXED);
    if (__builtin_expect((value & INDEX_OBJECT) != 0, 0))
        forget_object(p);
    book_free(value, (uintptr_t)p);
}

void
account_own(void *p)
{
    int saved_errno = errno;
    uint64_t *cell = index_cell((uintptr_t)p);

    if (cell)
        __atomic_store_n(cell, index_pack(STACK_NONE, 1, account_epoch),
                         __ATOMIC_RELAXED);
    errno = saved_errno;
}

uint64_t
account_move_before(void *p)
{
    uint64_t *cell = index_find((uintptr_t)p);
    uint64_t value = cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : 0;

    if (!value) {
        count_add(HKC_unknown_frees, 1);
        return 0;
    }
    if (__builtin_expect((value & INDEX_OBJECT) != 0, 0)) {
        forget_object(p);
        value &= ~INDEX_OBJECT;
    }
    __atomic_store_n(cell, value | INDEX_MOVING, __ATOMIC_RELAXED);
    return value;
}

/* Clears p's cell, unless another thread has got the address meanwhile. */
static void
drop_moved(void *p, uint64_t value)
{
    uint64_t *cell = index_find((uintptr_t)p);
    uint64_t mark = value | INDEX_MOVING;

    if (cell)
        __atomic_compare_exchange_n(cell, &mark, 0, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
    book_free(value, (uintptr_t)p);
}

void
account_move_after(void *p, uint64_t value, void *q, size_t bytes,
                   const struct frame_record *caller)
{
    uint64_t *cell;

    if (!q) {
        cell = value ? index_find((uintptr_t)p) : NULL;
        if (cell)
            __atomic_store_n(cell, value, __ATOMIC_RELAXED);
        return;
    }
    if (value && q == p) {
        cell = index_find((uintptr_t)p);
        __atomic_store_n(cell, 0, __ATOMIC_RELAXED);
        book_free(value, (uintptr_t)p);
    }
    account_alloc(q, bytes, caller);
    if (value && q != p)
        drop_moved(p, value);
}

void
account_move_freed(void *p, uint64_t value)
{
    if (value)
        drop_moved(p, value);
}

uint32_t
account_stack_of(const void *p, int adopt)
{
    uint64_t *cell = index_find((uintptr_t)p);
    uint64_t value = cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : 0;

    if (value && adopt)
        __atomic_fetch_or(cell, INDEX_OBJECT, __ATOMIC_RELAXED);
    return index_stack(value);
}

void
account_disown(const void *p)
{
    uint64_t *cell = index_find((uintptr_t)p);

    if (cell && __atomic_load_n(cell, __ATOMIC_RELAXED))
        __atomic_fetch_and(cell, ~INDEX_OBJECT, __ATOMIC_RELAXED);
}
