/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * registry.c -- records in segments, free ones on a stack.
 *
 * Called by   object.c, foreign.c, refcount.c; scans read it in a copy of the
 *             process.
 * Threads     any, also in signal handlers and inside free(): no locks.  The
 *             stack of free slots is Treiber's; its head carries a tag that
 *             every change moves, so a slot that went and came back meanwhile
 *             does not deceive a pop.  A thread takes and gives back some
 *             at a time (registry_refill, registry_spill).
 * Memory      host_map(), a segment at a time, never returned.
 * Fails       registry_add returns 0.
 * Invariants  each slot below `limit` is on the stack (FREE), in one shard
 *             (FREE), or belongs to one caller; slot 0 is never used;
 *             segments below limit exist.
 */
#include "lib/registry.h"

#include <sched.h>

#include "lib/host.h"
#include "lib/shard.h"
#include "lib/type.h"

#define SEGMENT_SHIFT 12
#define GROW_YIELDS 200
#define ORDER_BLOCK 4096u
#define SLOT_MAX (REGISTRY_SEGMENTS * REGISTRY_SEGMENT_RECORDS)

_Static_assert(sizeof(struct record) == 32, "a record divides a page");
_Static_assert(1u << SEGMENT_SHIFT == REGISTRY_SEGMENT_RECORDS, "shift");

void *registry_segments[REGISTRY_SEGMENTS];
uint8_t registry_flags[2][REGISTRY_FLAGS];
static uint32_t limit = 1;
static uint32_t next_order;
int registry_order_shows;
static uint64_t free_head; /* tag << 32 | slot */
static uint32_t growing;

/* The flag only keeps others from mapping the same again; one that waits too
   long (its owner may be gone with a fork, or be the code that this signal
   interrupted) maps for itself, and the first to store wins. */
void *
registry_map_once(void **cell, size_t bytes)
{
    void *fresh, *seen = NULL;

    for (int i = 0; i < GROW_YIELDS; i++) {
        seen = __atomic_load_n(cell, __ATOMIC_ACQUIRE);
        if (seen)
            return seen;
        if (!__atomic_exchange_n(&growing, 1, __ATOMIC_ACQUIRE))
            break;
        sched_yield();
    }
    seen = __atomic_load_n(cell, __ATOMIC_ACQUIRE);
    if (!seen) {
        fresh = host_map(bytes);
        if (fresh
            && __atomic_compare_exchange_n(cell, &seen, fresh, 0,
                                           __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE))
            seen = fresh;
    }
    __atomic_store_n(&growing, 0, __ATOMIC_RELEASE);
    return seen;
}

uint32_t
registry_limit(void)
{
    return __atomic_load_n(&limit, __ATOMIC_ACQUIRE);
}

struct record *
registry_record(uint32_t slot)
{
    struct record *segment;

    if (slot >= SLOT_MAX)
        return NULL;
    segment = __atomic_load_n(&registry_segments[slot >> SEGMENT_SHIFT],
                              __ATOMIC_ACQUIRE);
    return segment ? &segment[slot & (REGISTRY_SEGMENT_RECORDS - 1)] : NULL;
}

hk_type *
registry_type(uint32_t slot)
{
    struct record *r = registry_record(slot);

    return r ? type_get(__atomic_load_n(&r->type, __ATOMIC_ACQUIRE)) : NULL;
}

