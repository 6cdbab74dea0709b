/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * host_alone.c -- the companion without the agent: no stacks, no recording.
 *
 * Called by   the rest of lib/.
 * Threads     any.
 * Memory      mmap(); pages are touched only where records are.
 * Fails       host_map: NULL.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lib/host.h"

#define COMPLAINTS_MAX 20
#define HUGE_BYTES ((size_t)2 << 20)

static uint64_t start_ms;
static unsigned complaints;

void *
host_map(size_t bytes)
{
    int saved = errno;
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    errno = saved;
    return p == MAP_FAILED ? NULL : p;
}

void *
host_map_scratch(size_t bytes)
{
    void *p = host_map(bytes);
    int saved = errno;

    if (p && bytes >= HUGE_BYTES)
        madvise(p, bytes, MADV_HUGEPAGE);
    errno = saved;
    return p;
}

void
host_unmap_scratch(void *p, size_t bytes)
{
    munmap(p, bytes);
}

const unsigned char host_has_stacks = 0;

int
host_is_agent(void)
{
    return 0;
}

uint32_t
host_stack(void)
{
    return 0;
}

int
host_traces(const char *type_name)
{
    (void)type_name;
    return 0;
}

int
host_ref_born(const void *header, uint32_t type)
{
    (void)header;
    (void)type;
    return 0;
}

int
host_ref_counted(const void *header, int by)
{
    (void)header;
    (void)by;
    return 0;
}

void
host_ref_died(const void *header)
{
    (void)header;
}

int
host_note(const void *object, const char *text)
{
    (void)object;
    (void)text;
    return 0;
}

uint32_t
host_block_adopt(void *ptr)
{
    (void)ptr;
    return 0;
}

void
host_block_forget(void *ptr)
{
    (void)ptr;
}

/* The first call is the start. */
uint32_t
host_now_ms(void)
{
    struct timespec now;
    uint64_t ms, start = 0;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    if (__atomic_compare_exchange_n(&start_ms, &start, ms, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED))
        start = ms;
    return (uint32_t)(ms - start);
}

void
host_mark(const char *name)
{
    (void)name;
}

void
host_complain(const char *sentence)
{
    int saved = errno;
    char line[256];
    int n;

    if (__atomic_fetch_add(&complaints, 1, __ATOMIC_RELAXED) < COMPLAINTS_MAX) {
        n = snprintf(line, sizeof(line), "heapknot: %s\n", sentence);
        if (n >= (int)sizeof(line))
            n = (int)sizeof(line) - 1;
        if (write(STDERR_FILENO, line, (size_t)n) < 0)
            n = 0; /* nowhere to say it */
    }
    errno = saved;
}

void
host_abort(void)
{
    abort();
}
