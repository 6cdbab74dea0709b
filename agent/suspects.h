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
 * Memory      pool: 96 to 192 bytes a cycle.
 * Fails       -1: no memory; the state before the call stays.
 */
#ifndef HK_AGENT_SUSPECTS_H
#define HK_AGENT_SUSPECTS_H

#include <stddef.h>
#include <stdint.h>

#include "agent/scan_results.h"

struct suspect { /* 72 bytes */
    uint64_t identity; /* 0: an empty place in the table */
    uint64_t shape;
    uint64_t held_objects, held_bytes, nested_bytes;
    uint32_t first_seen_ms;
    uint32_t confirmed_ms; /* 0: a suspect */
    uint32_t slot, serial; /* of one member */
    uint32_t oldest_ms, youngest_ms; /* births */
    uint32_t from_ms; /* a scan of births from here on would see it */
    uint32_t first_scan : 29;
    uint32_t is_taken : 1;  /* over into the next table */
    uint32_t is_young : 1;  /* was found by a scan of young objects */
    uint32_t is_hidden : 1; /* copies do not find it */
};

struct suspects_tally {
    uint64_t suspects, confirmed, resurrected;
};

/* What a scan can find of what there is. */
enum suspects_sight {
    SUSPECTS_ALL,
    SUSPECTS_READABLE, /* objects with a traverse function were not read */
    SUSPECTS_PART      /* it was cut short */
};

/* A new scan begins, which will show at most `cycles` cycles.  clock_ms: the
   moment of the snapshot on the clock of births (host_now_ms; in a forked
   child it goes on where the parent's was).  since_ms: it looks at nothing
   that was born before. */
int suspects_begin(uint64_t cycles, uint32_t clock_ms, uint32_t since_ms,
                   enum suspects_sight sight);
/* A cycle of this scan: what is known of it now.  now_ms: since the start of
   this process. */
const struct suspect *suspects_see(const struct result_cycle *c, uint32_t scan,
                                   uint32_t now_ms);
/* All were shown.  Of the others, those that the scan could not see may be
   there still. */
void suspects_end(struct suspects_tally *tally);
/* Calls fn with each cycle that is known, after suspects_end. */
void suspects_each(void (*fn)(const struct suspect *s, void *arg), void *arg);
/* Births from here on must be looked at so that what scans of young objects
   suspect can be confirmed: the earlier of since_ms and those. */
uint32_t suspects_since(uint32_t since_ms);
/* Has the last scan left nothing to look after? */
int suspects_is_empty(void);
/* In a forked child: forgets all. */
void suspects_reset(void);

#endif
