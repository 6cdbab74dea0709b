/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * reporter-sampling-t.c -- variances and intervals against tables, against
 * sums over known samples, and growth against noise that was made here.
 */
#include <math.h>

#include "reporter/analyse.h"
#include "reporter/sampling.h"
#include "tests/tap/tap.h"

#define DISTANCE 65536
#define STEPS 48
#define TRIALS 2000

static uint64_t seed = 1;

static uint64_t
draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Between 0 and 1, neither of them. */
static double
uniform(void)
{
    return ((double)(draw() >> 12) + 0.5) / (double)(UINT64_C(1) << 52);
}

static int
is_near(double expected, double seen, double share, const char *what)
{
    int held = ok(fabs(seen - expected) <= share * fabs(expected), "%s", what);

    if (!held)
        diag("expected %g\n#     seen %g", expected, seen);
    return held;
}

/* Quantiles as in any table of the chi-square distribution. */
static void
test_chi_square(void)
{
    is_near(7.378, sampling_chi_square(2, 1.96), 0.01, "2 degrees, upper");
    is_near(20.483, sampling_chi_square(10, 1.96), 0.002, "10, upper");
    is_near(3.247, sampling_chi_square(10, -1.96), 0.01, "10, lower");
    is_near(129.561, sampling_chi_square(100, 1.96), 0.001, "100, upper");
    is_near(74.222, sampling_chi_square(100, -1.96), 0.001, "100, lower");
    ok(sampling_chi_square(0.01, -1.96) >= 0, "never negative");
}

/* A stack with the sums that the format prescribes, and what they sum up. */
struct known {
    struct hkr_stack stack;
    double blocks, bytes, variance, bytes_seen;
};

static void
sample(struct known *k, double size, int times)
{
    double p = -expm1(-size / DISTANCE);

    k->stack.sample_bytes = DISTANCE;
    k->stack.sampled_allocations += (uint64_t)times;
    k->blocks += times / p;
    k->bytes += times * size / p;
    k->bytes_seen += times * size;
    k->variance += times * size * size * (1 - p) / (p * p);
    k->stack.allocations = (uint64_t)llround(k->blocks);
    k->stack.allocated_bytes = (uint64_t)llround(k->bytes);
}

static struct estimate
estimate(const struct known *k, int latest)
{
    struct stack_counts c = {k->stack.allocations, k->stack.frees,
                             k->stack.allocated_bytes,
                             k->stack.freed_bytes};

    return sampling_estimate(&k->stack, &c, latest);
}

static void
test_one_size(void)
{
    static const double sizes[] = {16, 1000, 20000, 65536, 200000, 400000};
    int good = 1, moment = 1, certain = 1;

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct known k = {.blocks = 0};
        struct estimate e;

        sample(&k, sizes[i], 100000);
        e = estimate(&k, 1);
        good &= fabs(e.variance / k.variance - 1) < 0.01;
        certain &= e.certain <= k.bytes_seen * 1.0001 + 2;
        moment &= fabs(estimate(&k, 0).variance / k.variance - 1) < 0.01;
    }
    ok(good, "blocks of one size: the variance is that of the samples");
    ok(moment, "the same at a moment, by the mean weight");
    ok(certain, "no more is certain than what was sampled");
}

/* The bound holds for any mixture; not far from it, but above it. */
static void
test_mixtures(void)
{
    int above = 1, bounded = 1, certain = 1;

    for (int i = 0; i < 20000; i++) {
        struct known k = {.blocks = 0};
        struct estimate e;
        int kinds = 1 + (int)(draw() % 5);

        for (int j = 0; j < kinds; j++)
            sample(&k, 16 * pow(2, uniform() * 20), 1 + (int)(draw() % 50));
        e = estimate(&k, 1);
        above &= e.variance >= k.variance * 0.9999;
        bounded &= e.variance <= (double)k.stack.sampled_allocations
                * DISTANCE * DISTANCE * 1.0001;
        certain &= e.certain <= k.bytes_seen * 1.0001 + 2;
    }
    ok(above, "mixtures: never less variance than their samples have");
    ok(bounded, "nor more than n R^2");
    ok(certain, "nor more certain bytes than were sampled");
}

static void
test_few(void)
{
    struct known none = {.stack = {.sample_bytes = DISTANCE}};
    struct known one = {.blocks = 0}, huge = {.blocks = 0};
    struct estimate e = estimate(&none, 1);
    struct interval i = sampling_interval(0, &e, 0);

    is_near(3.689 * DISTANCE, i.high, 0.01, "no sample: up to 3.7 distances");
    ok(i.low == 0 && !i.symmetric, "... from 0");
    is_near(DISTANCE, sampling_interval(0, &e, DISTANCE).high, 0,
            "... or to all there is");
    sample(&one, 16, 1);
    e = estimate(&one, 1);
    i = sampling_interval(one.bytes, &e, 0);
    is_near(5.572 * DISTANCE, i.high, 0.01, "one sample: exact upper limit");
    ok(i.low > 0 && i.low <= 0.0254 * DISTANCE, "... and lower limit");
    sample(&huge, 100e6, 1);
    e = estimate(&huge, 1);
    i = sampling_interval(100e6, &e, 0);
    ok(i.low == 100e6 && i.high == 100e6,
       "a block that no step can miss is certain");
    e = (struct estimate){0};
    i = sampling_interval(5, &e, 0);
    ok(i.low == 5 && i.high == 5, "what is exact has no width");
}

