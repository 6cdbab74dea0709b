/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * interpose.h -- what all files of hooks share.
 */
#ifndef HK_AGENT_INTERPOSE_H
#define HK_AGENT_INTERPOSE_H

#include "agent/thread.h"

#define HK_EXPORT __attribute__((visibility("default")))

void interpose_start(void); /* after real_resolve */

/* The end of a recorded event. */
static inline void
interpose_done(void)
{
    if (__builtin_expect(self.tick-- == 0, 0))
        thread_tick_slow();
    guard_leave();
}

#endif
