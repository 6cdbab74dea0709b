/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sampling.c -- see sampling.h.
 *
 * The numbers come from a file that may be damaged: whatever they are, the
 * results are finite and not negative.
 */
#include "reporter/sampling.h"

#include <math.h>

#include "reporter/model.h"

/* From here on the normal distribution is good enough: below, its intervals
   hold the truth in less than 94.5 of 100 cases (Poisson, every mean). */
#define NORMAL_SAMPLES 30.0
#define MANY 1e12 /* blocks for one sample; g is 1 long before */
#define STEPS_MAX 60

int
sampling_used(const struct recording *rec)
{
    if (recording_counter(rec, COUNTER_sample_bytes)
        || recording_counter(rec, COUNTER_sampled_blocks))
        return 1;
    for (uint32_t i = 1; i < rec->stack_count; i++)
        if (rec->stacks[i].sample_bytes
            || (rec->stacks[i].flags & HKR_STACK_UNSAMPLED
                && rec->stacks[i].allocations))
            return 1;
    return 0;
}

static double
least(double a, double b)
{
    return a < b ? a : b;
}

static double
most_of(double a, double b)
{
    return a > b ? a : b;
}

/* x with x / (1 - exp(-x)) = w, for w >= 1: the size of a block, from its
   weight.  Newton's steps from the right of the root, where the function is
   convex: they cannot overshoot. */
static double
size_of_weight(double w)
{
    double x = least(2 * (w - 1), w);

    for (int i = 0; i < STEPS_MAX && x > 1e-9; i++) {
        double q = -expm1(-x);
        double step = (x / q - w) / ((q - x * (1 - q)) / (q * q));

        x -= step;
        if (!(step > x * 1e-12))
            break;
    }
    return x > 1e-9 ? x : 0;
}

/* The mean of b if all blocks had that size. */
static double
blocks_of_size(double x)
{
    return x > 1 / MANY ? least(MANY, -1 / expm1(-x)) : MANY;
}

static double
variance_share(double b)
{
    double l;

    if (!(b > 1))
        return 0;
    b = least(b, MANY);
    l = log1p(1 / (b - 1));
    return least(1, b * (b - 1) * l * l);
}

/* Samples that stand for so many bytes.  Each weighs R or more, so more than
   bytes / R cannot be; none for some bytes is a recording cut in the middle of
   an update. */
static double
believable(double samples, double bytes, double distance)
{
    double limit = bytes / distance;

    return samples > 0 && samples < limit ? samples : limit;
}

/* Of `samples` samples that stand for `blocks` and `bytes`, which were
   rounded: one block more does no harm. */
static double
variance_of(double distance, double samples, double blocks, double bytes)
{
    double b;

    if (!(bytes > 0))
        return 0;
    b = blocks_of_size(size_of_weight(bytes / samples / distance));
    if (samples != 1)
        b = most_of(b, (blocks + 1) / samples);
    return samples * distance * distance * variance_share(b);
}

double
sampling_per_byte(const struct hkr_stack *stack)
{
    double distance = (double)stack->sample_bytes;
    double bytes = (double)stack->allocated_bytes;
    double samples;

    if (stack->sample_bytes == 0 || stack->allocated_bytes == 0)
        return distance;
    samples =
        believable((double)stack->sampled_allocations, bytes, distance);
    return variance_of(distance, samples, (double)stack->allocations, bytes)
        / bytes;
}

/* Live samples: known now, else by the mean weight of all samples. */
static double
live_samples(const struct hkr_stack *stack, double bytes, int latest)
{
    double ever = (double)stack->sampled_allocations, samples;

    if (!latest)
        samples = stack->allocated_bytes
            ? bytes / (double)stack->allocated_bytes * ever
            : 0;
    else
        samples = stack->sampled_allocations > stack->sampled_frees
            ? (double)(stack->sampled_allocations - stack->sampled_frees)
            : 0;
    return believable(samples, bytes, (double)stack->sample_bytes);
}

/* One sample tells its size; of several, each is at most R smaller than its
   weight: x / (1 - exp(-x)) - x = x / (exp(x) - 1), which is never over 1. */
static double
certain_bytes(double distance, double samples, double bytes)
{
    if (samples == 1)
        return least(bytes, distance * size_of_weight(bytes / distance));
    return most_of(0, bytes - samples * distance);
}

struct estimate
sampling_estimate(const struct hkr_stack *stack,
                  const struct stack_counts *counts, int latest)
{
    struct estimate e = {.sampled = stack->sample_bytes != 0};
    double distance = (double)stack->sample_bytes, per_byte;
    double bytes = (double)counts_live_bytes(counts);

    if (!e.sampled)
        return e;
    per_byte = sampling_per_byte(stack);
    e.unit = distance;
    e.churn = per_byte
        * ((double)counts->allocated_bytes + (double)counts->freed_bytes);
    if (!(bytes > 0))
        return e;
    e.samples = live_samples(stack, bytes, latest);
    e.variance = latest
        ? variance_of(distance, e.samples,
                      (double)counts_live_blocks(counts), bytes)
        : bytes * per_byte;
    e.unit = sqrt(e.variance / e.samples);
    e.certain = certain_bytes(distance, e.samples, bytes);
    return e;
}

void
sampling_add(struct estimate *to, const struct estimate *from)
{
    to->sampled |= from->sampled;
    to->samples += from->samples;
    to->variance += from->variance;
    to->unit = most_of(to->unit, from->unit);
    to->certain += from->certain;
    to->churn += from->churn;
}

double
sampling_chi_square(double k, double z)
{
    double c = 2 / (9 * k), root = 1 - c + z * sqrt(c);

    return root > 0 ? k * root * root * root : 0;
}

/* Limits of a sum of weighted Poisson counts: M. P. Fay and E. J. Feuer,
   "Confidence intervals for directly standardized rates: a method based on
   the gamma distribution", Statistics in Medicine 16 (1997), 791-801.  Of
   equal weights these are the exact limits of a Poisson count; of none, 0 and
   3.7 units. */
static struct interval
gamma_interval(double value, const struct estimate *e)
{
    struct interval i = {value, value, 0};
    double more = value + e->unit;
    double variance = e->variance + e->unit * e->unit;

    if (e->variance > 0)
        i.low = e->variance / (2 * value)
            * sampling_chi_square(2 * value * value / e->variance,
                                  -SAMPLING_Z);
    if (variance > 0 && more > 0)
        i.high = variance / (2 * more)
            * sampling_chi_square(2 * more * more / variance, SAMPLING_Z);
    return i;
}

struct interval
sampling_interval(double live_bytes, const struct estimate *e, double most)
{
    struct interval i = {live_bytes, live_bytes, 1};
    double half = SAMPLING_Z * sqrt(e->variance);

    if (!e->sampled)
        return i;
    if (live_bytes > 0
        && live_bytes * live_bytes >= NORMAL_SAMPLES * e->variance) {
        i.low -= half;
        i.high += half;
    } else {
        i = gamma_interval(live_bytes, e);
    }
    i.low = least(live_bytes, most_of(i.low, e->certain));
    i.high = most_of(live_bytes, i.high);
    if (most > 0 && most >= live_bytes)
        i.high = least(i.high, most);
    return i;
}

double
sampling_change(const struct estimate *a, const struct estimate *b,
                int together)
{
    double variance = a->variance + b->variance;

    if (together)
        variance = least(variance, fabs(b->churn - a->churn));
    return SAMPLING_Z * sqrt(variance);
}
