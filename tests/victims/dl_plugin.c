/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * dl_plugin.c -- the plugins of dl.c: built twice, with another PLUGIN_NAME.
 *
 * Both are laid out alike, so the second is likely to be mapped where the
 * first one was.
 */
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_NAME
#define PLUGIN_NAME "a"
#endif

const char *plugin_name(void);
void *plugin_make(size_t bytes);
void plugin_free(void *block);
void *plugin_kept(void);

static void *kept;

const char *
plugin_name(void)
{
    return PLUGIN_NAME;
}

/* For the host to free. */
void *
plugin_make(size_t bytes)
{
    char *block = malloc(bytes);

    if (block)
        memset(block, PLUGIN_NAME[0], bytes);
    return block;
}

void
plugin_free(void *block)
{
    free(block);
}

/* Made by the constructor, freed by the destructor. */
void *
plugin_kept(void)
{
    return kept;
}

__attribute__((constructor)) static void
begin(void)
{
    kept = malloc(4000);
}

__attribute__((destructor)) static void
end(void)
{
    free(kept);
    kept = NULL;
}
