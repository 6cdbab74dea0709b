/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * notes.c -- see notes.h: a hash table by address, of fixed size.
 *
 * Called by   host.c for the companion; groups.c, census.c.
 * Threads     any, under lock_notes.
 * Memory      meta.c, 440 KiB from the first note on.
 * Fails       ENOSPC, EAGAIN.
 * Invariants  a note is in the bucket of its object or among the free ones.
 */
#include "agent/notes.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/strings.h"

#define NOTES 4096u
#define BUCKETS 1024u
#define TEXT_BYTES 96
#define STRINGS_MOST 1024u /* of the recording's: names need theirs */
#define WAIT_NS 50000000u

struct note { /* index 0 is none */
    const void *object;
    uint32_t next; /* in its bucket, or of the free ones */
    char text[TEXT_BYTES];
};

static struct table {
    uint32_t buckets[BUCKETS];
    struct note notes[NOTES + 1];
} *table;
static uint32_t free_first, used, live;
static uint32_t strings;

static uint32_t *
bucket(const void *object)
{
    uint64_t hash = ((uintptr_t)object >> 3) * UINT64_C(0x9e3779b97f4a7c15);

    return &table->buckets[(hash >> 32) % BUCKETS];
}

/* The place that names the object's note, or the end of its bucket. */
static uint32_t *
find_locked(const void *object)
{
    uint32_t *place = bucket(object);

    while (*place && table->notes[*place].object != object)
        place = &table->notes[*place].next;
    return place;
}

static int
make_table_locked(void)
{
    if (!table && meta_commit(sizeof(*table)))
        table = meta_reserve(sizeof(*table));
    return table != NULL;
}

static uint32_t
take_locked(void)
{
    uint32_t i = free_first;

    if (i)
        free_first = table->notes[i].next;
    else if (used < NOTES)
        i = ++used;
    return i;
}

static void
drop_locked(uint32_t *place)
{
    uint32_t i = *place;

    if (!i)
        return;
    *place = table->notes[i].next;
    table->notes[i].next = free_first;
    free_first = i;
    __atomic_store_n(&live, live - 1, __ATOMIC_RELAXED);
}

static int
set_locked(const void *object, const char *text)
{
    uint32_t *place, i;

    if (!make_table_locked())
        return ENOSPC;
    place = find_locked(object);
    if (!text) {
        drop_locked(place);
        return 0;
    }
    if (!*place) {
        i = take_locked();
        if (!i)
            return ENOSPC;
        table->notes[i].object = object;
        table->notes[i].next = 0;
        *place = i;
        __atomic_store_n(&live, live + 1, __ATOMIC_RELAXED);
    }
    strncpy(table->notes[*place].text, text, TEXT_BYTES - 1);
    return 0;
}

int
notes_set(const void *object, const char *text, uint64_t wait_ns)
{
    int error;

    if (!text && !__atomic_load_n(&live, __ATOMIC_RELAXED))
        return 0;
    if (!lock_take(&lock_notes, wait_ns))
        return EAGAIN;
    error = set_locked(object, text);
    lock_release(&lock_notes);
    return error;
}

uint32_t
notes_string(const void *object)
{
    char text[TEXT_BYTES] = "";
    uint32_t before, id;

    if (!__atomic_load_n(&live, __ATOMIC_RELAXED)
        || strings >= STRINGS_MOST || !lock_take(&lock_notes, WAIT_NS))
        return 0;
    if (table)
        memcpy(text, table->notes[*find_locked(object)].text, TEXT_BYTES);
    lock_release(&lock_notes);
    if (!text[0])
        return 0;
    before = strings_bytes();
    id = strings_add(text);
    strings += id >= before;
    return id;
}
