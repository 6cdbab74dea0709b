/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * reporter-intervals-t.c -- when is a type said to leak?
 *
 * First CPython's own examples, as marks; then processes that leak nothing,
 * with fixed seeds, of which at most LEAKS_ALLOWED in a thousand may be called
 * leaking; then leaks, which must be found.  docs/report.md has the table.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "reporter/analyse.h"

#define RUNS 1000
#define LEAKS_ALLOWED 15 /* of RUNS */
#define SNAPSHOTS_MAX 3600

static int tests, failures;
static uint64_t random_state;
static double seconds[SNAPSHOTS_MAX], values[SNAPSHOTS_MAX],
    work[SNAPSHOTS_MAX];

static void
ok(int good, const char *what)
{
    failures += !good;
    printf("%sok %d - %s\n", good ? "" : "not ", ++tests, what);
}

/* 0 <= x < 1; splitmix64. */
static double
uniform(void)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static double
between(double low, double high)
{
    return low + (high - low) * uniform();
}

static double
normal(void)
{
    double sum = 0;

    for (int i = 0; i < 12; i++)
        sum += uniform();
    return sum - 6;
}

/* Objects that come and go: about Poisson, with this mean. */
static double
population(double mean)
{
    return floor(fmax(0, mean + sqrt(mean) * normal() + 0.5));
}

/* ---- what leaks nothing ------------------------------------------------- */

static void
walk_by_tens(size_t n)
{
    double v = 2000;

    for (size_t i = 0; i < n; i++)
        values[i] = v = fmax(0, v + floor(normal() * 10));
}

static void
walk_by_one(size_t n)
{
    double v = 200;

    for (size_t i = 0; i < n; i++)
        values[i] = v = fmax(0, v + (uniform() < 0.5 ? -1 : 1));
}

/* A walk that is drawn back to its middle. */
static void
wander(size_t n)
{
    double v = 0;

    for (size_t i = 0; i < n; i++) {
        v = 0.97 * v + 10 * normal();
        values[i] = floor(fmax(0, 300 + v));
    }
}

static void
come_and_go(size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = population(40);
}

/* Teeth of at most half of the time. */
static void
saw_tooth(size_t n)
{
    double period = between(3, (double)n / 2), height = between(20, 500);
    double phase = between(0, period);

    for (size_t i = 0; i < n; i++)
        values[i] = floor(50 + 3 * uniform()
                          + height * fmod((double)i + phase, period)
                              / period);
}

/* Load and live objects in waves of `periods` in the whole time. */
static void
in_waves(size_t n, double periods)
{
    double turn = 6.283185 * periods / (double)n, phase = between(0, 6.283185);
    double swing = between(0.1, 0.9), done = 0;

    for (size_t i = 0; i < n; i++) {
        double load = 1 + swing * sin(phase + turn * (double)i);

        values[i] = population(60 * load);
        work[i] = done += 1000 * load;
    }
}

static void
waves(size_t n)
{
    in_waves(n, between(2, 10));
}

/* A day that is longer than the recording: what grows, grows with the load. */
static void
part_of_a_wave(size_t n)
{
    in_waves(n, between(0.4, 1.5));
}

static void
cache_that_fills(size_t n)
{
    double full = (double)n * between(0.05, 0.65), size = between(20, 5000);

    for (size_t i = 0; i < n; i++)
        values[i] = floor(size * fmin(1, (double)i / full));
}

/* New keys become rarer. */
static void
cache_of_keys(size_t n)
{
    double scale = (double)n * between(0.03, 0.4), size = between(20, 5000);

    for (size_t i = 0; i < n; i++)
        values[i] = floor(size * (1 - exp(-(double)i / scale)))
            + population(20);
}

static void
drain(size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = floor(3 * (double)(n - i)) + population(20);
}

/* ---- leaks -------------------------------------------------------------- */

/* 1 object in 30 s, among 20 that come and go. */
static void
slow_leak(size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = floor((double)i / 30) + population(20);
}

static void
fast_leak(size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = 2 * (double)i + population(40);
}

/* 1 object in 4 minutes, beside a pool that is empty now and then: in an hour
   1 or 2 in each of 11 windows. */
static void
one_a_window(size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = floor((double)i / 240)
            + (uniform() < 0.1 ? 0 : population(5));
}

/* In proportion to a load in waves. */
static void
leak_in_waves(size_t n)
{
    double leaked = 0, done = 0, turn = 6.283185 * 12 / (double)n;

    for (size_t i = 0; i < n; i++) {
        double load = 1 + 0.8 * sin(turn * (double)i);

        leaked += 0.2 * load;
        values[i] = floor(leaked) + population(30 * load);
        work[i] = done += 1000 * load;
    }
}

