/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * intervals.c -- see intervals.h.
 *
 * What tests/unit/reporter-intervals-t.c measures stands in docs/report.md.
 */
#include "reporter/intervals.h"

#include <math.h>

#include "reporter/analyse.h"

#define WARM_UP_SHARE 0.25
#define TEARDOWN_SHARE 0.05 /* of the time, if the process has ended */
#define SHRINKS_T -2.0
#define SNAPSHOTS_A_WINDOW 3 /* at least, where there are many windows */
#define SLOWED 0.5
#define LOAD_ROSE 1.1
#define MOMENTS_MAX (INTERVALS_MAX + 1)

/* What the rule is applied to: floors of windows, or values at marks. */
struct moments {
    size_t count;
    double values[MOMENTS_MAX];
    double at[MOMENTS_MAX];   /* seconds: of the window's start, or the mark */
    double work[MOMENTS_MAX]; /* allocations until then */
    double end, end_work;     /* of the last window */
    double swing;             /* inside a window, the median */
};

static double
work_at(const struct series *s, size_t i)
{
    return s->work ? s->work[i] : s->seconds[i];
}

static double
median(double *values, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t k = i; k && values[k] < values[k - 1]; k--) {
            double swap = values[k];

            values[k] = values[k - 1];
            values[k - 1] = swap;
        }
    return count ? values[count / 2] : 0;
}

static void
add_window(struct moments *m, const struct series *s, size_t i)
{
    m->values[m->count] = s->values[i];
    m->at[m->count] = s->seconds[i];
    m->work[m->count] = work_at(s, i);
    m->count++;
}

/* The floors of `total` windows of equal time after the warm-up, without those
   that have no snapshot.  -1: too few. */
static int
cut_windows(const struct series *s, size_t total, struct moments *m)
{
    double begin = s->seconds[0], end = s->seconds[s->count - 1];
    double start = begin + (end - begin) * WARM_UP_SHARE;
    double length = (end - start) / (double)total;
    double tops[MOMENTS_MAX];
    size_t last = total;

    *m = (struct moments){.end = end,
                          .end_work = work_at(s, s->count - 1)};
    for (size_t i = 0; i < s->count && length > 0; i++) {
        double place = (s->seconds[i] - start) / length;
        size_t window = total - 1;

        if (place < 0)
            continue;
        if (place < (double)total)
            window = (size_t)place;
        if (window != last) {
            tops[m->count] = s->values[i];
            add_window(m, s, i);
        }
        last = window;
        m->values[m->count - 1] = fmin(m->values[m->count - 1], s->values[i]);
        tops[m->count - 1] = fmax(tops[m->count - 1], s->values[i]);
    }
    for (size_t k = 0; k < m->count; k++)
        tops[k] -= m->values[k];
    m->swing = median(tops, m->count);
    return m->count > INTERVALS_FEW ? 0 : -1;
}

/* The values at the marks after the warm-up, at most MOMENTS_MAX, evenly. */
static void
take_marks(const struct series *s, const size_t *marks, size_t count,
           struct moments *m)
{
    size_t most, left = count - INTERVALS_WARM_MARKS;

    *m = (struct moments){.end = s->seconds[marks[count - 1]],
                          .end_work = work_at(s, marks[count - 1])};
    most = left < MOMENTS_MAX ? left : MOMENTS_MAX;
    for (size_t k = 0; k < most; k++)
        add_window(m, s,
                   marks[INTERVALS_WARM_MARKS
                         + k * (left - 1) / (most - 1)]);
}

/* Student's t of the deltas: is their mean more than 0? */
static double
student_t(const double *values, size_t count)
{
    double n = (double)count, sum = 0;
    double mean = (values[count] - values[0]) / n;

    for (size_t i = 0; i < count; i++) {
        double off = values[i + 1] - values[i] - mean;

        sum += off * off;
    }
    if (sum <= 0)
        return mean > 0 ? HUGE_VAL : mean < 0 ? -HUGE_VAL : 0;
    return mean / sqrt(sum / (n - 1) / n);
}

static int
every_delta_grew(const struct moments *m)
{
    for (size_t i = 1; i < m->count; i++)
        if (m->values[i] - m->values[i - 1] < 1)
            return 0;
    return 1;
}

/* The later half of the deltas as a share of the first, by time and by work:
   whichever slowed down less. */
static double
slow_down(const struct moments *m)
{
    size_t last = m->count - 1, half = last / 2, rest = last - half;
    double early = m->values[half] - m->values[0];
    double late = m->values[last] - m->values[rest];
    double early_work = m->work[half] - m->work[0];
    double late_work = m->work[last] - m->work[rest];

    if (early <= 0)
        return 1;
    return late / early * fmax(1, early_work / fmax(late_work, 1));
}

/* Allocations a second in the last window as a multiple of the first. */
static double
load_ratio(const struct moments *m)
{
    size_t last = m->count - 1;
    double first_rate = (m->work[1] - m->work[0])
        / fmax(m->at[1] - m->at[0], 1e-9);
    double last_rate = (m->end_work - m->work[last - 1])
        / fmax(m->end - m->at[last - 1], 1e-9);

    return first_rate > 0 ? last_rate / first_rate : 1;
}

