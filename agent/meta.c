/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * meta.c -- reserved address space and the budget of memory=.
 *
 * Called by   every table of the agent when it grows.
 * Threads     lock-free.
 * Fails       meta_reserve returns NULL, meta_commit 0: the caller does
 *             without and counts it.
 * Invariants  committed <= opt.memory.
 */
#include "agent/meta.h"

#include "agent/options.h"
#include "agent/os.h"

#define PAGE_BYTES 4096u

#define RANGE_MAX 4096

struct range {
    uintptr_t start, end;
};

static uint64_t committed;
static struct range ranges[RANGE_MAX];
static uint32_t range_count;
static uint64_t resident;

void *
meta_reserve(size_t bytes)
{
    void *p = os_map(bytes);
    uint32_t i;

    if (!p)
        return NULL;
    i = __atomic_fetch_add(&range_count, 1, __ATOMIC_RELAXED);
    if (i < RANGE_MAX) {
        ranges[i].start = (uintptr_t)p;
        __atomic_store_n(&ranges[i].end, (uintptr_t)p + bytes,
                         __ATOMIC_RELEASE);
    }
    return p;
}

void
meta_release(void *p, size_t bytes)
{
    uint32_t n = __atomic_load_n(&range_count, __ATOMIC_RELAXED);

    for (uint32_t i = 0; i < n && i < RANGE_MAX; i++)
        if (ranges[i].start == (uintptr_t)p)
            __atomic_store_n(&ranges[i].end, 0, __ATOMIC_RELAXED);
    os_unmap(p, bytes);
}

int
meta_commit(size_t bytes)
{
    uint64_t now = __atomic_add_fetch(&committed, bytes, __ATOMIC_RELAXED);

    if (now <= opt.memory)
        return 1;
    meta_uncommit(bytes);
    return 0;
}

void
meta_uncommit(size_t bytes)
{
    __atomic_fetch_sub(&committed, bytes, __ATOMIC_RELAXED);
}

uint64_t
meta_committed_bytes(void)
{
    return __atomic_load_n(&committed, __ATOMIC_RELAXED);
}

uint64_t
meta_resident_bytes(void)
{
    return __atomic_load_n(&resident, __ATOMIC_RELAXED);
}

static uint64_t
resident_pages(uintptr_t start, uintptr_t end)
{
    unsigned char present[2048];
    uint64_t pages = 0;

    while (start < end) {
        size_t n = (end - start + PAGE_BYTES - 1) / PAGE_BYTES;

        n = n < sizeof(present) ? n : sizeof(present);
        if (os_call(SYS_mincore, (long)start, (long)(n * PAGE_BYTES),
                    (long)present, 0, 0, 0) != 0)
            return pages;
        for (size_t i = 0; i < n; i++)
            pages += present[i] & 1;
        start += n * PAGE_BYTES;
    }
    return pages;
}

void
meta_measure(void)
{
    uint32_t n = __atomic_load_n(&range_count, __ATOMIC_RELAXED);
    uint64_t pages = 0;

    for (uint32_t i = 0; i < n && i < RANGE_MAX; i++) {
        uintptr_t end = __atomic_load_n(&ranges[i].end, __ATOMIC_ACQUIRE);

        if (end)
            pages += resident_pages(ranges[i].start, end);
    }
    __atomic_store_n(&resident, pages * PAGE_BYTES, __ATOMIC_RELAXED);
}

int
meta_may_say(void)
{
    static uint32_t is_said;

    return !__atomic_exchange_n(&is_said, 1, __ATOMIC_RELAXED);
}

int
meta_owns(const void *p)
{
    uintptr_t a = (uintptr_t)p;
    uint32_t n = __atomic_load_n(&range_count, __ATOMIC_RELAXED);

    for (uint32_t i = 0; i < n && i < RANGE_MAX; i++)
        if (a >= ranges[i].start &&
            a < __atomic_load_n(&ranges[i].end, __ATOMIC_ACQUIRE))
            return 1;
    return 0;
}
