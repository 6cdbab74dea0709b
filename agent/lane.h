/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lane.h -- what the agent keeps of a thread in its own memory.
 *
 * A lane is 48 KiB of address space of which a thread touches what it needs:
 * some three pages as long as its stacks are few and not deep.  A thread gets
 * one at its first event.  Nobody is told when a thread ends: who needs a
 * lane, and the publisher once a second, asks the kernel whether a lane's
 * thread is still there.  The lane of a dead one is taken over as it is (its
 * counters go on counting), or folded into the shared counters and cleared.
 *
 * Owner       words[] says whose a lane is: tid, and a number that changes
 *             with every owner, so that a compare-and-swap settles who gets it.
 * Threads     the owner writes; the publisher (lock_publish) reads, and writes
 *             where its comments say so.
 * Memory      LANE_MAX lanes reserved; pages count against memory= with each
 *             lane made.
 * Fails       lane_mine() is NULL where memory= is used up or there are too
 *             many threads: use the shared atomics.
 */
#ifndef HK_AGENT_LANE_H
#define HK_AGENT_LANE_H

#include <stdint.h>

#include "agent/counters.h"
#include "agent/ledger.h"
#include "agent/thread.h"
#include "agent/trail.h"

#define LANE_BYTES 49152u
#define LANE_MAX 8192u

/* Those of tbl/counters.h that a lane has of its own, see lane_counter_of. */
enum lane_counter {
    LANE_captures,
    LANE_slow_captures,
    LANE_verified_captures,
    LANE_capture_ns,
    LANE_COUNT
};

/* In the order in which its pages are touched. */
struct lane {
    struct ledger ledger;
    uint64_t counts[LANE_COUNT];
    char first_table[LEDGER_BYTES(LEDGER_FIRST)] __attribute__((aligned(64)));
    struct trail trail;
    struct ledger_moved moved[LEDGER_MOVED];
};
_Static_assert(sizeof(struct lane) <= LANE_BYTES, "a lane is too large");

void lane_start(void);
struct lane *lane_make(void); /* slow; NULL: none */

/* Of the calling thread, with the guard held. */
static inline struct lane *
lane_mine(void)
{
    struct lane *lane = self.lane;

    return __builtin_expect(lane != NULL, 1) ? lane : lane_make();
}

extern const uint8_t lane_counter_of[LANE_COUNT]; /* enum hk_counter */

/* lane may be NULL. */
static inline void
lane_add(struct lane *lane, enum lane_counter c, uint64_t n)
{
    if (__builtin_expect(lane != NULL, 1))
        ledger_add(&lane->counts[c], n);
    else
        count_add((enum hk_counter)lane_counter_of[c], n);
}

static inline void
lane_count(struct lane *lane, enum lane_counter c)
{
    lane_add(lane, c, 1);
}

/* ---- the publisher, with lock_publish ------------------------------------ */

/* Adds up all lanes, for stacks up to count; then take each of 1 .. count: what
   lanes and shared counters have of it.  0: no memory. */
int lane_tally(uint32_t count);
void lane_take(uint32_t id, struct tally *sum);
/* Adds what the lanes have to numbers[HKC_COUNT]. */
void lane_add_counts(uint64_t *numbers);
/* Folds the lanes of dead threads, if a second has passed. */
void lane_reap(uint64_t now_ns);
/* In a forked child: of the other threads' lanes nobody is the owner. */
void lane_reset(void);

#endif
