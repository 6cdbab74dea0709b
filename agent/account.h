/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * account.h -- books each block to its stack, and takes it off again.
 *
 * Order       a record is made after the real malloc and taken away before
 *             the real free: nobody else can own the address in between.
 *             A realloc keeps the old record until the new one stands.
 * usable      the first 8 allocations of each thread from each stack, then one
 *             in 16, after a thousand one in 256, are asked for their usable
 *             size; their ratio estimates the rest.
 * Keeps errno.  Needs the guard.
 */
#ifndef HK_AGENT_ACCOUNT_H
#define HK_AGENT_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

#include "agent/capture.h"
#include "agent/index.h"

void account_alloc(void *p, size_t bytes, const struct frame_record *caller);
/* The block to really free: p, or NULL if it is held back (held.h). */
void *account_free(void *p);
/* The same for a block that cannot be held back. */
void account_free_now(void *p);

/* p may be freed soon: a hint. */
static inline void
account_expect_free(const void *p)
{
    __builtin_prefetch(index_find((uintptr_t)p), 1);
}

/* A block for the agent itself, or that the loader needs because of it: booked
   to no stack, so that its free is not an unknown one. */
void account_own(void *p);

/* Around a realloc of p: before returns what must be given to after (0: p was
   not known).  q is the result, NULL if it failed. */
uint64_t account_move_before(void *p);
void account_move_after(void *p, uint64_t cell, void *q, size_t bytes,
                        const struct frame_record *caller);
/* realloc(p, 0) that freed p. */
void account_move_freed(void *p, uint64_t cell);

/* Stack of the live block that starts at p, or 0.  adopt: its free is to be
   told to the companion. */
uint32_t account_stack_of(const void *p, int adopt);
void account_disown(const void *p);

/* Set by the publisher at each publication: the epoch of new cells. */
extern uint32_t account_epoch;

#endif
