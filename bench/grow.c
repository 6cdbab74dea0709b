/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * grow.c -- a thousand buffers that realloc enlarges by half, in random turn,
 * from 16 bytes to 16 KiB.
 *
 *      grow [CALLS]                prints nanoseconds a realloc
 */
#include "bench/bench.h"

enum { BUFFERS = 1000, FIRST = 16, LAST = 16384 };
static struct {
    char *bytes;
    size_t size;
} buffers[BUFFERS];

static __attribute__((noinline)) void
enlarge(size_t k)
{
    size_t size = buffers[k].size;

    if (size > LAST) {
        free(buffers[k].bytes);
        buffers[k].bytes = NULL;
        size = 0;
    }
    size = size == 0 ? FIRST : size + size / 2;
    buffers[k].bytes = realloc(buffers[k].bytes, size);
    if (buffers[k].bytes == NULL)
        abort();
    buffers[k].bytes[size - 1] = 1;
    buffers[k].size = size;
}

int
main(int argc, char **argv)
{
    long calls = bench_argument(argc, argv, 1, 2000000);
    uint64_t state = BENCH_SEED;
    double began = bench_now_ns();

    for (long i = 0; i < calls; i++)
        enlarge(bench_random(&state) % BUFFERS);
    bench_print(bench_now_ns() - began, calls);
    for (size_t k = 0; k < BUFFERS; k++)
        free(buffers[k].bytes);
    return 0;
}
