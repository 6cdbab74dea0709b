/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * breaks.c -- see breaks.h.
 *
 * What has no way in or no way out is on no cycle, nor is what then has none:
 * peeled off one after another, nodes are left exactly if there is a cycle.
 */
#include "reporter/breaks.h"

#include <stdlib.h>
#include <string.h>

/* One direction of the edges: those of node n begin with first[n] and go on
   with next[], both plus 1. */
struct links {
    uint32_t *first, *next, *degree;
};

struct work {
    const struct breaks_graph *graph;
    struct links out, in;
    unsigned char *removed; /* by field */
    unsigned char *gone;    /* by node */
    uint32_t *queue;
};

static int
make_links(struct links *links, const struct breaks_graph *g)
{
    links->first = calloc((size_t)g->node_count + 1, sizeof *links->first);
    links->next = calloc((size_t)g->edge_count + 1, sizeof *links->next);
    links->degree = calloc((size_t)g->node_count + 1, sizeof *links->degree);
    return links->first && links->next && links->degree ? 0 : -1;
}

static void
free_links(struct links *links)
{
    free(links->first);
    free(links->next);
    free(links->degree);
}

static void
add_link(struct links *links, uint32_t node, uint32_t edge)
{
    links->next[edge] = links->first[node];
    links->first[node] = edge + 1;
}

static int
work_make(struct work *w, const struct breaks_graph *g)
{
    *w = (struct work){.graph = g};
    w->removed = calloc((size_t)g->field_count + 1, 1);
    w->gone = calloc((size_t)g->node_count + 1, 1);
    w->queue = calloc((size_t)g->node_count + 1, sizeof *w->queue);
    if (make_links(&w->out, g) || make_links(&w->in, g) || !w->removed
        || !w->gone || !w->queue)
        return -1;
    for (uint32_t i = 0; i < g->edge_count; i++) {
        add_link(&w->out, g->edges[i].from, i);
        add_link(&w->in, g->edges[i].to, i);
    }
    return 0;
}

static void
work_free(struct work *w)
{
    free_links(&w->out);
    free_links(&w->in);
    free(w->removed);
    free(w->gone);
    free(w->queue);
}

static int
is_there(const struct work *w, uint32_t edge)
{
    const struct breaks_edge *e = &w->graph->edges[edge];

    return !w->removed[e->field] && !w->gone[e->from] && !w->gone[e->to];
}

static void
begin_peeling(struct work *w)
{
    const struct breaks_graph *g = w->graph;

    memset(w->gone, 0, g->node_count);
    memset(w->out.degree, 0, g->node_count * sizeof *w->out.degree);
    memset(w->in.degree, 0, g->node_count * sizeof *w->in.degree);
    for (uint32_t i = 0; i < g->edge_count; i++)
        if (!w->removed[g->edges[i].field]) {
            w->out.degree[g->edges[i].from]++;
            w->in.degree[g->edges[i].to]++;
        }
}

static uint32_t
drop(struct work *w, uint32_t node, uint32_t queued)
{
    if (!w->gone[node]) {
        w->gone[node] = 1;
        w->queue[queued++] = node;
    }
    return queued;
}

/* How many edges are left once nothing more can be peeled off. */
static uint32_t
count_left(struct work *w)
{
    const struct breaks_graph *g = w->graph;
    uint32_t queued = 0, left = 0;

    begin_peeling(w);
    for (uint32_t n = 0; n < g->node_count; n++)
        if (!w->out.degree[n] || !w->in.degree[n])
            queued = drop(w, n, queued);
    for (uint32_t i = 0; i < queued; i++) {
        uint32_t n = w->queue[i];

        for (uint32_t e = w->out.first[n]; e; e = w->out.next[e - 1])
            if (!w->removed[g->edges[e - 1].field]
                && --w->in.degree[g->edges[e - 1].to] == 0)
                queued = drop(w, g->edges[e - 1].to, queued);
        for (uint32_t e = w->in.first[n]; e; e = w->in.next[e - 1])
            if (!w->removed[g->edges[e - 1].field]
                && --w->out.degree[g->edges[e - 1].from] == 0)
                queued = drop(w, g->edges[e - 1].from, queued);
    }
    for (uint32_t i = 0; i < g->edge_count; i++)
        left += (uint32_t)is_there(w, i);
    return left;
}

static uint32_t
left_without(struct work *w, uint32_t field)
{
    uint32_t left;

    w->removed[field] = 1;
    left = count_left(w);
    w->removed[field] = 0;
    return left;
}

/* The field whose removal leaves least; there is one that is not removed, or
   nothing would be left. */
static uint32_t
best_field(struct work *w, const uint32_t *order)
{
    uint32_t best = order[0], least = UINT32_MAX;

    for (uint32_t i = 0; i < w->graph->field_count; i++) {
        uint32_t left = w->removed[order[i]] ? UINT32_MAX
                                             : left_without(w, order[i]);

        if (left < least) {
            least = left;
            best = order[i];
        }
    }
    return best;
}

/* Leaves out of the set what the rest of it makes up for. */
static void
trim(struct work *w, struct breaks *out)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < out->set_count; i++) {
        uint32_t field = out->set[i];

        w->removed[field] = 0;
        if (count_left(w)) {
            w->removed[field] = 1;
            out->set[kept++] = field;
        }
    }
    out->set_count = kept;
}

static void
search(struct work *w, const uint32_t *order, uint32_t most,
       struct breaks *out)
{
    const struct breaks_graph *g = w->graph;

    out->cyclic = count_left(w) != 0;
    for (uint32_t i = 0; out->cyclic && i < g->field_count; i++) {
        out->breaks[order[i]] = left_without(w, order[i]) == 0;
        if (out->breaks[order[i]] && out->set_count == 0)
            out->set[out->set_count++] = order[i];
    }
    if (!out->cyclic || out->set_count)
        return;
    while (count_left(w) && out->set_count < most) {
        uint32_t field = best_field(w, order);

        w->removed[field] = 1;
        out->set[out->set_count++] = field;
    }
    out->incomplete = count_left(w) != 0;
    if (!out->incomplete)
        trim(w, out);
}

int
breaks_find(const struct breaks_graph *graph, const uint32_t *order,
            uint32_t most, struct breaks *out)
{
    struct work w;
    int result = -1;

    *out = (struct breaks){0};
    out->breaks = calloc((size_t)graph->field_count + 1, 1);
    out->set = calloc((size_t)graph->field_count + 1, sizeof *out->set);
    if (work_make(&w, graph) == 0 && out->breaks && out->set) {
        search(&w, order, most, out);
        result = 0;
    }
    work_free(&w);
    if (result)
        breaks_free(out);
    return result;
}

void
breaks_free(struct breaks *breaks)
{
    free(breaks->breaks);
    free(breaks->set);
    *breaks = (struct breaks){0};
}
