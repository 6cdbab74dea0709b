/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recchunk.h -- chunks given out to tables and streams, and taken back.
 * Private to recfile.c and recstream.c; under lock_publish.
 */
#ifndef HK_AGENT_RECCHUNK_H
#define HK_AGENT_RECCHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "format/recording.h"

#define CHUNK_PAYLOAD (HKR_CHUNK_BYTES - (uint32_t)sizeof(struct hkr_chunk))

/*
 * The chunks of a table or of one generation of a stream, in their order.
 * Kept in our own memory: the file belongs to whoever may write it, so it is
 * never asked where things are.
 */
struct chunk_list {
    uint32_t *numbers; /* room for every chunk of the file */
    uint32_t count;
    uint32_t booked; /* entries counted against memory= */
};

/* One list for each table, two for each stream, one of FREE chunks. */
#define CHUNK_LISTS 17u

int recchunk_start(void);
void recchunk_reset(void);
/* A list with memory behind it, NULL: no memory. */
int recchunk_list(struct chunk_list *list);

/* Appends a chunk to the list, made like `as`, with count 0; 0: no room. */
int recchunk_take(struct chunk_list *list, const struct hkr_chunk *as);
/* Makes all chunks of the list from the keep-th on FREE. */
void recchunk_give(struct chunk_list *list, uint32_t keep);
/* Which list the timeline is in now: its copy must always find room. */
void recchunk_note_timeline(const struct chunk_list *list);

struct hkr_chunk *recchunk_at(const struct chunk_list *list, uint32_t index);

static inline unsigned char *
recchunk_payload(struct hkr_chunk *chunk)
{
    return (unsigned char *)(chunk + 1);
}

#endif
