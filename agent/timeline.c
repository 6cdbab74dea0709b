/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * timeline.c -- encode snapshots, and merge old ones when space runs out.
 *
 * Called by   publish.c; recchunk.c when the file is full.
 * Threads     under lock_publish.
 * Memory      static windows of a few hundred bytes, whatever the length of a
 *             frame: frames are merged while they stream by.
 * Fails       timeline_end returns 0 and nothing was written.  A timeline
 *             that does not decode (somebody else wrote into the file) is
 *             left as it is.
 * Invariants  the sum of all frames up to a mark is what it was when the
 *             mark was made, however often the timeline was thinned.
 */
#include "agent/timeline.h"

#include <string.h>

#include "agent/counters.h"
#include "agent/recfile.h"

#define OUT_BYTES 2048u
#define IN_BYTES 512u
#define LEB_MAX 10u

_Static_assert(sizeof(struct hkr_snapshot) % 8 == 0, "frames stay aligned");

/* ---- writing a frame ----------------------------------------------------- */

struct writer {
    uint64_t start; /* of the frame in its stream */
    uint64_t limit; /* the stream must not grow past this */
    uint32_t last_id, stack_count, type_count;
    uint32_t used;
    int has_failed;
    uint8_t buf[OUT_BYTES];
};
static struct writer out;

static void
flush(struct writer *w)
{
    if (recfile_stream_end(HKR_TIME) + w->used > w->limit ||
        !recfile_stream_write(HKR_TIME, w->buf, w->used))
        w->has_failed = 1;
    w->used = 0;
}

static void
put_number(struct writer *w, uint64_t n)
{
    if (w->used + LEB_MAX > OUT_BYTES)
        flush(w);
    for (; n >= 0x80; n >>= 7)
        w->buf[w->used++] = (uint8_t)(n | 0x80);
    w->buf[w->used++] = (uint8_t)n;
}

static void
put_bytes(struct writer *w, const void *bytes, uint32_t count)
{
    if (w->used + count > OUT_BYTES)
        flush(w);
    memcpy(w->buf + w->used, bytes, count);
    w->used += count;
}

static void
start_frame(struct writer *w, uint64_t limit)
{
    static const struct hkr_snapshot blank;

    w->start = recfile_stream_end(HKR_TIME);
    w->limit = limit;
    w->last_id = w->stack_count = w->type_count = 0;
    w->used = 0;
    w->has_failed = 0;
    put_bytes(w, &blank, sizeof(blank));
}

static void
put_stack(struct writer *w, uint32_t id, const struct stack_delta *d)
{
    if (w->has_failed)
        return;
    put_number(w, id - w->last_id);
    put_number(w, d->allocations);
    put_number(w, d->frees);
    put_number(w, d->allocated_bytes);
    put_number(w, d->freed_bytes);
    w->last_id = id;
    w->stack_count++;
}

static void
put_type(struct writer *w, uint32_t id, uint64_t created, uint64_t destroyed)
{
    if (w->has_failed)
        return;
    if (w->type_count++ == 0)
        w->last_id = 0;
    put_number(w, id - w->last_id);
    put_number(w, created);
    put_number(w, destroyed);
    w->last_id = id;
}

/* Only now are the length and the counts known. */
static int
finish_frame(struct writer *w, const struct hkr_snapshot *head)
{
    static const uint8_t zeroes[8];
    struct hkr_snapshot h = *head;
    uint64_t bytes = recfile_stream_end(HKR_TIME) + w->used - w->start;

    put_bytes(w, zeroes, (uint32_t)(-bytes & 7));
    flush(w);
    bytes = recfile_stream_end(HKR_TIME) - w->start;
    if (w->has_failed || bytes > UINT32_MAX)
        return 0;
    h.bytes = (uint32_t)bytes;
    h.stack_count = w->stack_count;
    h.type_count = w->type_count;
    recfile_stream_poke(HKR_TIME, w->start, &h, sizeof(h));
    return 1;
}

void
timeline_begin(void)
{
    start_frame(&out, recfile_timeline_share());
}

void
timeline_stack(uint32_t id, const struct stack_delta *delta)
{
    put_stack(&out, id, delta);
}

void
timeline_type(uint32_t id, uint64_t created, uint64_t destroyed)
{
    put_type(&out, id, created, destroyed);
}

int
timeline_end(const struct hkr_snapshot *head)
{
    if (!finish_frame(&out, head)) {
        recfile_stream_cancel(HKR_TIME);
        return 0;
    }
    recfile_stream_commit(HKR_TIME);
    return 1;
}

/* ---- reading a frame ----------------------------------------------------- */

struct reader {
    struct hkr_snapshot head;
    uint64_t at, end;   /* of the frame in its stream */
    uint64_t read;      /* up to here it is in the window */
    uint32_t pos, have; /* in the window */
    uint32_t left;      /* entries of this kind not taken yet */
    uint32_t id;        /* of the entry at hand, UINT32_MAX: none is left */
    uint64_t values[4];
    int is_broken;
    uint8_t window[IN_BYTES];
};
static struct reader first, second;

/* The frame at an offset; 0: there is none, or not a sane one. */
static int
open_frame(struct reader *r, uint64_t at)
{
    uint64_t total = recfile_stream_bytes(HKR_TIME);

    if (at >= total || !recfile_stream_read(HKR_TIME, at, &r->head,
                                            sizeof(r->head)))
        return 0;
    if (r->head.bytes < sizeof(r->head) || r->head.bytes % 8 != 0 ||
        r->head.bytes > total - at)
        return 0;
    r->at = at;
    r->end = at + r->head.bytes;
    r->read = at + sizeof(r->head);
    r->pos = r->have = 0;
    r->is_broken = 0;
    return 1;
}

