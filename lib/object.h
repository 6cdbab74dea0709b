/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * object.h -- between an object, its header and its record.
 */
#ifndef HK_LIB_OBJECT_H
#define HK_LIB_OBJECT_H

#include "heapknot.h"

/* Bits of hk_object.bits besides HK_BIT_*. */
#define OBJECT_FINALIZED 4u /* its finalize has run */
#define OBJECT_PARKED 8u    /* its record was parked when its death was put
                               off */
#define OBJECT_WEAK 16u     /* there is, or was, a weak reference to it */
#define OBJECT_DEAD 32u     /* its end has begun, or it is quarantined */
#define OBJECT_LENT_RECORD 64u /* has a record for as long as its death is
                                  put off */
#define OBJECT_NOTED 512u /* has, or had, a note */

void *object_self(const hk_type *type, hk_object *header);

/* The header of an object named by its struct; NULL for a foreign one. */
hk_object *object_header(void *object);

/* Its record, or 0: it has none. */
uint32_t object_slot(void *object);

/* Its type, foreign or not; NULL: it is no object. */
hk_type *object_type(void *object);

/* hk_try_incref(), but the rest is left to the caller, who may hold a lock: to
   report a saturated count, and object_trace(). */
int object_try_incref(hk_object *header, int *saturated);

/* A reference more (1), or one less (-1) in a moment: for the agent, if it
   wants to know. */
void object_trace(hk_object *header, int by);

/* The object dies: the registry forgets it. */
void object_leave(hk_object *header, const hk_type *type);

#endif
