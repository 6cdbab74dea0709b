/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot.h -- what changed since the snapshot before, as a frame of the
 * timeline.
 */
#ifndef HK_AGENT_SNAPSHOT_H
#define HK_AGENT_SNAPSHOT_H

#include <stdint.h>

/* Reserves its memory, before the program can lock what comes later; 0: there
   is none. */
int snapshot_start(void);
/* After the tables were published, under lock_publish.  stacks and types: the
   last ids that are in the recording.  name: a string or 0.  1: written. */
int snapshot_write(uint32_t flags, uint32_t name, uint32_t stacks,
                   uint32_t types);
void snapshot_reset(void); /* in a forked child */

#endif
