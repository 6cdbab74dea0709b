/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trend.c -- leak, cache or noise?  See TRENDS in analyse.h.
 *
 * What came out of tests/unit/reporter-trend-t.c, which plants the answers:
 *
 *      - The floor of a window, not its mean: a service under load breathes.
 *      - Windows of equal time.  Many short ones first, few long ones if that
 *        fails: a slow leak under noise needs long windows, a leak in a short
 *        recording has only few.
 *      - A quarter of the time is warm-up.
 *      - The rise must stand out of the breathing, else among a thousand
 *        noisy paths some would rise six times in a row by chance.
 *      - An idle end is cut off: a leak does not grow without work.
 *      - Estimates wander.  What stayed in place between two moments was
 *        sampled once and cannot differ, so the error of a rise comes from
 *        what was allocated and freed between them.
 */
#include "reporter/analyse.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOWS_MAX 12
#define WARM_UP_PART 4     /* 1/4 of the windows */
#define SLOWED 0.5         /* later growth / earlier growth: filling up */
#define FLAT_SHARE 0.05    /* of the whole rise: no growth */
#define BIG_SHARE 0.25     /* of the last value: a rise worth a word */
#define STARTUP_SHARE 0.10 /* of the time: growth that is only start-up */
#define IDLE_SHARE 0.05    /* of the busy rate: no work is done */
#define STOPPED_SHARE 0.2  /* of the earlier rate: work has stopped too */

struct window {
    double floor, top, start, end;
    double work; /* allocations so far, at its start */
    size_t lowest; /* where its floor is in the series */
};

struct windows {
    struct window items[WINDOWS_MAX];
    size_t count;
    size_t warm; /* the first of the rule */
};

static double
least(double a, double b)
{
    return a < b ? a : b;
}

static double
most(double a, double b)
{
    return a > b ? a : b;
}

static int
compare_doubles(const void *va, const void *vb)
{
    double a = *(const double *)va, b = *(const double *)vb;

    return (a > b) - (a < b);
}

static double
work_at(const struct series *s, size_t i)
{
    return s->work ? s->work[i] : s->seconds[i];
}

/* Allocations a second between two moments. */
static double
work_rate(const struct series *s, size_t from, size_t to)
{
    double seconds = s->seconds[to] - s->seconds[from];

    return seconds > 0 ? (work_at(s, to) - work_at(s, from)) / seconds : 0;
}

/* The rate that is exceeded a quarter of the time; 0 without memory. */
static double
busy_rate(const struct series *s)
{
    double *rates = calloc(s->count, sizeof *rates), rate;

    if (!rates)
        return 0;
    for (size_t i = 1; i < s->count; i++)
        rates[i - 1] = work_rate(s, i - 1, i);
    qsort(rates, s->count - 1, sizeof *rates, compare_doubles);
    rate = rates[(s->count - 1) * 3 / 4];
    free(rates);
    return rate;
}

struct series
trend_cut_idle(const struct series *s)
{
    struct series cut = *s;
    double rate = busy_rate(s) * IDLE_SHARE;

    while (cut.count > 1 && work_rate(s, cut.count - 2, cut.count - 1) < rate)
        cut.count--;
    return cut.count >= TREND_SNAPSHOTS_MIN ? cut : *s;
}

static void
cut_windows(const struct series *s, size_t total, struct windows *out)
{
    double start = s->seconds[0];
    double length = (s->seconds[s->count - 1] - start) / (double)total;
    size_t last = WINDOWS_MAX, warm = (total + WARM_UP_PART - 1) / WARM_UP_PART;

    *out = (struct windows){.count = 0};
    for (size_t i = 0; i < s->count; i++) {
        size_t k = (size_t)((s->seconds[i] - start) / length);
        struct window *w;

        if (k >= total)
            k = total - 1;
        if (k != last) {
            out->warm += k < warm;
            out->items[out->count++] = (struct window){
                s->values[i], s->values[i], s->seconds[i], 0, work_at(s, i),
                i};
        }
        last = k;
        w = &out->items[out->count - 1];
        if (s->values[i] < w->floor)
            w->lowest = i;
        w->floor = least(w->floor, s->values[i]);
        w->top = most(w->top, s->values[i]);
        w->end = s->seconds[i];
    }
}

/* How far values swing inside a window, apart from their growth. */
static double
noise_of(const struct windows *w, double growth_per_window)
{
    double swings[WINDOWS_MAX] = {0};
    size_t n = 0;

    for (size_t i = w->warm; i < w->count; i++)
        swings[n++] = most(0, w->items[i].top - w->items[i].floor
                                  - growth_per_window);
    qsort(swings, n, sizeof *swings, compare_doubles);
    return swings[n / 2];
}

/* The standard error that sampling gives to the difference of two values. */
static double
sampling_error(const struct series *s, size_t from, size_t to)
{
    double live, changed;

    if (!s->churn)
        return 0;
    live = s->per_byte * (most(0, s->values[from]) + most(0, s->values[to]));
    changed = most(0, s->churn[to] - s->churn[from]);
    return sqrt(least(live, changed) + s->unit * s->unit);
}