/* The morning doubles the load; the leak is more than that. */
static void
leak_under_rising_load(size_t n)
{
    double done = 0;

    for (size_t i = 0; i < n; i++) {
        double load = 1 + (double)i / (double)n;

        values[i] = floor(2 * (double)i) + population(30 * load);
        work[i] = done += 1000 * load;
    }
}

/* As many live as there is load, which doubles. */
static void
rising_load(size_t n)
{
    double done = 0;

    for (size_t i = 0; i < n; i++) {
        double load = 1 + (double)i / (double)n;

        values[i] = floor(500 * load) + population(10);
        work[i] = done += 1000 * load;
    }
}

/* ------------------------------------------------------------------------- */

typedef void (*shape_fn)(size_t n);

static struct type_growth
judge(shape_fn shape, size_t n, unsigned seed)
{
    struct series s = {.seconds = seconds, .values = values, .work = work,
                       .count = n};

    random_state = seed * 1000003u + 17;
    for (size_t i = 0; i < n; i++) {
        seconds[i] = (double)i + 0.2;
        work[i] = 1000 * (double)i;
    }
    shape(n);
    return intervals_judge(&s, NULL, 0);
}

/* In a thousand. */
static int
called_leaking(shape_fn shape, size_t n)
{
    int runs = n > 1000 ? RUNS / 10 : RUNS, leaks = 0;

    for (int i = 0; i < runs; i++)
        leaks += judge(shape, n, (unsigned)i).verdict == TYPE_GROWING;
    return leaks * (RUNS / runs);
}

static void
expect_innocent(const char *what, shape_fn shape, int allowed)
{
    static const size_t lengths[] = {10, 30, 60, 120, 600, 3600};
    char text[160];
    int worst = 0, used = snprintf(text, sizeof text, "%s:", what);

    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        int leaks = called_leaking(shape, lengths[k]);

        worst = leaks > worst ? leaks : worst;
        used += snprintf(text + used, sizeof text - (size_t)used, " %d",
                         leaks);
    }
    snprintf(text + used, sizeof text - (size_t)used,
             " of 1000 called leaking in 10 s .. 1 h");
    ok(worst <= allowed, text);
}

static void
expect_found(const char *what, shape_fn shape, size_t n, int least)
{
    char text[160];
    int found = called_leaking(shape, n);

    snprintf(text, sizeof text, "%s, %zu s: found %d times of 1000", what, n,
             found);
    ok(found >= least, text);
}

static void
expect_verdict(const char *what, shape_fn shape, size_t n,
               enum type_verdict want)
{
    struct type_growth g = judge(shape, n, 1);

    ok(g.verdict == want, what);
    if (g.verdict != want)
        printf("# %s\n", intervals_word(g.verdict));
}

/* Marks after each round; deltas of the rounds after three of warm-up. */
static enum type_verdict
rounds(const double *deltas, size_t count)
{
    struct series s = {.seconds = seconds, .values = values, .work = work};
    size_t marks[64], n = 0;
    double live = 100;

    for (size_t i = 0; i < count + INTERVALS_WARM_MARKS + 1; i++) {
        if (i < INTERVALS_WARM_MARKS)
            live += 1000;
        else if (i > INTERVALS_WARM_MARKS)
            live += deltas[i - INTERVALS_WARM_MARKS - 1];
        for (int k = 0; k < 4; k++, n++) { /* busy between the marks */
            seconds[n] = (double)n;
            work[n] = 1000 * (double)n;
            values[n] = k == 3 ? live : live + 777 * (k + 1);
        }
        marks[i] = n - 1;
    }
    s.count = n;
    return intervals_judge(&s, marks, count + INTERVALS_WARM_MARKS + 1)
        .verdict;
}

#define ROUNDS(...)                                                        \
    rounds((const double[]){__VA_ARGS__},                                  \
           sizeof((const double[]){__VA_ARGS__}) / sizeof(double))

static void
test_marks(void)
{
    ok(ROUNDS(1, 1, 1, 1, 1) == TYPE_GROWING, "one object a round is a leak");
    ok(ROUNDS(3, 2, 3, 3, 2, 3) == TYPE_GROWING, "so are some");
    ok(ROUNDS(1, 1, 0, 1, 1) != TYPE_GROWING, "not if a round had none");
    ok(ROUNDS(2, 2, 2, 2, 0, 2, 2, 2, 2, 2) != TYPE_GROWING,
       "not even one of ten, sure as the slope is");
    ok(ROUNDS(3, 0, 0, 0, 0) != TYPE_GROWING, "nor 3 once");
    ok(ROUNDS(8, -8, 1, 0, 0) != TYPE_GROWING, "nor 8 that went again");
    ok(ROUNDS(0, 0, 0, 0, 0) == TYPE_PLATEAU,
       "nothing after the warm-up is a plateau");
    ok(ROUNDS(30, 14, 7, 3, 2, 1) != TYPE_GROWING, "nor what slows down");
    ok(ROUNDS(40, 1, 1, 1, 30) != TYPE_GROWING, "nor what has no slope");
    ok(ROUNDS(0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1,
              0, 0, 1, 0, 0, 1, 0, 0, 1)
           == TYPE_GROWING,
       "one object in three rounds, in thirty rounds");
    ok(ROUNDS(1, 1, 1, 1) != TYPE_GROWING, "four rounds are too few");
}

