/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lock.h -- a futex lock that can be given up on.
 *
 * The agent never waits without bound: a taker names how long it may take,
 * and does without when it fails.  Re-initialised, not unlocked, in a forked
 * child.  The order of locks is the order of tbl/locks.h.
 */
#ifndef HK_AGENT_LOCK_H
#define HK_AGENT_LOCK_H

#include <stdint.h>

struct lock {
    uint32_t word; /* 0 free, 1 held, 2 held and somebody waits */
};

#define HK_LOCK(name, what) extern struct lock lock_##name;
#include "tbl/locks.h"
#undef HK_LOCK

/* 1: taken.  0: not within timeout_ns (0: try once). */
int lock_take(struct lock *lock, uint64_t timeout_ns);
void lock_release(struct lock *lock);
void lock_reset_all(void); /* in a forked child */

#endif
