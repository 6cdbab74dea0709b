/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * intervals.h -- does a type leak?  From its live objects at each snapshot.
 *
 * The rule of CPython's regrtest -R, for services: after a warm-up every
 * interval must have grown, and by a slope that chance does not make.
 *
 *      time   |-- warm-up, 1/4 --|--1--|--2--|--3--| ...        |--11--|
 *      live         *    *   *     **  *  *  * *  *  ...          * **
 *      floor                       a     b     c                  k
 *      delta                         b-a   c-b     ...
 *
 * A type is GROWING if
 *      1. each of the deltas is 1 object or more,
 *      2. the floors rose by INTERVALS_RISE_MIN objects in all,
 *      3. mean / (standard deviation / sqrt(count)) of the deltas, Student's
 *         t, is INTERVALS_T_MIN or more,
 *      4. the second half of the deltas is no less than half of the first,
 *         by time or by work done (else it is SLOWING, perhaps a cache), and
 *      5. where the rate of allocations rose by a tenth or more, the last
 *         floor is above that factor times the first floor and the swing, the
 *         median of what the number moves inside a window (else it is
 *         WITH_LOAD).
 *
 * There are 11 windows with 10 deltas; if these do not say so, or there are
 * too few snapshots for them, 6 windows with 5.  A window without a snapshot
 * is left out, as long as 6 are left.  Cut off first: an end without
 * work and the snapshot in which it begins; of a process that has ended the
 * last 1/20 of the time, its teardown.
 *
 * Where a program made marks of one name, at least INTERVALS_MARKS_MIN, the
 * intervals are those between its marks, without the first three, or ten out
 * of them, evenly; 2 and 5 do not apply then.
 *
 * Why t of the deltas and not of the regression: a count that wanders without
 * aim has a regression as sure as that of a leak, but its deltas are as often
 * negative as positive, and of that t is the test.
 */
#ifndef HK_REPORTER_INTERVALS_H
#define HK_REPORTER_INTERVALS_H

#include <stddef.h>

struct series; /* analyse.h */

#define INTERVALS_MAX 10
#define INTERVALS_FEW 5
#define INTERVALS_RISE_MIN 10.0
#define INTERVALS_T_MIN 4.5
#define INTERVALS_WARM_MARKS 3
#define INTERVALS_MARKS_MIN (INTERVALS_WARM_MARKS + INTERVALS_FEW + 1)

/* TYPE_VERDICT(name, "word") */
#define TYPE_VERDICT_LIST                                                  \
    TYPE_VERDICT(TOO_SHORT, "too short to tell")                           \
    TYPE_VERDICT(STEADY, "steady")                                         \
    TYPE_VERDICT(SHRINKING, "shrinking")                                   \
    TYPE_VERDICT(PLATEAU, "plateau")                                       \
    TYPE_VERDICT(UNEVEN, "uneven") /* rose, but not in every interval */   \
    TYPE_VERDICT(WITH_LOAD, "with the load")                               \
    TYPE_VERDICT(SLOWING, "slowing")                                       \
    TYPE_VERDICT(GROWING, "growing")

enum type_verdict {
#define TYPE_VERDICT(name, word) TYPE_##name,
    TYPE_VERDICT_LIST
#undef TYPE_VERDICT
};

struct type_growth {
    enum type_verdict verdict;
    int by_marks;
    size_t count;                     /* of deltas; 0: too short */
    double values[INTERVALS_MAX + 1]; /* count + 1: floors, or at marks */
    double t;                         /* HUGE_VAL: all deltas are equal */
    double per_second;                /* from the first value to the last */
    double since, until;              /* seconds */
    double load;                      /* rate of allocations, last / first */
};

/* marks: indices in the series of snapshots of one name, ascending; few of
   them, or NULL, are not used. */
struct type_growth intervals_judge(const struct series *series,
                                   const size_t *marks, size_t mark_count);
const char *intervals_word(enum type_verdict verdict);

#endif
