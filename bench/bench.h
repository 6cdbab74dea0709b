/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * bench.h -- what the C workloads share: a random number, a clock, and the
 * one line that bench/run reads.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Keeps a call from becoming a jump and a loop: every level is a frame. */
#define BENCH_FRAME(p) __asm__ volatile("" : "+r"(p) : : "memory")

#define BENCH_SEED UINT64_C(88172645463325252)

static inline uint64_t
bench_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline double
bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Argument `at`, at least 1. */
static inline long
bench_argument(int argc, char **argv, int at, long otherwise)
{
    long n = argc > at ? atol(argv[at]) : otherwise;

    if (n < 1) {
        fprintf(stderr, "%s: argument %d is no count\n", argv[0], at);
        exit(2);
    }
    return n;
}

static inline void
bench_print(double ns, long operations)
{
    printf("bench %.2f\n", ns / (double)operations);
}

#endif
