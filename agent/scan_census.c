/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_census.c -- counts who refers to the objects of watched types.
 *
 * What        one pass over the objects of the types, one over all edges;
 *             whoever has an edge to one of them is visited again, for the
 *             labels; then ways from roots, along the parents of graph_reach.
 * Called by   scan_work.c, in scans of all objects.
 * Threads     one.
 * Memory      graph_map(), given back.
 * Fails       -1: no memory.  What cannot be read is left out.
 * Invariants  known = the sum of all referrers, unless there are too many
 *             kinds of them.
 */
#include "agent/scan_census.h"

#include <string.h>

#include "agent/scan_frames.h"
#include "lib/registry.h"

#define KINDS 1024u /* of referrers, a power of two */
#define PATHS SCAN_PATHS
#define STEPS SCAN_STEPS
#define REFERRERS SCAN_REFERRERS
#define RETRIES 8
#define REST_PLACES 1024u

struct kind {
    uint64_t edges, sole;
    uint32_t watched; /* 1 + index; 0: empty */
    uint32_t from, label;
};

struct row { /* a watched type */
    struct hkr_census census;
    uint32_t samples[PATHS]; /* nodes: the oldest, the youngest, asked for */
    uint32_t births[2];
};

struct count {
    struct scan_work *w;
    const struct graph *g;
    struct frames frames;
    struct kind *kinds;
    uint32_t kind_count;
    uint32_t asked; /* node, or GRAPH_NONE */
    struct row rows[WISH_TYPES];

    /* The object in hand. */
    uint32_t node, edge;
    uint32_t wanted; /* the node whose label is looked for */
    uint64_t refs;
    struct hkr_step *step;
};

static uint32_t
watched_at(const struct count *c, uint32_t node)
{
    const struct scan_wish *wish = c->w->wish;

    for (uint32_t i = 0; i < wish->watched_count; i++)
        if (wish->watched[i] == c->g->types[node])
            return i;
    return GRAPH_NONE;
}

/* ---- objects ------------------------------------------------------------ */

static const char *
bytes_of(struct count *c, uint32_t node, const hk_type **type)
{
    uint64_t address = scan_work_address(c->w, node);

    *type = type_get(c->g->types[node]);
    return address ? reader_bytes(&c->w->reader, *type, address) : NULL;
}

static void
read_refs(void *arg)
{
    struct count *c = arg;
    const hk_type *type;
    const char *bytes = bytes_of(c, c->node, &type);

    c->refs = bytes ? type_refcount(type, bytes) : 0;
}

static uint64_t
references(struct count *c, uint32_t node)
{
    c->node = node;
    c->refs = 0;
    c->w->guard(read_refs, c);
    return c->refs;
}

static void
sample(struct row *row, const struct count *c, uint32_t node)
{
    const struct record *rec = registry_record(c->g->slots[node]);

    if (node == c->asked)
        row->samples[2] = node;
    if (row->samples[0] == GRAPH_NONE || rec->birth_ms < row->births[0]) {
        row->samples[0] = node;
        row->births[0] = rec->birth_ms;
    }
    if (row->samples[1] == GRAPH_NONE || rec->birth_ms >= row->births[1]) {
        row->samples[1] = node;
        row->births[1] = rec->birth_ms;
    }
}

static void
count_objects(struct count *c)
{
    const struct graph *g = c->g;

    for (uint32_t i = 0; i < g->count && !g->failed; i++) {
        struct row *row;

        if (!(g->cells[i] & NODE_WATCHED) ||
            g->cells[i] & (NODE_ALIAS | NODE_SKIPPED))
            continue;
        row = &c->rows[watched_at(c, i)];
        row->census.objects++;
        row->census.references += references(c, i);
        row->census.lost += graph_is_lost(g, i);
        row->census.outside += (int32_t)g->cells[i] >> CELL_SHIFT != 0 ||
                               (g->cells[i] & NODE_PINNED);
        if (!graph_is_lost(g, i))
            sample(row, c, i);
        c->w->r->progress++;
        scan_work_rest(c->w);
    }
}

/* ---- edges -------------------------------------------------------------- */

