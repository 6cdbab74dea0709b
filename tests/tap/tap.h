/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * tap.h -- tests in C that print TAP.
 *
 * Include it in the one file of the test program:
 *
 *      int
 *      main(void)
 *      {
 *          is_int(4, strlen("knot"), "length of %s", "knot");
 *          return done_testing();
 *      }
 *
 * What is expected comes first, what was seen second.  Every check returns
 * whether it held.  plan() may come first, else the plan is printed last.
 */
#ifndef HK_TESTS_TAP_H
#define HK_TESTS_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int tap_planned, tap_run, tap_failed;

#define TAP_FORMAT(f, a) __attribute__((format(printf, f, a), unused))

static inline void
tap_print(int held, const char *format, va_list args)
{
    tap_failed += !held;
    printf("%sok %d - ", held ? "" : "not ", ++tap_run);
    vprintf(format, args);
}

/* The plan, if it is known before. */
static inline void
plan(int count)
{
    tap_planned = count;
    printf("1..%d\n", count);
    fflush(stdout);
}

/* A remark for who reads a failure; may hold several lines. */
TAP_FORMAT(1, 2)
static inline void
diag(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("# ");
    vprintf(format, args);
    printf("\n");
    fflush(stdout);
    va_end(args);
}

TAP_FORMAT(2, 3)
static inline int
ok(int held, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tap_print(held, format, args);
    printf("\n");
    fflush(stdout);
    va_end(args);
    return held;
}

TAP_FORMAT(3, 4)
static inline int
is_int(int64_t expected, int64_t seen, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tap_print(expected == seen, format, args);
    printf("\n");
    va_end(args);
    if (expected != seen)
        diag("expected %" PRId64 "\n#     seen %" PRId64, expected, seen);
    fflush(stdout);
    return expected == seen;
}

/* NULL is a value like any other. */
TAP_FORMAT(3, 4)
static inline int
is_str(const char *expected, const char *seen, const char *format, ...)
{
    va_list args;
    int held = expected == NULL || seen == NULL ? expected == seen
                                                : !strcmp(expected, seen);

    va_start(args, format);
    tap_print(held, format, args);
    printf("\n");
    va_end(args);
    if (!held)
        diag("expected %s\n#     seen %s", expected ? expected : "(null)",
             seen ? seen : "(null)");
    fflush(stdout);
    return held;
}

/* Counts that many checks as held, and says why they were not made. */
static inline void
skip(int count, const char *reason)
{
    while (count-- > 0)
        printf("ok %d # skip %s\n", ++tap_run, reason);
    fflush(stdout);
}

static inline void
skip_all(const char *reason)
{
    printf("1..0 # skip %s\n", reason);
    exit(0);
}

/* Nothing after this would make sense. */
static inline void
bail_out(const char *reason)
{
    printf("Bail out! %s\n", reason);
    exit(255);
}

/* The exit status of the test. */
static inline int
done_testing(void)
{
    if (tap_planned == 0)
        plan(tap_run);
    if (tap_failed > 0)
        diag("%d of %d failed", tap_failed, tap_run);
    return tap_failed > 0 || tap_planned != tap_run;
}

#endif
