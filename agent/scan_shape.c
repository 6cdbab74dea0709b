/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_shape.c -- fingerprints of cycles.
 *
 * What        colour refinement over one strongly connected component, and an
 *             order of its members that does not depend on addresses.
 * Called by   scan_emit.c, scan_frames.c; unit tests.
 * Threads     any.
 * Memory      the caller's.
 * Fails       never.
 * Invariants  sums of hashes, so that neither the order of members nor that of
 *             edges matters.  The constants are part of the recording's
 *             meaning: a fingerprint is compared between runs and versions.
 */
#include "agent/scan_shape.h"

#include <string.h>

/* The finalizer of splitmix64. */
uint64_t
shape_hash(uint64_t v)
{
    v += UINT64_C(0x9E3779B97F4A7C15);
    v = (v ^ v >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    v = (v ^ v >> 27) * UINT64_C(0x94D049BB133111EB);
    return v ^ v >> 31;
}

uint64_t
shape_mix(uint64_t hash, uint64_t value)
{
    return shape_hash(hash ^ shape_hash(value));
}

/* FNV-1a, then spread. */
uint64_t
shape_text(const char *s, size_t max)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < max && s[i]; i++)
        h = (h ^ (unsigned char)s[i]) * UINT64_C(0x100000001B3);
    return shape_hash(h);
}

static void
refine_once(uint64_t *colours, uint64_t *next, uint32_t n,
            const struct shape_edge *edges, size_t edge_count)
{
    memset(next, 0, n * sizeof *next);
    for (size_t e = 0; e < edge_count; e++) {
        const struct shape_edge *d = &edges[e];

        next[d->from] += shape_mix(d->label, colours[d->to]);
        next[d->to] += shape_mix(~d->label, colours[d->from]);
    }
    for (uint32_t i = 0; i < n; i++)
        colours[i] = shape_mix(colours[i], next[i]);
}

uint64_t
shape_refine(uint64_t *colours, uint64_t *next, uint32_t n,
             const struct shape_edge *edges, size_t edge_count)
{
    uint32_t rounds = n < SHAPE_ROUNDS ? n : SHAPE_ROUNDS;
    uint64_t sum = 0;

    for (uint32_t r = 0; r < rounds; r++)
        refine_once(colours, next, n, edges, edge_count);
    for (uint32_t i = 0; i < n; i++)
        sum += shape_hash(colours[i]);
    return shape_mix(shape_mix(sum, n), edge_count);
}

static uint32_t
smallest(const uint64_t *colours, uint32_t n)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < n; i++)
        if (colours[i] < colours[best])
            best = i;
    return best;
}

uint32_t
shape_order(const uint64_t *colours, uint32_t n,
            const struct shape_edge *edges, const uint32_t *first,
            uint32_t *order, uint32_t max, uint32_t *place)
{
    uint32_t count = 0;

    if (n == 0 || max == 0)
        return 0;
    for (uint32_t i = 0; i < n; i++)
        place[i] = UINT32_MAX;
    order[0] = smallest(colours, n);
    place[order[count++]] = 0;
    for (uint32_t at = 0; at < count; at++)
        for (uint32_t e = first[order[at]];
             e < first[order[at] + 1] && count < max; e++) {
            uint32_t to = edges[e].to;

            if (place[to] == UINT32_MAX) {
                place[to] = count;
                order[count++] = to;
            }
        }
    return count;
}

int
shape_enter(uint64_t *set, uint32_t *count, uint64_t shape)
{
    uint32_t at = (uint32_t)(shape >> 32) % SHAPE_PLACES;

    shape |= !shape;
    for (; set[at]; at = (at + 1) % SHAPE_PLACES)
        if (set[at] == shape)
            return 0;
    if (*count < SHAPE_PLACES / 2) {
        set[at] = shape;
        ++*count;
    }
    return 1;
}
