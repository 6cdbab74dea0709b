/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_components.h -- the strongly connected components of what is lost.
 *
 * Every unreachable object is in one component.  A component is cyclic when
 * it has more than one member or its member refers to itself; everything else
 * that is unreachable hangs off a cyclic one, its owner.
 *
 * Source      Tarjan 1972, with a stack of its own instead of recursion.
 * Threads     one.
 * Memory      graph_map(): 32 bytes a lost object while it works.
 * Fails       -1: no memory.
 * Invariants  an edge between two components leads from the larger number to
 *             the smaller one.
 */
#ifndef HK_AGENT_SCAN_COMPONENTS_H
#define HK_AGENT_SCAN_COMPONENTS_H

#include <stdint.h>

#include "agent/scan_graph.h"

struct components {
    uint32_t lost_count;
    uint32_t *node;      /* of a lost object; ascending */
    uint32_t *component; /* of a lost object */
    uint32_t count;
    uint32_t *first;   /* members of c: first[c] .. first[c + 1] - 1 */
    uint32_t *members; /* lost objects by component, ascending inside */
    uint32_t *owner;   /* cyclic: itself; else the cyclic one it hangs off,
                          the first found; GRAPH_NONE: none */
};

/* After graph_reach. */
int components_find(const struct graph *g, struct components *c);
void components_free(struct components *c);

static inline int
components_is_cyclic(const struct components *c, uint32_t i)
{
    return c->owner[i] == i;
}

#endif
