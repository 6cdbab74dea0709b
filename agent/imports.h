/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * imports.h -- the functions that a loaded object calls in others.
 *
 * Reads the dynamic section of the object where the loader has mapped it; no
 * lock, no allocation.
 */
#ifndef HK_AGENT_IMPORTS_H
#define HK_AGENT_IMPORTS_H

#include <link.h>
#include <stdint.h>

/* slot holds the address that the loader has found for name (or, bound
   lazily, an address inside the object itself). */
typedef void imports_fn(const char *name, uintptr_t *slot, void *arg);

void imports_visit(const ElfW(Dyn) *dynamic, uintptr_t bias, imports_fn *fn,
                   void *arg);

#endif
