/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fields.h -- what a table of fields says about the bytes of an object.
 */
#ifndef HK_LIB_FIELDS_H
#define HK_LIB_FIELDS_H

#include <stddef.h>

#include "heapknot.h"

/* Called with the place of each strong reference, also of NULL ones.  A result
   other than 0 ends the walk. */
typedef int (*fields_fn)(void **place, const char *label, ptrdiff_t index,
                         void *arg);

/* base: the struct that the table describes; fields may be NULL. */
int fields_walk(const hk_field *fields, void *base, fields_fn fn, void *arg);

/* The same, where fn ends what the places lead to, whose code may change this
   very object's arrays and lists. */
void fields_drop(const hk_field *fields, void *base, fields_fn fn);

/* Does a row lie in the bytes from .. to - 1 of the struct? */
int fields_overlap(const hk_field *fields, size_t base, size_t from,
                   size_t to);

/* The place of each HK_WEAKREF. */
void fields_walk_weakrefs(const hk_field *fields, void *base,
                          void (*fn)(hk_weak **place));

/* Is there a row of this kind, in an embedded table perhaps? */
int fields_have(const hk_field *fields, int kind);

/* The offsets of all strong references, if the table has no more than `room`
   of them and all lie in the struct; their number, or -1. */
int fields_flatten(const hk_field *fields, size_t base, uint32_t *offsets,
                   int room);

/* Does the table make sense for a struct of this size?  0, or -1 with an
   error_set() that names the type. */
int fields_check(const hk_field *fields, size_t size, const char *type_name);

/* Do both say the same? */
int fields_equal(const hk_field *a, const hk_field *b);

#endif