static void
test_change(void)
{
    struct known k = {.blocks = 0};
    struct estimate a, b;

    sample(&k, 64, 400);
    a = estimate(&k, 1);
    ok(sampling_change(&a, &a, 1) == 0, "no change, no error");
    is_near(1.96 * sqrt(800) * DISTANCE, sampling_change(&a, &a, 0), 0.001,
            "two recordings: both err");
    sample(&k, 64, 100);
    b = estimate(&k, 1);
    is_near(1.96 * sqrt(100) * DISTANCE, sampling_change(&a, &b, 1), 0.001,
            "only what came in between errs");
}

static uint64_t
odd_number(void)
{
    static const uint64_t list[] = {0, 1, 2, 1000, UINT32_MAX, INT64_MAX,
                                    UINT64_MAX};
    uint64_t n = draw() % 10;

    return n < 7 ? list[n] : draw() >> draw() % 64;
}

static int
makes_sense(const struct hkr_stack *s, int latest)
{
    struct stack_counts c = {s->allocations, s->frees, s->allocated_bytes,
                             s->freed_bytes};
    struct estimate e = sampling_estimate(s, &c, latest);
    double live = (double)counts_live_bytes(&c);
    struct interval i = sampling_interval(live, &e, (double)odd_number());

    return isfinite(e.variance) && e.variance >= 0 && isfinite(e.samples)
        && e.samples >= 0 && isfinite(e.unit) && e.unit >= 0
        && isfinite(e.churn) && isfinite(sampling_change(&e, &e, 0))
        && isfinite(i.low) && isfinite(i.high) && i.low >= 0 && i.low <= live
        && i.high >= live;
}

static void
test_nonsense(void)
{
    int good = 1;

    for (int i = 0; i < 300000 && good; i++) {
        struct hkr_stack s = {.allocations = odd_number(),
                              .frees = odd_number(),
                              .allocated_bytes = odd_number(),
                              .freed_bytes = odd_number(),
                              .sample_bytes = odd_number(),
                              .sampled_allocations = odd_number(),
                              .sampled_frees = odd_number()};

        good = makes_sense(&s, i & 1);
        if (!good)
            diag("a %" PRIu64 " f %" PRIu64 " ab %" PRIu64 " fb %" PRIu64
                 " R %" PRIu64 " sa %" PRIu64 " sf %" PRIu64,
                 s.allocations, s.frees, s.allocated_bytes, s.freed_bytes,
                 s.sample_bytes, s.sampled_allocations, s.sampled_frees);
    }
    ok(good, "any numbers: finite, and low <= value <= high");
}

/* How often small blocks, `rate` samples' worth of them, were sampled. */
static int
poisson(double rate)
{
    double sum = -log(uniform());
    int n = 0;

    for (; sum < rate; n++)
        sum -= log(uniform());
    return n;
}

/* A path of `live` expected samples of which a share is replaced at each
   snapshot, and that grows. */
static enum trend_kind
watch(double live, double churn, double growth, int knows)
{
    double seconds[STEPS], values[STEPS], done[STEPS], changes[STEPS];
    struct series s = {seconds, values, done, STEPS, knows ? changes : NULL,
                       DISTANCE, DISTANCE, 0};
    double now = live, changed = 0;
    int samples = poisson(live);

    for (int i = 0; i < STEPS; i++) {
        int freed = 0, made = poisson(now * churn + growth);

        for (int k = 0; k < samples; k++)
            freed += uniform() < churn;
        samples += made - freed;
        now += growth;
        changed += made + freed;
        seconds[i] = i;
        done[i] = 1000.0 * i;
        values[i] = samples * (double)DISTANCE;
        changes[i] = changed * DISTANCE * (double)DISTANCE;
    }
    return trend_of(&s, DISTANCE).kind;
}

static int
accused(double live, double churn, double growth, int knows)
{
    int n = 0;

    for (int i = 0; i < TRIALS; i++) {
        enum trend_kind kind = watch(live, churn, growth, knows);

        n += kind == TREND_LEAK || kind == TREND_FILLING;
    }
    return n;
}

static void
test_growth(void)
{
    int blind = accused(400, 0.01, 0, 0), wise = accused(400, 0.01, 0, 1);

    diag("of %d paths that do not grow, %d look as if they did", TRIALS,
         blind);
    ok(blind > 10, "sampling alone looks like growth now and then");
    is_int(0, wise, "but is not taken for it");
    is_int(0, accused(400, 0.5, 0, 1), "nor where all blocks are replaced");
    is_int(0, accused(3, 0.02, 0, 1), "nor where few are sampled");
    ok(accused(100, 0.01, 10, 1) > TRIALS * 95 / 100,
       "growth of ten samples an interval is found");
}

int
main(void)
{
    test_chi_square();
    test_one_size();
    test_mixtures();
    test_few();
    test_change();
    test_nonsense();
    test_growth();
    return done_testing();
}