/* Numbers that can be checked by hand: 4 objects a snapshot. */
static void
by_fours(size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = 7 + 4 * (double)i;
}

static void
too_few(size_t n)
{
    for (size_t i = 0; i < n; i++)
        values[i] = floor((double)i / 5);
}

static void
test_numbers(void)
{
    struct type_growth g = judge(by_fours, 45, 1);

    ok(g.count == 10 && g.values[0] == 51 && g.values[1] == 63
           && g.values[10] == 171,
       "45 snapshots: eleven windows of three, from the twelfth on");
    ok(fabs(g.per_second - 4) < 1e-9, "4 objects a second");
    ok(g.t == HUGE_VAL, "equal deltas");
    g = judge(by_fours, 40, 1);
    ok(g.count == 5 && g.verdict == TYPE_GROWING,
       "fewer snapshots: six windows");
    ok(judge(by_fours, 7, 1).verdict == TYPE_TOO_SHORT, "7 are too few");
    ok(judge(too_few, 45, 1).verdict != TYPE_GROWING,
       "9 objects in all are no leak");
}

static void
test_ends(void)
{
    struct series s = {.seconds = seconds, .values = values, .work = work,
                       .count = 60};

    judge(by_fours, 60, 1);
    values[58] = values[59] = 0;
    ok(intervals_judge(&s, NULL, 0).verdict != TYPE_GROWING,
       "a fall at the end counts");
    s.ended = 1;
    ok(intervals_judge(&s, NULL, 0).verdict == TYPE_GROWING,
       "not if the process has ended: its teardown");
    s.ended = 0;
    for (size_t i = 49; i < 60; i++) {
        values[i] = 150;
        work[i] = work[48] + 1;
    }
    ok(intervals_judge(&s, NULL, 0).verdict == TYPE_GROWING,
       "nor a fall when the work stops");
}

/* 20 snapshots of a leak, with a gap in which the machine stood still. */
static void
test_gap(void)
{
    struct series s = {.seconds = seconds, .values = values, .work = work,
                       .count = 20};
    struct type_growth g;

    for (size_t i = 0; i < 20; i++) {
        seconds[i] = (double)i + (i >= 10 ? 4 : 0);
        values[i] = 5 * seconds[i];
        work[i] = 1000 * seconds[i];
    }
    g = intervals_judge(&s, NULL, 0);
    ok(g.verdict == TYPE_GROWING && g.count >= 5, "a gap does not hide it");
}

int
main(void)
{
    test_marks();
    test_gap();
    test_numbers();
    test_ends();
    expect_innocent("a walk by tens", walk_by_tens, LEAKS_ALLOWED);
    expect_innocent("a walk by one", walk_by_one, LEAKS_ALLOWED);
    expect_innocent("a walk around a middle", wander, LEAKS_ALLOWED);
    expect_innocent("objects that come and go", come_and_go, 1);
    expect_innocent("a saw tooth", saw_tooth, LEAKS_ALLOWED);
    expect_innocent("waves", waves, 1);
    expect_innocent("a part of a wave", part_of_a_wave, 10);
    expect_innocent("a cache that fills", cache_that_fills, 1);
    expect_innocent("a cache of ever rarer keys", cache_of_keys, 10);
    expect_innocent("a drain", drain, 0);
    expect_found("2 objects a second among 40", fast_leak, 120, 980);
    expect_found("1 object in 30 s among 20", slow_leak, 3600, 980);
    expect_found("1 object a window", one_a_window, 3600, 950);
    expect_found("in waves", leak_in_waves, 3600, 950);
    expect_found("while the load doubles", leak_under_rising_load, 600, 980);
    expect_verdict("a cache that has filled is a plateau", cache_that_fills,
                   600, TYPE_PLATEAU);
    expect_verdict("what doubles with the load is no leak", rising_load, 600,
                   TYPE_WITH_LOAD);
    expect_verdict("objects that come and go are steady", come_and_go, 600,
                   TYPE_STEADY);
    expect_verdict("a drain shrinks", drain, 600, TYPE_SHRINKING);
    printf("1..%d\n", tests);
    return failures != 0;
}
