/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sampler-t.c -- blocks of known sizes: how many are sampled, what the samples
 * stand for, and what overhead= chooses.  Bounds are six standard errors.
 */
#include "tests/tap/tap.h"

#include <math.h>
#include <stdint.h>

#include "agent/counters.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/sampler.h"

static uint64_t cpu_ns;

uint64_t
os_now_ns(void)
{
    return 12345;
}

uint64_t
os_process_cpu_ns(void)
{
    return cpu_ns;
}

struct options opt;
static struct sampler sampler;

/* n blocks of one size, at R. */
static void
one_size(uint64_t distance, size_t bytes, long n)
{
    uint32_t rate;
    double p = 1 - exp(-(double)bytes / (double)distance), blocks = 0;
    double sum = 0, error = sqrt((double)n * p * (1 - p)), taken = 0;

    opt.sample = distance;
    sampler_start();
    rate = sampler_now();
    is_int((long)distance, (long)sampler_distance(rate), "R is %lu",
           (unsigned long)distance);
    for (long i = 0; i < n; i++)
        if (sampler_takes(&sampler, rate, bytes)) {
            struct weight w = sampler_weight(rate, bytes);

            taken++;
            blocks += (double)w.blocks / SAMPLER_ONE;
            sum += (double)w.bytes;
        }
    ok(fabs(taken - (double)n * p) <= 6 * error + 1,
       "%zu bytes: %.0f of %ld sampled, %.0f expected", bytes, taken, n,
       (double)n * p);
    ok(fabs(blocks - (double)n) <= 6 * error / p + (double)n * 1e-4,
       "that stand for %.0f blocks", blocks);
    ok(fabs(sum - (double)n * (double)bytes) <=
           6 * error / p * (double)bytes + (double)n * (double)bytes * 1e-4,
       "and %.0f bytes", sum);
}

/* A second of 100 ms CPU in which that many captures of 100 ns were made. */
static void
second(uint64_t captures, uint64_t allocations, uint64_t bytes)
{
    static uint64_t at, capture, events, blocks, sum;

    at += 1000000001;
    cpu_ns += 100000000;
    capture += captures * 100;
    events += allocations * 2;
    blocks += allocations;
    sum += bytes;
    sampler_adapt(at, capture, events, blocks, sum);
}

/* A program that allocates blocks of 100 bytes, so many a second. */
static void
settle(uint64_t allocations, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        uint64_t r = sampler_distance(sampler_now());

        second(r ? allocations * 100 / r : allocations, allocations,
               allocations * 100);
    }
}

static double
share_now(uint64_t allocations)
{
    uint64_t r = sampler_distance(sampler_now());

    return (double)(r ? allocations * 100 / r : allocations) * 100 / 1e8;
}

static void
adapts(void)
{
    uint32_t rate;

    opt.sample = 0;
    opt.overhead = 20000; /* 2 % */
    sampler_start();
    is_int(0, sampler_now(), "begins with every block");
    settle(1000, 3);
    is_int(0, sampler_now(), "and goes on while that is cheap");
    settle(100000, 3);
    ok(share_now(100000) <= 0.02, "keeps to 2 %% (now %.3f %%)",
       share_now(100000) * 100);
    ok(count_get(HKC_sample_bytes) == sampler_distance(sampler_now()) &&
           count_get(HKC_sample_changes) > 0,
       "and says so");
    rate = sampler_now();
    settle(100000, 20);
    ok(share_now(100000) <= 0.02 && count_get(HKC_sample_changes) < 20,
       "does not waver");
    ok(sampler_distance(rate) > 0, "an old rate stays what it was");
    settle(100, 20);
    is_int(0, sampler_now(), "back to every block when there are few");
    opt.overhead = 0;
    settle(1000000, 3);
    is_int(0, sampler_now(), "without overhead= nothing changes");
    ok(count_get(HKC_overhead_ppm) > 20000, "but it is said what it takes");
}

int
main(void)
{
    one_size(524288, 48, 20000000);
    one_size(524288, 4096, 2000000);
    one_size(524288, 524288, 100000);
    one_size(524288, 4000000, 20000);
    one_size(1024, 700, 1000000);
    one_size(1, 16, 1000);
    adapts();
    return done_testing();
}
