/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * growth.c -- the trends of paths and types over the timeline.
 *
 * Two passes over the packed changes: the first finds which paths are large,
 * the second keeps the series of those.  Of a sampled recording a path has two:
 * its live bytes and, behind all of these, the churn (see sampling.h).
 */
#include "reporter/analyse.h"

#include <stdlib.h>

#define WATCHED_MIN 16
#define WATCHED_MAX 1024
#define PATH_RISE_BYTES 65536.0
#define PATH_RISE_SHARE 0.02 /* of what is live in all */
#define TYPES_MIN 256 /* watched, whatever the size of the recording */

/* What both passes work on. */
struct sweep {
    const struct recording *rec;
    const struct paths *paths;
    size_t snapshots;
    double *path_live, *type_live; /* running values */
    double *path_churn;            /* likewise; NULL: nothing was sampled */
    double *per_byte; /* of stacks: variance for each byte; or NULL */
    double *path_per_byte; /* the largest of a path's stacks; or NULL */
    double *rows;                  /* of `snapshots` values each */
    double *seconds, *work, *total;
    size_t *marks; /* snapshots with the most frequent name */
    size_t mark_count;
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

    while (delta_next_stack(&reader, &sd)) {
        double made = (double)sd.counts.allocated_bytes;
        double freed = (double)sd.counts.freed_bytes;
        uint32_t path = w->paths->of_stack[sd.stack];

        w->path_live[path] += made - freed;
        if (w->path_churn)
            w->path_churn[path] += (made + freed) * w->per_byte[sd.stack];
    }
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

static double *
churn_row(const struct sweep *w, const struct growth *g, size_t path)
{
    return w->rows + (g->path_count + g->type_count + path) * w->snapshots;
}

static void
keep_row_values(struct sweep *w, const struct growth *g, size_t moment)
{
    for (size_t k = 0; w->path_churn && k < g->path_count; k++)
        churn_row(w, g, k)[moment] = w->path_churn[g->paths[k].id];
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

    for (uint32_t i = 0; i < w->paths->count; i++) {
        w->path_live[i] = 0;
        if (w->path_churn)
            w->path_churn[i] = 0;
    }
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

/* The series of a path: the least sure of its stacks speaks for all. */
static struct series
path_series(const struct sweep *w, const struct growth *g, size_t k)
{
    uint32_t path = g->paths[k].id;
    struct series s = {.seconds = w->seconds,
                       .values = w->rows + k * w->snapshots,
                       .work = w->work,
                       .count = w->snapshots};

    if (!w->path_churn || !w->paths->items[path].estimate.sampled)
        return s;
    s.churn = churn_row(w, g, k);
    s.unit = w->paths->items[path].estimate.unit;
    s.per_byte = w->path_per_byte[path];
    return s;
}

/* Where the two rules differ that of types has the last word; a trend is what
   programs know from before. */
static void
judge_type(const struct sweep *w, const struct series *s, struct watched *out)
{
    enum trend_kind *kind = &out->trend.kind;

    out->type = intervals_judge(s, w->marks, w->mark_count);
    out->trend = trend_of(s, INTERVALS_RISE_MIN);
    if (out->type.verdict == TYPE_GROWING)
        *kind = TREND_LEAK;
    else if (out->type.verdict == TYPE_SLOWING)
        *kind = TREND_FILLING;
    else if (*kind == TREND_LEAK || *kind == TREND_FILLING)
        *kind = TREND_GREW;
    if (out->type.count)
        out->trend.per_second = out->type.per_second;
}

static void
judge(struct sweep *w, struct growth *g)
{
    struct series s = {.seconds = w->seconds, .values = w->total,
                       .work = w->work, .count = w->snapshots,
                       .ended = w->snapshots < w->rec->snapshot_count};
    double least = (double)g->live_bytes * PATH_RISE_SHARE;

    if (least < PATH_RISE_BYTES)
        least = PATH_RISE_BYTES;
    g->total = trend_of(&s, least);
    for (size_t k = 0; k < g->path_count; k++) {
        struct series p = path_series(w, g, k);

        g->paths[k].trend = trend_of(&p, least);
    }
    for (size_t k = 0; k < g->type_count; k++) {
        s.values = w->rows + (g->path_count + k) * w->snapshots;
        judge_type(w, &s, &g->types[k]);
    }
}

/* What only a sampled recording needs. */
static int
sampled_alloc(struct sweep *w)
{
    if (!sampling_used(w->rec))
        return 0;
    w->path_churn = calloc(w->paths->count + 1, sizeof(double));
    w->per_byte = calloc(w->rec->stack_count, sizeof(double));
    w->path_per_byte = calloc(w->paths->count + 1, sizeof(double));
    if (!w->path_churn || !w->per_byte || !w->path_per_byte)
        return -1;
    for (uint32_t i = 1; i < w->rec->stack_count; i++) {
        double *of_path = &w->path_per_byte[w->paths->of_stack[i]];

        w->per_byte[i] = sampling_per_byte(&w->rec->stacks[i]);
        if (w->per_byte[i] > *of_path)
            *of_path = w->per_byte[i];
    }
    return 0;
}

static int
compare_names(const void *va, const void *vb)
{
    uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;

    return (a > b) - (a < b);
}

/* The name that most of the used snapshots have; 0: none has one. */
static uint32_t
frequent_name(const struct sweep *w, uint32_t *names)
{
    uint32_t best = 0;
    size_t most = 0;

    for (size_t i = 0; i < w->snapshots; i++)
        names[i] = w->rec->snapshots[i].head.name;
    qsort(names, w->snapshots, sizeof *names, compare_names);
    for (size_t i = 0, k; i < w->snapshots; i = k) {
        for (k = i; k < w->snapshots && names[k] == names[i];)
            k++;
        if (names[i] && k - i > most) {
            most = k - i;
            best = names[i];
        }
    }
    return best;
}

/* The marks that may be intervals: those of the most frequent name.  -1: no
   memory. */
static int
choose_marks(struct sweep *w)
{
    uint32_t *names = calloc(w->snapshots + 1, sizeof *names), name;

    w->marks = calloc(w->snapshots + 1, sizeof *w->marks);
    if (names && w->marks) {
        name = frequent_name(w, names);
        for (size_t i = 0; name && i < w->snapshots; i++)
            if (w->rec->snapshots[i].head.name == name)
                w->marks[w->mark_count++] = i;
    }
    free(names);
    return names && w->marks ? 0 : -1;
}

static int
sweep_alloc(struct sweep *w)
{
    w->path_live = calloc(w->paths->count + 1, sizeof(double));
    w->type_live = calloc(w->rec->type_count, sizeof(double));
    w->seconds = calloc(w->snapshots * 3 + 1, sizeof(double));
    if (!w->path_live || !w->type_live || !w->seconds || choose_marks(w))
        return -1;
    w->work = w->seconds + w->snapshots;
    w->total = w->work + w->snapshots;
    return sampled_alloc(w);
}

static void
sweep_free(struct sweep *w)
{
    free(w->path_live);
    free(w->type_live);
    free(w->path_churn);
    free(w->per_byte);
    free(w->path_per_byte);
    free(w->seconds);
    free(w->marks);
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
    g->type_count =
        choose(w->type_live + 1, w->rec->type_count - 1, 0,
               limit > TYPES_MIN ? limit : TYPES_MIN, &g->types);
    for (size_t k = 0; k < g->type_count; k++)
        g->types[k].id++; /* type 0 is none */
    rows = g->path_count * (w->path_churn ? 2 : 1) + g->type_count;
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

static const struct watched *
find(const struct watched *list, size_t count, uint32_t id)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].id == id)
            return &list[i];
    return NULL;
}

const struct trend *
growth_path(const struct growth *g, uint32_t path)
{
    const struct watched *w = find(g->paths, g->path_count, path);

    return w ? &w->trend : NULL;
}

const struct watched *
growth_type(const struct growth *g, uint32_t type)
{
    return find(g->types, g->type_count, type);
}
