/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trail.h -- exact incremental unwinding: the last stack of a thread, kept.
 *
 * A new stack is walked outwards, by the rules of rules.h, only until a frame
 * coincides with one of the last stack: same pc, same stack pointer, and the
 * same frame pointer where anything outside depends on it.  From there on
 * nothing is walked: the words in memory from which the rest of the last stack
 * was derived are compared, one load a frame.  As long as they are the same,
 * so is the stack; at the first one that differs walking goes on.
 */
#ifndef HK_AGENT_TRAIL_H
#define HK_AGENT_TRAIL_H

#include <stdint.h>

#include "agent/capture.h"

struct trail_frame {
    uintptr_t pc;   /* return address into this frame */
    uintptr_t sp;   /* its stack pointer there: the CFA of the frame inside */
    uintptr_t fp;   /* its frame pointer there */
    uint64_t hash;  /* of the pcs from the outermost to this one */
    uintptr_t fp_slot; /* where its caller's frame pointer lies, or 0 */
    uint64_t rule;  /* rules.h */
};

/* Outermost first, so that what stays the same stays in place. */
struct trail {
    uint32_t count; /* 0 while it is being changed */
    uint32_t generation; /* of the rules it was made with */
    uint32_t stack; /* id of the whole */
    uint32_t is_cut; /* frames[0] is not the outermost */
    struct trail_frame frames[CAPTURE_MAX];
};

#endif
