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

struct hk_type {
    hk_type_spec spec; /* a copy, zero-extended from older callers */
    uint16_t id;
    uint64_t created, destroyed, tracked; /* __atomic, relaxed */
};

uint32_t type_count(void);       /* ids 1 .. type_count() are published */
hk_type *type_get(uint32_t id);  /* NULL: none */

/* References of an object of this type, from its header or its own count. */
uint64_t type_refcount(const hk_type *type, const void *object);
/* The header's word (stamp and count), or the foreign count. */
uint64_t type_word(const hk_type *type, const void *object);
/* size + extra_size(). */
size_t type_object_bytes(const hk_type *type, const void *object);

/* 1 once there is a type whose objects do not begin with their header: then
   an address has to be looked up (object_header). */
int type_lookup_needed(void);

/* Visits every strong reference: fields first, then spec.traverse.  Takes no
   lock, allocates and changes nothing: it runs in a copy of the process. */
int type_traverse(const hk_type *type, void *object, hk_visit_fn visit,
                  void *arg);

#endif
