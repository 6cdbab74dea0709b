/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sandbox.h -- has the program locked itself in?
 *
 * Threads     sandbox_note() once, in the constructor; the rest any.
 */
#ifndef HK_AGENT_SANDBOX_H
#define HK_AGENT_SANDBOX_H

/* Remembers the seccomp filters that the process was born with. */
void sandbox_note(void);

/* 1: the calling thread has more filters by now. */
int sandbox_is_tightened(void);

#endif