static int
rose_with_load(const struct moments *m, double load)
{
    return load > LOAD_ROSE
        && m->values[m->count - 1] <= (m->values[0] + m->swing) * load;
}

/* What did the values do that did not grow in every interval? */
static enum type_verdict
calm_verdict(const struct moments *m, double t)
{
    double rise = m->values[m->count - 1] - m->values[0];
    double noise = fmax(m->swing, INTERVALS_RISE_MIN - 1);

    if (rise > noise)
        return TYPE_UNEVEN;
    return rise < -noise && t <= SHRINKS_T ? TYPE_SHRINKING : TYPE_STEADY;
}

static void
judge(const struct moments *m, int by_marks, struct type_growth *out)
{
    size_t count = m->count - 1;
    double rise = m->values[count] - m->values[0];
    double seconds = m->at[count] - m->at[0];

    *out = (struct type_growth){.by_marks = by_marks, .count = count,
                                .since = m->at[0], .until = m->end};
    for (size_t i = 0; i <= count; i++)
        out->values[i] = m->values[i];
    out->t = student_t(m->values, count);
    out->per_second = seconds > 0 ? rise / seconds : 0;
    out->load = load_ratio(m);
    if (!every_delta_grew(m) || out->t < INTERVALS_T_MIN
        || (!by_marks && rise < INTERVALS_RISE_MIN))
        out->verdict = calm_verdict(m, out->t);
    else if (slow_down(m) < SLOWED)
        out->verdict = TYPE_SLOWING;
    else if (!by_marks && rose_with_load(m, out->load))
        out->verdict = TYPE_WITH_LOAD;
    else
        out->verdict = TYPE_GROWING;
}

/* Is the verdict one of the rule, which fewer windows need not confirm? */
static int
is_decided(const struct type_growth *g)
{
    return g->verdict >= TYPE_WITH_LOAD;
}

static void
judge_windows(const struct series *s, struct type_growth *out)
{
    struct type_growth few;
    struct moments m;
    size_t warm = 0;

    while (warm < s->count
           && s->seconds[warm] < s->seconds[0]
                   + (s->seconds[s->count - 1] - s->seconds[0])
                       * WARM_UP_SHARE)
        warm++;
    if (s->count - warm >= (INTERVALS_MAX + 1) * SNAPSHOTS_A_WINDOW
        && cut_windows(s, INTERVALS_MAX + 1, &m) == 0)
        judge(&m, 0, out);
    if (is_decided(out))
        return;
    /* A stalled machine leaves gaps; some of many windows are then enough. */
    if (cut_windows(s, INTERVALS_FEW + 1, &m)
        && (out->count || cut_windows(s, INTERVALS_MAX + 1, &m)))
        return;
    judge(&m, 0, &few);
    if (is_decided(&few) || out->count == 0)
        *out = few;
}

/* Grew, and then stood still?  For what the rule did not call anything. */
static int
is_plateau(const struct series *s)
{
    switch (trend_of(s, INTERVALS_RISE_MIN).kind) {
    case TREND_STARTUP:
    case TREND_FILLED:
    case TREND_IDLE:
        return 1;
    default:
        return 0;
    }
}

/* The series without an idle end and the snapshot in which the work ended, and
   without a teardown. */
static struct series
busy_part(const struct series *s)
{
    struct series cut = trend_cut_idle(s);
    double begin = s->seconds[0], end = s->seconds[s->count - 1];

    if (cut.count < s->count && cut.count > TREND_SNAPSHOTS_MIN)
        cut.count--;
    while (s->ended && cut.count > TREND_SNAPSHOTS_MIN
           && cut.seconds[cut.count - 1]
                  > end - (end - begin) * TEARDOWN_SHARE)
        cut.count--;
    return cut;
}

struct type_growth
intervals_judge(const struct series *series, const size_t *marks,
                size_t mark_count)
{
    struct type_growth out = {.verdict = TYPE_TOO_SHORT};
    struct series s = *series;
    struct moments m;

    if (mark_count >= INTERVALS_MARKS_MIN) {
        take_marks(&s, marks, mark_count, &m);
        judge(&m, 1, &out);
    } else if (s.count >= TREND_SNAPSHOTS_MIN
               && s.seconds[s.count - 1] > s.seconds[0]) {
        s = busy_part(series);
        judge_windows(&s, &out);
    }
    if ((out.verdict == TYPE_STEADY || out.verdict == TYPE_UNEVEN)
        && is_plateau(series))
        out.verdict = TYPE_PLATEAU;
    return out;
}

const char *
intervals_word(enum type_verdict verdict)
{
    static const char *const words[] = {
#define TYPE_VERDICT(name, word) word,
        TYPE_VERDICT_LIST
#undef TYPE_VERDICT
    };

    return words[verdict];
}
