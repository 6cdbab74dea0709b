/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * snapshot.c -- deltas of every stack and type since the last snapshot.
 *
 * The counters go on moving while a frame is written, so both the deltas and
 * the new base are taken from what was just published: the sum of all frames
 * equals the tables at the time of the last.
 *
 * Called by   publish.c.
 * Threads     under lock_publish.
 * Memory      32 bytes a stack and 16 a type from meta.c.
 * Fails       without room the frame is dropped, recording_full counts it,
 *             and the next one holds its changes too.
 */
#include "agent/snapshot.h"

#include <string.h>
#include <sys/mman.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/intern.h"
#include "agent/meta.h"
#include "agent/os.h"
#include "agent/recfile.h"
#include "agent/timeline.h"

#define TYPE_MAX 65536u
#define COMMIT_STACKS 2048u /* 64 KiB at once */

struct type_base {
    uint64_t created, destroyed;
};

static struct stack_delta *stack_base; /* by id; what frames add up to */
static struct type_base *type_base;
static uint32_t booked_stacks; /* entries counted against memory= */

int
snapshot_start(void)
{
    if (!stack_base)
        stack_base = meta_reserve((size_t)STACK_MAX * sizeof(*stack_base));
    if (!type_base)
        type_base = meta_reserve(TYPE_MAX * sizeof(*type_base));
    return stack_base && type_base;
}

/* Stacks beyond what memory= has room for stay out of the timeline. */
static uint32_t
book(uint32_t stacks)
{
    while (booked_stacks <= stacks) {
        if (!meta_commit(COMMIT_STACKS * sizeof(*stack_base)))
            return booked_stacks ? booked_stacks - 1 : 0;
        booked_stacks += COMMIT_STACKS;
    }
    return stacks;
}

static const struct hkr_stack *
published_stack(uint32_t id)
{
    return recfile_record(HKR_STAK, sizeof(struct hkr_stack), id);
}

static const struct hkr_type *
published_type(uint32_t id)
{
    return recfile_record(HKR_TYPES, sizeof(struct hkr_type), id);
}

static void
write_stack(uint32_t id)
{
    const struct hkr_stack *s = published_stack(id);
    const struct stack_delta *b = &stack_base[id];
    struct stack_delta d;

    if (!s)
        return;
    d.allocations = s->allocations - b->allocations;
    d.frees = s->frees - b->frees;
    d.allocated_bytes = s->allocated_bytes - b->allocated_bytes;
    d.freed_bytes = s->freed_bytes - b->freed_bytes;
    if (d.allocations | d.frees | d.allocated_bytes | d.freed_bytes)
        timeline_stack(id, &d);
}

static void
write_type(uint32_t id)
{
    const struct hkr_type *t = published_type(id);
    const struct type_base *b = &type_base[id];

    if (t && (t->created != b->created || t->destroyed != b->destroyed))
        timeline_type(id, t->created - b->created,
                      t->destroyed - b->destroyed);
}

static void
advance_base(uint32_t stacks, uint32_t types)
{
    for (uint32_t id = 1; id <= stacks; id++) {
        const struct hkr_stack *s = published_stack(id);
        struct stack_delta *b = &stack_base[id];

        /* Most have not changed: leave their pages clean. */
        if (!s || (s->allocations == b->allocations && s->frees == b->frees))
            continue;
        b->allocations = s->allocations;
        b->frees = s->frees;
        b->allocated_bytes = s->allocated_bytes;
        b->freed_bytes = s->freed_bytes;
    }
    for (uint32_t id = 1; id <= types; id++) {
        const struct hkr_type *t = published_type(id);

        if (t) {
            type_base[id].created = t->created;
            type_base[id].destroyed = t->destroyed;
        }
    }
}

static void
fill_head(struct hkr_snapshot *h, uint32_t flags, uint32_t name)
{
    memset(h, 0, sizeof(*h));
    h->flags = flags;
    h->name = name;
    h->merged = 1;
    h->time_ns = os_now_ns() - boot_start_ns;
    h->live_bytes = count_get(HKC_live_bytes);
    h->live_blocks = count_get(HKC_live_blocks);
    h->allocations = count_get(HKC_allocations);
    h->frees = count_get(HKC_frees);
    h->allocated_bytes = count_get(HKC_allocated_bytes);
    h->usable_bytes = count_get(HKC_usable_bytes);
    h->rss_bytes = count_get(HKC_rss_bytes);
    h->heap_bytes = count_get(HKC_heap_bytes);
    h->agent_bytes = count_get(HKC_agent_bytes);
}

static int
write_frame(const struct hkr_snapshot *head, uint32_t stacks, uint32_t types)
{
    timeline_begin();
    for (uint32_t id = 1; id <= stacks; id++)
        write_stack(id);
    for (uint32_t id = 1; id <= types; id++)
        write_type(id);
    return timeline_end(head);
}

int
snapshot_write(uint32_t flags, uint32_t name, uint32_t stacks, uint32_t types)
{
    struct hkr_snapshot head;

    if (!snapshot_start())
        return 0;
    stacks = book(stacks);
    if (types >= TYPE_MAX)
        types = TYPE_MAX - 1;
    fill_head(&head, flags, name);
    while (!write_frame(&head, stacks, types))
        if (!timeline_thin()) {
            count_add(HKC_recording_full, 1);
            return 0;
        }
    advance_base(stacks, types);
    return 1;
}

static void
zero(void *p, size_t bytes)
{
    if (p)
        os_call(SYS_madvise, (long)p, (long)bytes, MADV_DONTNEED, 0, 0, 0);
}

void
snapshot_reset(void)
{
    zero(stack_base, (size_t)STACK_MAX * sizeof(*stack_base));
    zero(type_base, TYPE_MAX * sizeof(*type_base));
    timeline_reset();
}
