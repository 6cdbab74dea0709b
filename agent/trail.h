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

#define TRAIL_KEEP 320 /* frames of the last stack */
#define TRAIL_NEW 272  /* frames of the new one, at first; less than KEEP */
#define TRAIL_SHORT 200 /* at least so many stay where KEEP is not enough */
#define TRAIL_ROOM (TRAIL_KEEP + TRAIL_NEW)

struct trail_frame {
    uintptr_t pc;   /* return address into this frame; 0: what ends a stack */
    uintptr_t sp;   /* its stack pointer there: the CFA of the frame inside */
    uintptr_t fp;   /* its frame pointer there */
    uint64_t sum;   /* of the pcs from frames[0] to this one, intern.h */
    uint64_t rule;  /* rules.h */
    uint32_t checks; /* how many, from the outermost frame to this one */
    uint32_t node;   /* of the stack up to here, 0: not known (capture.c) */
};

/* What a frame's caller was found from: this word, with this value. */
struct trail_check {
    uintptr_t slot, value;
};
#define TRAIL_CHECKS (3 * TRAIL_KEEP + 1)

/*
 * Outermost first, so that what stays the same stays in place.  New frames are
 * gathered at the far end.  Of a deep stack only as much is compared as is
 * wanted; what lies outside that may be old, and is compared when it is wanted.
 */
struct trail {
    uint32_t count;    /* 0 while it is being changed */
    uint32_t is_whole; /* frames[0] is the outermost of all */
    uint64_t generation; /* of the rules it was made with */
    uint64_t walked;     /* frames, ever */
    uintptr_t known_start, known_end; /* of the stack: can be read */
    uintptr_t own_end;   /* of the thread's own stack, which never goes away */
    uint32_t is_risky;   /* a guess led out of that: not to be compared */
#define TRAIL_GONE 2u    /* is_risky: to what cannot be read */
    struct trail_check checks[TRAIL_CHECKS]; /* the first one never holds */
    struct trail_frame frames[TRAIL_ROOM];
};

/* A new owner, whose own stack ends there. */
static inline void
trail_start(struct trail *t, uintptr_t own_end)
{
    t->count = 0;
    t->generation = 0; /* no rule has that */
    t->known_start = t->known_end = 0;
    t->own_end = own_end;
}

/* Brings t up to the stack that begins with a frame of this pc, stack pointer
   and frame pointer: all of it, or at least the innermost `reach` frames, which
   is less than TRAIL_SHORT.  1, or 0: there is a frame that fits no rule. */
int trail_follow(struct trail *t, uintptr_t pc, uintptr_t sp, uintptr_t fp,
                 size_t reach);

/* The innermost frames of a stack: those of t without the last `skip`, depth of
   them at most. */
struct trail_stack {
    const struct trail_frame *outer, *end; /* of t->frames */
    int is_truncated;
    uint64_t sum;
};

/* power: INTERN_K to the depth.  Needs reach >= skip + depth + 1. */
static inline struct trail_stack
trail_stack(const struct trail *t, size_t skip, size_t depth, uint64_t power)
{
    const struct trail_frame *end = t->frames + t->count - skip;
    size_t first = t->frames[0].pc == 0;
    struct trail_stack s = {t->frames + first, end, 0, end[-1].sum};

    if (__builtin_expect((size_t)(end - s.outer) <= depth && t->is_whole, 1))
        return s;
    s.outer = end - depth;
    s.is_truncated = 1;
    s.sum -= s.outer > t->frames ? s.outer[-1].sum * power : 0;
    return s;
}

#endif
