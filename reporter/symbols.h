/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * symbols.h -- the symbol table of an ELF file, by address.
 *
 * libdwfl looks through the whole table for each address; this one is sorted.
 */
#ifndef HK_REPORTER_SYMBOLS_H
#define HK_REPORTER_SYMBOLS_H

#include <elfutils/libdwfl.h>

struct symbols;

/* NULL: no memory. */
struct symbols *symbols_build(Dwfl_Module *module);
/* The function whose size covers the address (libdwfl's), or NULL.  The string
   belongs to the module. */
const char *symbols_find(const struct symbols *s, GElf_Addr address);
void symbols_free(struct symbols *s);

#endif
