/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * held.h -- the memory of dead objects, freed a little later.
 *
 * A block that is held back has been taken off the books.  Its cell in the
 * index stays, with no stack and both flags, so that a second free of it is
 * seen and does no harm.
 *
 * Called by   account.c, for blocks whose cell has INDEX_OBJECT.
 * Threads     any, with the guard held; no locks.
 */
#ifndef HK_AGENT_HELD_H
#define HK_AGENT_HELD_H

#include <stdint.h>

#include "agent/index.h"

static inline int
held_is(uint64_t cell)
{
    return index_stack(cell) == 0 &&
           (cell & (INDEX_OBJECT | INDEX_MOVING)) ==
               (INDEX_OBJECT | INDEX_MOVING);
}

/* Tells the companion that the block goes; 1: worth holding back. */
int held_leave(void *p);
/* Instead of the real free: 1, or 0: too large. */
int held_keep(void *p, uint32_t size_bytes);
/* A second free of a held block, whose cell was `cell`: reported, not done. */
void held_again(void *p, uint64_t cell);
/* The block is no longer held: whoever calls gives it back. */
void held_drop(void *p, uint64_t cell);

uint64_t held_bytes(void);

#endif
