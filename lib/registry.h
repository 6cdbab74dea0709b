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
 *             whole record.  serial differs each time a slot is used again.
 *             A record never straddles a page, so that a copy of the process
 *             holds it as it was at one moment.  Fields are stored with
 *             __atomic builtins; in a copy of the process plain loads do.
 */
#ifndef HK_LIB_REGISTRY_H
#define HK_LIB_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "heapknot.h"

/* PARKED: the object exists but is not to be looked into: it is dying, not
   yet tracked, or was untracked and its record is kept. */
enum {
    RECORD_FREE = 0,
    RECORD_FILLING = 1,
    RECORD_TRACKED = 2,
    RECORD_PARKED = 3
};

struct record { /* 32 bytes */
    void *object; /* the struct, or the next free slot while FREE */
    uint32_t created_stack;
    uint32_t release_stack; /* of the last decrement that left references */
    uint32_t birth_ms;
    uint32_t serial;
    uint16_t type;
    uint8_t generation;
    uint8_t state;
    uint32_t spare;
};

#define REGISTRY_SEGMENT_RECORDS 4096u
#define REGISTRY_SEGMENTS 16384u

/* Slots 1 .. registry_limit() - 1 exist; most are FREE. */
uint32_t registry_limit(void);
struct record *registry_record(uint32_t slot); /* NULL: no such segment */
hk_type *registry_type(uint32_t slot);         /* NULL: none */

/* A slot for the object, tracked (or parked) from now on, or 0.  Moves the
   type's count of tracked objects, as do the functions below. */
uint32_t registry_add(void *object, hk_type *type, uint32_t stack);
uint32_t registry_add_parked(void *object, const hk_type *type,
                             uint32_t stack);
/* By whoever alone may still use the slot. */
void registry_remove(uint32_t slot);

/* Between TRACKED and PARKED; 1 if it was in the other state. */
int registry_park(uint32_t slot);
int registry_unpark(uint32_t slot);

/* Zeroed memory at *cell, mapped by whoever comes first; NULL: no memory. */
void *registry_map_once(void **cell, size_t bytes);

/* Foreign objects, and those whose header is not their first member, by
   address; 0: none. */
uint32_t registry_find(const void *object);

/* The block at ptr, which was adopted, is being freed. */
void registry_forget_freed(void *ptr);

#endif
