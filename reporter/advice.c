/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * advice.c -- see advice.h.
 */
#include "reporter/advice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporter/breaks.h"
#include "reporter/census.h"

/* What a recording of ours has at most is a few times less; this bounds the
   time that a broken one may take. */
#define NODES_MAX 128u
#define EDGES_MAX 512u
#define NS_PER_MS 1000000u

/* A group as a graph, while it is looked at. */
struct work {
    const struct recording *rec;
    const struct group *group;
    struct breaks_graph graph;
    struct breaks_edge *edges;
    uint32_t *order;
};

static int
same_label(const struct recording *rec, uint32_t a, uint32_t b)
{
    return a == b
        || strcmp(recording_string(rec, a), recording_string(rec, b)) == 0;
}

/* The field of an edge; a new one if it is the first. */
static uint32_t
field_of(const struct work *w, const struct hkr_edge *e, struct advice *out)
{
    uint32_t from = w->group->members[e->from].type, i;

    for (i = 0; i < out->field_count; i++)
        if (out->fields[i].from == from
            && same_label(w->rec, out->fields[i].label, e->label))
            return i;
    out->fields[i] = (struct advice_field){.from = from, .label = e->label};
    out->field_count++;
    return i;
}

/* born_ms has 32 bits, which last 49 days: the oldest birth of the group tells
   which. */
uint64_t
advice_born_ms(const struct group *g, uint32_t member)
{
    uint64_t oldest = g->more.oldest_ns / NS_PER_MS;
    uint64_t base = oldest > 1000 ? oldest - 1000 : 0;

    return base + (uint32_t)(g->members[member].born_ms - (uint32_t)base);
}

static void
count_edge(const struct work *w, const struct hkr_edge *e,
           struct advice_field *f)
{
    f->edges++;
    f->back += recording_has(w->rec, 3)
        && advice_born_ms(w->group, e->to)
            < advice_born_ms(w->group, e->from);
    f->array |= e->index >= 0;
}

/* Adds what the census of one more type says of the field.  Without it nothing
   is known of the field. */
static void
count_type(const struct recording *rec, uint32_t type, struct advice_field *f)
{
    const struct census *c = census_of(rec, type);
    struct hkr_referrer r;

    if (!c || census_field(rec, c, f->from, f->label, &r)) {
        f->counted = -1;
        return;
    }
    f->counted = 1;
    f->to = type;
    f->live += census_live(c);
    f->referred += r.edges;
    f->sole += r.sole < census_live(c) ? r.sole : census_live(c);
}

/* All types that the edges of a field lead to, each once. */
static void
count_field(const struct work *w, uint32_t field, struct advice_field *f)
{
    const struct group *g = w->group;
    uint32_t n = w->graph.edge_count;

    for (uint32_t i = 0; i < n && f->counted >= 0; i++) {
        uint32_t type = g->members[w->edges[i].to].type, k = 0;

        if (w->edges[i].field != field)
            continue;
        while (k < i && (w->edges[k].field != field
                         || g->members[w->edges[k].to].type != type))
            k++;
        if (k == i)
            count_type(w->rec, type, f);
    }
    if (f->counted < 0)
        f->counted = 0;
}

static void
fill(struct work *w, struct advice *out)
{
    const struct group *g = w->group;
    uint32_t nodes = g->head.member_count;

    w->graph.node_count = nodes < NODES_MAX ? nodes : NODES_MAX;
    for (uint32_t i = 0;
         i < g->head.edge_count && w->graph.edge_count < EDGES_MAX; i++) {
        const struct hkr_edge *e = &g->edges[i];
        uint32_t field, n = w->graph.edge_count;

        if (e->from >= w->graph.node_count || e->to >= w->graph.node_count)
            continue;
        field = field_of(w, e, out);
        count_edge(w, e, &out->fields[field]);
        w->edges[n] = (struct breaks_edge){e->from, e->to, field};
        w->graph.edge_count++;
    }
    w->graph.edges = w->edges;
    w->graph.field_count = out->field_count;
    for (uint32_t i = 0; i < out->field_count; i++)
        count_field(w, i, &out->fields[i]);
}

int
advice_is_back(const struct advice_field *f)
{
    return f->edges && f->back == f->edges;
}

/* The share of its targets that have another reference, or 0. */
static double
spare(const struct advice_field *f)
{
    if (!f->counted || !f->referred)
        return 0;
    return 1 - (double)f->sole / (double)f->referred;
}

/* Is a the better place to break? */
static int
is_better(const struct advice_field *a, const struct advice_field *b)
{
    double back_a = (double)a->back / a->edges;
    double back_b = (double)b->back / b->edges;

    if (back_a != back_b)
        return back_a > back_b;
    if (spare(a) != spare(b))
        return spare(a) > spare(b);
    return a->edges < b->edges;
}

