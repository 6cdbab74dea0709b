/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * registry.h -- every tracked object, in a segmented array of records.
 *
 * An array, never a linked list: a scan reads it in a copy of the process
 * made at any instant, and a half-done insertion must not break that.
 *
 * Threads     everything here is lock-free; a record belongs to whoever took
 *             it from the free list until it is given back.
 * Memory      host_map(), never returned.
 * Fails       registry_add returns 0 when there is no memory.
 * Invariants  state is stored last (release) when a record is filled and
 *             first when it is emptied: a reader that sees TRACKED sees a
 *             whole record.  order differs each time a slot is used again;
 *             under the agent serial does, too, and does not change meanwhile.
 *             A record never straddles a page, so that a copy of the process
 *             holds it as it was at one moment.  Fields are stored with
 *             __atomic builtins; in a copy of the process plain loads do.
 *             A record of generation g < 2 lies in a group whose flag
 *             registry_flags[g] is set.
 *
 * CPython keeps each generation in a linked list, whose order shows in the
 * order in which finalizers run.  Here a record that is appended to a
 * generation gets a new, higher key (order): sorted by it, the records of a
 * generation stand as in CPython's list.  (Threads take keys in blocks, so
 * that order is exact within a thread.  Keys begin again after 2^32.)
 */
#ifndef HK_LIB_REGISTRY_H
#define HK_LIB_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "heapknot.h"
#include "lib/type.h"

/* PARKED: the object exists but is not to be looked into: it is dying, not
   yet tracked, or was untracked and its record is kept. */
enum {
    RECORD_FREE = 0,
    RECORD_FILLING = 1,
    RECORD_TRACKED = 2,
    RECORD_PARKED = 3
};

/* Beyond the three generations. */
enum {
    GENERATION_FROZEN = 3,    /* the permanent generation */
    GENERATION_COLLECTING = 4 /* garbage that a collection is about to end */
};

struct record { /* 32 bytes */
    void *object; /* the struct, or the next free slot while FREE */
    uint32_t created_stack;
    uint32_t release_stack; /* of the last decrement that left references */
    uint32_t birth_ms;
    uint32_t serial;
    union {
        struct {
            uint16_t type;
            uint8_t generation;
            uint8_t state;
        };
        uint32_t kind; /* the three at once */
    };
    uint32_t order; /* places it in its generation's list, see below */
};

#define REGISTRY_SEGMENT_RECORDS 4096u
#define REGISTRY_SEGMENTS 16384u
#define REGISTRY_GROUP 64u /* records that share their flags */
#define REGISTRY_FLAGS \
    (REGISTRY_SEGMENTS * REGISTRY_SEGMENT_RECORDS / REGISTRY_GROUP + 8)

/* Slots 1 .. registry_limit() - 1 exist; most are FREE. */
uint32_t registry_limit(void);
struct record *registry_record(uint32_t slot); /* NULL: no such segment */
hk_type *registry_type(uint32_t slot);         /* NULL: none */

/* A slot for the object, in that state from now on, or 0. */
uint32_t registry_add(void *object, const hk_type *type, uint32_t stack,
                      uint8_t state);
/* By whoever alone may still use the slot. */
void registry_remove(uint32_t slot);

/* Between TRACKED and PARKED; 1 if it was in the other state. */
int registry_park(uint32_t slot);
int registry_unpark(uint32_t slot);

extern void *registry_segments[REGISTRY_SEGMENTS]
    __attribute__((visibility("hidden")));
/* Of each group: may hold a record of generation 0, or 1. */
extern uint8_t registry_flags[2][REGISTRY_FLAGS]
    __attribute__((aligned(8), visibility("hidden")));

/* The record of a slot below the limit. */
static inline struct record *
registry_at(uint32_t slot)
{
    struct record *segment = (struct record *)__atomic_load_n(
        &registry_segments[slot / REGISTRY_SEGMENT_RECORDS],
        __ATOMIC_ACQUIRE);

    return &segment[slot % REGISTRY_SEGMENT_RECORDS];
}

