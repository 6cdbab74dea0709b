/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recstream.c -- the streams of a recording.
 *
 * Called by   timeline.c (TIME), groups.c (FIND), census.c (GRPH).
 * Threads     under lock_publish.
 * Memory      lists of chunks from meta.c (recchunk.c).
 * Fails       recfile_stream_write returns 0; the caller cancels.  What was
 *             published before stays.
 * Invariants  the word in the header is stored after everything it covers,
 *             and the chunks of an old generation become FREE after that: at
 *             any moment the word names content that is whole.
 */
#include "agent/recstream.h"

#include <string.h>

#include "agent/counters.h"
#include "agent/recchunk.h"
#include "agent/recfile.h"
#include "agent/recspace.h"

#define GENERATION_MASK UINT64_C(0xffffff)
#define GENERATION_SHIFT 40

struct content {
    struct chunk_list list;
    uint64_t gen;
    uint64_t end; /* bytes written */
};

struct stream {
    uint32_t type;
    struct content now, next;
    uint64_t bytes; /* of now: published */
    int is_building;
};
static struct stream streams[RECSTREAM_COUNT] = {{.type = HKR_TIME},
                                                 {.type = HKR_FIND},
                                                 {.type = HKR_GRPH}};

int
recstream_start(void)
{
    for (size_t i = 0; i < RECSTREAM_COUNT; i++) {
        struct stream *s = &streams[i];

        if (!recchunk_list(&s->now.list) || !recchunk_list(&s->next.list))
            return 0;
        s->now.gen = s->now.end = s->next.end = s->bytes = 0;
        s->is_building = 0;
    }
    recchunk_note_timeline(&streams[0].now.list);
    return 1;
}

static struct stream *
find(uint32_t type)
{
    size_t i = RECSTREAM_COUNT - 1;

    while (i > 0 && streams[i].type != type)
        i--;
    return &streams[i];
}

static struct content *
target(struct stream *s)
{
    return s->is_building ? &s->next : &s->now;
}

/* ---- bytes --------------------------------------------------------------- */

/* The bytes of a content at an offset, and how many lie together there. */
static unsigned char *
bytes_at(const struct content *c, uint64_t offset, size_t *count)
{
    size_t in_chunk = offset % CHUNK_PAYLOAD;

    if (*count > CHUNK_PAYLOAD - in_chunk)
        *count = CHUNK_PAYLOAD - in_chunk;
    return recchunk_payload(recchunk_at(
               &c->list, (uint32_t)(offset / CHUNK_PAYLOAD))) +
           in_chunk;
}

static int
make_room(struct stream *s, struct content *c, size_t count)
{
    while ((uint64_t)c->list.count * CHUNK_PAYLOAD < c->end + count) {
        struct hkr_chunk as = {
            .type = s->type,
            .record_bytes = 1,
            .first = (uint64_t)c->list.count * CHUNK_PAYLOAD,
            .gen = c->gen,
        };

        if (!recchunk_take(&c->list, &as))
            return 0;
    }
    return 1;
}

static void
copy_in(const struct content *c, uint64_t at, const unsigned char *from,
        size_t count)
{
    while (count > 0) {
        size_t n = count;
        unsigned char *to = bytes_at(c, at, &n);

        memcpy(to, from, n);
        at += n;
        from += n;
        count -= n;
    }
}

int
recfile_stream_begin(uint32_t type)
{
    struct stream *s = find(type);

    if (!recfile_is_open() || s->is_building)
        return 0;
    s->is_building = 1;
    s->next.gen = (s->now.gen + 1) & GENERATION_MASK;
    s->next.end = 0;
    return 1;
}

int
recfile_stream_write(uint32_t type, const void *bytes, size_t count)
{
    struct stream *s = find(type);
    struct content *c = target(s);

    if (!recfile_is_open())
        return 0;
    if (!make_room(s, c, count)) {
        count_add(HKC_recording_full, type != HKR_TIME);
        return 0;
    }
    copy_in(c, c->end, bytes, count);
    c->end += count;
    return 1;
}

uint64_t
recfile_stream_end(uint32_t type)
{
    return target(find(type))->end;
}

void
recfile_stream_poke(uint32_t type, uint64_t offset, const void *bytes,
                    size_t count)
{
    struct stream *s = find(type);
    const struct content *c = target(s);

    if (recfile_is_open() && offset + count <= c->end)
        copy_in(c, offset, bytes, count);
}

int
recfile_stream_append(uint32_t type, const void *bytes, size_t count)
{
    if (!recfile_stream_write(type, bytes, count)) {
        recfile_stream_cancel(type);
        return 0;
    }
    recfile_stream_commit(type);
    return 1;
}

uint64_t
recfile_stream_bytes(uint32_t type)
{
    return recfile_is_open() ? find(type)->bytes : 0;
}

int
recfile_stream_read(uint32_t type, uint64_t offset, void *bytes, size_t count)
{
    const struct stream *s = find(type);
    unsigned char *to = bytes;

    if (!recfile_is_open() || offset > s->bytes ||
        count > s->bytes - offset)
        return 0;
    while (count > 0) {
        size_t n = count;
        const unsigned char *from = bytes_at(&s->now, offset, &n);

        memcpy(to, from, n);
        offset += n;
        to += n;
        count -= n;
    }
    return 1;
}

uint64_t
recfile_timeline_share(void)
{
    uint32_t chunks = recspace_limit() / 4;

    return (uint64_t)(chunks ? chunks : 1) * CHUNK_PAYLOAD;
}

/* ---- publishing ---------------------------------------------------------- */

static void
set_counts(const struct content *c, uint64_t from)
{
    for (uint64_t i = from / CHUNK_PAYLOAD; i < c->list.count; i++) {
        uint64_t n = c->end - i * CHUNK_PAYLOAD;

        __atomic_store_n(&recchunk_at(&c->list, (uint32_t)i)->count,
                         n < CHUNK_PAYLOAD ? (uint32_t)n : CHUNK_PAYLOAD,
                         __ATOMIC_RELEASE);
    }
}

static void
store_word(struct stream *s)
{
    struct hkr_header *h = (struct hkr_header *)(void *)recspace_head();
    uint64_t word = s->now.gen << GENERATION_SHIFT | s->now.end;

    __atomic_store_n(s->type == HKR_TIME   ? &h->timeline_word
                     : s->type == HKR_FIND ? &h->findings_word
                                           : &h->graph_word,
                     word, __ATOMIC_RELEASE);
}

static uint32_t
chunks_for(uint64_t bytes)
{
    return (uint32_t)((bytes + CHUNK_PAYLOAD - 1) / CHUNK_PAYLOAD);
}

static void
replace(struct stream *s)
{
    struct content old = s->now;

    set_counts(&s->next, 0);
    s->now = s->next;
    store_word(s);
    recchunk_give(&old.list, 0);
    s->next = old;
    s->is_building = 0;
}

void
recfile_stream_commit(uint32_t type)
{
    struct stream *s = find(type);

    if (!recfile_is_open())
        return;
    recfile_write_begin();
    if (s->is_building)
        replace(s);
    else {
        set_counts(&s->now, s->bytes);
        store_word(s);
    }
    s->bytes = s->now.end;
    recfile_write_end();
}

void
recfile_stream_cancel(uint32_t type)
{
    struct stream *s = find(type);

    if (!recfile_is_open())
        return;
    if (s->is_building)
        recchunk_give(&s->next.list, 0);
    else {
        recchunk_give(&s->now.list, chunks_for(s->bytes));
        s->now.end = s->bytes;
    }
    s->is_building = 0;
}
