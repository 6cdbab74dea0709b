/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * boot.h -- the life of the agent in a process.
 *
 *      COLD -> RESOLVING -> LIVE -> DRAINING -> OFF
 *                             \________________/
 *
 * COLD       nothing is known; allocations go to the bootstrap arena.
 * RESOLVING  a thread is asking the loader for the next allocator.
 * LIVE       every allocation is recorded.
 * DRAINING   the process is ending; still recorded, no longer published.
 * OFF        retired: every call is passed through.
 */
#ifndef HK_AGENT_BOOT_H
#define HK_AGENT_BOOT_H

#include <stdint.h>

enum phase { PHASE_COLD, PHASE_RESOLVING, PHASE_LIVE, PHASE_DRAINING,
             PHASE_OFF };
extern uint32_t boot_phase; /* enum phase; relaxed loads in hooks */

extern uint64_t boot_first_ns; /* CLOCK_MONOTONIC; a fork keeps it */
extern uint64_t boot_start_ns; /* of this process; a fork resets it */
extern uint64_t boot_start_realtime_ns; /* of the same moment */
static inline int
boot_is_recording(void)
{
    uint32_t p = __atomic_load_n(&boot_phase, __ATOMIC_RELAXED);
    return p == PHASE_LIVE || p == PHASE_DRAINING;
}

#endif
