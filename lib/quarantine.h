/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * quarantine.h -- the dead, remembered for a while, so that who still uses
 * one can be told where it was made and where it died.  Under the agent only:
 * it also holds the memory of the dead back for as long.
 */
#ifndef HK_LIB_QUARANTINE_H
#define HK_LIB_QUARANTINE_H

#include <stdint.h>

#include "heapknot.h"
#include "lib/mistake.h"

#define QUARANTINE_DEATHS 1024u

/*
 * The object is about to be ended by its dealloc; slot is its record, or 0.
 * Before object_leave(), and only if host_is_agent().  Notes where it was made
 * and where it dies, sets OBJECT_DEAD, and has the host call
 * quarantine_block_freed() when its block is freed.
 */
void quarantine_dies(hk_object *header, const hk_type *type, uint32_t slot);

/* The type of what died at this address (the struct's), or NULL: nothing did,
   or too long ago. */
const hk_type *quarantine_find(const void *object, struct mistake_past *past);

/*
 * The block at ptr, which the host was told to watch, is being freed, or moved
 * by realloc().  A tracked object in it is reported and forgotten.
 */
enum {
    QUARANTINE_RAW = 1, /* it was registered until now */
    QUARANTINE_HOLD = 2 /* hold its memory back if you can */
};
int quarantine_block_freed(void *ptr);

/* The block is held back: what is there is a dead object from now on. */
void quarantine_bury(void *ptr);
/* It is being freed again. */
void quarantine_freed_again(const void *ptr);

#endif
