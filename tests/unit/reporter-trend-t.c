/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * reporter-trend-t.c -- planted series, known answers.
 *
 * Each shape is tried with many seeds, since the rule must not depend on one
 * lucky noise.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "reporter/analyse.h"

#define LEAST 65536.0
#define SEEDS 200
#define SNAPSHOTS_MAX 4000

static int tests, failures;

static unsigned seed;
static double
noise(double up_to)
{
    seed = seed * 1664525u + 1013904223u;
    return up_to * (double)(seed >> 8) / (double)(1u << 24);
}

typedef double (*shape_fn)(double second);

static double
leak_clean(double t)
{
    return 1e6 + 20e3 * t;
}

static double
leak_noisy(double t)
{
    return 2e6 + 20e3 * t + noise(60e3);
}

static double
leak_slow(double t)
{
    return 5e6 + 300 * t + noise(50e3);
}

static double
leak_after_startup(double t)
{
    return (t < 3 ? t * 1e6 : 3e6) + 10e3 * t + noise(5e3);
}

static double
sawtooth_fast(double t)
{
    return 1e6 + 1e5 * fmod(t, 7.0) + noise(1e4);
}

static double
sawtooth_slow(double t)
{
    return 1e6 + 1e5 * fmod(t, 23.0) + noise(1e4);
}

static double
cache_linear(double t)
{
    return t < 15 ? t * 1e5 : 15e5;
}

static double
cache_saturating(double t)
{
    return 2e6 * (1 - exp(-t / 6)) + noise(1e4);
}

static double
cache_then_noise(double t)
{
    return (t < 12 ? t * 1e5 : 12e5) + noise(4e4);
}

static double
cache_filling(double t)
{
    return 5e6 * (1 - exp(-t / 12));
}

static double
startup(double t)
{
    return t < 2 ? 1e6 * t : 2e6 + noise(2e4);
}

static double
flat_noisy(double t)
{
    (void)t;
    return 4e6 + noise(1e6);
}

static double
shrinking(double t)
{
    return 9e6 - 1e4 * t;
}

static double
under_threshold(double t)
{
    return 1e6 + 1000 * t;
}

static double
load_then_idle(double t)
{
    return 1e6 + 20e3 * (t < 25 ? t : 25) + noise(1e3);
}

static double
steady_work(double t)
{
    return 1000 * t;
}

static double
work_then_idle(double t)
{
    return t < 25 ? 1000 * t : 25000 + (t - 25);
}

static double
work_short(double t)
{
    return t < 5 ? 1000 * t : 5000 + (t - 5);
}

static double
grow_short(double t)
{
    return 1e6 + 2e5 * (t < 5 ? t : 5);
}

static enum trend_kind
judge(shape_fn shape, shape_fn work, size_t n, unsigned with_seed)
{
    static double seconds[SNAPSHOTS_MAX], values[SNAPSHOTS_MAX],
        done[SNAPSHOTS_MAX];
    struct series s = {.seconds = seconds, .values = values, .work = done,
                       .count = n};

    seed = with_seed * 7919u + 1;
    for (size_t i = 0; i < n; i++) {
        seconds[i] = (double)i + 0.2;
        values[i] = shape((double)i);
        done[i] = work((double)i);
    }
    return trend_of(&s, LEAST).kind;
}

/* At least `share` of the seeds must give `want`, and none `never`. */
static void
expect(const char *what, shape_fn shape, shape_fn work, size_t n,
       enum trend_kind want, enum trend_kind never, double share)
{
    int counts[8] = {0};
    int good;

    for (unsigned i = 0; i < SEEDS; i++)
        counts[judge(shape, work, n, i)]++;
    good = counts[want] >= share * SEEDS
        && (never == want || counts[never] == 0);
    failures += !good;
    printf("%sok %d - %s\n", good ? "" : "not ", ++tests, what);
    if (!good || getenv("VERBOSE"))
        printf("# short %d flat %d grew %d startup %d filled %d idle %d "
               "filling %d leak %d\n",
               counts[0], counts[1], counts[2], counts[3], counts[4],
               counts[5], counts[6], counts[7]);
}

static void
expect_leaks(void)
{
    expect("a clean leak", leak_clean, steady_work, 40, TREND_LEAK,
           TREND_FLAT, 1);
    expect("a clean leak in 10 s", leak_clean, steady_work, 10, TREND_LEAK,
           TREND_FLAT, 1);
    expect("a leak under noise", leak_noisy, steady_work, 60, TREND_LEAK,
           TREND_FLAT, 0.98);
    expect("a slow leak, an hour", leak_slow, steady_work, 3600, TREND_LEAK,
           TREND_FLAT, 0.98);
    expect("a leak after a large start-up", leak_after_startup, steady_work,
           60, TREND_LEAK, TREND_FLAT, 0.98);
    expect("a leak that paused with its load", load_then_idle, work_then_idle,
           50, TREND_LEAK, TREND_FILLED, 1);
}

static void
expect_no_leaks(void)
{
    expect("7 snapshots are too short", leak_clean, steady_work, 7,
           TREND_TOO_SHORT, TREND_LEAK, 1);
    expect("a leak of less than the threshold", under_threshold, steady_work,
           30, TREND_FLAT, TREND_LEAK, 1);
    expect("a cache that fills and stops", cache_linear, steady_work, 40,
           TREND_FILLED, TREND_LEAK, 1);
    expect("the same, a noisy one", cache_then_noise, steady_work, 40,
           TREND_FILLED, TREND_LEAK, 0.98);
    expect("a cache that saturates", cache_saturating, steady_work, 40,
           TREND_FILLED, TREND_LEAK, 0.98);
    expect("a cache that still fills", cache_filling, steady_work, 30,
           TREND_FILLING, TREND_LEAK, 1);
    expect("start-up, then flat", startup, steady_work, 40, TREND_STARTUP,
           TREND_LEAK, 1);
    expect("it stopped when the work stopped", grow_short, work_short, 40,
           TREND_IDLE, TREND_LEAK, 1);
    expect("a shrinking heap", shrinking, steady_work, 40, TREND_FLAT,
           TREND_LEAK, 1);
}

/* Shapes for which any answer but "leak" will do, nearly always. */
static void
expect_never(const char *what, shape_fn shape, size_t n, int tolerated)
{
    int leaks = 0, good;

    for (unsigned i = 0; i < 10 * SEEDS; i++) {
        enum trend_kind k = judge(shape, steady_work, n, i);

        leaks += k == TREND_LEAK || k == TREND_FILLING;
    }
    good = leaks <= tolerated;
    failures += !good;
    printf("%sok %d - no leak: %s\n", good ? "" : "not ", ++tests, what);
    if (!good)
        printf("# %d of %d\n", leaks, 10 * SEEDS);
}

int
main(void)
{
    expect_leaks();
    expect_no_leaks();
    expect_never("a fast sawtooth", sawtooth_fast, 60, 0);
    expect_never("a slow sawtooth", sawtooth_slow, 60, 0);
    expect_never("flat noise, 40 s", flat_noisy, 40, 2);
    expect_never("flat noise, 10 minutes", flat_noisy, 600, 2);
    printf("1..%d\n", tests);
    return failures != 0;
}
