/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recchunk.c -- which chunk belongs to whom.
 *
 * Called by   recfile.c, recstream.c.
 * Threads     under lock_publish.
 * Memory      lists of chunk numbers from meta.c, 4 bytes a chunk and list,
 *             reserved once and kept over a fork.
 * Fails       recchunk_take returns 0 when neither a FREE chunk nor space is
 *             to be had, even after thinning the timeline.
 * Invariants  every chunk below chunk_count is in exactly one list, and those
 *             of a list ascend.  Tables leave as many chunks as the timeline
 *             has: thinning writes a copy before it frees the original.
 */
#include "agent/recchunk.h"

#include <string.h>

#include "agent/meta.h"
#include "agent/recfile.h"
#include "agent/recspace.h"
#include "agent/timeline.h"

#define PAGE_ENTRIES 1024u

static uint32_t *numbers; /* CHUNK_LISTS arrays of recspace_limit() */
static uint32_t numbers_limit, lists_used;
static struct chunk_list free_list;
static const struct chunk_list *timeline_list;
static uint64_t seq;
static uint32_t depth;

int
recchunk_start(void)
{
    uint32_t limit = recspace_limit();
    size_t bytes = (size_t)limit * CHUNK_LISTS * sizeof(*numbers);

    lists_used = 0;
    timeline_list = NULL;
    seq = 0;
    depth = 0;
    if (!numbers || numbers_limit < limit) {
        numbers = meta_reserve(bytes);
        numbers_limit = limit;
    }
    return numbers && recchunk_list(&free_list);
}

void
recchunk_reset(void)
{
    free_list.count = 0;
    timeline_list = NULL;
}

int
recchunk_list(struct chunk_list *list)
{
    uint32_t booked = list->booked;

    if (lists_used >= CHUNK_LISTS)
        return 0;
    memset(list, 0, sizeof(*list));
    list->numbers = numbers + (size_t)lists_used++ * numbers_limit;
    list->booked = booked;
    return 1;
}

void
recchunk_note_timeline(const struct chunk_list *list)
{
    timeline_list = list;
}

struct hkr_chunk *
recchunk_at(const struct chunk_list *list, uint32_t index)
{
    return recspace_chunk(list->numbers[index]);
}

/* ---- publish_seq --------------------------------------------------------- */

static void
store_seq(void)
{
    struct hkr_header *h = (struct hkr_header *)(void *)recspace_head();

    if (h)
        __atomic_store_n(&h->publish_seq, seq, __ATOMIC_RELEASE);
}

