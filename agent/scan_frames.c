/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_frames.c -- frames and labels in the results region.
 *
 * Called by   scan_emit.c, scan_census.c.
 * Threads     one.
 * Memory      a table of labels, graph_map().
 * Fails       see scan_frames.h.
 * Invariants  `used` moves only behind a frame that is whole.
 */
#include "agent/scan_frames.h"

#include <string.h>

#include "agent/scan_graph.h"
#include "agent/scan_shape.h"

#define LABEL_BITS 17
#define LABELS_MAX 65536u

int
frames_start(struct frames *f, struct results *r)
{
    memset(f, 0, sizeof(*f));
    f->r = r;
    f->labels = graph_map((size_t)1 << LABEL_BITS, sizeof(*f->labels));
    return f->labels ? 0 : -1;
}

void
frames_end(struct frames *f)
{
    graph_unmap(f->labels, (size_t)1 << LABEL_BITS, sizeof(*f->labels));
    f->labels = NULL;
}

void *
frames_reserve(struct frames *f, uint64_t bytes)
{
    if (bytes > UINT32_MAX || f->r->used + bytes > f->r->room) {
        f->r->status = HKR_SCAN_TRUNCATED;
        return NULL;
    }
    return (char *)f->r + f->r->used;
}

uint32_t
frames_commit(struct frames *f, struct result_head *head, uint64_t bytes,
              uint32_t kind)
{
    uint64_t at = f->r->used;

    head->bytes = (uint32_t)bytes;
    head->kind = kind;
    __atomic_store_n(&f->r->used, at + bytes, __ATOMIC_RELEASE);
    return (uint32_t)at;
}

static struct frames_label *
place_of(struct frames *f, const char *pointer)
{
    uint64_t at = shape_hash((uint64_t)(uintptr_t)pointer) >>
                  (64 - LABEL_BITS);

    while (f->labels[at].pointer && f->labels[at].pointer != pointer)
        at = (at + 1) & ((1u << LABEL_BITS) - 1);
    return &f->labels[at];
}

static uint32_t
store_text(struct frames *f, const char *text)
{
    size_t length = strnlen(text, SCAN_LABEL_BYTES - 1);
    uint64_t bytes = (sizeof(struct result_label) + length + 8) & ~UINT64_C(7);
    struct result_label *l = frames_reserve(f, bytes);

    if (!l || length == 0)
        return 0;
    memcpy(l->text, text, length);
    l->text[length] = '\0';
    return frames_commit(f, &l->head, bytes, RESULT_LABEL);
}

struct frames_label
frames_label(struct frames *f, const char *text)
{
    struct frames_label none = {NULL, shape_hash(0), 0}, *l;

    if (!text)
        return none;
    l = place_of(f, text);
    if (l->pointer)
        return *l;
    f->reading = text;
    none.hash = shape_text(text, SCAN_LABEL_BYTES - 1);
    if (f->label_count < LABELS_MAX) {
        none.at = store_text(f, text);
        none.pointer = text;
        f->label_count++;
        *l = none;
    }
    f->reading = NULL;
    return none;
}

void
frames_set_aside(struct frames *f)
{
    struct frames_label *l = place_of(f, f->reading);

    if (!l->pointer && f->label_count < LABELS_MAX) {
        l->pointer = f->reading;
        l->hash = shape_hash(1);
        f->label_count++;
    }
    f->reading = NULL;
}
