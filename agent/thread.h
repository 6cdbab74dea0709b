/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * thread.h -- what the agent keeps of each thread, and the recursion guard.
 *
 * Plain data in initial-exec TLS: no allocation to reach it, nothing to
 * destroy, so it works in the first instruction of a thread and in its last
 * TLS destructor.
 *
 * The guard holds the stack address of whoever took it.  A signal handler
 * that left a hook by siglongjmp would leave it set for ever; a later hook
 * that finds it set by a frame below its own, on the same stack, knows that
 * frame to be gone.
 */
#ifndef HK_AGENT_THREAD_H
#define HK_AGENT_THREAD_H

#include <stdint.h>

#include "agent/boot.h"
#include "agent/sampler.h"

struct lane;

struct thread {
    uintptr_t guard;  /* 0: outside; else the frame that is inside */
    struct lane *lane; /* lane.h; NULL: has none yet, or gets none */
    uint32_t lane_wait; /* events until it is asked for again */
    struct sampler sampler;
    uint32_t tick;    /* events until the next look at the clock */
    uint32_t fork_locks; /* taken by this thread's fork, a bit each */
    uint64_t fork_stripes; /* the same of balance.c */
    uint8_t is_seen;  /* counted as started */
    uint8_t is_own;   /* the agent itself allocates: nothing to count */
    uint8_t is_warm;  /* has captured a stack before */
    uint8_t unwind_depth, has_unwind; /* of lock_unwind, see unwinder.c */
    uint8_t slow_captures; /* of this thread, up to a bound */
};

extern __thread struct thread self
    __attribute__((tls_model("initial-exec")));

#define THREAD_TICK 64 /* events between looks at the clock */

/* Slow half of guard_enter: 1 if the guard was stale and is ours now. */
int guard_enter_slow(uintptr_t frame);
/* Every THREAD_TICK events, with the guard held. */
void thread_tick_slow(void);
/* This thread's first event, or pthread_create: counts it. */
void thread_note_start(void);

/* Inside now (1), or not to be recorded (0).  Nothing comes before it. */
static inline int
guard_enter(void)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

    if (__builtin_expect(self.guard != 0 || !boot_is_recording(), 0))
        return guard_enter_slow(frame);
    self.guard = frame;
    __asm__ volatile("" ::: "memory");
    return 1;
}

static inline void
guard_leave(void)
{
    __asm__ volatile("" ::: "memory");
    self.guard = 0;
}

#endif
