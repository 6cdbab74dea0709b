/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * groups.h -- unreachable cycles by shape, as the recording shows them.
 *
 * Called by   scan.c, with lock_publish and lock_scan.
 * Memory      pool.
 * Fails       a shape that finds no memory is left out, and groups_end says
 *             so.
 * Invariants  a group outlives its cycles, so that the time of its first sight
 *             stays when they die and others like them appear.
 */
#ifndef HK_AGENT_GROUPS_H
#define HK_AGENT_GROUPS_H

#include <stdint.h>

#include "agent/scan_results.h"
#include "agent/suspects.h"

#define GROUPS_WRITTEN 1000u
#define GROUPS_KEPT 4096u
#define GROUPS_SITES_SHOWN 32u

struct groups_tally {
    uint32_t groups, confirmed; /* with a cycle now; with a confirmed one */
    int is_cut;                 /* some are missing in the recording */
};

/* A new scan begins.  in_part: it will not show all that is known, so that the
   places where that was made are kept. */
void groups_begin(int in_part);
/* The text of a label at an offset of the results, or NULL. */
typedef const char *(*groups_label_fn)(uint32_t at);
/* A cycle of this scan; c was checked to be whole. */
void groups_add(const struct result_cycle *c, const struct suspect *s,
                uint32_t scan, groups_label_fn label);
/* All were added, and suspects_end was called: counts the cycles that are known
   now, and drops some of the groups without any.  clock_ms and time_ns: the
   moment of the scan, as births and as the recording tell it. */
void groups_end(struct groups_tally *tally, uint32_t clock_ms,
                uint64_t time_ns);
/* Calls fn with the types of the cycles that are known, some more than once. */
void groups_each_type(void (*fn)(uint16_t type, void *arg), void *arg);
/* Replaces the FIND stream; 0, or -1 when the recording has no room. */
int groups_write(void);
/* In a forked child: forgets all. */
void groups_reset(void);

#endif
