/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recspace.h -- the file under recfile.c: its descriptor, its space, its
 * mappings.  Knows chunks by number, not what is in them.
 *
 * All of it needs lock_publish, but recspace_head and recspace_is_whole.
 */
#ifndef HK_AGENT_RECSPACE_H
#define HK_AGENT_RECSPACE_H

#include <stddef.h>
#include <stdint.h>

#include "format/recording.h"

/* Makes the file with header and control page zeroed; 0 or -errno with a
   sentence in *why. */
int recspace_create(const char **why);
const char *recspace_path(void);
int recspace_descriptor(void); /* -1: none */
unsigned char *recspace_head(void); /* header and control page, or NULL */

/* Chunks that max_file= allows, and how many of them are not made yet. */
uint32_t recspace_limit(void);
uint32_t recspace_left(void);
/* The next chunk, zeroed, with real blocks behind it; 0: no space. */
int recspace_extend(uint32_t *number);
struct hkr_chunk *recspace_chunk(uint32_t number);
/* Why the last recspace_extend returned 0. */
const char *recspace_refusal(void);

/* Is the file as long as it was made?  A store past its end is a SIGBUS. */
int recspace_is_whole(void);
/* The file is lost: plain memory takes the place of its mappings, so that
   pointers of other threads stay good. */
void recspace_detach(void);
/* In a forked child: unmap and forget. */
void recspace_abandon(void);

#endif
