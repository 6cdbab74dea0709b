/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * control.h -- answer heapknot ctl, which writes into the control page.
 *
 * Called by   the agent's thread only.
 * What it reads was written by another process: it is copied, bounded, first.
 */
#ifndef HK_AGENT_CONTROL_H
#define HK_AGENT_CONTROL_H

#include <stdint.h>

/* The word to sleep on (shared futex) while it equals control_seen(); NULL
   while there is no recording.  Only for the kernel to look at: ask
   control_is_asked(). */
uint32_t *control_futex(void);
uint32_t control_seen(void);
/* Is there a request that was not answered? */
int control_is_asked(void);
/* Answers it, if there is one. */
void control_answer(void);
/* Tells ctl whether somebody is there to answer. */
void control_set_listening(int is_listening);
void control_reset(void); /* in a forked child */

#endif
