/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * handover.c -- one thread allocates, another frees: blocks cross between
 * the allocator's arenas, and so do a tool's books.
 *
 *      handover [BLOCKS]           prints nanoseconds a block
 */
#include "bench/bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* Blocks are handed over by the batch, so that the queue costs little. */
enum { BATCH = 128, BATCHES = 32, DEPTH = 8 };
static void *ring[BATCHES][BATCH];
static _Atomic long filled, emptied; /* batches, ever */
static long batches;

static __attribute__((noinline)) void *
make(int depth, size_t bytes)
{
    void *p = depth > 0 ? make(depth - 1, bytes) : malloc(bytes);

    BENCH_FRAME(p);
    return p;
}

static void
wait_past(_Atomic long *count, long limit)
{
    while (atomic_load_explicit(count, memory_order_acquire) <= limit)
        sched_yield();
}

static void *
consume(void *unused)
{
    for (long n = 0; n < batches; n++) {
        wait_past(&filled, n);
        for (int i = 0; i < BATCH; i++)
            free(ring[n % BATCHES][i]);
        atomic_store_explicit(&emptied, n + 1, memory_order_release);
    }
    return unused;
}

static void
produce(void)
{
    uint64_t state = BENCH_SEED;

    for (long n = 0; n < batches; n++) {
        wait_past(&emptied, n - BATCHES);
        for (int i = 0; i < BATCH; i++) {
            char *p = make(DEPTH, 16 + bench_random(&state) % 200);

            *(volatile char *)p = 1;
            ring[n % BATCHES][i] = p;
        }
        atomic_store_explicit(&filled, n + 1, memory_order_release);
    }
}

int
main(int argc, char **argv)
{
    long blocks = bench_argument(argc, argv, 1, 2000000);
    pthread_t consumer;
    double began = bench_now_ns();

    batches = (blocks + BATCH - 1) / BATCH;
    if (pthread_create(&consumer, NULL, consume, NULL) != 0)
        abort();
    produce();
    pthread_join(consumer, NULL);
    bench_print(bench_now_ns() - began, batches * BATCH);
    return 0;
}
