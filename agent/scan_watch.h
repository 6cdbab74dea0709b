/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_watch.h -- the snapshot child, from its clone to its end.
 */
#ifndef HK_AGENT_SCAN_WATCH_H
#define HK_AGENT_SCAN_WATCH_H

#include <stdint.h>

#include "agent/scan_results.h"

struct scan_wish;

struct scan_watch {
    const struct scan_wish *wish;
    uint64_t pause_ns; /* in the clone: the program may have been blocked */
    uint64_t cpu_ns;   /* of the child */
    int is_killed;     /* by the watchdog */
    int is_stopped;    /* by scan_watch_stop() */
    int signal;        /* that ended it: SIGKILL is the OOM killer's, too;
                          -1: nobody knows */
};

/* 0 once the child has ended or is_stopped, or the negative errno of a refused
   clone; -EACCES: not tried, since the program is under a filter of its own,
   which may kill. */
int scan_watch_run(struct scan_watch *w);
/* What it left, valid until scan_watch_drop; NULL where there was no child. */
const struct results *scan_watch_results(void);
uint64_t scan_watch_bytes(void);
uint64_t scan_watch_most_bytes(void); /* for results, here */
int scan_watch_is_finished(void); /* has it written all? */
void scan_watch_drop(void);

/* Any thread: if there is a child, it is killed, and waited for at most so
   long; and there is no other until scan_watch_go_on.  For who is about to
   exec, to exit or to enter a namespace. */
void scan_watch_stop(uint64_t wait_ns);
void scan_watch_go_on(void);
/* Is somebody about to do so? */
int scan_watch_is_unwanted(void);

/* The agent's thread has a table of descriptors of its own: a child can be held
   by a descriptor, and never be taken for another process. */
void scan_watch_use_descriptors(int tid);

#endif
