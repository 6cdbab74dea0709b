/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * frames.c -- see frames.h.
 */
#include "reporter/frames.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporter/model.h"

/* Objects whose frames do not say what the program was doing. */
static const char *const dull_modules[] = {
    "libc.so",      "libc-",     "libstdc++.so", "ld-linux", "libjemalloc.so",
    "libtcmalloc", "libmimalloc", "libpthread",  NULL};
/* Functions of which every program has its own: the caller is the news. */
static const char *const dull_functions[] = {
    "malloc",   "calloc",   "realloc",  "strdup",   "xmalloc", "xcalloc",
    "xrealloc", "xstrdup",  "zmalloc",  "zcalloc",  "hk_new",  "hk_new_extra",
    NULL};

const char *
frames_basename(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

static int
begins_with_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strncmp(word, *list, strlen(*list)) == 0)
            return 1;
    return 0;
}

static int
is_one_of(const char *word, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(word, *list) == 0)
            return 1;
    return 0;
}

static struct frame *
add(struct frames *frames)
{
    if (frames->count == frames->room) {
        size_t room = frames->room ? frames->room * 2 : 32;
        struct frame *items;

        if (frames->count >= FRAMES_MAX)
            return NULL;
        items = realloc(frames->items, room * sizeof *items);
        if (!items)
            return NULL;
        frames->items = items;
        frames->room = room;
    }
    return &frames->items[frames->count++];
}

/* Inline functions of heapknot.h are compiled into the program, but belong to
   the companion. */
static int
is_companion(const struct sym_frame *sym)
{
    return sym->file
        && strcmp(frames_basename(sym->file), "heapknot.h") == 0;
}

static void
add_frame(const struct recording *rec, uint32_t node,
          const struct sym_frame *sym, struct frames *frames)
{
    const struct hkr_node *n = &rec->nodes[node];
    struct frame *f = add(frames);

    if (!f)
        return;
    f->at = *sym;
    f->unnamed[0] = '\0';
    if (!f->at.module && n->module)
        f->at.module = recording_module_path(rec, n->module);
    if (!f->at.function)
        snprintf(f->unnamed, sizeof f->unnamed, "0x%llx",
                 (unsigned long long)(n->pc - rec->modules[n->module].bias));
}

static void
add_node(const struct names *names, uint32_t node, struct frames *frames)
{
    static const struct sym_frame nothing;
    const struct sym_frame *list = &nothing;
    int n = 1;

    if (names->sym)
        n = symboliser_frames(names->sym, node, &list);
    for (int i = 0; i < n; i++)
        if (!is_companion(&list[i]))
            add_frame(names->rec, node, &list[i], frames);
}

void
frames_of(const struct names *names, uint32_t node, struct frames *frames)
{
    const struct recording *rec = names->rec;

    frames->count = 0;
    for (; node && frames->count < FRAMES_MAX; node = rec->nodes[node].parent)
        if (recording_visible_node(rec, node) == node)
            add_node(names, node, frames);
    /* only now do the items stay where they are */
    for (size_t i = 0; i < frames->count; i++)
        if (!frames->items[i].at.function)
            frames->items[i].at.function = frames->items[i].unnamed;
}

void
frames_free(struct frames *frames)
{
    free(frames->items);
    *frames = (struct frames){0};
}

/* What is below main, or below the first function of a thread. */
static const char *const starters[] = {
    "__libc_start_call_main", "__libc_start_main", "__libc_start_main_impl",
    "__libc_start_main@@GLIBC_2.34", "_start", "start_thread", "__clone3",
    "clone3", "__clone", "clone", NULL};

size_t
frames_without_start(const struct frames *frames)
{
    size_t n = frames->count;

    while (n > 1 && is_one_of(frames->items[n - 1].at.function, starters))
        n--;
    return n;
}

static int
is_dull(const struct frame *f)
{
    return begins_with_one_of(frames_basename(f->at.module), dull_modules)
        || is_one_of(f->at.function, dull_functions);
}

void
frames_title(const struct names *names, uint32_t node, char *text,
             size_t size)
{
    struct frames frames = {0};
    size_t i = 0;

    frames_of(names, node, &frames);
    while (i < frames.count && is_dull(&frames.items[i]))
        i++;
    if (i == frames.count)
        i = 0;
    if (frames.count == 0)
        snprintf(text, size, "unknown stack");
    else if (i + 1 < frames.count && !is_dull(&frames.items[i + 1]))
        snprintf(text, size, "%.60s < %.60s", frames.items[i].at.function,
                 frames.items[i + 1].at.function);
    else
        snprintf(text, size, "%.60s", frames.items[i].at.function);
    frames_free(&frames);
}
