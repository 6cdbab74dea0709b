/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * advice_place.c -- where a reference should have been dropped.  See advice.h.
 */
#include "reporter/advice.h"

#include <stdio.h>
#include <string.h>

/* An agent shows 32; this bounds the time that a broken recording takes. */
#define SITES_MAX 32u

/* What drops a reference, and is called wherever one is dropped. */
static const char *const droppers[] = {
    "put",  "unref", "unreference", "release", "decref", "deref",
    "drop", "dec",   NULL};

/* Is `end` the last word of the name? */
static int
ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0
        && (n == m || name[n - m - 1] == '_' || name[n - m - 1] == ':');
}

static int
is_dropper(const char *function)
{
    for (const char *const *word = droppers; *word; word++)
        if (ends_with(function, *word))
            return 1;
    return 0;
}

static int
is_known(const struct recording *rec, const struct hkr_site *site)
{
    return site->stack
        && !(rec->stacks[site->stack].flags & HKR_STACK_UNSAMPLED);
}

/* The innermost function that does more than drop a reference. */
static void
find_function(const struct view *view, uint32_t stack, char *text,
              size_t size)
{
    struct frames frames = {0};
    size_t i = 0;

    *text = '\0';
    frames_of(&view->names, view->rec->stacks[stack].node, &frames);
    while (i + 1 < frames_without_start(&frames)
           && is_dropper(frames.items[i].at.function))
        i++;
    if (i < frames.count)
        snprintf(text, size, "%.150s", frames.items[i].at.function);
    frames_free(&frames);
}

static int
is_on_stack(const struct view *view, uint32_t stack, const char *function)
{
    struct frames frames = {0};
    int found = 0;

    frames_of(&view->names, view->rec->stacks[stack].node, &frames);
    for (size_t i = 0; i < frames.count; i++)
        found |= strncmp(frames.items[i].at.function, function, 150) == 0;
    frames_free(&frames);
    return found;
}

/* Do objects of this type come from there? */
static int
makes(const struct view *view, const struct group *g, uint32_t type,
      const char *function)
{
    for (uint32_t i = 0; i < g->head.created_count && i < SITES_MAX; i++)
        if (g->created[i].type == type && is_known(view->rec, &g->created[i])
            && is_on_stack(view, g->created[i].stack, function))
            return 1;
    return 0;
}

void
advice_place(const struct view *view, const struct group *g, uint32_t type,
             char *text, size_t size)
{
    int best_rank = -1;
    uint64_t most = 0;

    *text = '\0';
    for (uint32_t i = 0; i < g->head.released_count && i < SITES_MAX; i++) {
        const struct hkr_site *site = &g->released[i];
        char function[ADVICE_NAME_BYTES];
        int rank;

        if (!is_known(view->rec, site))
            continue;
        find_function(view, site->stack, function, sizeof function);
        rank = (site->type == type)
            + 2 * !makes(view, g, site->type, function);
        if (!*function || rank < best_rank
            || (rank == best_rank && site->count <= most))
            continue;
        best_rank = rank;
        most = site->count;
        snprintf(text, size, "%s", function);
    }
}
