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
 *             does not deceive a pop.
 * Memory      host_map(), a segment at a time, never returned.
 * Fails       registry_add returns 0.
 * Invariants  each slot below `limit` is on the stack (FREE) or belongs to
 *             one caller; slot 0 is never used; segments below limit exist.
 */
#include "lib/registry.h"

#include <sched.h>

#include "lib/host.h"
#include "lib/type.h"

#define SEGMENT_SHIFT 12
#define GROW_YIELDS 200
#define SLOT_MAX (REGISTRY_SEGMENTS * REGISTRY_SEGMENT_RECORDS)

_Static_assert(sizeof(struct record) == 32, "a record divides a page");
_Static_assert(1u << SEGMENT_SHIFT == REGISTRY_SEGMENT_RECORDS, "shift");

static void *segments[REGISTRY_SEGMENTS];
static uint32_t limit = 1;
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
    segment = __atomic_load_n(&segments[slot >> SEGMENT_SHIFT],
                              __ATOMIC_ACQUIRE);
    return segment ? &segment[slot & (REGISTRY_SEGMENT_RECORDS - 1)] : NULL;
}

hk_type *
registry_type(uint32_t slot)
{
    struct record *r = registry_record(slot);

    return r ? type_get(__atomic_load_n(&r->type, __ATOMIC_ACQUIRE)) : NULL;
}

/* Of a slot below limit. */
static inline struct record *
record_at(uint32_t slot)
{
    struct record *segment = __atomic_load_n(&segments[slot >> SEGMENT_SHIFT],
                                             __ATOMIC_ACQUIRE);

    return &segment[slot & (REGISTRY_SEGMENT_RECORDS - 1)];
}

static uint32_t
pop_free(void)
{
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE);
    uint64_t next;
    struct record *r;

    while ((uint32_t)head) {
        r = record_at((uint32_t)head);
        next = (uintptr_t)__atomic_load_n(&r->object, __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | (uint32_t)next;
        if (__atomic_compare_exchange_n(&free_head, &head, next, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return (uint32_t)head;
    }
    return 0;
}

static void
push_free(uint32_t slot)
{
    struct record *r = record_at(slot);
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_RELAXED);
    uint64_t next;

    do {
        /* release: who sees the link also sees that the record is free */
        __atomic_store_n(&r->object, (void *)(uintptr_t)(uint32_t)head,
                         __ATOMIC_RELEASE);
        next = ((head >> 32) + 1) << 32 | slot;
    } while (!__atomic_compare_exchange_n(&free_head, &head, next, 0,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

static uint32_t
extend(void)
{
    uint32_t slot = __atomic_load_n(&limit, __ATOMIC_RELAXED);

    do {
        if (slot >= SLOT_MAX
            || !registry_map_once(&segments[slot >> SEGMENT_SHIFT],
                                  REGISTRY_SEGMENT_RECORDS
                                      * sizeof(struct record)))
            return 0;
    } while (!__atomic_compare_exchange_n(&limit, &slot, slot + 1, 0,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return slot;
}

static void
count_tracked(hk_type *type, uint64_t by)
{
    if (type)
        __atomic_fetch_add(&type->tracked, by, __ATOMIC_RELAXED);
}

static uint32_t
add(void *object, const hk_type *type, uint32_t stack, uint8_t state)
{
    uint32_t slot = pop_free();
    struct record *r;

    if (!slot)
        slot = extend();
    if (!slot)
        return 0;
    r = record_at(slot);
    __atomic_store_n(&r->state, RECORD_FILLING, __ATOMIC_RELAXED);
    __atomic_store_n(&r->serial, r->serial + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&r->object, object, __ATOMIC_RELEASE);
    __atomic_store_n(&r->created_stack, stack, __ATOMIC_RELEASE);
    __atomic_store_n(&r->release_stack, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&r->birth_ms, host_now_ms(), __ATOMIC_RELEASE);
    __atomic_store_n(&r->type, type->id, __ATOMIC_RELEASE);
    __atomic_store_n(&r->generation, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&r->state, state, __ATOMIC_RELEASE);
    return slot;
}

uint32_t
registry_add(void *object, hk_type *type, uint32_t stack)
{
    uint32_t slot = add(object, type, stack, RECORD_TRACKED);

    if (slot)
        count_tracked(type, 1);
    return slot;
}

uint32_t
registry_add_parked(void *object, const hk_type *type, uint32_t stack)
{
    return add(object, type, stack, RECORD_PARKED);
}

void
registry_remove(uint32_t slot)
{
    struct record *r = record_at(slot);

    if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) == RECORD_TRACKED)
        count_tracked(registry_type(slot), (uint64_t)-1);
    __atomic_store_n(&r->state, RECORD_FREE, __ATOMIC_RELEASE);
    push_free(slot);
}

static int
change_state(uint32_t slot, uint8_t from, uint8_t to, uint64_t tracked)
{
    struct record *r = record_at(slot);

    if (!__atomic_compare_exchange_n(&r->state, &from, to, 0, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return 0;
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
