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

#include <stdint.h>

#include "agent/scan_results.h"

struct child; /* one scan */

/* Runs the scan and ends the process. */
void scan_child_main(struct results *results, int parent_pid)
    __attribute__((noreturn));

/* Calls fn(arg) with faults caught: 1, or 0 when it faulted half-way. */
int scan_child_guarded(void (*fn)(void *), void *arg);

#endif
