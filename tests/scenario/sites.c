/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sites.c -- eight threads allocate at sixteen places, free one another's
 * blocks, and count in a shared file, place by place, what they have done.
 *
 *      sites LOG EVENTS        EVENTS a thread (0: until killed), then waits
 *      sites --print LOG NS    what had been done by that time, and in the end
 *
 * Printed are lines "then make_3 ALLOCATIONS FREES LIVE-BYTES", and the same
 * with "end".
 * An event is counted after it has happened; the log gets a line of sums every
 * two milliseconds, with a time at which they had been reached.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, SITES = 16, POOL = 4096, LINES = 2048 };

struct sums {
    uint64_t allocations[SITES], frees[SITES], bytes[SITES], freed[SITES];
};

struct block {
    uint32_t site, bytes;
    char rest[];
};

struct log {
    uint64_t lines, is_done;
    struct sums of[THREADS];
    struct {
        uint64_t time_ns;
        struct sums sums;
    } line[LINES];
};

static struct log *log_file;
static uint64_t events_each;
static struct block *pool[POOL];

#define SITE(n)                                        \
    static __attribute__((noinline)) void *            \
    make_##n(size_t bytes)                             \
    {                                                  \
        void *p = malloc(bytes);                       \
                                                       \
        __asm__ volatile("" : "+r"(p) : : "memory");   \
        return p;                                      \
    }
SITE(0) SITE(1) SITE(2) SITE(3) SITE(4) SITE(5) SITE(6) SITE(7)
SITE(8) SITE(9) SITE(10) SITE(11) SITE(12) SITE(13) SITE(14) SITE(15)

static void *(*const makers[SITES])(size_t) = {
    make_0, make_1, make_2, make_3, make_4, make_5, make_6, make_7,
    make_8, make_9, make_10, make_11, make_12, make_13, make_14, make_15};

static uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELEASE);
}

static void
step(struct sums *s, uint64_t r)
{
    uint32_t site = (r >> 8) % SITES;
    uint32_t bytes = sizeof(struct block) + (r >> 16) % 300;
    struct block *p = makers[site](bytes), *old;

    p->site = site;
    p->bytes = bytes;
    count(&s->bytes[site], bytes);
    count(&s->allocations[site], 1);
    old = __atomic_exchange_n(&pool[(r >> 32) % POOL], p, __ATOMIC_ACQ_REL);
    if (old) {
        site = old->site;
        bytes = old->bytes;
        free(old);
        count(&s->freed[site], bytes);
        count(&s->frees[site], 1);
    }
}

static void *
work(void *arg)
{
    struct sums *s = arg;
    uint64_t r = 88172645463325252u + (uintptr_t)arg;

    for (uint64_t i = 0; i < events_each || !events_each; i++) {
        r ^= r << 13;
        r ^= r >> 7;
        r ^= r << 17;
        step(s, r);
    }
    return NULL;
}

static struct sums
add_up(void)
{
    struct sums all;

    memset(&all, 0, sizeof(all));
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < SITES; i++) {
            const struct sums *s = &log_file->of[t];

            all.allocations[i] +=
                __atomic_load_n(&s->allocations[i], __ATOMIC_ACQUIRE);
            all.bytes[i] += __atomic_load_n(&s->bytes[i], __ATOMIC_ACQUIRE);
            all.freed[i] += __atomic_load_n(&s->freed[i], __ATOMIC_ACQUIRE);
            all.frees[i] += __atomic_load_n(&s->frees[i], __ATOMIC_ACQUIRE);
        }
    return all;
}

static void
write_line(void)
{
    uint64_t n = log_file->lines;

    log_file->line[n % LINES].sums = add_up();
    log_file->line[n % LINES].time_ns = now_ns();
    __atomic_store_n(&log_file->lines, n + 1, __ATOMIC_RELEASE);
}

static void *
keep_log(void *arg)
{
    for (;;) {
        write_line();
        usleep(2000);
    }
    return arg;
}

static void
print(const char *name, const struct sums *s)
{
    for (int i = 0; i < SITES; i++)
        printf("%s make_%d %lu %lu %lu\n", name, i,
               (unsigned long)s->allocations[i], (unsigned long)s->frees[i],
               (unsigned long)(s->bytes[i] - s->freed[i]));
}

static int
print_both(uint64_t time_ns)
{
    struct sums end = add_up();
    uint64_t n = log_file->lines, least = n > LINES ? n - LINES : 0;
    struct sums then;

    memset(&then, 0, sizeof(then));
    while (n > least && log_file->line[(n - 1) % LINES].time_ns > time_ns)
        n--;
    if (n > least)
        then = log_file->line[(n - 1) % LINES].sums;
    print("then", &then);
    print("end", &end);
    return 0;
}

int
main(int argc, char **argv)
{
    int prints = argc == 4 && strcmp(argv[1], "--print") == 0;
    pthread_t ids[THREADS], clock_id;
    int fd;

    if (argc < 3)
        return 2;
    fd = open(argv[1 + prints], O_RDWR | O_CREAT, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(*log_file)) != 0)
        return 1;
    log_file = mmap(NULL, sizeof(*log_file), PROT_READ | PROT_WRITE,
                    MAP_SHARED, fd, 0);
    if (log_file == MAP_FAILED)
        return 1;
    if (prints)
        return print_both(strtoull(argv[3], NULL, 10));
    events_each = strtoull(argv[2], NULL, 10);
    pthread_create(&clock_id, NULL, keep_log, NULL);
    for (int t = 0; t < THREADS; t++)
        pthread_create(&ids[t], NULL, work, &log_file->of[t]);
    for (int t = 0; t < THREADS; t++)
        pthread_join(ids[t], NULL);
    log_file->is_done = now_ns();
    printf("done\n");
    fflush(stdout);
    for (;;)
        pause();
}
