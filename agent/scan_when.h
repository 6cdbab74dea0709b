/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_when.h -- when to scan, what to look at, and how.
 *
 * A scan of all objects is due every scan_interval=, unless that would cost
 * more than pause_budget= or cpu_budget= allows by what the last ones cost, or
 * scans fail: then it is due less often.  Where that makes it rarer, scans of
 * young objects take place in between, in copies, which block nobody: of
 * generation 0, what was born since the last scan, if more objects that a copy
 * can look into were born than the collector's threshold; of generation 1, what
 * was born since the last one of that kind, when more of generation 0 have gone
 * by than its threshold says.  Of cpu_budget= each of the two kinds has a half,
 * where both are possible.  With cpu_budget=0 there are scans only when asked
 * for, as with scan_interval=0.
 *
 * A snapshot blocks the program for the clone.  Where that would take too long
 * at once, or clones are not allowed, fields are copied instead, if there are
 * types that can be read so.
 *
 * Source      gcmodule.c, gc_collect_generations, for the thresholds.
 * Threads     one at a time (scan.c).
 * Memory      none.
 * Fails       never; a reason says why there is no scan.
 */
#ifndef HK_AGENT_SCAN_WHEN_H
#define HK_AGENT_SCAN_WHEN_H

#include <stdint.h>

#include "format/recording.h"

#define WHEN_REASON_BYTES 256

enum when { WHEN_NOW, WHEN_LATER, WHEN_NEVER };

struct scan_plan {
    uint32_t method; /* enum hkr_scan_method */
    uint32_t generation;
    uint32_t since_ms; /* births to look at begin here, as births are told */
    uint64_t predicted_ns; /* pause */
    char reason[WHEN_REASON_BYTES]; /* of WHEN_NEVER */
    int is_told; /* it is known already that a way is not possible here */
};

/* CLOCK_MONOTONIC ns of the next scan; UINT64_MAX: none until asked. */
uint64_t when_due_ns(void);
/* forced: by a command, of all objects and over any budget. */
enum when when_plan(struct scan_plan *plan, int forced);

/* There is nothing to look at: this turn is over. */
void when_skip(void);
/* A scan took place. */
void when_learn(const struct scan_plan *plan, const struct hkr_scan *rec);
/* This way of scanning is not possible in this process. */
void when_deny(uint32_t method);
void when_reset(void);

/* Are there objects to look at? */
int when_has_objects(void);

#endif
