/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-oom.h -- a companion whose n-th allocation fails: all that it asks of its
 * host or of malloc() goes through here.  Link with lib_oom_wrap of tests.am;
 * include it in the one file of the test program.  What fails leaves errno
 * alone: the library is to set it.
 *
 *      failing(n, FOR_EVER) ... ran_out = failing(0, 0);
 */
#ifndef HK_TESTS_LIB_OOM_H
#define HK_TESTS_LIB_OOM_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/host.h"

enum { ONCE, FOR_EVER };

static long alloc_number, alloc_fails_at; /* 0: none fails */
static int alloc_for_ever, alloc_failed;
static long blocks, scratch_bytes; /* not given back yet */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

/* The n-th allocation from now on fails, or that and all later ones; 0: none.
   Returns how many did since the last call. */
static inline int
failing(long n, int for_ever)
{
    int failed = alloc_failed;

    alloc_number = 0;
    alloc_fails_at = n;
    alloc_for_ever = for_ever;
    alloc_failed = 0;
    return failed;
}

static int
fails_now(void)
{
    if (!alloc_fails_at)
        return 0;
    alloc_number++;
    if (alloc_for_ever ? alloc_number < alloc_fails_at
                       : alloc_number != alloc_fails_at)
        return 0;
    alloc_failed++;
    return 1;
}

void *
__wrap_malloc(size_t size)
{
    void *p = fails_now() ? NULL : __real_malloc(size);

    blocks += p != NULL;
    return p;
}

void *
__wrap_calloc(size_t count, size_t size)
{
    void *p = fails_now() ? NULL : __real_calloc(count, size);

    blocks += p != NULL;
    return p;
}

void *
__wrap_realloc(void *old, size_t size)
{
    void *p = fails_now() ? NULL : __real_realloc(old, size);

    blocks += p && !old;
    return p;
}

void
__wrap_free(void *p)
{
    blocks -= p != NULL;
    __real_free(p);
}

/* ---- the host ----------------------------------------------------------- */

void *
host_map(size_t bytes)
{
    void *p;

    if (fails_now())
        return NULL;
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void *
host_map_scratch(size_t bytes)
{
    void *p = host_map(bytes);

    scratch_bytes += p ? (long)bytes : 0;
    return p;
}

void
host_unmap_scratch(void *p, size_t bytes)
{
    scratch_bytes -= (long)bytes;
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

uint32_t
host_now_ms(void)
{
    return 0;
}

void
host_mark(const char *name)
{
    (void)name;
}

void
host_complain(const char *sentence)
{
    fprintf(stderr, "%s\n", sentence);
}

void
host_abort(void)
{
    abort();
}

#endif
