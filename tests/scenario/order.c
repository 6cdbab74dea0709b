/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * order.c -- addresses that change hands between threads all the time.
 *
 * Four threads resize, free and allocate blocks that they throw at each
 * other; an agent that keeps its books a moment too early or too late loses
 * a live block or keeps a dead one.  In the end keep() has exactly KEPT blocks
 * of 1000 bytes, and nothing else of toss() is left.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 4, ROUNDS = 120000, PLACES = 64, KEPT = 777 };

static void *places[PLACES]; /* __atomic */
static void *kept[KEPT];

static __attribute__((noinline)) void *
toss(void *block, size_t bytes)
{
    void *now = block ? realloc(block, bytes) : malloc(bytes);

    if (!now)
        abort();
    __asm__ volatile("" : "+r"(now) : : "memory");
    return now;
}

static __attribute__((noinline)) void *
keep(void)
{
    void *block = malloc(1000);

    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

static void *
work(void *arg)
{
    uint64_t random = (uintptr_t)arg * 7919 + 1;
    void *mine = NULL;

    for (int i = 0; i < ROUNDS; i++) {
        size_t bytes;

        random = random * UINT64_C(6364136223846793005) + 99991;
        bytes = 1 + (random >> 40) % 300;
        mine = toss(mine, bytes);
        mine = __atomic_exchange_n(&places[(random >> 33) % PLACES], mine,
                                   __ATOMIC_ACQ_REL);
        if (random >> 61 == 0) {
            free(mine);
            mine = NULL;
        }
    }
    free(mine);
    return NULL;
}

int
main(void)
{
    pthread_t threads[THREADS];

    for (uintptr_t t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, work, (void *)t);
    for (int i = 0; i < KEPT; i++)
        kept[i] = keep();
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (int i = 0; i < PLACES; i++)
        free(places[i]);
    printf("kept %d\n", KEPT);
    return kept[KEPT - 1] == NULL;
}
