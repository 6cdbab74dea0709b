/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_child.h -- the snapshot child: what happens after the clone.
 *
 * The child has a copy of the process as it was at one instant, and one
 * thread.  Locks may be held for ever by threads that are not there: nothing
 * here takes one, allocates from a pool or calls libc beyond memcpy.
 */
#ifndef HK_AGENT_SCAN_CHILD_H
#define HK_AGENT_SCAN_CHILD_H

#include "agent/scan_results.h"

struct scan_wish;

/* Runs the scan and ends the process. */
void scan_child_main(struct results *results, const struct scan_wish *wish,
                     int parent_pid, int parent_tid)
    __attribute__((noreturn));

#endif
