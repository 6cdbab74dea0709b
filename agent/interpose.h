/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * interpose.h -- what all files of hooks share.
 */
#ifndef HK_AGENT_INTERPOSE_H
#define HK_AGENT_INTERPOSE_H

#include <pthread.h>

#include "agent/thread.h"

#define HK_EXPORT __attribute__((visibility("default")))

void interpose_start(void); /* after real_resolve */
/* The next functions of the other hooks' names, before anybody needs them. */
void interpose_cxx_start(void);
void ends_start(void);
/* pthread_create, for the agent's own thread. */
int ends_create_thread(pthread_t *thread, const pthread_attr_t *attr,
                       void *(*start)(void *), void *arg);

/* The end of a recorded event. */
static inline void
interpose_done(void)
{
    if (__builtin_expect(self.tick-- == 0, 0))
        thread_tick_slow();
    guard_leave();
}

#endif
