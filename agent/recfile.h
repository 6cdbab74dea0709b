/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recfile.h -- the recording as a file: chunks, tables and streams of
 * format/recording.h, mapped and grown.
 *
 * All functions need lock_publish, but recfile_header and recfile_path.  None
 * blocks longer than the file system takes to allocate space.  Where the file
 * cannot grow (max_file=, ENOSPC, lost descriptor) the timeline is thinned
 * first; then they return 0, count recording_full (each record once, however
 * often it is tried), and the rest of the file stays right.
 *
 * Layers      recname.c (the name), recspace.c (descriptor, space, mappings),
 *             recchunk.c (chunks given and taken), recfile.c (tables),
 *             recstream.c (streams).
 */
#ifndef HK_AGENT_RECFILE_H
#define HK_AGENT_RECFILE_H

#include <stddef.h>
#include <stdint.h>

#include "format/recording.h"

/* Makes the file after opt.output; 0 or -errno with a sentence in *why. */
int recfile_create(const char **why);
int recfile_is_open(void);
const char *recfile_path(void); /* absolute; "" before */
/* NULL while there is none, and when somebody has cut the file short. */
struct hkr_header *recfile_header(void);
struct hkr_control *recfile_control(void);

/* In a forked child: forget the parent's file without touching it. */
void recfile_abandon(void);
/* Is the mapped file still as long as we made it?  (Else: recfile_detach,
   then retire.) */
int recfile_is_whole(void);
/* Plain memory takes the place of the mappings: old pointers stay good and
   lead nowhere. */
void recfile_detach(void);

/* Around every change that a live reader must not see half: publish_seq is
   odd between them.  They nest; all functions below do it themselves. */
void recfile_write_begin(void);
void recfile_write_end(void);

/* Record `id` of a table, made if need be; NULL if there is no room. */
void *recfile_record(uint32_t type, size_t record_bytes, uint64_t id);
/* Makes ids up to and including last_id of a table readable. */
void recfile_publish_table(uint32_t type, uint64_t last_id);
/* Appends bytes to a byte table (PROC, STRS) and publishes them. */
int recfile_append(uint32_t type, const void *bytes, size_t count);

/*
 * Streams.  begin starts generation + 1 and write appends to it; without a
 * begin, write appends to the current generation, unseen.  poke changes bytes
 * written since.  commit makes them the content, cancel drops them.  append is
 * a write and a commit.
 */
int recfile_stream_begin(uint32_t type);
int recfile_stream_write(uint32_t type, const void *bytes, size_t count);
void recfile_stream_poke(uint32_t type, uint64_t offset, const void *bytes,
                         size_t count);
uint64_t recfile_stream_end(uint32_t type); /* where the next write goes */
void recfile_stream_commit(uint32_t type);
void recfile_stream_cancel(uint32_t type);
int recfile_stream_append(uint32_t type, const void *bytes, size_t count);
uint64_t recfile_stream_bytes(uint32_t type); /* of the content */
/* Copies out of the current content; 1 if all of it was there. */
int recfile_stream_read(uint32_t type, uint64_t offset, void *bytes,
                        size_t count);
/* How long the timeline may be: a quarter of max_file=, so that a thinned copy
   fits beside it in half of it. */
uint64_t recfile_timeline_share(void);

#endif
