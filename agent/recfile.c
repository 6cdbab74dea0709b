/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recfile.c -- the recording: its header, its birth and end, its tables.
 *
 * Called by   publish.c, control.c, scan.c, timeline.c.
 * Threads     under lock_publish.
 * Memory      static; lists of chunks from meta.c (recchunk.c).
 * Fails       recfile_record returns NULL and the record is counted once as
 *             recording_full; records that are there stay right.
 * Invariants  a table's chunk i holds records i * n .. i * n + n - 1, so the
 *             place of a record is arithmetic; nothing is read back from the
 *             file to find it.
 */
#include "agent/recfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/recchunk.h"
#include "agent/recspace.h"
#include "agent/recstream.h"
#include "agent/retire.h"

struct table {
    uint32_t type;
    uint32_t record_bytes; /* 1: a table of bytes */
    struct chunk_list list;
    uint64_t readable; /* ids (bytes) published: 0 .. readable - 1 */
    uint64_t refused;  /* ids up to this one were counted as lost */
};
static struct table tables[] = {
    {.type = HKR_PROC}, {.type = HKR_STRS}, {.type = HKR_MODL},
    {.type = HKR_NODE}, {.type = HKR_STAK}, {.type = HKR_TYPES},
    {.type = HKR_SCAN}, {.type = HKR_MIST}, {.type = HKR_HOLD},
    {.type = HKR_BALA},
};
#define TABLE_COUNT (sizeof(tables) / sizeof(tables[0]))

_Static_assert(TABLE_COUNT + 2 * RECSTREAM_COUNT + 1 == CHUNK_LISTS,
               "every list has its place");
_Static_assert(sizeof(struct hkr_header) <= HKR_HEADER_BYTES, "header fits");
_Static_assert(sizeof(struct hkr_control) <= HKR_CONTROL_BYTES,
               "control fits");
_Static_assert(sizeof(struct hkr_chunk) == 64, "as documented");

/* ---- the file ------------------------------------------------------------ */

static struct hkr_header *
head(void)
{
    return (struct hkr_header *)(void *)recspace_head();
}

static void
fill_header(struct hkr_header *h)
{
    h->byte_order = HKR_BYTE_ORDER;
    h->version_major = HKR_VERSION_MAJOR;
    h->version_minor = HKR_VERSION_MINOR;
    h->header_bytes = HKR_HEADER_BYTES;
    h->control_offset = HKR_CONTROL_OFFSET;
    h->control_bytes = HKR_CONTROL_BYTES;
    h->chunk_bytes = HKR_CHUNK_BYTES;
    h->chunks_offset = HKR_CHUNKS_OFFSET;
    h->state = HKR_STATE_LIVE;
    h->start_realtime_ns = boot_start_realtime_ns;
    h->start_monotonic_ns = boot_start_ns;
    h->publish_interval_ns = opt.publish;
    h->pid = (uint32_t)os_getpid();
    h->counter_count = HKC_COUNT;
    /* Last: without the magic it is not a recording yet. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    memcpy(h->magic, HKR_MAGIC, sizeof(h->magic));
}

static int
start_lists(void)
{
    if (!recchunk_start())
        return 0;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        tables[i].readable = tables[i].refused = 0;
        if (!recchunk_list(&tables[i].list))
            return 0;
    }
    return recstream_start();
}

int
recfile_create(const char **why)
{
    int err = recspace_create(why);

    if (err)
        return err;
    if (!start_lists()) {
        os_call(SYS_unlinkat, AT_FDCWD, (long)recspace_path(), 0, 0, 0, 0);
        recspace_abandon();
        *why = "no memory for the recording's tables: raise memory=";
        return -ENOMEM;
    }
    fill_header(head());
    return 0;
}

int
recfile_is_open(void)
{
    return head() != NULL;
}

const char *
recfile_path(void)
{
    return recspace_path();
}

struct hkr_header *
recfile_header(void)
{
    return recspace_is_whole() ? head() : NULL;
}

struct hkr_control *
recfile_control(void)
{
    unsigned char *p = recspace_head();

    return p ? (struct hkr_control *)(void *)(p + HKR_CONTROL_OFFSET) : NULL;
}

int
recfile_is_whole(void)
{
    return recspace_is_whole();
}

void
recfile_detach(void)
{
    recspace_detach();
}

void
recfile_abandon(void)
{
    recspace_abandon();
    recchunk_reset();
}

/* ---- tables -------------------------------------------------------------- */

static struct table *
find_table(uint32_t type)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (tables[i].type == type)
            return &tables[i];
    return NULL;
}

