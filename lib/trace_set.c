/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trace_set.c -- the objects that a trace looks at, numbered and in order.
 *
 * What        a full collection numbers objects by their slot; a young one
 *             finds its few by the flags of their groups, and numbers these.
 *             Where it shows, both know the order of CPython's lists: the
 *             generation collected, then 0, then 1, each by key.
 * Source      gcmodule.c: gc_list_merge() in gc_collect_main().
 * Called by   trace.c.
 * Threads     one, and nobody else moves.
 * Memory      trace_take().
 * Fails       -1: no memory.
 * Invariants  most programs have their objects in order already, since slots
 *             are given out in order: then nothing is sorted.
 */
#include "lib/trace_set.h"

#include <string.h>

#include "lib/host.h"

#define INDEX_BITS 26 /* of a slot, or of a place among the young */
#define DIGIT_BITS 12
#define DIGITS (1u << DIGIT_BITS)

_Static_assert((UINT64_C(1) << INDEX_BITS)
                   == (uint64_t)REGISTRY_SEGMENTS * REGISTRY_SEGMENT_RECORDS,
               "an index fits");

void *
trace_take(size_t count, size_t each)
{
    return host_map_scratch((count ? count : 1) * each);
}

void
trace_give(void *p, size_t count, size_t each)
{
    if (p)
        host_unmap_scratch(p, (count ? count : 1) * each);
}

static int
prepare(struct trace *t, uint32_t room)
{
    t->room = room;
    t->nodes = trace_take(room, sizeof(*t->nodes));
    t->first = trace_take((size_t)room + 1, sizeof(*t->first));
    t->state = trace_take(room, 1);
    t->queue = trace_take(room, sizeof(*t->queue));
    return t->nodes && t->first && t->state && t->queue ? 0 : -1;
}

static inline int
is_member(const struct record *r, int generation)
{
    return registry_is_tracked(r) && registry_generation(r) <= generation;
}

/* ---- order -------------------------------------------------------------- */

/* Where a record stands in the merged list, above the index of its node. */
static inline uint64_t
key_of(const struct record *r, int generation, uint32_t index)
{
    uint64_t list = r->generation == generation ? 0 : 1u + r->generation;

    return (list << 32 | r->order) << INDEX_BITS | index;
}

/* By the bits above the index, from the lowest digit to the highest. */
static void
sort(uint64_t *keys, uint64_t *other, uint32_t n, uint32_t *starts)
{
    uint64_t *from = keys, *to = other, *swap;

    for (int shift = INDEX_BITS; shift < INDEX_BITS + 34;
         shift += DIGIT_BITS) {
        uint32_t sum = 0, many;

        memset(starts, 0, DIGITS * sizeof(*starts));
        for (uint32_t i = 0; i < n; i++)
            starts[from[i] >> shift & (DIGITS - 1)]++;
        for (uint32_t d = 0; d < DIGITS; d++) {
            many = starts[d];
            starts[d] = sum;
            sum += many;
        }
        for (uint32_t i = 0; i < n; i++)
            to[starts[from[i] >> shift & (DIGITS - 1)]++] = from[i];
        swap = from;
        from = to;
        to = swap;
    }
    if (from != keys)
        memcpy(keys, from, n * sizeof(*keys));
}

/* keys[0 .. n - 1] in order; 0, or -1: no memory. */
static int
sort_keys(uint64_t *keys, uint32_t n)
{
    uint64_t *other = trace_take(n, sizeof(*other));
    uint32_t *starts = trace_take(DIGITS, sizeof(*starts));
    int failed = !other || !starts;

    if (!failed)
        sort(keys, other, n, starts);
    trace_give(other, n, sizeof(*other));
    trace_give(starts, DIGITS, sizeof(*starts));
    return failed ? -1 : 0;
}

/* ---- all ---------------------------------------------------------------- */

