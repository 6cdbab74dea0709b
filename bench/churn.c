/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * churn.c -- malloc+free pairs from call paths 20 frames deep, with 100,000
 * blocks live: what a tool adds to a pair.
 *
 *      churn [THREADS [PAIRS]]     prints nanoseconds a pair, per thread
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEPTH = 20, LIVE = 100000, THREADS_MAX = 64 };
static long pairs = 2000000;

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Two functions that call one another, so that the paths differ in their
   innermost frames; the barriers keep them from becoming loops. */
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
    __asm__ volatile("" : "+r"(p) : : "memory");
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
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static void *
churn(void *arg)
{
    uint64_t state = 88172645463325252u + (uintptr_t)arg;
    void **live = calloc(LIVE, sizeof(*live));

    for (long i = 0; i < pairs; i++) {
        uint64_t r = next_random(&state);
        size_t k = (r >> 32) % LIVE;

        free(live[k]);
        live[k] = left(DEPTH, r, 16 + (r >> 20) % 200);
        *(char *)live[k] = 1;
    }
    for (size_t k = 0; k < LIVE; k++)
        free(live[k]);
    free(live);
    return NULL;
}

int
main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    pthread_t ids[THREADS_MAX];
    struct timespec a, b;

    if (argc > 2)
        pairs = atol(argv[2]);
    if (threads < 1 || threads > THREADS_MAX || pairs < 1)
        return 2;
    clock_gettime(CLOCK_MONOTONIC, &a);
    for (int i = 0; i < threads; i++)
        pthread_create(&ids[i], NULL, churn, (void *)(intptr_t)i);
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.1f\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 +
                       (double)(b.tv_nsec - a.tv_nsec)) /
                          (double)pairs);
    return 0;
}