void
recfile_write_begin(void)
{
    if (depth++ > 0)
        return;
    seq |= 1;
    store_seq();
    /* No store of the publication may overtake the odd number. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void
recfile_write_end(void)
{
    if (--depth > 0)
        return;
    seq++;
    store_seq();
}

/* ---- lists --------------------------------------------------------------- */

static int
push(struct chunk_list *list, uint32_t number)
{
    if (list->count == list->booked) {
        if (!meta_commit(PAGE_ENTRIES * sizeof(number)))
            return 0;
        list->booked += PAGE_ENTRIES;
    }
    list->numbers[list->count++] = number;
    return 1;
}

/* The lowest FREE chunk at or above `least`. */
static int
pick_free(uint32_t least, uint32_t *number)
{
    uint32_t best = UINT32_MAX, at = 0;

    for (uint32_t i = 0; i < free_list.count; i++)
        if (free_list.numbers[i] >= least && free_list.numbers[i] < best) {
            best = free_list.numbers[i];
            at = i;
        }
    if (best == UINT32_MAX)
        return 0;
    free_list.numbers[at] = free_list.numbers[--free_list.count];
    *number = best;
    return 1;
}

static int
extend(uint32_t *number)
{
    struct hkr_header *h;

    if (!recspace_extend(number))
        return 0;
    h = (struct hkr_header *)(void *)recspace_head();
    /* It becomes a chunk that a reader may see before it becomes somebody's:
       a death in between leaves a FREE one. */
    recspace_chunk(*number)->type = HKR_FREE;
    __atomic_store_n(&h->chunk_count, *number + 1, __ATOMIC_RELEASE);
    return 1;
}

/* The copy that thinning makes may take all; the timeline itself grows only
   where that copy grows with it. */
static int
has_room(const struct chunk_list *list, uint32_t type)
{
    uint32_t kept = timeline_list ? timeline_list->count : 0;

    if (list == timeline_list)
        kept++;
    else if (type == HKR_TIME)
        kept = 0;
    return free_list.count + recspace_left() > kept;
}

/* Moves a chunk to another number.  Should the process die in here, there is
   a gap, never the same records twice. */
static void
move(uint32_t from, uint32_t to)
{
    struct hkr_chunk *source = recspace_chunk(from);
    struct hkr_chunk *target = recspace_chunk(to);
    uint32_t type = source->type;

    memcpy(&target->record_bytes, &source->record_bytes,
           HKR_CHUNK_BYTES - offsetof(struct hkr_chunk, record_bytes));
    __atomic_store_n(&source->type, HKR_FREE, __ATOMIC_RELEASE);
    __atomic_store_n(&target->type, type, __ATOMIC_RELEASE);
}

/* Only FREE chunks below the last of this table are left: all of the table
   that lies above the highest of them moves down by one, and its last number
   becomes vacant. */
static int
shift_down(struct chunk_list *list, uint32_t *number)
{
    uint32_t best = 0, vacant, i;

    if (free_list.count == 0 || list->count == 0)
        return 0;
    for (i = 1; i < free_list.count; i++)
        if (free_list.numbers[i] > free_list.numbers[best])
            best = i;
    vacant = free_list.numbers[best];
    free_list.numbers[best] = free_list.numbers[--free_list.count];
    for (i = list->count; i > 0 && list->numbers[i - 1] > vacant; i--)
        ;
    recfile_write_begin();
    for (; i < list->count; i++) {
        uint32_t from = list->numbers[i];

        move(from, vacant);
        list->numbers[i] = vacant;
        vacant = from;
    }
    recfile_write_end();
    *number = vacant;
    return 1;
}

/* Streams do not shift: their next generation goes to the lowest chunks. */
static int
pick(struct chunk_list *list, uint32_t type, uint32_t *number)
{
    uint32_t above = list->count ? list->numbers[list->count - 1] + 1 : 0;

    return pick_free(above, number) || extend(number) ||
           (type != HKR_TIME && type != HKR_FIND && type != HKR_GRPH &&
            shift_down(list, number));
}

static int
obtain(struct chunk_list *list, uint32_t type, uint32_t *number)
{
    for (;;) {
        if (has_room(list, type) && pick(list, type, number))
            return 1;
        /* The timeline thins itself: see timeline.c. */
        if (type == HKR_TIME || !timeline_thin())
            return 0;
    }
}

int
recchunk_take(struct chunk_list *list, const struct hkr_chunk *as)
{
    struct hkr_chunk *chunk;
    uint32_t number;

    if (!obtain(list, as->type, &number))
        return 0;
    if (!push(list, number)) {
        push(&free_list, number);
        return 0;
    }
    recfile_write_begin();
    chunk = recspace_chunk(number);
    memset(recchunk_payload(chunk), 0, CHUNK_PAYLOAD);
    chunk->record_bytes = as->record_bytes;
    chunk->first = as->first;
    chunk->gen = as->gen;
    chunk->count = 0;
    __atomic_store_n(&chunk->type, as->type, __ATOMIC_RELEASE);
    recfile_write_end();
    return 1;
}

void
recchunk_give(struct chunk_list *list, uint32_t keep)
{
    recfile_write_begin();
    while (list->count > keep) {
        uint32_t number = list->numbers[--list->count];
        struct hkr_chunk *chunk = recspace_chunk(number);

        __atomic_store_n(&chunk->type, HKR_FREE, __ATOMIC_RELEASE);
        chunk->count = 0;
        push(&free_list, number);
    }
    recfile_write_end();
}
