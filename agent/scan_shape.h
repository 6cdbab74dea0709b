/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_shape.h -- do two cycles look the same?
 *
 * A fingerprint of a component from its types and labelled edges: equal for
 * every order of the members, in every run.  Colours start as hashes of type
 * names; in each round an object's colour takes in the colours at the other
 * ends of its edges, with label and direction.
 *
 * Source      Weisfeiler and Leman 1968, colour refinement.  It cannot tell
 *             some very regular graphs apart; those count as one shape.
 * Threads     any; memory is the caller's; nothing fails.
 */
#ifndef HK_AGENT_SCAN_SHAPE_H
#define HK_AGENT_SCAN_SHAPE_H

#include <stddef.h>
#include <stdint.h>

#define SHAPE_ROUNDS 8u
#define SHAPE_PLACES 65536u /* of a set, half of which are used */

struct shape_edge {
    uint32_t from, to;
    uint64_t label; /* hash of its text */
};

/* A good 64-bit hash of one value, and of a sequence. */
uint64_t shape_hash(uint64_t value);
uint64_t shape_mix(uint64_t hash, uint64_t value);
/* Of a text, at most max bytes. */
uint64_t shape_text(const char *s, size_t max);

/* 1: the shape is new to the set, which remembers it while there is room. */
int shape_enter(uint64_t *set, uint32_t *count, uint64_t shape);

/* Refines colours[n] (in: types, out: refined); next is scratch of the same
   length.  Returns the fingerprint. */
uint64_t shape_refine(uint64_t *colours, uint64_t *next, uint32_t n,
                      const struct shape_edge *edges, size_t edge_count);

/* Lists at most max members in the order in which one meets them following
   edges from the smallest colour.  Edges are sorted by `from`, those of i are
   edges[first[i]] .. edges[first[i + 1] - 1].  place[n]: scratch; after the
   call the place of each member in order, or UINT32_MAX.  Returns how many
   are listed. */
uint32_t shape_order(const uint64_t *colours, uint32_t n,
                     const struct shape_edge *edges, const uint32_t *first,
                     uint32_t *order, uint32_t max, uint32_t *place);

#endif
