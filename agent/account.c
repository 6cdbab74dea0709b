/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * account.c -- the books: index cell for a block, counters for its stack.
 *
 * Called by   interpose.c, host.c, with the guard held.
 * Threads     counters are the thread's own (ledger.h), or, where it has no
 *             place for that stack, relaxed atomics that all share.
 * Memory      none of its own.
 * Fails       a block without a cell is not recorded, counted (index_full).
 */
#include "agent/account.h"

#include "agent/capture.h"
#include "agent/counters.h"
#include "agent/held.h"
#include "agent/index.h"
#include "agent/intern.h"
#include "agent/lane.h"
#include "agent/os.h"
#include "agent/real.h"
#include "agent/sampler.h"

#define FIRST_SAMPLED 8u
#define OFTEN_SAMPLED 1024u /* one in 16 up to there, then one in 256 */
#define OFTEN_MASK 15u
#define SELDOM_MASK 255u
#define TIMED_MAX_NS 20000u

uint32_t account_epoch;

static inline struct tally *
place_of(struct lane *lane, uint32_t id)
{
    return __builtin_expect(lane != NULL, 1) ? ledger_entry(&lane->ledger, id)
                                             : NULL;
}

/* So seldom that the counters that all share will do. */
static __attribute__((noinline)) void
sample_usable(uint32_t id, void *p, size_t bytes)
{
    struct stack *s = &intern_stacks[id];

    __atomic_fetch_add(&s->usable_bytes, real.usable_size(p),
                       __ATOMIC_RELAXED);
    __atomic_fetch_add(&s->sampled_bytes, bytes, __ATOMIC_RELAXED);
}

static __attribute__((noinline)) uint64_t
book_shared(uint32_t id, size_t bytes)
{
    struct stack *s = &intern_stacks[id];

    __atomic_fetch_add(&s->allocated_bytes, bytes, __ATOMIC_RELAXED);
    return __atomic_fetch_add(&s->allocations, 1, __ATOMIC_RELAXED);
}

static inline int
is_sampled(uint64_t before)
{
    uint64_t mask = before < OFTEN_SAMPLED ? OFTEN_MASK : SELDOM_MASK;

    return before < FIRST_SAMPLED || (before & mask) == 0;
}

static inline void
book(uint32_t id, void *p, size_t bytes)
{
    struct tally *t = place_of(lane_mine(), id);
    uint64_t before;

    if (__builtin_expect(t != NULL, 1)) {
        before = t->allocations;
        ledger_add(&t->allocations, 1);
        ledger_add(&t->allocated_bytes, bytes);
    } else {
        before = book_shared(id, bytes);
    }
    if (__builtin_expect(is_sampled(before), 0))
        sample_usable(id, p, bytes);
}

/* ---- samples ------------------------------------------------------------- */

static void
add(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* Seldom: the counters that all share will do. */
static __attribute__((noinline)) void
book_sample(uint32_t id, uint32_t rate, void *p, size_t bytes)
{
    struct weight w = sampler_weight(rate, bytes);
    struct samples *raw = &intern_samples[id];

    add(&raw->allocations, 1);
    add(&raw->allocated_bytes, bytes);
    ledger_share(id, &(struct tally){.allocations = w.blocks,
                                     .allocated_bytes = w.bytes});
    sample_usable(id, p, bytes);
    count_add(HKC_sampled_blocks, 1);
}

static void
add_after(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELEASE);
}

static __attribute__((noinline)) void
book_sample_free(uint32_t id, uint32_t rate, uint64_t bytes)
{
    struct weight w = sampler_weight(rate, bytes);
    struct samples *raw = &intern_samples[id];

    add_after(&raw->frees, 1);
    add_after(&raw->freed_bytes, bytes);
    ledger_share(id, &(struct tally){.frees = w.blocks,
                                     .freed_bytes = w.bytes});
}

/* The rate of a stack to which a block is booked; 0: counted as it is. */
static inline uint32_t
rate_of(uint32_t id)
{
    return __builtin_expect(sampler_is_used == 0, 1) || id <= STACK_UNSAMPLED
               ? 0
               : intern_stacks[id].rate;
}

/* ---- blocks -------------------------------------------------------------- */

static uint32_t
cell_size(void *p, size_t bytes)
{
    if (__builtin_expect(bytes < INDEX_SIZE_SPILLED, 1))
        return (uint32_t)bytes;
    if (!index_spill((uintptr_t)p, bytes))
        count_add(HKC_huge_spilled, 1);
    return INDEX_SIZE_SPILLED;
}

