/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lock.c -- a three-state futex lock (Drepper, "Futexes are tricky", mutex 3)
 * with a time limit.
 *
 * Called by   every part of the agent that shares state.
 * Fails       lock_take returns 0 after its time; the caller does without.
 */
#include "agent/lock.h"

#include "agent/os.h"

#define HK_LOCK(name, what) struct lock lock_##name;
#include "tbl/locks.h"
#undef HK_LOCK

#define SPIN_COUNT 100

static inline void
cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static int
try_take(struct lock *lock, uint32_t want)
{
    uint32_t free_word = 0;

    return __atomic_compare_exchange_n(&lock->word, &free_word, want, 0,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static int
take_slow(struct lock *lock, uint64_t timeout_ns)
{
    uint64_t end = os_now_ns() + timeout_ns;
    uint64_t now;

    for (int i = 0; i < SPIN_COUNT; i++) {
        if (try_take(lock, 1))
            return 1;
        cpu_relax();
    }
    while (__atomic_exchange_n(&lock->word, 2, __ATOMIC_ACQUIRE) != 0) {
        now = os_now_ns();
        if (now >= end)
            return 0;
        os_futex_wait(&lock->word, 2, end - now, 0);
    }
    return 1;
}

int
lock_take(struct lock *lock, uint64_t timeout_ns)
{
    if (__builtin_expect(try_take(lock, 1), 1))
        return 1;
    return timeout_ns ? take_slow(lock, timeout_ns) : 0;
}

void
lock_release(struct lock *lock)
{
    if (__atomic_exchange_n(&lock->word, 0, __ATOMIC_RELEASE) == 2)
        os_futex_wake(&lock->word, 1, 0);
}

void
lock_reset_all(void)
{
#define HK_LOCK(name, what) lock_##name.word = 0;
#include "tbl/locks.h"
#undef HK_LOCK
}
