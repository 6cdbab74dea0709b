/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * paths.c -- 100,000 different call paths of 17 frames, each visited in turn:
 * a tool meets every stack for the first time, and its tables are larger than
 * the caches of the processor.  One block for each path is live.
 *
 *      paths [PAIRS]               prints nanoseconds a malloc+free pair
 */
#include "bench/bench.h"

enum { DEPTH = 17, PATHS = 100000 };
static void *live[PATHS];

static void *right(int depth, uint32_t turns);

/* The bits of `turns` are the path: 2^17 of them. */
static __attribute__((noinline)) void *
left(int depth, uint32_t turns)
{
    void *p;

    if (depth == 0)
        p = malloc(40);
    else if (turns & 1)
        p = right(depth - 1, turns >> 1);
    else
        p = left(depth - 1, turns >> 1);
    BENCH_FRAME(p);
    return p;
}

static __attribute__((noinline)) void *
right(int depth, uint32_t turns)
{
    void *p;

    if (depth == 0)
        p = malloc(48);
    else if (turns & 1)
        p = right(depth - 1, turns >> 1);
    else
        p = left(depth - 1, turns >> 1);
    BENCH_FRAME(p);
    return p;
}

int
main(int argc, char **argv)
{
    long pairs = bench_argument(argc, argv, 1, 500000);
    double began = bench_now_ns();

    /* The step has no factor in common with PATHS: every path is visited
       before one is visited twice. */
    for (long i = 0; i < pairs; i++) {
        uint32_t path = (uint32_t)((uint64_t)i * 61803 % PATHS);

        free(live[path]);
        live[path] = left(DEPTH, path);
        *(volatile char *)live[path] = 1;
    }
    bench_print(bench_now_ns() - began, pairs);
    return 0;
}
