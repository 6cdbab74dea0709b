/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * census.h -- which types a scan is to make a census of, and the stream GRPH.
 *
 * Watched are the types that have grown most since the first scan, and those
 * in the cycles of the last one; a census costs as much as the scan, so there
 * is one when that list has changed, and else after every ten scans.
 *
 * Threads     one at a time (lock_scan; census_write: lock_publish).
 * Memory      the frames of the last census, from the pool.
 * Fails       by leaving out.
 */
#ifndef HK_AGENT_CENSUS_H
#define HK_AGENT_CENSUS_H

#include "agent/groups.h"
#include "agent/scan_work.h"

/* Fills in what to watch in a scan of all objects.  asked: a type that is
   wanted in any case, or 0. */
void census_wish(struct scan_wish *wish, uint16_t asked);

/* A scan's frames begin; one of them, which was checked to be whole. */
void census_begin(void);
void census_add(const struct result_census *c, groups_label_fn label);
/* Replaces the stream, if there was a census; 0, or -1: no room. */
int census_write(uint32_t scan, uint16_t asked);

/* In a forked child: forgets all. */
void census_reset(void);

#endif