static void
sort(const struct advice *out, uint32_t *order)
{
    for (uint32_t i = 0; i < out->field_count; i++) {
        uint32_t k = i;

        for (; k && is_better(&out->fields[i], &out->fields[order[k - 1]]);
             k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

static void
take_breaks(const struct breaks *b, struct advice *out)
{
    for (uint32_t i = 0; i < out->field_count; i++)
        out->fields[i].breaks = b->cyclic && b->breaks[i];
    out->set_cut = b->incomplete;
    out->set_count = b->set_count;
    memcpy(out->set, b->set, out->set_count * sizeof *out->set);
}

/* Is all of an instance shown?  A member with no way in or no way out tells
   that edges are missing. */
static int
is_whole(const struct work *w)
{
    const struct hkr_group *h = &w->group->head;

    if (h->objects > h->member_count || w->graph.node_count < h->member_count
        || w->graph.edge_count < h->edge_count)
        return 0;
    for (uint32_t n = 0; n < h->member_count; n++) {
        int in = 0, out = 0;

        for (uint32_t i = 0; i < w->graph.edge_count; i++) {
            in |= w->edges[i].to == n;
            out |= w->edges[i].from == n;
        }
        if (!in || !out)
            return 0;
    }
    return 1;
}

static enum advice_weak
judge_weak(const struct advice_field *f)
{
    if (!f->breaks || !f->counted || f->live == 0)
        return ADVICE_WEAK_UNKNOWN;
    return f->sole ? ADVICE_WEAK_UNSAFE : ADVICE_WEAK_SAFE;
}

const struct advice_field *
advice_weak_instead(const struct advice *a)
{
    for (uint32_t i = 0; a->weak != ADVICE_WEAK_SAFE && i < a->field_count;
         i++)
        if (judge_weak(&a->fields[i]) == ADVICE_WEAK_SAFE)
            return &a->fields[i];
    return NULL;
}

static void
work_free(struct work *w)
{
    free(w->edges);
    free(w->order);
}

int
advice_make(const struct view *view, const struct group *group,
            struct advice *out)
{
    struct work w = {.rec = view->rec, .group = group};
    uint32_t n = group->head.edge_count;
    struct breaks breaks;

    *out = (struct advice){0};
    n = n < EDGES_MAX ? n : EDGES_MAX;
    out->fields = calloc((size_t)n + 1, sizeof *out->fields);
    w.edges = calloc((size_t)n + 1, sizeof *w.edges);
    w.order = calloc((size_t)n + 1, sizeof *w.order);
    if (!out->fields || !w.edges || !w.order) {
        work_free(&w);
        advice_free(out);
        return -1;
    }
    fill(&w, out);
    sort(out, w.order);
    out->part = !is_whole(&w);
    if (breaks_find(&w.graph, w.order, ADVICE_SET_MAX, &breaks) == 0) {
        take_breaks(&breaks, out);
        breaks_free(&breaks);
    }
    if (out->set_count)
        out->weak = judge_weak(&out->fields[out->set[0]]);
    if (out->set_count)
        advice_place(view, group, out->fields[out->set[0]].from,
                     out->clear_in, sizeof out->clear_in);
    work_free(&w);
    return 0;
}

void
advice_free(struct advice *advice)
{
    free(advice->fields);
    *advice = (struct advice){0};
}

void
advice_field_name(const struct recording *rec, const struct advice_field *f,
                  char *text, size_t size)
{
    const char *label = recording_string(rec, f->label);

    snprintf(text, size, "%.70s.%.70s%s", recording_type_name(rec, f->from),
             *label ? label : "?", f->array ? "[]" : "");
}

uint64_t
advice_last_scan_ns(const struct recording *rec)
{
    for (uint32_t i = rec->scan_count; i > 1; i--)
        if (rec->scans[i - 1].status == HKR_SCAN_DONE
            || rec->scans[i - 1].status == HKR_SCAN_TRUNCATED)
            return rec->scans[i - 1].time_ns;
    return rec->header.published_ns;
}

int
advice_rate(const struct recording *rec, const struct group *g,
            double *per_minute, double *over_seconds)
{
    const struct hkr_group *h = &g->head;
    uint64_t now = advice_last_scan_ns(rec);

    *per_minute = *over_seconds = 0;
    if (!g->more.first_instances || !h->first_seen_ns
        || now <= h->first_seen_ns)
        return -1;
    *over_seconds = (double)(now - h->first_seen_ns) / 1e9;
    *per_minute = ((double)h->instances - (double)g->more.first_instances) * 60
        / *over_seconds;
    return 0;
}

int
advice_ages(const struct recording *rec, const struct group *g,
            double *oldest, double *youngest)
{
    const struct hkr_group_more *h = &g->more;
    uint64_t now = advice_last_scan_ns(rec);

    *oldest = *youngest = 0;
    if (!h->oldest_ns || !h->youngest_ns || h->youngest_ns < h->oldest_ns)
        return -1;
    if (now > h->oldest_ns)
        *oldest = (double)(now - h->oldest_ns) / 1e9;
    if (now > h->youngest_ns)
        *youngest = (double)(now - h->youngest_ns) / 1e9;
    return 0;
}

uint64_t
advice_retained_objects(const struct hkr_group *h)
{
    return h->instances * h->objects + h->held_objects;
}

uint64_t
advice_retained_bytes(const struct hkr_group *h)
{
    return h->instances * h->instance_bytes + h->held_bytes;
}
