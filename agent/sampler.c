/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sampler.c -- draws, weights, and the rate that keeps to overhead=.
 *
 * Called by   account.c with the guard held; worker.c.
 * Threads     a sampler belongs to one thread; rates are added by the agent's
 *             thread alone and never change.
 * Memory      none.
 * Fails       never; overhead= that cannot be kept is said in the counters.
 */
#include "agent/sampler.h"

#include <errno.h>
#include <math.h>

#include "agent/counters.h"
#include "agent/options.h"
#include "agent/os.h"

#define DISTANCE_MAX (UINT64_C(1) << 40)
#define ADAPT_NS 1000000000u
#define SETTLE 4 /* times fewer captures than allowed, before there are more */
/* What an event costs that is not sampled: hook, index, counters. */
#define EVENT_NS 6u

uint32_t sampler_rate, sampler_is_used;
static uint64_t distances[SAMPLER_RATES];
static uint32_t rate_count = 1;

/* The rate of that distance; 0 where there is no more room. */
static uint32_t
rate_of(uint64_t distance)
{
    for (uint32_t i = 0; i < rate_count; i++)
        if (distances[i] == distance)
            return i;
    if (rate_count == SAMPLER_RATES)
        return sampler_rate;
    distances[rate_count] = distance;
    return rate_count++;
}

void
sampler_start(void)
{
    if (opt.sample > DISTANCE_MAX)
        opt.sample = DISTANCE_MAX;
    sampler_is_used = opt.sample || opt.overhead;
    sampler_rate = rate_of(opt.sample);
    count_set(HKC_sample_bytes, opt.sample);
}

uint64_t
sampler_distance(uint32_t rate)
{
    return distances[rate];
}

static __attribute__((noinline)) struct weight
weigh(uint32_t rate, uint64_t bytes)
{
    double p = -expm1(-(double)bytes / (double)distances[rate]);

    return (struct weight){(uint64_t)(SAMPLER_ONE / p + 0.5),
                           (uint64_t)((double)bytes / p + 0.5)};
}

struct weight
sampler_weight(uint32_t rate, uint64_t bytes)
{
    int saved_errno = errno;
    uint64_t state = float_begin();
    struct weight w = weigh(rate, bytes);

    float_end(state);
    errno = saved_errno;
    return w;
}

/* Vigna, "Further scramblings of Marsaglia's xorshift generators": the high
   bits are as good as one needs here. */
static double
uniform(struct sampler *s) /* in (0, 1] */
{
    uint64_t x = s->random;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    s->random = x;
    return (double)((x * UINT64_C(2685821657736338717) >> 11) + 1) * 0x1p-53;
}

static __attribute__((noinline)) int64_t
draw_bytes(struct sampler *s, uint32_t rate)
{
    double bytes = -log(uniform(s)) * (double)distances[rate];

    return bytes < 0x1p62 ? (int64_t)bytes : INT64_C(1) << 62;
}

static int64_t
draw(struct sampler *s, uint32_t rate)
{
    uint64_t state = float_begin();
    int64_t bytes = draw_bytes(s, rate);

    float_end(state);
    return bytes;
}

static uint64_t
seed(const struct sampler *s)
{
    uint64_t x = os_now_ns() ^ (uint64_t)(uintptr_t)s * 0x9E3779B97F4A7C15u;

    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (x ^ x >> 31) | 1;
}

/* A new rate begins with a new draw: an exponential one has no memory, so this
   block starts afresh. */
int
sampler_draw(struct sampler *s, uint32_t rate, size_t bytes)
{
    if (!s->random)
        s->random = seed(s);
    if (s->rate != rate) {
        s->rate = rate;
        s->countdown = draw(s, rate) - (int64_t)bytes;
        if (s->countdown >= 0)
            return 0;
    }
    s->countdown = draw(s, rate);
    return 1;
}

/* ---- overhead= ----------------------------------------------------------- */

struct spent {
    uint64_t at_ns, cpu_ns, capture_ns, events, allocations, bytes;
};
static struct spent before;

void
sampler_reset(void)
{
    before = (struct spent){.at_ns = 0};
}

static void
change(uint64_t distance)
{
    uint32_t rate;

    if (distance > DISTANCE_MAX)
        distance = DISTANCE_MAX;
    if (distance < opt.sample)
        distance = opt.sample;
    rate = rate_of(distance);
    if (rate == sampler_rate)
        return;
    __atomic_store_n(&sampler_rate, rate, __ATOMIC_RELAXED);
    count_set(HKC_sample_bytes, distances[rate]);
    count_add(HKC_sample_changes, 1);
}

static uint64_t
power_of_two(double x)
{
    uint64_t p = 1024;

    while ((double)p < x && p < DISTANCE_MAX)
        p *= 2;
    return p;
}

/*
 * The part of the budget that is left for captures once the fixed cost of each
 * event is paid.  Where that alone takes more, a quarter is spent on captures
 * all the same: fewer would hardly be cheaper, and tell nothing.
 */
static double
allow(double base)
{
    double budget = (double)opt.overhead / 1e6;

    return base < budget * 3 / 4 ? budget - base : budget / 4;
}

/* share: what captures take, allowed: what they may.  So many times fewer are
   wanted: that many times the distance, or, where every block has been
   captured, of the mean size. */
static void
choose(double share, double allowed, const struct spent *d)
{
    uint64_t now = distances[sampler_rate];
    double mean = d->allocations ? (double)d->bytes / (double)d->allocations
                                 : 0;

    if (share > allowed)
        change(power_of_two((now ? (double)now : mean) * (share / allowed)));
    else if (now > 1024 && share * SETTLE < allowed)
        change(now / 2);
    else if (now == 1024 && share * SETTLE * 1024 < allowed * mean)
        change(0);
}

void
sampler_adapt(uint64_t now_ns, uint64_t capture_ns, uint64_t events,
              uint64_t allocations, uint64_t allocated_bytes)
{
    struct spent s = {now_ns, 0, capture_ns,
                      events, allocations, allocated_bytes};
    struct spent d;
    double cpu, share, base;

    if (now_ns - before.at_ns < ADAPT_NS)
        return;
    s.cpu_ns = os_process_cpu_ns();
    if (!before.at_ns) {
        before = s;
        return;
    }
    d = (struct spent){s.at_ns - before.at_ns,
                       s.cpu_ns - before.cpu_ns,
                       s.capture_ns - before.capture_ns,
                       s.events - before.events,
                       s.allocations - before.allocations,
                       s.bytes - before.bytes};
    before = s;
    if (d.cpu_ns < ADAPT_NS / 100) /* idle: nothing to learn from */
        return;
    cpu = (double)d.cpu_ns;
    share = (double)d.capture_ns / cpu;
    base = (double)(d.events * EVENT_NS) / cpu;
    count_set(HKC_overhead_ppm, (uint64_t)((share + base) * 1e6));
    if (opt.overhead)
        choose(share, allow(base), &d);
}
