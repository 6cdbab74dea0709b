/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * slots.h -- references by the struct that they lead to: of objects, of those
 * whose header is further in, and of foreign ones.
 */
#ifndef HK_LIB_SLOTS_H
#define HK_LIB_SLOTS_H

#include "heapknot.h"

/* One reference more, or less.  A foreign object whose type has no retain and
   release is a mistake (HK_ERROR_NO_TYPE), and left alone. */
void object_retain(void *obj);
void object_release(void *obj);

/* Empties a place that is not NULL. */
void slots_drop(void **place);

/* The collector breaks a cycle: empties what the table names and calls
   spec.clear.  Nothing is done to an immutable object. */
void slots_clear(const hk_type *type, void *self);

/* The same, for any object, at its end. */
void slots_drop_all(const hk_type *type, void *self);

#endif
