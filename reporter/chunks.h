/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * chunks.h -- the chunks of a recording, put together to tables and streams.
 *
 * All results are malloc'd copies, checked against the file and no larger than
 * a small multiple of it.  Each function returns 0, or -1 with a sentence.
 */
#ifndef HK_REPORTER_CHUNKS_H
#define HK_REPORTER_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

struct fail;

struct chunks {
    const uint8_t *first;  /* the first chunk */
    uint32_t chunk_bytes;  /* of each */
    uint32_t count;        /* chunks that are there whole */
    int lenient;           /* torn or truncated: take what is there */
    int release;           /* the bytes are ours: give back what was copied */
    const char *name;      /* of the file, for sentences */
    struct fail *why;
};

/* Records of `record_bytes` (ours; shorter ones are zero-extended), with entry
   0; *count includes it and is at least 1. */
int chunks_table(const struct chunks *c, uint32_t type, size_t record_bytes,
                 void **out, uint32_t *count);

/* A table of bytes; two NULs follow it. */
int chunks_bytes(const struct chunks *c, uint32_t type, uint8_t **out,
                 size_t *count);

/* The content of the stream with this word in the header. */
int chunks_stream(const struct chunks *c, uint32_t type, uint64_t word,
                  uint8_t **out, size_t *count);

#endif
