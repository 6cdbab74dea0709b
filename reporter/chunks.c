/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * chunks.c -- see chunks.h.
 *
 * A table is measured first and copied then.  Measuring refuses whatever would
 * make it larger than its chunks can hold, so a wrong number in the file
 * cannot make us allocate more than a few times its size.
 */
#include "reporter/chunks.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/recording.h"
#include "reporter/fail.h"

/* The shortest record that version 1.0 could have: keeps zero-extension from
   turning a small file into a large table. */
#define RECORD_BYTES_MIN 8u
#define STREAM_WORD_BITS 40

static struct hkr_chunk
head_of(const struct chunks *c, uint32_t index)
{
    struct hkr_chunk head;

    memcpy(&head, c->first + (size_t)index * c->chunk_bytes, sizeof head);
    return head;
}

static const uint8_t *
payload_of(const struct chunks *c, uint32_t index)
{
    return c->first + (size_t)index * c->chunk_bytes
        + sizeof(struct hkr_chunk);
}

static int
damaged(const struct chunks *c, uint32_t index, uint32_t type,
        const char *what)
{
    return fail_set(c->why,
                    "%s is damaged: chunk %u (%c%c%c%c) %s; "
                    "it cannot be read",
                    c->name, index, (int)(type & 127),
                    (int)(type >> 8 & 127), (int)(type >> 16 & 127),
                    (int)(type >> 24 & 127), what);
}

/* Gives the pages of a chunk back, so that a table and the file's copy are
   never both in memory as a whole.  The chunk is not looked at again. */
static void
release_chunk(const struct chunks *c, uint32_t index)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = (uintptr_t)c->first + (size_t)index * c->chunk_bytes;
    uintptr_t end = (start + c->chunk_bytes) & ~(page - 1);

    start = (start + page - 1) & ~(page - 1);
    if (c->release && start < end)
        madvise((void *)start, end - start, MADV_DONTNEED);
}

/* What is known of a table while its chunks go by. */
struct extent {
    uint64_t end;      /* one past the last record */
    uint64_t capacity; /* records that all its chunks together can hold */
};

static int
measure_chunk(const struct chunks *c, uint32_t index, struct extent *e)
{
    struct hkr_chunk head = head_of(c, index);
    uint64_t room = c->chunk_bytes - sizeof head;

    if (head.record_bytes == 0 || head.record_bytes > room)
        return damaged(c, index, head.type, "has an impossible record size");
    if (head.count > room / head.record_bytes)
        return damaged(c, index, head.type,
                       "says it holds more than fits into it");
    e->capacity += room / head.record_bytes;
    if (head.count == 0)
        return 0;
    if (head.first < e->end || (head.first > e->end && !c->lenient
                                && !(e->end == 0 && head.first == 1)))
        return damaged(c, index, head.type,
                       "does not go on where the one before it ended");
    if (head.first > e->capacity
        || head.first + head.count > e->capacity + 1)
        return damaged(c, index, head.type, "is out of its table's range");
    e->end = head.first + head.count;
    return 0;
}

static int
measure(const struct chunks *c, uint32_t type, size_t least,
        struct extent *e)
{
    *e = (struct extent){0, 0};
    for (uint32_t i = 0; i < c->count; i++) {
        struct hkr_chunk head = head_of(c, i);

        if (head.type != type)
            continue;
        if (head.count && head.record_bytes < least)
            return damaged(c, i, type, "has records that are too short");
        if (measure_chunk(c, i, e))
            return -1;
    }
    return 0;
}

static void
copy_records(const struct chunks *c, uint32_t index, size_t record_bytes,
             uint8_t *out)
{
    struct hkr_chunk head = head_of(c, index);
    const uint8_t *from = payload_of(c, index);
    size_t known = head.record_bytes < record_bytes ? head.record_bytes
                                                    : record_bytes;

    for (uint32_t i = 0; i < head.count; i++)
        memcpy(out + (head.first + i) * record_bytes,
               from + (size_t)i * head.record_bytes, known);
}

int
chunks_table(const struct chunks *c, uint32_t type, size_t record_bytes,
             void **out, uint32_t *count)
{
    struct extent e;
    uint8_t *table;

    if (measure(c, type, RECORD_BYTES_MIN, &e))
        return -1;
    if (e.end >= UINT32_MAX)
        return fail_set(c->why, "%s is damaged: a table has too many records",
                        c->name);
    if (e.end == 0)
        e.end = 1;
    table = calloc(e.end, record_bytes);
    if (!table)
        return fail_memory(c->why, c->name);
    for (uint32_t i = 0; i < c->count; i++)
        if (head_of(c, i).type == type) {
            copy_records(c, i, record_bytes, table);
            release_chunk(c, i);
        }
    memset(table, 0, record_bytes);
    *out = table;
    *count = (uint32_t)e.end;
    return 0;
}

int
chunks_bytes(const struct chunks *c, uint32_t type, uint8_t **out,
             size_t *count)
{
    struct extent e;
    uint8_t *bytes;

    if (measure(c, type, 1, &e))
        return -1;
    bytes = calloc(1, e.end + 2);
    if (!bytes)
        return fail_memory(c->why, c->name);
    for (uint32_t i = 0; i < c->count; i++) {
        struct hkr_chunk head = head_of(c, i);

        if (head.type != type || head.count == 0)
            continue;
        if (head.record_bytes != 1) {
            free(bytes);
            return damaged(c, i, type, "should hold single bytes");
        }
        memcpy(bytes + head.first, payload_of(c, i), head.count);
    }
    *out = bytes;
    *count = e.end;
    return 0;
}

/* Copies the chunks of one generation, in order and without gaps, and returns
   how far that came. */
static size_t
copy_stream(const struct chunks *c, uint32_t type, uint64_t gen, uint8_t *out,
            size_t limit)
{
    size_t done = 0;

    for (uint32_t i = 0; i < c->count && done < limit; i++) {
        struct hkr_chunk head = head_of(c, i);
        size_t room = c->chunk_bytes - sizeof head, n = head.count;

        if (head.type != type || head.gen != gen || head.first != done)
            continue;
        if (n > room)
            break;
        if (n > limit - done)
            n = limit - done;
        memcpy(out + done, payload_of(c, i), n);
        done += n;
    }
    return done;
}

int
chunks_stream(const struct chunks *c, uint32_t type, uint64_t word,
              uint8_t **out, size_t *count)
{
    uint64_t published = word & ((UINT64_C(1) << STREAM_WORD_BITS) - 1);
    size_t limit = (size_t)c->count * c->chunk_bytes;
    uint8_t *bytes;

    if (published > limit && !c->lenient)
        return fail_set(c->why,
                        "%s is damaged: a stream is longer than the file",
                        c->name);
    if (published < limit)
        limit = published;
    bytes = calloc(1, limit + 1);
    if (!bytes)
        return fail_memory(c->why, c->name);
    *count = copy_stream(c, type, word >> STREAM_WORD_BITS, bytes, limit);
    if (*count < published && !c->lenient) {
        free(bytes);
        return fail_set(c->why,
                        "%s is damaged: part of a stream is missing "
                        "(%zu of %llu bytes)",
                        c->name, *count, (unsigned long long)published);
    }
    *out = bytes;
    return 0;
}
