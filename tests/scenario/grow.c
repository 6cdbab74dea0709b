/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * grow.c -- leaks for a while, by the same functions in builds that differ.
 *
 * -DPADDED puts everything at other addresses and lines; -DOTHER adds a
 * second leak.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef PADDED
/* What is here does nothing. */
int padding[4000];
int pad_a(int x) { return x * padding[x & 7]; }
int pad_b(int x) { return pad_a(x) + padding[x & 31]; }
#line 1000
#endif

void *volatile kept;

static void
keep(size_t bytes)
{
    char *block = malloc(bytes);

    if (block)
        memset(block, 1, bytes);
    kept = block;
}

static void
first_leak(void)
{
    keep(2000);
}

#ifdef OTHER
__attribute__((noinline)) static void
second_leak(void)
{
    keep(3000);
    kept = NULL;
}
#endif

/* Works for 2 seconds, in steps of 5 ms. */
int
main(void)
{
    struct timespec pause = {0, 5000000};

    for (int i = 0; i < 400; i++) {
        for (int k = 0; k < 50; k++)
            free(strdup("work"));
        first_leak();
#ifdef OTHER
        second_leak();
#endif
        nanosleep(&pause, NULL);
    }
    return 0;
}
