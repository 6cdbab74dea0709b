/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * publish.h -- brings the recording up to date.
 *
 * Called by   the agent's thread; the program's threads at the ends of the
 *             process, for marks, and with thread=off.
 * Threads     one at a time (lock_publish); others give up after wait_ns.
 */
#ifndef HK_AGENT_PUBLISH_H
#define HK_AGENT_PUBLISH_H

#include <stdint.h>

/* Makes the recording and writes the process facts; 0 or -errno. */
int publish_open(void);
/* Everything that changed.  1: done, 0: not (busy, no file). */
int publish_now(uint64_t wait_ns);
/* The same, then the end: state is an enum hkr_state. */
int publish_final(uint32_t state, uint32_t signal, uint64_t wait_ns);
/* After an exec that failed. */
void publish_resume(void);
/* A timeline snapshot now, preceded by publish_now; flags HKR_SNAP_*, name may
   be NULL.  1: done. */
int publish_snapshot(uint32_t flags, const char *name, uint64_t wait_ns);
/* How long until the next publication is due, at the cost measured. */
uint64_t publish_interval_ns(void);
/* In a forked child, before publish_open. */
void publish_reset(void);

#endif
