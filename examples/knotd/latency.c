/* SPDX-License-Identifier: BSD-2-Clause */
#include "latency.h"

#include <stddef.h>

enum { FINE_BITS = 7, FINE = 1 << FINE_BITS };

/* Up to 127 each has its own; then 128 for each power of two. */
static size_t
bucket_of(uint64_t ns)
{
    unsigned power;

    if (ns < FINE)
        return (size_t)ns;
    if (ns >= LATENCY_LIMIT_NS)
        ns = LATENCY_LIMIT_NS - 1;
    power = 63 - (unsigned)__builtin_clzll(ns);
    return (size_t)(power - FINE_BITS) * FINE +
           (size_t)(ns >> (power - FINE_BITS));
}

/* The longest time that is counted there. */
static uint64_t
end_of(size_t bucket)
{
    size_t row = bucket / FINE;

    if (row < 2)
        return bucket;
    return (((uint64_t)(bucket % FINE) + FINE + 1) << (row - 1)) - 1;
}

void
latency_add(struct latency *to, uint64_t ns)
{
    to->in[bucket_of(ns)]++;
    to->count++;
    if (ns > to->max_ns)
        to->max_ns = ns;
}

void
latency_merge(struct latency *to, const struct latency *from)
{
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        to->in[i] += from->in[i];
    to->count += from->count;
    if (from->max_ns > to->max_ns)
        to->max_ns = from->max_ns;
}

uint64_t
latency_percentile(const struct latency *of, double share)
{
    double wanted = share * (double)of->count;
    uint64_t seen = 0;

    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += of->in[i];
        if (seen && (double)seen >= wanted)
            return end_of(i) < of->max_ns ? end_of(i) : of->max_ns;
    }
    return of->max_ns;
}
