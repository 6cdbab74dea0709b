/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * names.c -- a known number of blocks from each name of the allocator.
 *
 * Each function by_NAME makes the number of blocks in the table and keeps
 * half of them; what the recording must show is printed:
 *
 *      by_NAME ALLOCATIONS LIVE
 *
 * The arguments are names to leave out: not every allocator has all of them,
 * nor agrees on realloc(p, 0).
 */
#define _GNU_SOURCE 1
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUNCTION(name, expression)                                  \
    static __attribute__((noinline, noclone)) void *by_##name(void) \
    {                                                               \
        void *block = expression;                                   \
                                                                    \
        __asm__ volatile("" : "+r"(block) : : "memory");            \
        return block;                                               \
    }

static void *volatile nothing;
static volatile size_t huge = PTRDIFF_MAX;

static void *
aligned(size_t alignment, size_t bytes)
{
    void *block = NULL;

    return posix_memalign(&block, alignment, bytes) ? NULL : block;
}

/* A failure and a block of 0 bytes that goes at once are no blocks. */
static void *
failing(void)
{
    return malloc(huge);
}

static void *
resized_away(void)
{
    return realloc(malloc(100), 0);
}

FUNCTION(malloc, malloc(100))
FUNCTION(malloc0, malloc(0))
FUNCTION(calloc, calloc(10, 10))
FUNCTION(realloc, realloc(nothing, 100))
FUNCTION(reallocarray, reallocarray(nothing, 10, 10))
FUNCTION(posix_memalign, aligned(64, 100))
FUNCTION(aligned_alloc, aligned_alloc(32, 128))
FUNCTION(memalign, memalign(128, 100))
FUNCTION(valloc, valloc(100))
FUNCTION(pvalloc, pvalloc(100))
FUNCTION(strdup, strdup("a text of more than a few bytes"))
FUNCTION(strndup, strndup("a text of more than a few bytes", 20))
FUNCTION(failing, failing())
FUNCTION(resized_away, resized_away())

static const struct {
    const char *name;
    void *(*make)(void);
    int count, allocations;
} table[] = {
    {"by_malloc", by_malloc, 100, 100},
    {"by_malloc0", by_malloc0, 20, 20},
    {"by_calloc", by_calloc, 90, 90},
    {"by_realloc", by_realloc, 80, 80},
    {"by_reallocarray", by_reallocarray, 70, 70},
    {"by_posix_memalign", by_posix_memalign, 60, 60},
    {"by_aligned_alloc", by_aligned_alloc, 50, 50},
    {"by_memalign", by_memalign, 40, 40},
    {"by_valloc", by_valloc, 30, 30},
    {"by_pvalloc", by_pvalloc, 10, 10},
    {"by_strdup", by_strdup, 200, 200},
    {"by_strndup", by_strndup, 110, 110},
    {"by_failing", by_failing, 30, 0},
    {"by_resized_away", by_resized_away, 30, 30},
};

static int
is_among(const char *name, char **names)
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

int
main(int argc, char **argv)
{
    (void)argc;
#ifdef ADDRESS_OF_MALLOC /* a program at a fixed address makes its own */
    nothing = argc > 1000 ? (void *)(uintptr_t)&malloc : NULL;
#endif
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int live = 0;

        if (is_among(table[i].name, argv + 1))
            continue;
        for (int n = 0; n < table[i].count; n++) {
            void *block = table[i].make();

            if (n % 2)
                free(block);
            else
                live += block != NULL;
        }
        if (table[i].allocations)
            printf("%s %d %d\n", table[i].name, table[i].allocations, live);
    }
    return 0;
}
