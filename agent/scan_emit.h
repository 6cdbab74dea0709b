/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_emit.h -- writes the cycles that a scan found into the results region.
 *
 * Threads     that of the scan.
 * Memory      graph_map(), given back.
 * Fails       -1: no memory.  A full region sets status to
 *             HKR_SCAN_TRUNCATED; what is there is right.
 */
#ifndef HK_AGENT_SCAN_EMIT_H
#define HK_AGENT_SCAN_EMIT_H

#include "agent/scan_work.h"

int scan_emit_cycles(struct scan_work *w);

#endif
