/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * hold.c -- holds memory in ways that cost an agent some, and says what the
 * kernel counts.
 *
 *      hold blocks N BYTES     N live blocks
 *      hold stacks N BYTES     as many, each from a call path of its own
 *      hold threads N          N live threads, each allocates 20 frames deep
 *
 * Prints "rss BYTES anonymous BYTES truth ALLOCATIONS FREES LIVE-BYTES sum S"
 * while everything is held.  sum: of what it wrote into the blocks and found
 * there again.  A fifth of the blocks is freed again.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
enum { BITS = 20, DEEP = 20, THREADS_MAX = 2000 };

static unsigned long allocations, frees;
static unsigned long long live_bytes;

static NOINLINE void *left(unsigned path, unsigned bits, size_t bytes);
static NOINLINE void *right(unsigned path, unsigned bits, size_t bytes);

/* Of 2^bits paths the one that has that number. */
static inline void *
walk(unsigned path, unsigned bits, size_t bytes)
{
    void *p = !bits      ? malloc(bytes)
              : path & 1 ? right(path >> 1, bits - 1, bytes)
                         : left(path >> 1, bits - 1, bytes);

    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static void *
left(unsigned path, unsigned bits, size_t bytes)
{
    return walk(path, bits, bytes);
}

static void *
right(unsigned path, unsigned bits, size_t bytes)
{
    return walk(path, bits, bytes);
}

/* Without stdio, which allocates. */
static void
say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(99);
}

static void
tell(unsigned long long sum)
{
    char text[256] = "";
    unsigned long all, resident, shared;
    int fd = open("/proc/self/statm", O_RDONLY);

    if (read(fd, text, sizeof text - 1) <= 0 ||
        sscanf(text, "%lu %lu %lu", &all, &resident, &shared) != 3)
        _exit(98);
    close(fd);
    snprintf(text, sizeof text,
             "rss %lu anonymous %lu truth %lu %lu %llu sum %llu\n",
             resident * 4096, (resident - shared) * 4096, allocations, frees,
             live_bytes, sum);
    say(text);
}

static void
hold_blocks(unsigned long n, size_t bytes, unsigned bits)
{
    uint64_t **list = mmap(NULL, n * sizeof *list, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long long sum = 0;

    if (list == MAP_FAILED)
        _exit(97);
    for (unsigned long i = 0; i < n; i++) {
        list[i] = left((unsigned)i, bits, bytes);
        *list[i] = i;
        allocations++;
        live_bytes += bytes;
    }
    for (unsigned long i = 0; i < n; i += 5) {
        sum += *list[i];
        free(list[i]);
        frees++;
        live_bytes -= bytes;
    }
    for (unsigned long i = 0; i < n; i++)
        if (i % 5)
            sum += *list[i];
    tell(sum);
}

static pthread_barrier_t all_there, all_done;

static void *
deep(void *arg)
{
    void *p = left((unsigned)(uintptr_t)arg, DEEP, 100);

    pthread_barrier_wait(&all_there);
    pthread_barrier_wait(&all_done);
    return p;
}

static void
hold_threads(unsigned long n)
{
    pthread_attr_t attr;
    pthread_t t;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 << 10);
    pthread_barrier_init(&all_there, NULL, (unsigned)n + 1);
    pthread_barrier_init(&all_done, NULL, (unsigned)n + 1);
    for (unsigned long i = 0; i < n; i++)
        if (pthread_create(&t, &attr, deep, (void *)(uintptr_t)(i % 16)))
            _exit(96);
    pthread_barrier_wait(&all_there);
    tell(n);
    pthread_barrier_wait(&all_done);
}

int
main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    unsigned long n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    size_t bytes = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;

    if (strcmp(what, "blocks") == 0)
        hold_blocks(n, bytes, 0);
    else if (strcmp(what, "stacks") == 0)
        hold_blocks(n, bytes, BITS);
    else if (strcmp(what, "threads") == 0 && n <= THREADS_MAX)
        hold_threads(n);
    else
        return 2;
    return 0;
}