static inline void
book_free(uint64_t value, uintptr_t p)
{
    uint32_t id = index_stack(value);
    uint64_t bytes = index_size(value);
    uint32_t rate = rate_of(id);
    struct tally *t;

    if (__builtin_expect(bytes == INDEX_SIZE_SPILLED, 0))
        bytes = index_spill_take(p);
    if (__builtin_expect(rate != 0, 0)) {
        book_sample_free(id, rate, bytes);
        return;
    }
    t = place_of(lane_mine(), id);
    if (__builtin_expect(t != NULL, 1)) {
        ledger_add_after(&t->frees, 1);
        ledger_add_after(&t->freed_bytes, bytes);
    } else {
        ledger_share(id, &(struct tally){.frees = 1, .freed_bytes = bytes});
    }
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

static __attribute__((noinline)) uint32_t
capture_timed(const struct frame_record *caller, uint32_t rate)
{
    uint64_t start = os_now_ns(), took;
    uint32_t id = capture_stack(caller, rate);

    took = os_now_ns() - start;
    if (took > TIMED_MAX_NS) /* another process had the CPU meanwhile */
        took = TIMED_MAX_NS;
    lane_add(lane_mine(), LANE_capture_ns, took * SAMPLER_TIMED);
    return id;
}

static inline uint32_t
capture(const struct frame_record *caller, uint32_t rate)
{
    if (__builtin_expect(++self.sampler.untimed < SAMPLER_TIMED, 1))
        return capture_stack(caller, rate);
    self.sampler.untimed = 0;
    return capture_timed(caller, rate);
}

/* The stack of a block of that size, booked. */
static inline uint32_t
book_sampled(uint32_t rate, void *p, size_t bytes,
             const struct frame_record *caller)
{
    uint32_t id = STACK_UNSAMPLED;

    if (__builtin_expect(sampler_takes(&self.sampler, rate, bytes), 0)) {
        id = capture(caller, rate);
        if (id != STACK_LOST) {
            book_sample(id, rate, p, bytes);
            return id;
        }
    }
    book(id, p, bytes);
    return id;
}

static inline uint32_t
book_exact(void *p, size_t bytes, const struct frame_record *caller)
{
    uint32_t id = capture(caller, 0);

    book(id, p, bytes);
    return id;
}

void
account_alloc(void *p, size_t bytes, const struct frame_record *caller)
{
    uint64_t *cell = index_cell((uintptr_t)p);
    uint32_t rate = sampler_now();

    if (__builtin_expect(cell == NULL, 0))
        return;
    __builtin_prefetch(cell, 1);
    store(cell,
          __builtin_expect(rate == 0, 1)
              ? book_exact(p, bytes, caller)
              : book_sampled(rate, p, bytes, caller),
          p, bytes);
}

/* While the address is still the caller's.  The block to free, or NULL. */
static __attribute__((noinline, cold)) void *
free_object(void *p, uint64_t value)
{
    int worth;

    if (held_is(value)) {
        held_again(p, value);
        return NULL;
    }
    worth = held_leave(p);
    book_free(value, (uintptr_t)p);
    return worth && held_keep(p, index_size(value)) ? NULL : p;
}

void *
account_free(void *p)
{
    uint64_t *cell = index_find((uintptr_t)p);
    uint64_t value = cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : 0;

    if (__builtin_expect(value == 0, 0)) {
        count_add(HKC_unknown_frees, 1);
        return p;
    }
    __atomic_store_n(cell, 0, __ATOMIC_RELAXED);
    if (__builtin_expect((value & INDEX_OBJECT) != 0, 0))
        return free_object(p, value);
    book_free(value, (uintptr_t)p);
    return p;
}

/* The value without the mark; 0: the block was held back, and is on no
   books. */
static __attribute__((noinline, cold)) uint64_t
move_object(void *p, uint64_t value)
{
    if (held_is(value)) {
        held_again(p, value);
        held_drop(p, value);
        return 0;
    }
    held_leave(p);
    return value & ~INDEX_OBJECT;
}

void
account_free_now(void *p)
{
    uint64_t *cell = index_find((uintptr_t)p);
    uint64_t value = cell ? __atomic_load_n(cell, __ATOMIC_RELAXED) : 0;

    if (__builtin_expect((value & INDEX_OBJECT) != 0, 0)) {
        value = move_object(p, value);
        __atomic_store_n(cell, value, __ATOMIC_RELAXED);
    }
    account_free(p);
}

void
account_own(void *p)
{
    uint64_t *cell = index_cell((uintptr_t)p);

    if (cell)
        __atomic_store_n(cell, index_pack(STACK_NONE, 1, account_epoch),
                         __ATOMIC_RELAXED);
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
        value = move_object(p, value);
        if (!value)
            return 0;
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
