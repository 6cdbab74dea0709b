/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_components.h -- the strongly connected components of what is lost.
 *
 * Every unreachable object is in one component.  A component is cyclic when
 * it has more than one member or its member refers to itself; everything else
 * that is unreachable hangs off cyclic ones.  The dominator of a component is
 * the last one that all ways to it lead through: were that one gone, this one
 * would be, too.
 *
 * Source      Tarjan 1972, with a stack of its own instead of recursion;
 *             dominators of an acyclic graph as in Cooper, Harvey, Kennedy
 *             2001, for which one pass is enough; Myers 1983 for the way up.
 * Threads     one.
 * Memory      graph_map(): 52 bytes a lost object while it works.
 * Fails       -1: no memory; components_free all the same.
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
    uint8_t *is_cyclic; /* of c */
    uint32_t *dominator; /* of c; GRAPH_NONE: none */
    uint32_t *jump, *depth; /* of c, while dominators are looked for */
};

/* After graph_reach. */
int components_find(const struct graph *g, struct components *c);
void components_free(struct components *c);

static inline int
components_is_cyclic(const struct components *c, uint32_t i)
{
    return c->is_cyclic[i];
}

#endif
