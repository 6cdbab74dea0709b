/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.h -- the call stack of this thread, as the id of a stack.
 *
 * On x86-64 the stack is walked by the frame rules of rules.h, and only as far
 * as it differs from the thread's last one (trail.h).  What fits no rule is
 * libunwind's, which stays the truth: verify=unwind compares every stack with
 * unw_backtrace.  Elsewhere libunwind does it all; where that is missing a
 * stack has one frame.
 */
#ifndef HK_AGENT_CAPTURE_H
#define HK_AGENT_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#define CAPTURE_MAX 128
#define CAPTURE_ROOM (CAPTURE_MAX + 16) /* the agent's frames come first */

/* What a hook has at its frame address: its caller's frame pointer, and the
   return address.  Above it, at this + 1, is the caller's stack pointer. */
struct frame_record {
    uintptr_t fp, pc;
};
#define FRAME_RECORD() \
    ((const struct frame_record *)__builtin_frame_address(0))

/* Finds the unwinder; calls the loader, so never with a lock held. */
void capture_start(void);
const char *capture_unwinder_name(void);

/*
 * The id of the stack (intern.h) that begins with the frame that called the
 * one of this record, without the agent's own frames.  A stack that could not
 * be captured has one frame (counted).  rate: 0, or at which it was sampled
 * (sampler.h).  Needs the guard; keeps errno.
 */
uint32_t capture_stack(const struct frame_record *frame, uint32_t rate);

#endif