static struct kind *
find_kind(struct count *c, uint32_t watched, uint32_t from, uint32_t label)
{
    uint32_t at = (watched * 31 + from * 7 + label) * 2654435761u >> 22;

    for (;; at++) {
        struct kind *k = &c->kinds[at % KINDS];

        if (k->watched == watched + 1 && k->from == from && k->label == label)
            return k;
        if (k->watched)
            continue;
        if (c->kind_count == KINDS / 2)
            return NULL;
        c->kind_count++;
        k->watched = watched + 1;
        k->from = from;
        k->label = label;
        return k;
    }
}

static int
count_edge(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct count *c = arg;
    const struct graph *g = c->g;
    struct kind *k;
    uint32_t to;

    (void)index;
    if (!child)
        return 0;
    if (c->edge >= graph_edges_end(g, c->node))
        return 1;
    to = g->edges[c->edge++];
    if (to == GRAPH_NONE || !(g->cells[to] & NODE_WATCHED))
        return 0;
    k = find_kind(c, watched_at(c, to), g->types[c->node],
                  frames_label(&c->frames, label).at);
    if (k) {
        k->edges++;
        k->sole += (g->cells[to] & NODE_SOLE) && !graph_is_lost(g, to);
    }
    return 0;
}

static void
count_edges_of(void *arg)
{
    struct count *c = arg;
    const hk_type *type;
    const char *bytes = bytes_of(c, c->node, &type);

    if (bytes)
        reader_traverse(&c->w->reader, type, bytes, count_edge, c);
}

static int
leads_to_watched(const struct graph *g, uint32_t node)
{
    for (uint32_t e = g->first[node]; e < graph_edges_end(g, node); e++)
        if (g->edges[e] != GRAPH_NONE &&
            g->cells[g->edges[e]] & NODE_WATCHED)
            return 1;
    return 0;
}

/* Where a label faults, the rest of that object is left out. */
static void
count_edges(struct count *c)
{
    const struct graph *g = c->g;

    for (uint32_t i = 0; i < g->count && !g->failed; i++) {
        if (i % REST_PLACES == 0)
            scan_work_rest(c->w);
        if (!graph_is_node(g, i) || !leads_to_watched(g, i))
            continue;
        c->node = i;
        c->edge = g->first[i];
        if (!c->w->guard(count_edges_of, c) && c->frames.reading)
            frames_set_aside(&c->frames);
        c->w->r->progress++;
        scan_work_rest(c->w);
    }
    for (uint32_t i = 0; i < KINDS; i++)
        if (c->kinds[i].watched)
            c->rows[c->kinds[i].watched - 1].census.known +=
                c->kinds[i].edges;
}

/* ---- paths -------------------------------------------------------------- */

static int
find_label(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct count *c = arg;

    if (!child || graph_find(c->g, (uint64_t)(uintptr_t)child) != c->wanted)
        return 0;
    c->step->label = frames_label(&c->frames, label).at;
    c->step->index = index < 0 || index > INT32_MAX ? -1 : (int32_t)index;
    return 1;
}

static void
find_label_of(void *arg)
{
    struct count *c = arg;
    const hk_type *type;
    const char *bytes = bytes_of(c, c->node, &type);

    if (bytes)
        reader_traverse(&c->w->reader, type, bytes, find_label, c);
}

static void
fill_step(struct count *c, struct hkr_step *step, uint32_t node)
{
    uint32_t parent = c->g->parent[node];

    step->address = scan_work_address(c->w, node);
    step->type = c->g->types[node];
    step->label = 0;
    step->index = -1;
    step->note = step->pad = 0;
    step->created = registry_record(c->g->slots[node])->created_stack;
    if (parent == GRAPH_NONE)
        return;
    c->node = parent;
    c->wanted = node;
    c->step = step;
    for (int i = 0; i < RETRIES && !c->w->guard(find_label_of, c); i++)
        if (c->frames.reading)
            frames_set_aside(&c->frames);
}