/* Of a full collection: by slot.  Tells whether that is their order. */
static int
enter_all(struct trace *t)
{
    const struct record *r = NULL;
    uint64_t key, last = 0;
    int in_order = 1;

    for (uint32_t slot = 1; slot < t->count; slot++, r++) {
        if (slot == 1 || slot % REGISTRY_SEGMENT_RECORDS == 0)
            r = registry_at(slot);
        if (!is_member(r, 2)) {
            t->state[slot] = TRACE_ABSENT;
            continue;
        }
        t->nodes[slot].tag = trace_tag(r->object);
        t->objects++;
        t->moving += registry_generation(r) < 2;
        key = key_of(r, 2, 0);
        in_order &= key >= last;
        last = key;
    }
    return in_order;
}

/* Members first, then the slots that are none. */
static int
order_all(struct trace *t)
{
    uint64_t *keys = trace_take(t->objects, sizeof(*keys));
    uint32_t n = 0, absent;
    int failed;

    t->order = trace_take(t->count, sizeof(*t->order));
    failed = !keys || !t->order;
    absent = t->objects;
    for (uint32_t slot = 0; slot < t->count && !failed; slot++)
        if (t->state[slot] & TRACE_ABSENT)
            t->order[absent++] = slot;
        else
            keys[n++] = key_of(registry_at(slot), 2, slot);
    failed = failed || sort_keys(keys, n);
    for (uint32_t i = 0; i < n && !failed; i++)
        t->order[i] = keys[i] & ((1u << INDEX_BITS) - 1);
    trace_give(keys, t->objects, sizeof(*keys));
    return failed ? -1 : 0;
}

static int
set_all(struct trace *t)
{
    t->count = registry_limit();
    if (prepare(t, t->count))
        return -1;
    t->state[0] = TRACE_ABSENT;
    return enter_all(t) || !registry_is_ordered() ? 0 : order_all(t);
}

/* ---- the young ---------------------------------------------------------- */

struct young {
    uint64_t *keys;
    uint32_t count, room;
    int generation;
};

static void
count_group(uint32_t group, void *arg)
{
    const struct record *r = registry_at(group * REGISTRY_GROUP);
    struct young *y = arg;

    for (uint32_t i = 0; i < REGISTRY_GROUP; i++)
        y->room += is_member(&r[i], y->generation);
}

static void
take_group(uint32_t group, void *arg)
{
    uint32_t slot = group * REGISTRY_GROUP;
    const struct record *r = registry_at(slot);
    struct young *y = arg;

    for (uint32_t i = 0; i < REGISTRY_GROUP && y->count < y->room; i++)
        if (is_member(&r[i], y->generation))
            y->keys[y->count++] = key_of(&r[i], y->generation, slot + i);
}

static void
number(struct trace *t, uint32_t slot)
{
    uint32_t mask = (1u << t->table_bits) - 1, at = trace_hash(t, slot);

    while (t->table[at])
        at = (at + 1) & mask;
    t->slots[t->count] = slot;
    t->nodes[t->count].tag = trace_tag(registry_at(slot)->object);
    t->table[at] = ++t->count;
}

static int
number_all(struct trace *t, const struct young *y)
{
    if (prepare(t, y->count))
        return -1;
    for (t->table_bits = 4; UINT32_C(1) << t->table_bits < 2 * y->count;)
        t->table_bits++;
    t->slots = trace_take(t->room, sizeof(*t->slots));
    t->table = trace_take((size_t)1 << t->table_bits, sizeof(*t->table));
    if (!t->slots || !t->table)
        return -1;
    for (uint32_t i = 0; i < y->count; i++)
        number(t, y->keys[i] & ((1u << INDEX_BITS) - 1));
    t->objects = t->moving = t->count;
    return 0;
}

static int
set_young(struct trace *t, int generation)
{
    struct young y = {NULL, 0, 0, generation};
    int failed;

    registry_each_young(0, generation, count_group, &y);
    y.keys = trace_take(y.room, sizeof(*y.keys));
    if (!y.keys)
        return -1;
    registry_each_young(0, generation, take_group, &y);
    failed = (registry_is_ordered() && sort_keys(y.keys, y.count))
             || number_all(t, &y);
    trace_give(y.keys, y.room, sizeof(*y.keys));
    return failed ? -1 : 0;
}

int
trace_set(struct trace *t, int generation)
{
    return generation == 2 ? set_all(t) : set_young(t, generation);
}