static uint32_t
pop_free(void)
{
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE);
    uint64_t next;
    struct record *r;

    while ((uint32_t)head) {
        r = registry_at((uint32_t)head);
        next = (uintptr_t)__atomic_load_n(&r->object, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | (uint32_t)next;
        if (__atomic_compare_exchange_n(&free_head, &head, next, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return (uint32_t)head;
    }
    return 0;
}

/* Links the slots of the array before the head, the first one outermost. */
static void
push_free(const uint32_t *slots, uint32_t n)
{
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_RELAXED);
    uint64_t next;

    for (uint32_t i = 0; i + 1 < n; i++)
        __atomic_store_n(&registry_at(slots[i])->object,
                         (void *)(uintptr_t)slots[i + 1], __ATOMIC_RELEASE);
    do {
        /* release: who sees the link also sees that the record is free */
        __atomic_store_n(&registry_at(slots[n - 1])->object,
                         (void *)(uintptr_t)(uint32_t)head, __ATOMIC_RELEASE);
        next = ((head >> 32) + 1) << 32 | slots[0];
    } while (!__atomic_compare_exchange_n(&free_head, &head, next, 0,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* Up to n slots that were never used, at least one, all of one segment; their
   number, 0: no memory. */
static uint32_t
extend(uint32_t n, uint32_t *first)
{
    uint32_t slot = __atomic_load_n(&limit, __ATOMIC_RELAXED);
    uint32_t left, got;

    do {
        left = REGISTRY_SEGMENT_RECORDS
               - (slot & (REGISTRY_SEGMENT_RECORDS - 1));
        got = n < left ? n : left;
        if (slot >= SLOT_MAX
            || !registry_map_once(&registry_segments[slot >> SEGMENT_SHIFT],
                                  REGISTRY_SEGMENT_RECORDS
                                      * sizeof(struct record)))
            return 0;
    } while (!__atomic_compare_exchange_n(&limit, &slot, slot + got, 0,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    *first = slot;
    return got;
}

static uint32_t
take_slot(void)
{
    uint32_t slot = pop_free();

    if (!slot)
        extend(1, &slot);
    return slot;
}

static void
count_tracked(hk_type *type, uint64_t by)
{
    if (type)
        __atomic_fetch_add(&type->shared.tracked, by, __ATOMIC_RELAXED);
}

uint32_t
registry_next_order_slow(struct shard *s)
{
    if (!s)
        return __atomic_fetch_add(&next_order, 1, __ATOMIC_RELAXED);
    s->order_next =
        __atomic_fetch_add(&next_order, ORDER_BLOCK, __ATOMIC_RELAXED);
    s->order_end = s->order_next + ORDER_BLOCK;
    return s->order_next++;
}

/* The flag after the record: a collection that cleared it before will find
   one of the two. */
static inline void
fill(uint32_t slot, void *object, const hk_type *type, uint32_t stack,
     uint8_t state)
{
    struct record *r = registry_at(slot);

    struct record kind = {.type = type->id, .state = state};

    __atomic_store_n(&r->state, RECORD_FILLING, __ATOMIC_RELAXED);
    __atomic_store_n(&r->serial, r->serial + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&r->object, object, __ATOMIC_RELEASE);
    __atomic_store_n(&r->created_stack, stack, __ATOMIC_RELEASE);
    __atomic_store_n(&r->release_stack, 0, __ATOMIC_RELEASE);
    if (host_has_stacks)
        __atomic_store_n(&r->birth_ms, host_now_ms(), __ATOMIC_RELEASE);
    __atomic_store_n(&r->order, registry_next_order(shard_self),
                     __ATOMIC_RELEASE);
    __atomic_store_n(&r->kind, kind.kind, __ATOMIC_RELEASE);
    __atomic_store_n(&registry_flags[0][slot / REGISTRY_GROUP], 1,
                     __ATOMIC_RELEASE);
}

uint32_t
registry_add(void *object, const hk_type *type, uint32_t stack, uint8_t state)
{
    uint32_t slot = take_slot();

    if (!slot)
        return 0;
    fill(slot, object, type, stack, state);
    if (state == RECORD_TRACKED)
        count_tracked((hk_type *)type, 1);
    return slot;
}

int
registry_refill(struct shard *s)
{
    uint32_t n = 0, first;

    while (n < SHARD_SLOTS / 4 && (first = pop_free()) != 0)
        s->slots[n++] = first;
    if (!n) {
        n = extend(SHARD_SLOTS / 2, &first);
        for (uint32_t i = 0; i < n; i++)
            s->slots[i] = first + n - 1 - i;
    }
    s->slot_count = n;
    return n != 0;
}

void
registry_spill(struct shard *s)
{
    s->slot_count = SHARD_SLOTS / 2;
    push_free(s->slots + SHARD_SLOTS / 2, SHARD_SLOTS / 2);
}

void
registry_remove(uint32_t slot)
{
    struct record *r = registry_at(slot);

    if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == RECORD_TRACKED)
        count_tracked(registry_type(slot), (uint64_t)-1);
    __atomic_store_n(&r->state, RECORD_FREE, __ATOMIC_RELEASE);
    push_free(&slot, 1);
}

/* Eight flags at once, from a group that is a multiple of 8. */
static uint64_t
eight_flags(int generation, uint32_t group)
{
    typedef uint64_t __attribute__((may_alias)) eight;

    return __atomic_load_n(
        (const eight *)(const void *)&registry_flags[generation][group],
        __ATOMIC_ACQUIRE);
}

void
registry_each_young(int from, int to, void (*fn)(uint32_t group, void *arg),
                    void *arg)
{
    uint32_t groups = registry_limit() / REGISTRY_GROUP + 1;
    uint64_t eight;

    for (uint32_t i = 0; i < groups; i += 8) {
        eight = 0;
        for (int generation = from; generation <= to; generation++)
            eight |= eight_flags(generation, i);
        for (uint32_t k = i; eight; k++, eight >>= 8)
            if (eight & 255)
                fn(k, arg);
    }
}

/* Cleared first, looked at then: see fill(). */
static void
sweep_group(uint32_t group, void *arg)
{
    int generation = *(const int *)arg;
    const struct record *r = registry_at(group * REGISTRY_GROUP);

    __atomic_exchange_n(&registry_flags[generation][group], 0,
                        __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < REGISTRY_GROUP; i++)
        if (__atomic_load_n(&r[i].state, __ATOMIC_SEQ_CST) != RECORD_FREE
            && registry_generation(&r[i]) == generation) {
            __atomic_store_n(&registry_flags[generation][group], 1,
                             __ATOMIC_RELEASE);
            return;
        }
}

void
registry_sweep_young(void)
{
    for (int generation = 0; generation < 2; generation++)
        registry_each_young(generation, generation, sweep_group, &generation);
}

void
registry_renew(uint32_t slot)
{
    struct record *r = registry_at(slot);

    __atomic_store_n(&r->serial, r->serial + 1, __ATOMIC_RELEASE);
    registry_append(slot, 0);
}

void
registry_append(uint32_t slot, uint8_t generation)
{
    __atomic_store_n(&registry_at(slot)->order,
                     registry_next_order(shard_self), __ATOMIC_RELAXED);
    registry_set_generation(slot, generation);
}

void
registry_set_generation(uint32_t slot, uint8_t generation)
{
    __atomic_store_n(&registry_at(slot)->generation, generation,
                     __ATOMIC_RELEASE);
    if (generation < 2)
        __atomic_store_n(&registry_flags[generation][slot / REGISTRY_GROUP], 1,
                         __ATOMIC_RELEASE);
}

static int
change_state(uint32_t slot, uint8_t from, uint8_t to, uint64_t tracked)
{
    struct record *r = registry_at(slot);
    struct record seen = {.kind = __atomic_load_n(&r->kind,
                                                  __ATOMIC_RELAXED)};
    struct record wanted;

    do {
        if (seen.state != from)
            return 0;
        wanted = seen;
        wanted.state = to;
    } while (!__atomic_compare_exchange_n(&r->kind, &seen.kind, wanted.kind, 0,
                                          __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
    count_tracked(registry_type(slot), tracked);
    return 1;
}

int
registry_park(uint32_t slot)
{
    return change_state(slot, RECORD_TRACKED, RECORD_PARKED, (uint64_t)-1);
}

int
registry_unpark(uint32_t slot)
{
    return change_state(slot, RECORD_PARKED, RECORD_TRACKED, 1);
}
