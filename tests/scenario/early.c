/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * early.c -- a library that allocates before everybody and after everybody.
 *
 * Preloaded behind the agent, so its constructor runs before the agent's and
 * its destructor after it.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 500 };

static char *blocks[BLOCKS];

static void
die_if(int bad)
{
    if (bad)
        abort();
}

__attribute__((constructor(101))) static void
begin(void)
{
    die_if(dlsym(RTLD_NEXT, "no_such_symbol_anywhere") != NULL);
    die_if(dlerror() == NULL);
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = calloc(1, 10 + (size_t)i);
        die_if(!blocks[i] || blocks[i][9 + i] != 0);
        blocks[i] = realloc(blocks[i], 1000);
        die_if(!blocks[i]);
        memset(blocks[i], i, 1000);
    }
}

__attribute__((destructor(101))) static void
end(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        die_if(blocks[i][999] != (char)i);
        free(blocks[i]);
    }
    free(malloc(5000));
}
