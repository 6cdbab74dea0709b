/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * churn.c -- malloc+free pairs from call paths 20 frames deep, with 100,000
 * blocks live: what a tool adds to a pair.
 *
 *      churn [THREADS [PAIRS]]     prints nanoseconds a pair, per thread
 */
#include "bench/bench.h"

#include <pthread.h>

enum { DEPTH = 20, LIVE = 100000, THREADS_MAX = 64 };
static long pairs;
static pthread_barrier_t primed;
static double began[THREADS_MAX], ended[THREADS_MAX];

/* Two functions that call one another, so that the paths differ in their
   innermost frames. */
static void *right(int depth, uint64_t turns, size_t bytes);

static __attribute__((noinline)) void *
left(int depth, uint64_t turns, size_t bytes)
{
    void *p;

    if (depth == 0)
        p = malloc(bytes);
    else if (depth < 3 && (turns & 1))
        p = right(depth - 1, turns >> 1, bytes);
    else
        p = left(depth - 1, turns >> 1, bytes);
    BENCH_FRAME(p);
    return p;
}

static __attribute__((noinline)) void *
right(int depth, uint64_t turns, size_t bytes)
{
    void *p;

    if (depth == 0)
        p = malloc(bytes);
    else
        p = left(depth - 1, turns >> 1, bytes);
    BENCH_FRAME(p);
    return p;
}

static void
replace(void **slot, uint64_t r)
{
    free(*slot);
    *slot = left(DEPTH, r, 16 + (r >> 20) % 200);
    *(volatile char *)*slot = 1;
}

/* Fills its blocks before the clock runs, so that few pairs measure the same
   as many. */
static void *
churn(void *arg)
{
    int me = (int)(intptr_t)arg;
    uint64_t state = BENCH_SEED + (uint64_t)me;
    void **live = calloc(LIVE, sizeof(*live));

    for (size_t k = 0; k < LIVE; k++)
        replace(&live[k], bench_random(&state));
    pthread_barrier_wait(&primed);
    began[me] = bench_now_ns();
    for (long i = 0; i < pairs; i++) {
        uint64_t r = bench_random(&state);

        replace(&live[(r >> 32) % LIVE], r);
    }
    ended[me] = bench_now_ns();
    for (size_t k = 0; k < LIVE; k++)
        free(live[k]);
    free(live);
    return NULL;
}

int
main(int argc, char **argv)
{
    long threads = bench_argument(argc, argv, 1, 1);
    pthread_t ids[THREADS_MAX];
    double first, last;

    pairs = bench_argument(argc, argv, 2, 2000000);
    if (threads > THREADS_MAX)
        return 2;
    pthread_barrier_init(&primed, NULL, (unsigned)threads);
    for (long i = 0; i < threads; i++)
        if (pthread_create(&ids[i], NULL, churn, (void *)(intptr_t)i) != 0)
            abort();
    for (long i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    first = began[0];
    last = ended[0];
    for (long i = 1; i < threads; i++) {
        first = began[i] < first ? began[i] : first;
        last = ended[i] > last ? ended[i] : last;
    }
    bench_print(last - first, pairs);
    return 0;
}
