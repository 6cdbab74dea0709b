/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * pool.h -- metadata of varying size: a private jemalloc.
 *
 * Debian's libjemalloc_pic.a with its symbols made local and its view of the
 * environment cut off (agent/private-jemalloc.sh says how), so that it shares
 * nothing with a jemalloc of the program.  Used on the agent's thread and in
 * rare slow paths; never between guard and real malloc, never in a snapshot
 * child.  Every function keeps errno and may be called from any thread.
 */
#ifndef HK_AGENT_POOL_H
#define HK_AGENT_POOL_H

#include <stddef.h>

void *pool_alloc(size_t bytes); /* NULL: no memory */
void *pool_zalloc(size_t bytes);
void *pool_realloc(void *p, size_t bytes);
void pool_free(void *p);
size_t pool_resident_bytes(void);

/* Around a fork, after (and then before) every other lock of the agent: takes
   the pool's locks, and gives them back in the parent or makes them new in the
   child.  No-ops while the pool is unused. */
void pool_before_fork(void);
void pool_after_fork_parent(void);
void pool_after_fork_child(void);

#endif
