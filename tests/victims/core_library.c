/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * core_library.c -- allocates when it is called, frees in its destructor.
 */
#include <stdlib.h>

void core_library(void);

static void *volatile kept;

void
core_library(void)
{
    kept = malloc(1234);
}

__attribute__((destructor)) static void
leave(void)
{
    free(kept);
}
