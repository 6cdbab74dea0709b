/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_emit.h -- writes the cycles that the snapshot child found into the
 * results region.
 *
 * Threads     the child's only one.
 * Memory      graph_map().
 * Fails       -1: no memory.  A full region sets status to
 *             HKR_SCAN_TRUNCATED; what is there is right.
 */
#ifndef HK_AGENT_SCAN_EMIT_H
#define HK_AGENT_SCAN_EMIT_H

#include "agent/scan_components.h"
#include "agent/scan_graph.h"
#include "agent/scan_results.h"

int scan_emit_cycles(struct results *results, const struct graph *g,
                     const struct components *c);

#endif
