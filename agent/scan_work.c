/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_work.c -- the steps of a scan, one after the other.
 *
 * Called by   scan_child.c, in a snapshot; scan_copy.c, on live data.
 * Threads     one.
 * Memory      see scan_work.h.
 * Fails       with a status; r->phase tells how far it came.
 * Invariants  on live data nothing is lost that was not found lost several
 *             times, with the same references.
 */
#include "agent/scan_work.h"

#include <string.h>

#include "agent/scan_census.h"
#include "agent/scan_emit.h"
#include "lib/registry.h"

/* How often what is lost is read again, on live data. */
#define READS_MAX UINT64_C(250000)
#define ROUNDS_MAX 6u
#define ROUNDS_LEAST 2u

static void
enter_phase(struct scan_work *w, enum scan_phase phase)
{
    __atomic_store_n(&w->r->phase, phase, __ATOMIC_RELAXED);
    w->r->type = 0;
    w->r->progress++;
}

uint64_t
scan_work_address(const struct scan_work *w, uint32_t node)
{
    const struct record *rec = registry_record(w->g.slots[node]);

    return rec ? (uint64_t)(uintptr_t)registry_object(rec) : 0;
}

int
scan_work_rest(struct scan_work *w)
{
    if (w->rest && w->rest())
        w->g.failed = 1;
    return w->g.failed;
}

/* ---- once more, on live data -------------------------------------------- */

struct again {
    struct scan_work *w;
    uint32_t edge, end;
};

static int
compare(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct again *a = arg;
    const struct graph *g = &a->w->g;

    (void)label;
    (void)index;
    if (!child)
        return 0;
    if (a->edge == a->end ||
        graph_find(g, (uint64_t)(uintptr_t)child) != g->edges[a->edge])
        return -1;
    a->edge++;
    return 0;
}

static uint64_t
read_again(uint32_t node, void *arg)
{
    struct scan_work *w = arg;
    struct again a = {w, w->g.first[node], graph_edges_end(&w->g, node)};
    const hk_type *type = type_get(w->g.types[node]);
    uint64_t address = scan_work_address(w, node);
    const char *bytes = address ? reader_bytes(&w->reader, type, address)
                                : NULL;
    uint64_t refs;

    if (!bytes)
        return 0;
    refs = type_refcount(type, bytes);
    if (reader_traverse(&w->reader, type, bytes, compare, &a) < 0 ||
        a.edge != a.end)
        return 0;
    scan_work_rest(w);
    return refs;
}

/* The lost objects by component, so that those of one are read together. */
static uint32_t *
in_order(const struct components *c)
{
    uint32_t *order = graph_map(c->lost_count, sizeof(*order));

    for (uint32_t k = 0; order && k < c->lost_count; k++)
        order[k] = c->node[c->members[k]];
    return order;
}

/*
 * A reference that a plain store moves from one member to another and back
 * leaves no trace: read in one and, later, in the other it counts twice.  For
 * that to happen each time the odds are at most one in four, if it moves about
 * as fast as the members are read, and small if it does not.
 */
static int
read_often(struct scan_work *w)
{
    uint64_t before = w->g.unreachable;
    uint32_t n = w->parts.lost_count, *order = in_order(&w->parts);
    uint64_t rounds = READS_MAX / (n ? n : 1);

    if (!order)
        return -1;
    if (rounds < ROUNDS_LEAST)
        rounds = ROUNDS_LEAST;
    for (uint64_t i = 0; i < rounds && i < ROUNDS_MAX; i++)
        graph_recheck(&w->g, order, n, read_again, w);
    graph_unmap(order, n, sizeof(*order));
    if (w->g.failed)
        return -1;
    if (w->g.unreachable == before)
        return 0;
    components_free(&w->parts);
    return w->g.unreachable ? components_find(&w->g, &w->parts) : 0;
}

static int
find_components(struct scan_work *w)
{
    if (w->reader.is_copy)
        graph_recheck(&w->g, NULL, 0, read_again, w);
    if (w->g.failed)
        return -1;
    if (w->g.unreachable && components_find(&w->g, &w->parts))
        return -1;
    return w->g.unreachable && w->reader.is_copy ? read_often(w) : 0;
}

/* ---- the whole ---------------------------------------------------------- */

static void
tell_totals(struct scan_work *w)
{
    struct results *r = w->r;
    const struct graph *g = &w->g;

    r->edges = g->edge_count - g->unknown;
    r->unknown = g->unknown;
    r->excess = g->excess;
    r->skipped = g->skipped;
    r->unreachable = g->unreachable;
    r->objects = g->nodes - g->skipped;
    r->opaque = w->opaque;
    r->bytes = g->bytes;
}

static uint32_t
steps(struct scan_work *w)
{
    enter_phase(w, SCAN_PHASE_COPY);
    if (scan_walk(w))
        return HKR_SCAN_NO_MEMORY;
    enter_phase(w, SCAN_PHASE_REACH);
    if (graph_reach(&w->g, w->wish->has_census))
        return HKR_SCAN_NO_MEMORY;
    enter_phase(w, SCAN_PHASE_COMPONENTS);
    if (find_components(w))
        return HKR_SCAN_NO_MEMORY;
    enter_phase(w, SCAN_PHASE_EMIT);
    if (w->g.unreachable && scan_emit_cycles(w))
        return HKR_SCAN_NO_MEMORY;
    enter_phase(w, SCAN_PHASE_CENSUS);
    if (w->wish->has_census && scan_census(w))
        return HKR_SCAN_NO_MEMORY;
    return HKR_SCAN_DONE;
}

uint32_t
scan_work_run(struct scan_work *w)
{
    uint32_t status = steps(w);

    tell_totals(w);
    if (w->r->status == HKR_SCAN_DONE)
        w->r->status = status;
    return w->r->status;
}

void
scan_work_end(struct scan_work *w)
{
    components_free(&w->parts);
    graph_free(&w->g);
    reader_stop(&w->reader);
}
