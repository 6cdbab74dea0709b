/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_census.h -- who refers to the objects of some types.
 *
 * For each watched type: how many there are, how many of their references are
 * known, in which fields of which types these lie, and some ways from a root
 * to an object.
 *
 * Threads     that of the scan.
 * Memory      graph_map(), given back.
 * Fails       -1: no memory.  A full region leaves the rest out.
 */
#ifndef HK_AGENT_SCAN_CENSUS_H
#define HK_AGENT_SCAN_CENSUS_H

#include "agent/scan_work.h"

/* After graph_reach with parents. */
int scan_census(struct scan_work *w);

#endif
