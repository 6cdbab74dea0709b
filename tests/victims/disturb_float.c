/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * disturb_float.c -- floating point as the program has it.
 *
 *      disturb_float flags [MS]    what malloc and free change is counted
 *      disturb_float trap [MS]     an inexact result ends the program
 *
 * For MS milliseconds at least, so that what an agent does seldom is tried.
 * An agent that computes inside malloc, to draw a sample or to publish, leaves
 * FE_INEXACT behind, in a program that is about to ask for its own; forgets
 * flags that were set; rounds as the program does; or divides where the program
 * has unmasked exceptions, and SIGFPE ends what was sound.
 */
#define _GNU_SOURCE 1
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

enum { CALLS = 100000, KEPT = 64 };

struct state {
    int flags, rounding;
    unsigned control;
};

static struct state
look(void)
{
    struct state s = {fetestexcept(FE_ALL_EXCEPT), fegetround(), 0};

#if defined(__SSE2__)
    s.control = _mm_getcsr();
#endif
    return s;
}

static long changes;

static void
is_still(struct state was)
{
    struct state is = look();

    changes += is.flags != was.flags || is.rounding != was.rounding ||
               is.control != was.control;
}

/* In turn no flag, and some of those that an agent could raise or forget. */
static void
set_flags(int i)
{
    feclearexcept(FE_ALL_EXCEPT);
    if (i & 1)
        feraiseexcept(FE_DIVBYZERO | FE_INVALID);
    if (i & 2)
        feraiseexcept(FE_INEXACT);
}

static void
allocate(int calls, int may_raise)
{
    static void *volatile kept[KEPT];

    for (int i = 0; i < calls; i++) {
        struct state was;

        if (may_raise)
            set_flags(i);
        was = look();
        free(kept[i % KEPT]);
        is_still(was);
        if (may_raise)
            set_flags(i);
        was = look();
        kept[i % KEPT] = malloc(100 + (size_t)(i % KEPT));
        is_still(was);
    }
}

static long
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
try_flags(void)
{
    allocate(CALLS / 2, 1);
    fesetround(FE_UPWARD);
    allocate(CALLS / 2, 1);
    fesetround(FE_TONEAREST);
}

/* 0: nothing traps here. */
static int
try_traps(void)
{
    int traps;

    feclearexcept(FE_ALL_EXCEPT);
    traps = feenableexcept(FE_INEXACT) != -1;
    allocate(CALLS, 0);
    fedisableexcept(FE_ALL_EXCEPT);
    return traps;
}

int
main(int argc, char **argv)
{
    int trap = argc > 1 && strcmp(argv[1], "trap") == 0, traps = 1;
    long end = now_ms() + (argc > 2 ? atol(argv[2]) : 0);

    do {
        if (trap)
            traps = try_traps();
        else
            try_flags();
    } while (now_ms() < end);
    printf("malloc and free changed it %ld times%s\n", changes,
           traps ? "" : ", and nothing traps here");
    return changes != 0;
}
