/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * meta.h -- the agent's own memory, within the budget memory=.
 *
 * A region is address space reserved without cost; pages of it count against
 * the budget as they are committed (meta_commit), which every table does as it
 * grows.  Nothing here is ever a root of a scan: meta_owns() tells.
 */
#ifndef HK_AGENT_META_H
#define HK_AGENT_META_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed address space of that size, or NULL (counted by the caller). */
void *meta_reserve(size_t bytes);
void meta_release(void *p, size_t bytes);
/* May `bytes` more be touched?  1 and booked, or 0: the budget is used up. */
int meta_commit(size_t bytes);
void meta_uncommit(size_t bytes);
uint64_t meta_committed_bytes(void);
/* Pages of all regions that are in memory, as last measured. */
uint64_t meta_resident_bytes(void);
void meta_measure(void); /* asks the kernel; the agent's thread */
/* 1 the first time: memory= is used up, and whoever asks may say so. */
int meta_may_say(void);
int meta_owns(const void *p);

#endif
