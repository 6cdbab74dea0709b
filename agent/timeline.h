/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * timeline.h -- snapshots: frames of the stream TIME, and their thinning.
 *
 * Called by   publish.c; recchunk.c when the file is full.
 * Threads     under lock_publish.
 *
 * A frame is written in one go:
 *
 *      timeline_begin();
 *      timeline_stack(5, delta5); timeline_stack(7, delta7); ...
 *      timeline_type(2, created, destroyed); ...
 *      if (!timeline_end(&totals)) nothing of it was written
 */
#ifndef HK_AGENT_TIMELINE_H
#define HK_AGENT_TIMELINE_H

#include <stdint.h>

#include "format/recording.h"

/* What changed for a stack: allocations, frees and their bytes. */
struct stack_delta {
    uint64_t allocations, frees, allocated_bytes, freed_bytes;
};

void timeline_begin(void);
/* Ids ascend; all stacks come before all types. */
void timeline_stack(uint32_t id, const struct stack_delta *delta);
void timeline_type(uint32_t id, uint64_t created, uint64_t destroyed);
/* head: everything but bytes, stack_count and type_count.  1: published.  0:
   no room, not even after thinning would have helped; the caller may thin
   and write the frame again. */
int timeline_end(const struct hkr_snapshot *head);

/*
 * Merges neighbours among the older half, or everywhere where that gains
 * nothing.  1: the timeline is shorter by a sixteenth or more.  A mark is
 * never merged into what comes after it.
 */
int timeline_thin(void);
void timeline_reset(void); /* in a forked child */

#endif
