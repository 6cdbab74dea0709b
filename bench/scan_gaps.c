/* SPDX-License-Identifier: BSD-2-Clause */
#include "scan_gaps.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench.h"

#define STEP_NS 100000
#define REGION_BYTES ((size_t)64 << 20)
#define PAGE_BYTES 4096u

static struct watcher {
    int kind;
    char *region;
    size_t at;
    uint64_t longest;
} watchers[GAPS_KINDS];

static uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void
touch(struct watcher *w)
{
    if (w->at == REGION_BYTES) {
        w->at = 0;
        if (w->kind == GAPS_FAULT)
            madvise(w->region, REGION_BYTES, MADV_DONTNEED);
    }
    ((volatile char *)w->region)[w->at] = 1;
    w->at += PAGE_BYTES;
}

static void *
watch(void *arg)
{
    struct watcher *w = arg;
    struct timespec step = {0, STEP_NS};
    uint64_t before = now_ns(), now;

    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    for (;;) {
        if (w->region)
            touch(w);
        nanosleep(&step, NULL);
        now = now_ns();
        if (now - before > __atomic_load_n(&w->longest, __ATOMIC_RELAXED))
            __atomic_store_n(&w->longest, now - before, __ATOMIC_RELAXED);
        before = now;
    }
    return NULL;
}

static char *
map_small_pages(void)
{
    char *p = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        abort();
    madvise(p, REGION_BYTES, MADV_NOHUGEPAGE);
    return p;
}

static int
start(struct watcher *w)
{
    struct sched_param most = {.sched_priority = 1};
    pthread_t thread;

    if (pthread_create(&thread, NULL, watch, w) != 0)
        abort();
    return w->kind == GAPS_CLOCK ||
           pthread_setschedparam(thread, SCHED_FIFO, &most) == 0;
}

int
gaps_start(void)
{
    int real_time = 1;

    for (int kind = 0; kind < GAPS_KINDS; kind++) {
        struct watcher *w = &watchers[kind];

        w->kind = kind;
        if (kind != GAPS_CLOCK)
            w->region = map_small_pages();
        if (kind == GAPS_WRITE)
            for (size_t i = 0; i < REGION_BYTES; i += PAGE_BYTES)
                w->region[i] = 1;
        real_time &= start(w);
    }
    return real_time;
}

void
gaps_begin(void)
{
    for (int kind = 0; kind < GAPS_KINDS; kind++)
        __atomic_store_n(&watchers[kind].longest, 0, __ATOMIC_RELAXED);
}

/* A gap that is still open is seen when it ends. */
void
gaps_end(uint64_t longest[GAPS_KINDS])
{
    struct timespec step = {0, 20 * STEP_NS};

    nanosleep(&step, NULL);
    for (int kind = 0; kind < GAPS_KINDS; kind++)
        longest[kind] = __atomic_load_n(&watchers[kind].longest,
                                        __ATOMIC_RELAXED);
}
