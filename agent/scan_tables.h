/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_tables.h -- tables of fields, in memory of the agent.
 *
 * A type's table is the program's memory, and gone if the object file that it
 * lies in was closed.  Here it is copied once, with its texts, and the rows of
 * embedded structs in their place.
 *
 * Threads     the agent's only.
 * Memory      pool, never returned.
 * Fails       NULL: no memory, or the table cannot be read.
 */
#ifndef HK_AGENT_SCAN_TABLES_H
#define HK_AGENT_SCAN_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "lib/type.h"

struct table_row {
    const char *label;
    int kind;      /* HK_REF, HK_REF_INLINE, HK_REF_ARRAY or HK_SLIST */
    size_t offset; /* from the beginning of the object */
    size_t count;  /* elements, or the offset of their number */
    size_t next_offset, ref_offset; /* of HK_SLIST */
};

struct table_plan {
    size_t span; /* how much of an object one has to see */
    size_t count;
    struct table_row rows[];
};

/* A scan begins: what could not be read is tried once more. */
void tables_begin(void);
/* Of a type that has no traverse function. */
const struct table_plan *tables_plan(const hk_type *type);

/* Copies bytes of this process that may not be there; 0, or -errno. */
int tables_copy(void *to, const void *from, size_t bytes);
/* Copies a text, as much of it as is there and fits. */
void tables_text(char *to, size_t room, const char *from);

#endif