/* The first and the last steps of a way that is too long. */
static uint32_t
fill_path(struct count *c, struct hkr_path *path, uint32_t node)
{
    struct hkr_step *steps = (struct hkr_step *)(path + 1);
    uint32_t length = 1, at, root = node;

    for (; c->g->parent[root] != GRAPH_NONE; root = c->g->parent[root])
        length++;
    memset(path, 0, sizeof(*path));
    path->refcount = references(c, root);
    path->step_count = length < STEPS ? length : STEPS;
    path->left_out = length - path->step_count;
    path->known = path->refcount -
                  (uint32_t)((int32_t)c->g->cells[root] >> CELL_SHIFT);
    if (c->g->cells[root] & NODE_PINNED || path->known > path->refcount)
        path->known = 0;
    for (at = length; at-- > 0; node = c->g->parent[node]) {
        if (at < STEPS / 2)
            fill_step(c, &steps[at], node);
        else if (at >= path->left_out + STEPS / 2)
            fill_step(c, &steps[at - path->left_out], node);
    }
    return (uint32_t)(sizeof(*path) + path->step_count * sizeof(*steps));
}

/* ---- frames ------------------------------------------------------------- */

/* The largest kinds, one after the other. */
static uint32_t
put_referrers(struct count *c, uint32_t watched, struct hkr_referrer *out)
{
    for (uint32_t n = 0; n < REFERRERS; n++) {
        struct kind *most = NULL;

        for (uint32_t i = 0; i < KINDS; i++) {
            struct kind *k = &c->kinds[i];

            if (k->watched == watched + 1 && k->edges &&
                (!most || k->edges > most->edges))
                most = k;
        }
        if (!most)
            return n;
        out[n].edges = most->edges;
        out[n].sole = most->sole;
        out[n].from = most->from;
        out[n].label = most->label;
        most->edges = 0;
    }
    return REFERRERS;
}

static void
put_census(struct count *c, uint32_t watched, struct result_census *out)
{
    struct row *row = &c->rows[watched];
    struct hkr_referrer *referrers = (struct hkr_referrer *)(out + 1);
    struct result_census *to;
    uint64_t bytes;
    char *end;

    out->census = row->census;
    out->census.type = c->w->wish->watched[watched];
    out->census.referrer_count = put_referrers(c, watched, referrers);
    end = (char *)(referrers + out->census.referrer_count);
    for (uint32_t i = 0; i < PATHS; i++) {
        uint32_t node = row->samples[i];

        if (node == GRAPH_NONE || (i > 0 && node == row->samples[0]) ||
            (i > 1 && node == row->samples[1]))
            continue;
        end += fill_path(c, (struct hkr_path *)(void *)end, node);
        out->census.path_count++;
    }
    bytes = (uint64_t)(end - (char *)out);
    out->census.bytes = (uint32_t)(bytes - sizeof(out->head));
    to = frames_reserve(&c->frames, bytes);
    if (!to)
        return;
    memcpy(to, out, bytes);
    frames_commit(&c->frames, &to->head, bytes, RESULT_CENSUS);
}

static int
take(struct count *c)
{
    struct result_census *out = graph_map(1, SCAN_CENSUS_BYTES);

    if (!out)
        return -1;
    count_objects(c);
    count_edges(c);
    for (uint32_t i = 0; i < c->w->wish->watched_count && !c->g->failed;
         i++) {
        memset(out, 0, sizeof(*out));
        put_census(c, i, out);
    }
    graph_unmap(out, 1, SCAN_CENSUS_BYTES);
    return c->g->failed ? -1 : 0;
}

int
scan_census(struct scan_work *w)
{
    static struct count c;
    int failed;

    memset(&c, 0, sizeof(c));
    c.w = w;
    c.g = &w->g;
    c.asked = w->wish->asked ? graph_find(c.g, w->wish->asked) : GRAPH_NONE;
    c.kinds = graph_map(KINDS, sizeof(*c.kinds));
    for (uint32_t i = 0; i < WISH_TYPES; i++)
        for (uint32_t k = 0; k < PATHS; k++)
            c.rows[i].samples[k] = GRAPH_NONE;
    failed = !c.kinds || frames_start(&c.frames, w->r) || take(&c);
    frames_end(&c.frames);
    graph_unmap(c.kinds, KINDS, sizeof(*c.kinds));
    return failed ? -1 : 0;
}
