/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_shield.h -- what keeps a snapshot child from harm, and others from it.
 */
#ifndef HK_AGENT_SCAN_SHIELD_H
#define HK_AGENT_SCAN_SHIELD_H

#include "agent/scan_results.h"

/* In the child: goes on with fn(arg), which does not return, on a stack as
   large as code of the program may expect; the agent's thread has a small
   one. */
void shield_begin(void (*fn)(void *), void *arg) __attribute__((noreturn));

/* Before anything else there; `parent` is the process and the thread that
   cloned it.  Does not return where the child could outlive them. */
void shield_raise(struct results *results, int parent_pid, int parent_tid);

/* Calls fn(arg), which may run code of the program, with faults caught: 1, or
   0 when it faulted half-way.  Where it comes to nothing (an endless loop, a
   lock that nobody will ever release) the child ends as HUNG. */
int shield_guarded(void (*fn)(void *), void *arg);

/* Elsewhere than in a snapshot child: nothing.  There the object in hand is
   given up as if it had faulted. */
void shield_give_up(void);

void shield_leave(int status) __attribute__((noreturn));

#endif
