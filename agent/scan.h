/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan.h -- look for unreachable cycles in a snapshot of the process.
 *
 * Called by   the agent's thread only (lock_scan).
 * Method      a snapshot (raw clone), or a copy of fields; CPython's
 *             update_refs, subtract_refs, move_unreachable over the registered
 *             objects, then Tarjan's strongly connected components of what is
 *             left; confirmation over two scans and grouping by shape.
 */
#ifndef HK_AGENT_SCAN_H
#define HK_AGENT_SCAN_H

#include <stdint.h>

#include "format/recording.h"

/* Runs a scan.  0, or an errno value with a line in text.  forced: even over
   budget.  The result goes to the recording (SCAN, FIND). */
int scan_run(int forced, char *text, uint32_t text_bytes);
/* A scan of all objects with a census of what is named: a type, or an object's
   address as 0x....  As scan_run. */
int scan_why(const char *what, char *text, uint32_t text_bytes);
/* When the next one is due by scan_interval= and the budgets (CLOCK_MONOTONIC
   ns; UINT64_MAX: never). */
uint64_t scan_due_ns(void);
/* In a forked child. */
void scan_reset(void);

#endif
