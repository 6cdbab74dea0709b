/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * type.h -- the types of a program, as the companion keeps them.
 *
 * Types are made once and never go away; ids are dense from 1, so a reader
 * (the publisher, a scan) walks 1 .. type_count() without a lock.
 */
#ifndef HK_LIB_TYPE_H
#define HK_LIB_TYPE_H

#include <stddef.h>
#include <stdint.h>

#include "heapknot.h"
#include "lib/shard.h"

#define TYPE_REFS_MAX 12

struct hk_type {
    hk_type_spec spec; /* a copy, zero-extended from older callers */
    uint16_t id;
    uint8_t is_container; /* not a leaf: its objects are tracked */
    uint8_t is_simple;    /* its objects end by dropping refs[] and free() */
    int8_t ref_count;     /* -1: ask type_traverse */
    uint8_t has_weakrefs; /* its table has an HK_WEAKREF */
    uint16_t new_bits;    /* of hk_object, at birth */
    uint8_t is_traced;    /* in refs=: 0 not asked yet, 1 no, 2 yes */
    uint32_t new_kind;    /* of struct record */
    uint32_t refs[TYPE_REFS_MAX]; /* offsets of all strong references */
    struct shard_count shared;    /* what no shard counts; __atomic, relaxed */
};

uint32_t type_count(void);       /* ids 1 .. type_count() are published */

extern hk_type *type_table[65536] __attribute__((visibility("hidden")));

/* NULL: none. */
static inline hk_type *
type_get(uint32_t id)
{
    return id <= UINT16_MAX
               ? __atomic_load_n(&type_table[id], __ATOMIC_ACQUIRE)
               : NULL;
}

/* Created, destroyed and tracked objects (as such), in all threads. */
void type_counts(const hk_type *type, struct shard_count *sum);
/* An object more, or one that has ended; not tracked yet, or no more. */
void type_count_created(hk_type *type);
void type_count_destroyed(hk_type *type);
/* The same by whoever may be in a signal handler. */
static inline void
type_count_shared(hk_type *type, uint64_t created, uint64_t destroyed)
{
    __atomic_fetch_add(&type->shared.created, created, __ATOMIC_RELAXED);
    __atomic_fetch_add(&type->shared.destroyed, destroyed, __ATOMIC_RELAXED);
    __atomic_fetch_add(&type->shared.tracked, destroyed - created,
                       __ATOMIC_RELAXED);
}

/* References of an object of this type, from its header or its own count. */
uint64_t type_refcount(const hk_type *type, const void *object);
/* The header's word (stamp and count), or the foreign count. */
uint64_t type_word(const hk_type *type, const void *object);
/* size + extra_size(). */
size_t type_object_bytes(const hk_type *type, const void *object);

/* 1 once there is a type whose objects do not begin with their header: then
   an address has to be looked up (object_header). */
int type_lookup_needed(void);

static inline int
type_is_foreign(const hk_type *type)
{
    return (type->spec.flags & HK_TYPE_FOREIGN) != 0;
}

/* The header of an object that is not foreign. */
static inline hk_object *
type_header(const hk_type *type, const void *object)
{
    return (hk_object *)(void *)((uintptr_t)object
                                 + type->spec.header_offset);
}

/* Can the collector end its objects? */
static inline int
type_is_collectable(const hk_type *type)
{
    return !type->spec.legacy_del
           && (!type_is_foreign(type) || type->spec.release);
}

/* Visits every strong reference: fields first, then spec.traverse.  Takes no
   lock, allocates and changes nothing: it runs in a copy of the process. */
int type_traverse(const hk_type *type, void *object, hk_visit_fn visit,
                  void *arg);

#endif
