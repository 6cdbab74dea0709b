/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scopes.h -- which functions, inlined ones included, an address belongs to.
 *
 * libdw finds that by walking the tree of a compile unit for each address; a
 * recording asks for thousands of addresses in a few units, so a unit's tree
 * is walked once, into a table of nested ranges.
 */
#ifndef HK_REPORTER_SCOPES_H
#define HK_REPORTER_SCOPES_H

#include <elfutils/libdw.h>
#include <stddef.h>
#include <stdint.h>

struct scope {
    Dwarf_Die die; /* DW_TAG_subprogram or DW_TAG_inlined_subroutine */
    uint32_t parent; /* scope into which it was inlined; 0: none */
};

struct scopes;

/* NULL: no memory.  unit is the DIE of a compile unit. */
struct scopes *scopes_build(Dwarf_Die *unit);
/* The innermost function at an address of the ELF file, or NULL. */
const struct scope *scopes_find(const struct scopes *s, Dwarf_Addr address);
/* The function that an inlined one is part of, or NULL. */
const struct scope *scopes_parent(const struct scopes *s,
                                  const struct scope *scope);
void scopes_free(struct scopes *s);

#endif
