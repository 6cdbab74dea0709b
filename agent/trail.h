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

#include <stddef.h>
#include <stdint.h>

#define TRAIL_MAX 128
#define TRAIL_ROOM (2 * TRAIL_MAX)

struct trail_frame {
    uintptr_t pc;   /* return address into this frame; 0: what ends a stack */
    uintptr_t sp;   /* its stack pointer there: the CFA of the frame inside */
    uintptr_t fp;   /* its frame pointer there */
    uint64_t hash;  /* of the pcs from the outermost to this one */
    uint64_t rule;  /* rules.h */
    size_t checks;  /* of the frames from the outermost to this one */
};

/* What a frame's caller was found from: this word, with this value. */
struct trail_check {
    uintptr_t slot, value;
};
#define TRAIL_CHECKS (3 * TRAIL_MAX)

/* Outermost first, so that what stays the same stays in place.  New frames
   are gathered at the far end. */
struct trail {
    uint32_t count;  /* 0 while it is being changed */
    uint32_t is_cut; /* frames[0] is not the outermost */
    uint64_t generation; /* of the rules it was made with */
    uint64_t walked;     /* frames, ever */
    uintptr_t known_start, known_end; /* of the stack: can be read */
    struct trail_check checks[TRAIL_CHECKS];
    struct trail_frame frames[TRAIL_ROOM];
};

/* Brings t up to the stack that begins with a frame of this pc, stack pointer
   and frame pointer.  1, or 0: there is a frame that fits no rule. */
int trail_follow(struct trail *t, uintptr_t pc, uintptr_t sp, uintptr_t fp,
                 size_t depth);

static inline size_t
trail_first(const struct trail *t)
{
    return t->frames[0].pc == 0;
}

#endif
