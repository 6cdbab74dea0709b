/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * breaks.h -- without which fields would a cycle be none?
 *
 * A pure function of a small graph: nodes are members of a cycle, and each
 * edge belongs to a field.  A field breaks the graph if no cycle is left
 * without all edges of that field.  Where none does alone, a set of fields is
 * looked for step by step: the one is taken that leaves the fewest edges on
 * cycles, until none is left, and what turned out not to be needed is put
 * back.  So no field of the set can be left out, but there may be smaller sets.
 */
#ifndef HK_REPORTER_BREAKS_H
#define HK_REPORTER_BREAKS_H

#include <stdint.h>

struct breaks_edge {
    uint32_t from, to; /* nodes */
    uint32_t field;
};

struct breaks_graph {
    const struct breaks_edge *edges;
    uint32_t edge_count, node_count, field_count;
};

struct breaks {
    int cyclic;            /* else there is nothing to break */
    unsigned char *breaks; /* by field: does it alone? */
    uint32_t *set;         /* fields, in the order in which they were taken */
    uint32_t set_count;    /* 1 if a field breaks alone; 0: not cyclic */
    int incomplete;        /* more than `most` are needed */
};

/*
 * order: all fields, those that are preferred first: decides among equals.
 * most: fields of a set, at least 1.  Takes time in proportion to fields x
 * (nodes + edges) if one field will do, and to `most` times that else.  0, or
 * -1: no memory.
 */
int breaks_find(const struct breaks_graph *graph, const uint32_t *order,
                uint32_t most, struct breaks *out);
void breaks_free(struct breaks *breaks);

#endif