static void
fill(struct reader *r)
{
    uint64_t n = r->end - r->read;

    n = n < IN_BYTES ? n : IN_BYTES;
    if (n == 0 || !recfile_stream_read(HKR_TIME, r->read, r->window, n)) {
        r->is_broken = 1;
        return;
    }
    r->read += n;
    r->pos = 0;
    r->have = (uint32_t)n;
}

static uint64_t
get_number(struct reader *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 64 && !r->is_broken; shift += 7) {
        uint8_t byte;

        if (r->pos == r->have)
            fill(r);
        if (r->is_broken)
            break;
        byte = r->window[r->pos++];
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return n;
    }
    r->is_broken = 1;
    return 0;
}

static void
next_entry(struct reader *r, unsigned value_count)
{
    uint64_t step;

    if (r->left == 0 || r->is_broken) {
        r->id = UINT32_MAX;
        return;
    }
    r->left--;
    step = get_number(r);
    for (unsigned i = 0; i < value_count; i++)
        r->values[i] = get_number(r);
    if (r->is_broken || step == 0 || step >= UINT32_MAX - r->id) {
        r->is_broken = 1;
        r->id = UINT32_MAX;
        return;
    }
    r->id += (uint32_t)step;
}

static void
start_entries(struct reader *r, uint32_t count, unsigned value_count)
{
    r->left = count;
    r->id = 0;
    next_entry(r, value_count);
}

/* ---- merging ------------------------------------------------------------- */

static void
put_entry(struct writer *w, uint32_t id, const uint64_t *v,
          unsigned value_count)
{
    struct stack_delta d = {v[0], v[1], v[2], v[3]};

    if (value_count == 4)
        put_stack(w, id, &d);
    else
        put_type(w, id, v[0], v[1]);
}

/* Two ascending lists become one; equal ids are added up. */
static void
merge_entries(struct reader *a, struct reader *b, unsigned value_count)
{
    while (a->id != UINT32_MAX || b->id != UINT32_MAX) {
        uint32_t id = a->id < b->id ? a->id : b->id;
        uint64_t v[4] = {0, 0, 0, 0};

        for (unsigned i = 0; i < value_count; i++)
            v[i] = (a->id == id ? a->values[i] : 0) +
                   (b->id == id ? b->values[i] : 0);
        put_entry(&out, id, v, value_count);
        if (a->id == id)
            next_entry(a, value_count);
        if (b->id == id)
            next_entry(b, value_count);
    }
}

static int
merge_frames(struct reader *a, struct reader *b)
{
    struct hkr_snapshot h = b->head;

    h.merged += a->head.merged;
    start_frame(&out, UINT64_MAX);
    start_entries(a, a->head.stack_count, 4);
    start_entries(b, b->head.stack_count, 4);
    merge_entries(a, b, 4);
    start_entries(a, a->head.type_count, 2);
    start_entries(b, b->head.type_count, 2);
    merge_entries(a, b, 2);
    return !a->is_broken && !b->is_broken && finish_frame(&out, &h);
}

static int
copy_frame(struct reader *r)
{
    if (!recfile_stream_write(HKR_TIME, &r->head, sizeof(r->head)))
        return 0;
    while (r->read < r->end) {
        fill(r);
        if (r->is_broken ||
            !recfile_stream_write(HKR_TIME, r->window, r->have))
            return 0;
    }
    return 1;
}

static int
may_merge(const struct reader *a, const struct reader *b)
{
    return !(a->head.flags & (HKR_SNAP_MARK | HKR_SNAP_FINAL)) &&
           a->head.name == 0 &&
           b->head.merged < UINT32_MAX - a->head.merged;
}

/* Writes the next generation; 0: no room, or not decodable. */
static int
rewrite(uint64_t merge_before, uint64_t *merged)
{
    uint64_t at = 0, total = recfile_stream_bytes(HKR_TIME);

    while (at < total) {
        int ok;

        if (!open_frame(&first, at))
            return 0;
        at = first.end;
        if (first.at < merge_before && at < total &&
            open_frame(&second, at) && may_merge(&first, &second)) {
            ok = merge_frames(&first, &second);
            at = second.end;
            ++*merged;
        } else
            ok = copy_frame(&first);
        if (!ok)
            return 0;
    }
    return 1;
}

/* 0: there was no room for the copy. */
static int
merge_older_than(uint64_t merge_before)
{
    uint64_t merged = 0;
    int ok;

    if (!recfile_stream_begin(HKR_TIME))
        return 0;
    ok = rewrite(merge_before, &merged);
    if (!ok || merged == 0) {
        recfile_stream_cancel(HKR_TIME);
        return ok;
    }
    recfile_stream_commit(HKR_TIME);
    count_add(HKC_snapshots_thinned, merged);
    return 1;
}

/* Length after a thinning that gained nothing: until it has grown by an
   eighth there is no use in trying again. */
static uint64_t hopeless_bytes;

int
timeline_thin(void)
{
    uint64_t before = recfile_stream_bytes(HKR_TIME);
    uint64_t goal = before - before / 16;

    if (before == 0 ||
        (hopeless_bytes && before < hopeless_bytes + hopeless_bytes / 8))
        return 0;
    if (!merge_older_than(before / 2))
        return 0;
    if (recfile_stream_bytes(HKR_TIME) > goal)
        merge_older_than(UINT64_MAX);
    hopeless_bytes = recfile_stream_bytes(HKR_TIME);
    if (hopeless_bytes > goal)
        return 0;
    hopeless_bytes = 0;
    return 1;
}

void
timeline_reset(void)
{
    hopeless_bytes = 0;
}
