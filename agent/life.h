/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * life.h -- the turns in the life of a process: fork, exec, the ends, and
 * when the agent's thread starts.
 */
#ifndef HK_AGENT_LIFE_H
#define HK_AGENT_LIFE_H

#include <stdint.h>

void life_start(void);  /* from boot.c */
void life_tick(void);   /* every THREAD_TICK events of a thread, guarded */
void life_end(uint32_t state, uint32_t signal); /* HKR_STATE_* */
/* The program is about to wait, or has become multi-threaded: a good moment
   to start the agent's thread. */
void life_note_wait(void);
/* Has a signal interrupted a hook of this thread?  Then libc's fork would wait
   for the lock of malloc that this thread holds; it does so only because
   there is a thread of ours. */
int life_is_in_hook(void);
int life_fork(void); /* without the program's handlers of pthread_atfork */
/* The program is about to do what only a process of one thread can. */
void life_rest(void);
/* Is this the process that the recording is of?  (Not so in a vfork child,
   or after a fork that went past libc.) */
int life_is_ours(void);

#endif
