/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * suspects.h -- which unreachable cycles are proven.
 *
 * A snapshot catches threads between taking a pointer and counting it, so one
 * sight proves nothing.  A cycle is a suspect when first seen and confirmed
 * when a later scan finds the same members with the same words and edges (two
 * equal reads: everything held at once at some instant between them), all of
 * them older than min_age=.
 *
 * Called by   scan.c, with lock_scan.
 * Memory      pool: 64 bytes a cycle at most.
 * Fails       -1: no memory; the state before the call stays.
 */
#ifndef HK_AGENT_SUSPECTS_H
#define HK_AGENT_SUSPECTS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/scan_results.h"

struct suspect { /* 32 bytes */
    uint64_t identity; /* 0: an empty place in the table */
    uint32_t first_seen_ms;
    uint32_t confirmed_ms; /* 0: a suspect */
    uint32_t slot, serial; /* of one member */
    uint32_t first_scan;
    uint32_t is_taken; /* over into the next table */
};

struct suspects_tally {
    uint64_t suspects, confirmed, resurrected;
};

/* A new scan begins, which will show at most `cycles` cycles.  clock_ms: the
   moment of the snapshot on the clock of births (host_now_ms; in a forked
   child it goes on where the parent's was). */
int suspects_begin(uint64_t cycles, uint32_t clock_ms);
/* A cycle of this scan: what is known of it now.  now_ms: since the start of
   this process. */
const struct suspect *suspects_see(const struct result_cycle *c, uint32_t scan,
                                   uint32_t now_ms);
/* All were shown.  complete 0: the scan was cut short, so that those not seen
   may be there still. */
void suspects_end(int complete, struct suspects_tally *tally);
/* Has the last scan left nothing to look after? */
int suspects_is_empty(void);
/* In a forked child: forgets all. */
void suspects_reset(void);

#endif
