/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * latency-t.c -- percentiles of a histogram, beside those of the sorted list.
 */
#include <stdlib.h>
#include <string.h>

#include "examples/knotd/latency.h"
#include "tests/tap/tap.h"

#define TIMES 20000

static const double shares[] = {0.01, 0.5, 0.9, 0.99, 0.999, 1};

static uint64_t seed = 1;

static uint64_t
draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (seed >> 20) % below;
}

static int
compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* By nearest rank: so many are at most as long. */
static uint64_t
truth(const uint64_t *sorted, size_t n, double share)
{
    size_t i = 0;

    while ((double)(i + 1) < share * (double)n)
        i++;
    return sorted[i];
}

/* Of times that are spread over powers of two up to this. */
static void
test_percentiles(unsigned powers)
{
    static uint64_t times[TIMES];
    static struct latency halves[2];
    int bad = 0;

    memset(halves, 0, sizeof halves);
    for (size_t i = 0; i < TIMES; i++) {
        times[i] = draw(UINT64_C(1) << (1 + draw(powers)));
        latency_add(&halves[i % 2], times[i]);
    }
    latency_merge(&halves[0], &halves[1]);
    qsort(times, TIMES, sizeof *times, compare);
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        uint64_t want = truth(times, TIMES, shares[i]);
        uint64_t got = latency_percentile(&halves[0], shares[i]);

        if (got < want || (double)got > (double)want * 1.01) {
            diag("%.3f: %llu, not %llu", shares[i], (unsigned long long)got,
                 (unsigned long long)want);
            bad++;
        }
    }
    is_int(0, bad, "times of up to %u bits: within one in a hundred", powers);
    is_int((long long)times[TIMES - 1], (long long)halves[0].max_ns,
           "and the longest is exact");
    is_int(TIMES, (long long)halves[0].count, "and all were counted");
}

static void
test_ends(void)
{
    static struct latency none, one;

    is_int(0, (long long)latency_percentile(&none, 0.99), "of none: 0");
    latency_add(&one, 12345678);
    is_int(12345678, (long long)latency_percentile(&one, 0.5),
           "of one: that one");
    latency_add(&one, UINT64_MAX);
    is_int(0, latency_percentile(&one, 0.5) < 12345678,
           "a time without end does no harm");
    ok(latency_percentile(&one, 1) >= LATENCY_LIMIT_NS - 1 &&
           one.max_ns == UINT64_MAX,
       "and is the longest");
}

int
main(void)
{
    test_percentiles(6);
    test_percentiles(20);
    test_percentiles(39);
    test_ends();
    return done_testing();
}
