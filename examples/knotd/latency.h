/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * latency.h -- a histogram of times, and their percentiles.
 *
 * Buckets are as wide as a 128th of what they count (as in HdrHistogram), so
 * that a percentile is never under the true one, and over it by less than one
 * in a hundred.  A histogram belongs to one thread; add up when all are done.
 */
#ifndef KNOTD_LATENCY_H
#define KNOTD_LATENCY_H

#include <stdint.h>

#define LATENCY_LIMIT_NS (UINT64_C(1) << 40) /* 18 minutes; more is that */
#define LATENCY_BUCKETS ((40 - 6) * 128)

struct latency {
    uint64_t count, max_ns;
    uint64_t in[LATENCY_BUCKETS];
};

void latency_add(struct latency *to, uint64_t ns);
void latency_merge(struct latency *to, const struct latency *from);
/* A share of times, such as 0.99, are at most this long; 0: there are none. */
uint64_t latency_percentile(const struct latency *of, double share);

#endif