static int
every_window_grew(const struct windows *w)
{
    for (size_t i = w->warm + 1; i < w->count; i++)
        if (w->items[i].floor <= w->items[i - 1].floor)
            return 0;
    return 1;
}

/* Later growth as a share of earlier growth, by time and by work: whichever
   slowed down less.  The floor of a growing window is at its start. */
static double
slow_down(const struct windows *w)
{
    const struct window *a = &w->items[w->warm];
    const struct window *b = &w->items[(w->warm + w->count - 1) / 2];
    const struct window *c = &w->items[w->count - 1];
    double early = b->floor - a->floor, late = c->floor - b->floor;
    double time = (b->start - a->start) / (c->start - b->start);
    double work = (b->work - a->work) / most(c->work - b->work, 1);

    return early > 0 ? late / early * most(time, work) : 1;
}

/* The rule of growth on `total` windows; 1 if it decided. */
static int
try_leak(const struct series *s, size_t total, double least_rise,
         struct trend *out)
{
    struct windows w;
    const struct window *a, *b;
    double error;

    cut_windows(s, total, &w);
    if (w.count - w.warm < TREND_WINDOWS_MIN)
        return 0;
    a = &w.items[w.warm];
    b = &w.items[w.count - 1];
    out->kind = TREND_FLAT;
    out->windows = w.count - w.warm;
    out->rise = b->floor - a->floor;
    out->since = a->start;
    out->until = b->end;
    out->first = a->floor;
    out->last = b->floor;
    out->per_second = out->rise / (b->start - a->start);
    error = sampling_error(s, a->lowest, b->lowest);
    out->error = error * SAMPLING_Z;
    if (out->rise <= most(least_rise, error * SAMPLING_Z_SURE))
        return 0;
    out->kind = TREND_GREW;
    if (!every_window_grew(&w)
        || out->rise < noise_of(&w, out->rise / (double)(out->windows - 1)))
        return 0;
    out->kind = slow_down(&w) < SLOWED ? TREND_FILLING : TREND_LEAK;
    return 1;
}

/* The last third of a series. */
struct plateau {
    size_t from;
    double low, high, middle;
};

static void
measure_plateau(const struct series *s, struct plateau *p)
{
    double begin = s->seconds[0];
    double end = s->seconds[s->count - 1];

    p->from = s->count - 1;
    p->low = p->high = s->values[p->from];
    while (p->from > 0
           && s->seconds[p->from - 1] >= begin + (end - begin) * 2 / 3) {
        p->from--;
        p->low = least(p->low, s->values[p->from]);
        p->high = most(p->high, s->values[p->from]);
    }
    p->middle = (p->low + p->high) / 2;
}

/* Is the second half of the plateau no higher than the first? */
static int
is_level(const struct series *s, const struct plateau *p, double slack)
{
    size_t half = p->from + (s->count - p->from) / 2;
    double before = s->values[p->from], after = s->values[half];

    for (size_t i = p->from; i < half; i++)
        before = least(before, s->values[i]);
    for (size_t i = half; i < s->count; i++)
        after = least(after, s->values[i]);
    return after - before <= slack + (p->high - p->low) / 8;
}

/* It grew, and then it stood still: why? */
static int
try_plateau(const struct series *s, double least_rise, struct trend *out)
{
    struct plateau p;
    double rise, slack, begin = s->seconds[0];
    double error = sampling_error(s, 0, s->count - 1);
    size_t stop = 0;

    measure_plateau(s, &p);
    rise = p.low - s->values[0];
    slack = rise * FLAT_SHARE;
    if (rise <= most(least_rise, error * SAMPLING_Z_SURE)
        || rise < p.middle * BIG_SHARE
        || !is_level(s, &p, slack))
        return 0;
    while (s->values[stop] < p.low - slack)
        stop++;
    out->stopped = s->seconds[stop];
    out->rise = rise;
    out->error = error * SAMPLING_Z;
    out->first = s->values[0];
    out->last = s->values[s->count - 1];
    out->since = begin;
    out->until = s->seconds[s->count - 1];
    if (stop <= 2
        || out->stopped - begin < (out->until - begin) * STARTUP_SHARE)
        out->kind = TREND_STARTUP;
    else if (work_rate(s, stop, s->count - 1)
             < work_rate(s, 0, stop) * STOPPED_SHARE)
        out->kind = TREND_IDLE;
    else
        out->kind = TREND_FILLED;
    return 1;
}

struct trend
trend_of(const struct series *series, double least_rise)
{
    struct trend out = {.kind = TREND_TOO_SHORT};
    struct series s = *series;

    if (s.count < TREND_SNAPSHOTS_MIN
        || s.seconds[s.count - 1] <= s.seconds[0])
        return out;
    s = trend_cut_idle(series);
    if (s.count < 2 * WINDOWS_MAX
        || !try_leak(&s, WINDOWS_MAX, least_rise, &out))
        try_leak(&s, TREND_SNAPSHOTS_MIN, least_rise, &out);
    if (out.kind != TREND_TOO_SHORT && out.kind != TREND_LEAK)
        try_plateau(&s, least_rise, &out);
    return out;
}
