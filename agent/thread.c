/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * thread.c -- the slow half of the guard, and the tick.
 *
 * Called by   every hook.
 * Threads     each touches its own struct thread only.
 * Fails       never.
 */
#include "agent/thread.h"

#include <errno.h>
#include <signal.h>

#include "agent/counters.h"
#include "agent/life.h"
#include "agent/os.h"

#define STACK_SPAN (8u << 20) /* addresses this near share a stack */

__thread struct thread self __attribute__((tls_model("initial-exec")));

static int
is_on_signal_stack(void)
{
    stack_t stack = {.ss_flags = 0};

    os_call(SYS_sigaltstack, 0, (long)&stack, 0, 0, 0, 0);
    return (stack.ss_flags & SS_ONSTACK) != 0;
}

/* Was the guard taken by a frame that has been jumped out of?  One at the same
   address cannot be alive either. */
static int
is_stale(uintptr_t frame)
{
    return frame >= self.guard && frame - self.guard < STACK_SPAN &&
           !is_on_signal_stack();
}

int
guard_enter_slow(uintptr_t frame)
{
    if (!boot_is_recording()) {
        if (boot_phase < PHASE_LIVE && !self.is_own)
            count_add(HKC_early_calls, 1);
        return 0;
    }
    if (self.guard && !is_stale(frame)) {
        if (!self.is_own)
            count_add(HKC_reentrant_calls, 1);
        return 0;
    }
    self.guard = frame;
    return 1;
}

void
thread_note_start(void)
{
    if (!self.is_seen) {
        self.is_seen = 1;
        count_add(HKC_threads_started, 1);
    }
}

void
thread_tick_slow(void)
{
    int saved_errno = errno;

    thread_note_start();
    self.tick = THREAD_TICK;
    life_tick();
    errno = saved_errno;
}
