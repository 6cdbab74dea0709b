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
 * Memory      pool: 48 bytes a cycle.
 * Fails       -1: no memory; the state before the call stays.
 */
#ifndef HK_AGENT_SUSPECTS_H
#define HK_AGENT_SUSPECTS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/scan_results.h"

struct suspect {
    uint64_t identity; /* 0: an empty place in the table */
    uint64_t first_seen_ns, confirmed_ns; /* confirmed_ns 0: a suspect */
    uint32_t slot, serial;                /* of one member */
    uint32_t first_scan, pad;
};

struct suspects_tally {
    uint64_t suspects, confirmed, resurrected;
};

/* A new scan begins, which will show at most `cycles` cycles. */
int suspects_begin(uint64_t cycles);
/* A cycle of this scan: what is known of it now. */
const struct suspect *suspects_see(const struct result_cycle *c, uint32_t scan,
                                   uint64_t now_ns);
/* All were shown.  complete 0: the scan was cut short, so that those not seen
   may be there still. */
void suspects_end(int complete, struct suspects_tally *tally);
/* In a forked child: forgets all. */
void suspects_reset(void);

#endif
