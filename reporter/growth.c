/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * growth.c -- the trends of paths and types over the timeline.
 *
 * Two passes over the packed changes: the first finds which paths are large,
 * the second keeps the series of those.
 */
#include "reporter/analyse.h"

#include <stdlib.h>

#define WATCHED_MIN 16
#define WATCHED_MAX 1024
#define PATH_RISE_BYTES 65536.0
#define PATH_RISE_SHARE 0.02 /* of what is live in all */
#define TYPE_RISE_OBJECTS 10.0

/* What both passes work on. */
struct sweep {
    const struct recording *rec;
    const struct paths *paths;
    size_t snapshots;
    double *path_live, *type_live; /* running values */
    double *rows;                  /* of `snapshots` values each */
    double *seconds, *work, *total;
};

/* A short last snapshot of a teardown tells nothing about the service. */
static size_t
used_snapshots(const struct recording *rec)
{
    size_t n = rec->snapshot_count;

    if (n > 1 && (rec->snapshots[n - 1].head.flags & HKR_SNAP_FINAL))
        n--;
    return n;
}

static void
add_changes(struct sweep *w, const struct snapshot *snap)
{
    struct delta_reader reader = snapshot_stacks(snap);
    struct stack_delta sd;
    struct type_delta td;

    while (delta_next_stack(&reader, &sd))
        w->path_live[w->paths->of_stack[sd.stack]] +=
            (double)sd.counts.allocated_bytes - (double)sd.counts.freed_bytes;
    reader = snapshot_types(snap);
    while (delta_next_type(&reader, &td))
        w->type_live[td.type] +=
            (double)td.counts.created - (double)td.counts.destroyed;
}

struct candidate {
    double live;
    uint32_t id;
};

static int
compare_candidates(const void *va, const void *vb)
{
    const struct candidate *a = va, *b = vb;

    return (b->live > a->live) - (b->live < a->live);
}

/* The `limit` largest values of at least `least`: their number, and malloc'd
   entries for them. */
static size_t
choose(const double *live, uint32_t count, double least, size_t limit,
       struct watched **out)
{
    struct candidate *list = calloc(count + 1, sizeof *list);
    size_t n = 0;

    *out = NULL;
    for (uint32_t i = 0; list && i < count; i++)
        if (live[i] >= least)
            list[n++] = (struct candidate){live[i], i};
    if (n)
        qsort(list, n, sizeof *list, compare_candidates);
    if (n > limit)
        n = limit;
    *out = calloc(n + 1, sizeof **out);
    if (!*out)
        n = 0;
    for (size_t i = 0; i < n; i++)
        (*out)[i].id = list[i].id;
    free(list);
    return n;
}

static size_t
watched_limit(const struct sweep *w)
{
    size_t bytes = w->snapshots * sizeof(double);
    size_t limit = w->rec->file_bytes / 4 / (bytes ? bytes : 1);

    if (limit < WATCHED_MIN)
        return WATCHED_MIN;
    return limit < WATCHED_MAX ? limit : WATCHED_MAX;
}

static void
keep_row_values(struct sweep *w, const struct growth *g, size_t moment)
{
    for (size_t k = 0; k < g->path_count; k++)
        w->rows[k * w->snapshots + moment] = w->path_live[g->paths[k].id];
    for (size_t k = 0; k < g->type_count; k++)
        w->rows[(g->path_count + k) * w->snapshots + moment] =
            w->type_live[g->types[k].id];
}

static void
second_pass(struct sweep *w, const struct growth *g)
{
    const struct recording *rec = w->rec;

    for (uint32_t i = 0; i < w->paths->count; i++)
        w->path_live[i] = 0;
    for (uint32_t i = 0; i < rec->type_count; i++)
        w->type_live[i] = 0;
    for (size_t i = 0; i < w->snapshots; i++) {
        const struct hkr_snapshot *h = &rec->snapshots[i].head;

        add_changes(w, &rec->snapshots[i]);
        keep_row_values(w, g, i);
        w->seconds[i] = (double)h->time_ns / 1e9;
        w->work[i] = (double)h->allocations;
        w->total[i] = (double)h->live_bytes;
    }
}

static void
judge(struct sweep *w, struct growth *g)
{
    struct series s = {w->seconds, w->total, w->work, w->snapshots};
    double least = (double)g->live_bytes * PATH_RISE_SHARE;

    if (least < PATH_RISE_BYTES)
        least = PATH_RISE_BYTES;
    g->total = trend_of(&s, least);
    for (size_t k = 0; k < g->path_count; k++) {
        s.values = w->rows + k * w->snapshots;
        g->paths[k].trend = trend_of(&s, least);
    }
    for (size_t k = 0; k < g->type_count; k++) {
        s.values = w->rows + (g->path_count + k) * w->snapshots;
        g->types[k].trend = trend_of(&s, TYPE_RISE_OBJECTS);
    }
}

static int
sweep_alloc(struct sweep *w)
{
    w->path_live = calloc(w->paths->count + 1, sizeof(double));
    w->type_live = calloc(w->rec->type_count, sizeof(double));
    w->seconds = calloc(w->snapshots * 3 + 1, sizeof(double));
    if (!w->path_live || !w->type_live || !w->seconds)
        return -1;
    w->work = w->seconds + w->snapshots;
    w->total = w->work + w->snapshots;
    return 0;
}

static void
sweep_free(struct sweep *w)
{
    free(w->path_live);
    free(w->type_live);
    free(w->seconds);
    free(w->rows);
}

static int
run_sweep(struct sweep *w, struct growth *g)
{
    size_t limit = watched_limit(w), rows;

    if (sweep_alloc(w))
        return -1;
    for (size_t i = 0; i < w->snapshots; i++)
        add_changes(w, &w->rec->snapshots[i]);
    g->path_count = choose(w->path_live, w->paths->count, PATH_RISE_BYTES / 2,
                           limit, &g->paths);
    g->type_count = choose(w->type_live, w->rec->type_count,
                           TYPE_RISE_OBJECTS, limit, &g->types);
    rows = g->path_count + g->type_count;
    w->rows = calloc(rows * w->snapshots + 1, sizeof(double));
    if (!w->rows)
        return -1;
    second_pass(w, g);
    judge(w, g);
    return 0;
}

int
growth_of(const struct recording *rec, const struct paths *paths,
          struct growth *out)
{
    struct sweep w = {.rec = rec, .paths = paths};
    int result;

    *out = (struct growth){.snapshots = used_snapshots(rec)};
    w.snapshots = out->snapshots;
    if (out->snapshots == 0)
        return 0;
    out->live_bytes = rec->snapshots[out->snapshots - 1].head.live_bytes;
    out->last_seconds =
        (double)rec->snapshots[out->snapshots - 1].head.time_ns / 1e9;
    out->seconds =
        out->last_seconds - (double)rec->snapshots[0].head.time_ns / 1e9;
    result = run_sweep(&w, out);
    sweep_free(&w);
    if (result)
        growth_free(out);
    return result;
}

void
growth_free(struct growth *growth)
{
    free(growth->paths);
    free(growth->types);
    *growth = (struct growth){0};
}

static const struct trend *
find(const struct watched *list, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].id == id)
            return &list[i].trend;
    return NULL;
}

const struct trend *
growth_path(const struct growth *g, uint32_t path)
{
    return find(g->paths, g->path_count, path);
}

const struct trend *
growth_type(const struct growth *g, uint32_t type)
{
    return find(g->types, g->type_count, type);
}