uint32_t registry_next_order_slow(struct shard *s);

/* s may be NULL. */
static inline uint32_t
registry_next_order(struct shard *s)
{
    if (__builtin_expect(!s || s->order_next == s->order_end, 0))
        return registry_next_order_slow(s);
    return s->order_next++;
}

int registry_refill(struct shard *s);
void registry_spill(struct shard *s);

/* Of a record that may be anything. */
static inline int
registry_is_tracked(const struct record *r)
{
    struct record seen = {.kind = __atomic_load_n(&r->kind,
                                                  __ATOMIC_ACQUIRE)};

    return seen.state == RECORD_TRACKED;
}

static inline int
registry_generation(const struct record *r)
{
    return __atomic_load_n(&r->generation, __ATOMIC_RELAXED);
}

static inline void *
registry_object(const struct record *r)
{
    return __atomic_load_n(&r->object, __ATOMIC_RELAXED);
}

/*
 * The usual birth and death: of an object that is tracked from one to the
 * other, without a stack, with the slots of this thread.  Not in a signal
 * handler.  Neither moves hk_type_counts' tracked (shard.h).  registry_enter
 * sets the header's slot, and returns 0 if there is no memory.
 */
static inline int
registry_enter(struct shard *s, hk_object *object, const hk_type *type)
{
    struct record *r;
    uint32_t slot;

    if (__builtin_expect(s->slot_count == 0, 0) && !registry_refill(s))
        return 0;
    slot = s->slots[--s->slot_count];
    r = registry_at(slot);
    __atomic_store_n(&object->slot, slot, __ATOMIC_RELAXED);
    __atomic_store_n(&r->object, object, __ATOMIC_RELAXED);
    __atomic_store_n(&r->order, registry_next_order(s), __ATOMIC_RELAXED);
    __atomic_store_n(&r->kind, type->new_kind, __ATOMIC_RELEASE);
    __atomic_store_n(&registry_flags[0][slot / REGISTRY_GROUP], 1,
                     __ATOMIC_RELEASE);
    return 1;
}

static inline void
registry_leave(struct shard *s, uint32_t slot)
{
    struct record *r = registry_at(slot);

    __atomic_store_n(&r->state, RECORD_FREE, __ATOMIC_RELEASE);
    if (__builtin_expect(s->slot_count == SHARD_SLOTS, 0))
        registry_spill(s);
    s->slots[s->slot_count++] = slot;
}

/* Calls fn with each group that may hold a record of a generation from .. to,
   of 0 and 1. */
void registry_each_young(int from, int to,
                         void (*fn)(uint32_t group, void *arg), void *arg);

/* Clears the flags that are not true any more. */
void registry_sweep_young(void);

/* Tracked anew, as after _PyObject_GC_UNTRACK and _TRACK: in generation 0, and
   no collection at work knows it any more. */
void registry_renew(uint32_t slot);

/* Appends a tracked object to another generation, or moves it where it stands
   among others. */
void registry_append(uint32_t slot, uint8_t generation);
void registry_set_generation(uint32_t slot, uint8_t generation);

/* 1 once code of the program may run in a collection, so that order shows: a
   type has a finalizer, or a weak reference a callback. */
extern int registry_order_shows __attribute__((visibility("hidden")));

static inline void
registry_show_order(void)
{
    __atomic_store_n(&registry_order_shows, 1, __ATOMIC_RELAXED);
}

static inline int
registry_is_ordered(void)
{
    return __atomic_load_n(&registry_order_shows, __ATOMIC_RELAXED);
}

/* Zeroed memory at *cell, mapped by whoever comes first; NULL: no memory. */
void *registry_map_once(void **cell, size_t bytes);

/* Foreign objects, and those whose header is not their first member, by
   address; 0: none. */
uint32_t registry_find(const void *object);

/* The block at ptr, which was adopted, is being freed. */
void registry_forget_freed(void *ptr);

#endif
