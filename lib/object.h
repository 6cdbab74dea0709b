/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * object.h -- between an object, its header and its record.
 */
#ifndef HK_LIB_OBJECT_H
#define HK_LIB_OBJECT_H

#include "heapknot.h"

/* Bits of hk_object.bits besides HK_BIT_WATCHED. */
#define OBJECT_FINALIZED 2u /* its finalize has run */
#define OBJECT_PARKED 4u    /* its record was parked when its death was put
                               off */

void *object_self(const hk_type *type, hk_object *header);

/* The header of an object named by its struct; NULL for a foreign one. */
hk_object *object_header(void *object);

/* The object dies: the registry forgets it. */
void object_leave(hk_object *header, const hk_type *type);

#endif
