/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trace_set.h -- the objects that a trace looks at, numbered.
 */
#ifndef HK_LIB_TRACE_SET_H
#define HK_LIB_TRACE_SET_H

#include "lib/trace.h"

/* Fills t->nodes' tags, states, order and, for a young collection, slots and
   their table.  0, or -1: no memory. */
int trace_set(struct trace *t, int generation);

/* Of an address, so that an edge to anything else is noticed. */
static inline uint32_t
trace_tag(const void *object)
{
    return (uint32_t)((uintptr_t)object >> 3) | 1u << 31;
}

static inline uint32_t
trace_hash(const struct trace *t, uint32_t slot)
{
    return slot * UINT32_C(0x9e3779b1) >> (32 - t->table_bits);
}

/* The number of the node with that slot; one that is none of the set's may
   be returned for any other slot, or UINT32_MAX. */
static inline uint32_t
trace_node_of(const struct trace *t, uint32_t slot)
{
    uint32_t mask = (1u << t->table_bits) - 1, at, node;

    if (!t->slots)
        return slot;
    for (at = trace_hash(t, slot); (node = t->table[at]) != 0;
         at = (at + 1) & mask)
        if (t->slots[node - 1] == slot)
            return node - 1;
    return UINT32_MAX;
}

#endif
