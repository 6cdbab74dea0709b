/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * hold.c -- holds memory, for others to weigh: BLOCKS live blocks of 48 bytes,
 * or THREADS live threads of which each has allocated from 20 frames deep.
 * Prints "held PID", and ends when stdin does.
 *
 *      hold blocks BLOCKS
 *      hold threads THREADS
 */
#include "bench/bench.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH = 20, BYTES = 48, EACH = 32, STACK = 128 * 1024 };
static pthread_barrier_t all_here, all_go;

static __attribute__((noinline)) void *
make(int depth, size_t bytes)
{
    void *p = depth > 0 ? make(depth - 1, bytes) : malloc(bytes);

    BENCH_FRAME(p);
    return p;
}

static void
weigh_me(void)
{
    char c;

    printf("held %ld\n", (long)getpid());
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
}

static void
hold_blocks(long count)
{
    void **chain = NULL;

    for (long i = 0; i < count; i++) {
        void **block = make(4, BYTES);

        if (block == NULL)
            abort();
        *block = chain;
        chain = block;
    }
    weigh_me();
}

static void *
one_thread(void *unused)
{
    void *mine[EACH];

    for (int i = 0; i < EACH; i++)
        mine[i] = make(DEPTH, BYTES);
    for (int i = 0; i < EACH / 2; i++)
        free(mine[i]);
    pthread_barrier_wait(&all_here);
    pthread_barrier_wait(&all_go);
    for (int i = EACH / 2; i < EACH; i++)
        free(mine[i]);
    return unused;
}

static void
hold_threads(long count)
{
    pthread_t *ids = calloc((size_t)count, sizeof(*ids));
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, STACK);
    pthread_barrier_init(&all_here, NULL, (unsigned)count + 1);
    pthread_barrier_init(&all_go, NULL, (unsigned)count + 1);
    for (long i = 0; i < count; i++)
        if (pthread_create(&ids[i], &small, one_thread, NULL) != 0)
            abort();
    pthread_barrier_wait(&all_here);
    weigh_me();
    pthread_barrier_wait(&all_go);
    for (long i = 0; i < count; i++)
        pthread_join(ids[i], NULL);
    free(ids);
}

int
main(int argc, char **argv)
{
    long count = bench_argument(argc, argv, 2, 1000);

    if (argc > 1 && strcmp(argv[1], "threads") == 0)
        hold_threads(count);
    else
        hold_blocks(count);
    return 0;
}
