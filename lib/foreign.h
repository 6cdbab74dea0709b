/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * foreign.h -- from the address of an object to its slot in the registry, for
 * objects that cannot hold it themselves.  registry_find() looks up.
 */
#ifndef HK_LIB_FOREIGN_H
#define HK_LIB_FOREIGN_H

#include <stdint.h>

/* Enters a slot whose record names object.  0, EEXIST or ENOMEM. */
int foreign_insert(const void *object, uint32_t slot);

/* Takes the object out and returns its slot, or 0: not there (any more). */
uint32_t foreign_remove(const void *object);

#endif
