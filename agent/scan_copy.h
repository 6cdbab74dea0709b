/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_copy.h -- a scan without a clone: of fields that are copied while the
 * program runs.
 *
 * It blocks nobody.  Objects are read at different moments, so what looks lost
 * is read some times more, and the references must be the same; what is
 * suspected still has to be found again by another scan, with equal stamps and
 * edges, as after a snapshot.  Objects of types with a traverse function are
 * opaque: what they refer to counts as held from outside.
 *
 * Threads     the agent's.
 * Memory      as a snapshot child's, but in the process itself: given back at
 *             the end.
 * Fails       a negative errno where the kernel does not let a process read
 *             itself; -EACCES: not tried, since the program is under a filter
 *             of its own, which may kill; -ECANCELED: given up, see
 *             scan_watch_stop().
 */
#ifndef HK_AGENT_SCAN_COPY_H
#define HK_AGENT_SCAN_COPY_H

#include "agent/scan_work.h"

/* 0 once it is done: results->status tells how. */
int scan_copy_run(const struct scan_wish *wish, uint64_t *cpu_ns);
const struct results *scan_copy_results(void);
uint64_t scan_copy_bytes(void);
void scan_copy_drop(void);
/* In a forked child, which has nothing of it. */
void scan_copy_reset(void);

#endif