static void
say_full(void)
{
    static int is_said;

    if (is_said++)
        return;
    degrade("%s cannot grow (%s): some new stacks are not in it",
            recspace_path(), recspace_refusal());
}

/* A record is lost once, however often it is tried. */
static void
refuse(struct table *t, uint64_t last_id)
{
    uint64_t had = t->refused;

    if (last_id <= had)
        return;
    t->refused = last_id;
    count_add(HKC_recording_full,
              had && t->record_bytes > 1 ? last_id - had : 1);
    say_full();
}

static int
make_chunk(struct table *t)
{
    struct hkr_chunk as = {
        .type = t->type,
        .record_bytes = t->record_bytes,
        .first = (uint64_t)t->list.count * (CHUNK_PAYLOAD / t->record_bytes),
    };

    return recchunk_take(&t->list, &as);
}

static unsigned char *
place(struct table *t, uint32_t record_bytes, uint64_t id)
{
    uint64_t per_chunk = CHUNK_PAYLOAD / record_bytes;

    t->record_bytes = record_bytes;
    if (!head() || id / per_chunk >= recspace_limit())
        return NULL;
    while (t->list.count <= id / per_chunk)
        if (!make_chunk(t))
            return NULL;
    return recchunk_payload(
               recchunk_at(&t->list, (uint32_t)(id / per_chunk))) +
           id % per_chunk * record_bytes;
}

void *
recfile_record(uint32_t type, size_t record_bytes, uint64_t id)
{
    struct table *t = find_table(type);
    void *record = t ? place(t, (uint32_t)record_bytes, id) : NULL;

    if (t && !record && head())
        refuse(t, id);
    return record;
}

/* Makes [0, end) readable as far as there are chunks. */
static void
publish(struct table *t, uint64_t end)
{
    uint64_t per_chunk;

    if (end <= t->readable || t->list.count == 0)
        return;
    per_chunk = CHUNK_PAYLOAD / t->record_bytes;
    recfile_write_begin();
    for (uint64_t i = t->readable / per_chunk;
         i < t->list.count && i * per_chunk < end; i++) {
        uint64_t n = end - i * per_chunk;

        __atomic_store_n(&recchunk_at(&t->list, (uint32_t)i)->count,
                         (uint32_t)(n < per_chunk ? n : per_chunk),
                         __ATOMIC_RELEASE);
    }
    recfile_write_end();
    if (end > t->list.count * per_chunk)
        end = t->list.count * per_chunk;
    t->readable = end;
}

void
recfile_publish_table(uint32_t type, uint64_t last_id)
{
    struct table *t = find_table(type);

    if (t && head())
        publish(t, last_id + 1);
}

int
recfile_append(uint32_t type, const void *bytes, size_t count)
{
    struct table *t = find_table(type);
    const unsigned char *from = bytes;
    uint64_t at;

    if (!t || !head() || count == 0)
        return 0;
    /* All of it has room, or nothing is written. */
    if (!place(t, 1, t->readable + count - 1)) {
        refuse(t, t->readable + count - 1);
        return 0;
    }
    for (at = t->readable; count > 0;) {
        size_t n = CHUNK_PAYLOAD - at % CHUNK_PAYLOAD;

        n = n < count ? n : count;
        memcpy(place(t, 1, at), from, n);
        at += n;
        from += n;
        count -= n;
    }
    publish(t, at);
    return 1;
}
