/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * loglive.c -- allocates in several threads and keeps its own books.
 *
 *      loglive LOGFILE [THREADS [SECONDS]]
 *      loglive --print LOGFILE [TIME_NS]
 *
 * The first form runs until it is killed (or for SECONDS).  Each thread counts
 * an allocation after it was made, in its slot of the mapped file; every 2 ms
 * a clock thread adds the slots up and writes an entry.  The second form
 * prints the newest entry not later than TIME_NS, and the slots' sums:
 *
 *      entry TIME_NS allocations N bytes N frees N
 *      final allocations N bytes N frees N
 *
 * The file outlives the process whatever it dies of, so a test can compare a
 * recording with what had been logged some time before.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "loglive.h"

enum { LIVE_BLOCKS = 512 };

static struct log_file *file;
static bool stopping; /* __atomic */

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* The slot has one writer. */
static void
count(uint64_t *counter, uint64_t by)
{
    __atomic_store_n(counter, *counter + by, __ATOMIC_RELEASE);
}

/* Bytes are counted before their allocation, so that a reader who sees the
   allocation sees its bytes; both after it was made. */
static void *
make_block(struct log_slot *slot, uint64_t random)
{
    size_t bytes = 1 + (random >> 20) % ((random & 15) == 0 ? 20000 : 400);
    void *block = random & 16 ? malloc(bytes) : calloc(1, bytes);

    if (!block)
        abort();
    memset(block, 1, bytes);
    count(&slot->allocated_bytes, bytes);
    count(&slot->allocations, 1);
    return block;
}

/* Two paths more, so that there are several stacks. */
static __attribute__((noinline)) void *
make_by_a(struct log_slot *slot, uint64_t random)
{
    void *block = make_block(slot, random);

    __asm__ volatile("" : : "r"(block) : "memory");
    return block;
}

static __attribute__((noinline)) void *
make_by_b(struct log_slot *slot, uint64_t random)
{
    void *block = make_block(slot, random);

    __asm__ volatile("" : : "r"(block) : "memory");
    return block;
}

static void *
churn(void *arg)
{
    struct log_slot *slot = arg;
    uint64_t random = (uint64_t)(slot - file->slots) * 104729 + 12345;
    void *blocks[LIVE_BLOCKS] = {NULL};

    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        unsigned i;

        random = random * UINT64_C(6364136223846793005) +
                 UINT64_C(1442695040888963407);
        i = (unsigned)(random >> 33) % LIVE_BLOCKS;
        if (blocks[i]) {
            free(blocks[i]);
            count(&slot->frees, 1);
            blocks[i] = NULL;
        } else if (random & 32)
            blocks[i] = make_by_a(slot, random);
        else
            blocks[i] = make_by_b(slot, random);
        if ((random >> 40) % 512 == 0)
            usleep(100);
    }
    for (int i = 0; i < LIVE_BLOCKS; i++)
        free(blocks[i]);
    return NULL;
}

static struct log_entry
sum_slots(const struct log_file *log)
{
    struct log_entry sum = {0, 0, 0, 0};

    for (unsigned t = 0; t < LOG_THREADS; t++) {
        const struct log_slot *slot = &log->slots[t];

        sum.allocations +=
            __atomic_load_n(&slot->allocations, __ATOMIC_ACQUIRE);
        sum.allocated_bytes +=
            __atomic_load_n(&slot->allocated_bytes, __ATOMIC_ACQUIRE);
        sum.frees += __atomic_load_n(&slot->frees, __ATOMIC_ACQUIRE);
    }
    return sum;
}

/* The time is taken after the sum: that much had been done by then. */
static void
write_entry(void)
{
    struct log_entry entry = sum_slots(file);

    entry.time_ns = now_ns();
    file->ring[file->entries % LOG_ENTRIES] = entry;
    __atomic_store_n(&file->entries, file->entries + 1, __ATOMIC_RELEASE);
}

static struct log_file *
map_log(const char *path, bool create)
{
    int fd = open(path, create ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY, 0600);
    int protection = create ? PROT_READ | PROT_WRITE : PROT_READ;
    size_t bytes = sizeof(struct log_file);
    void *map = MAP_FAILED;

    if (fd >= 0 && (!create || ftruncate(fd, (off_t)bytes) == 0))
        map = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (map == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    return map;
}

static int
run(const char *path, unsigned threads, unsigned seconds)
{
    uint64_t end_ns = now_ns() + UINT64_C(1000000000) * seconds;
    pthread_t ids[LOG_THREADS];

    file = map_log(path, true);
    file->threads = threads;
    file->magic = LOG_MAGIC;
    for (unsigned t = 0; t < threads; t++)
        if (pthread_create(&ids[t], NULL, churn, &file->slots[t]) != 0)
            return 1;
    printf("running\n");
    fflush(stdout);
    while (seconds == 0 || now_ns() < end_ns) {
        write_entry();
        usleep(2000);
    }
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (unsigned t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    return 0;
}

static void
print_entry(const char *name, const struct log_entry *entry)
{
    printf("%s", name);
    if (entry->time_ns)
        printf(" %llu", (unsigned long long)entry->time_ns);
    printf(" allocations %llu bytes %llu frees %llu\n",
           (unsigned long long)entry->allocations,
           (unsigned long long)entry->allocated_bytes,
           (unsigned long long)entry->frees);
}

static int
print(const char *path, uint64_t time_ns)
{
    const struct log_file *log = map_log(path, false);
    uint64_t n = log->entries;
    uint64_t first = n > LOG_ENTRIES ? n - LOG_ENTRIES : 0;
    struct log_entry none = {1, 0, 0, 0};
    struct log_entry final = sum_slots(log);

    while (n > first && log->ring[(n - 1) % LOG_ENTRIES].time_ns > time_ns)
        n--;
    print_entry("entry", n > first ? &log->ring[(n - 1) % LOG_ENTRIES] : &none);
    print_entry("final", &final);
    return 0;
}

int
main(int argc, char **argv)
{
    unsigned threads = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
    unsigned seconds = argc > 3 ? (unsigned)atoi(argv[3]) : 0;

    if (argc > 2 && strcmp(argv[1], "--print") == 0)
        return print(argv[2],
                     argc > 3 ? strtoull(argv[3], NULL, 10) : UINT64_MAX);
    if (argc < 2 || threads < 1 || threads > LOG_THREADS) {
        fprintf(stderr, "usage: loglive LOGFILE [THREADS [SECONDS]]\n");
        return 2;
    }
    return run(argv[1], threads, seconds);
}
