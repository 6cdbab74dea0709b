/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.h -- the agent's thread: publishes, takes snapshots, scans, answers
 * heapknot ctl.
 */
#ifndef HK_AGENT_WORKER_H
#define HK_AGENT_WORKER_H

void worker_start(void); /* once; safe from any hook */
int worker_is_running(void);
void worker_reset(void); /* in a forked child */
void worker_prepare(void); /* asks the loader; at start */
/* The thread ends, and is waited for, for a bounded time; worker_start starts
   it again. */
void worker_rest(void);
void worker_stop(void);  /* the process ends; does not wait */

#endif
