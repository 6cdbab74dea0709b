/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_watch.h -- the snapshot child, from its clone to its end.
 */
#ifndef HK_AGENT_SCAN_WATCH_H
#define HK_AGENT_SCAN_WATCH_H

#include <stdint.h>

#include "agent/scan_results.h"

struct scan_watch {
    uint64_t pause_ns; /* in the clone: the program may have been blocked */
    uint64_t cpu_ns;   /* of the child */
    int is_killed;     /* by the watchdog */
};

/* 0 once the child has ended, or the negative errno of a refused clone. */
int scan_watch_run(struct scan_watch *w);
/* What it left, valid until scan_watch_drop; NULL after a refusal. */
const struct results *scan_watch_results(void);
uint64_t scan_watch_bytes(void);
int scan_watch_is_finished(void); /* has it written all? */
void scan_watch_drop(void);

#endif
