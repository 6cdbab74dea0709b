/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * verdict.c -- see verdict.h.
 */
#include "reporter/verdict.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "reporter/census.h"
#include "reporter/units.h"
#include "reporter/view.h"

#define OF_A_KIND_MAX 5 /* findings; more are only counted */
/* Fragmentation: the allocator holds twice what is used, and more than... */
#define WASTE_BYTES (16.0 * 1024 * 1024)
#define TEXT_ROOM 128

const char *
verdict_kind(enum finding_kind kind)
{
    static const char *const names[] = {
#define FINDING(name, text) text,
        FINDING_LIST
#undef FINDING
    };

    return names[kind];
}

__attribute__((format(printf, 3, 4))) static struct finding *
find(struct verdict *v, enum finding_kind kind, const char *format, ...)
{
    static struct finding overflow;
    struct finding *f = &overflow;
    size_t same = 0;
    va_list args;

    for (size_t i = 0; i < v->count; i++)
        same += v->items[i].kind == kind;
    if (v->count < VERDICT_MAX && same < OF_A_KIND_MAX)
        f = &v->items[v->count++];
    else
        v->dropped++;
    *f = (struct finding){.kind = kind, .path = FINDING_NO_PATH};
    va_start(args, format);
    vsnprintf(f->headline, sizeof f->headline, format, args);
    va_end(args);
    return f;
}

__attribute__((format(printf, 2, 3))) static void
because(struct finding *f, const char *format, ...)
{
    va_list args;

    if (f->because_count == FINDING_BECAUSE_MAX)
        return;
    va_start(args, format);
    vsnprintf(f->because[f->because_count++], FINDING_TEXT_BYTES, format,
              args);
    va_end(args);
}

/* Without what counts in another group. */
static uint64_t
group_bytes(const struct group *g)
{
    const struct hkr_group *h = &g->head;
    uint64_t all = h->instances * h->instance_bytes + h->held_bytes;

    return all > g->more.nested_bytes ? all - g->more.nested_bytes : 0;
}

/* Sums over groups that have confirmed instances, or that have none. */
struct cycle_sum {
    size_t groups;
    uint64_t instances, bytes;
    double since;
};

static struct cycle_sum
sum_cycles(const struct recording *rec, int confirmed)
{
    struct cycle_sum s = {0};

    for (size_t i = 0; i < rec->group_count; i++) {
        const struct hkr_group *h = &rec->groups[i].head;
        double first = (double)h->first_seen_ns / 1e9;

        if ((h->confirmed != 0) != confirmed)
            continue;
        if (s.groups == 0 || first < s.since)
            s.since = first;
        s.groups++;
        s.instances += confirmed ? h->confirmed : h->instances;
        s.bytes += group_bytes(&rec->groups[i]);
    }
    return s;
}

static void
judge_cycles(const struct view *view, struct verdict *v)
{
    struct cycle_sum sure = sum_cycles(view->rec, 1);
    struct cycle_sum maybe = sum_cycles(view->rec, 0);
    struct finding *f;

    if (sure.groups) {
        f = find(v, FINDING_CYCLES,
                 "leak: unreachable cycles (%s of %s, %s)",
                 units_plural(sure.instances, "instance"),
                 units_plural(sure.groups, "shape"),
                 units_bytes((double)sure.bytes));
        because(f, "two scans found the same objects with the same reference "
                   "counts and no reference from outside");
        because(f, "first seen %s after the start",
                units_seconds(sure.since));
    }
    if (maybe.groups) {
        f = find(v, FINDING_SUSPECTS,
                 "suspected cycles, not confirmed yet (%s of %s)",
                 units_plural(maybe.instances, "instance"),
                 units_plural(maybe.groups, "shape"));
        because(f, "only one scan has seen them so far; the next one, once "
                   "they are older than min_age=, decides");
    }
}

size_t
verdict_group_of_path(const struct view *view, uint32_t path)
{
    for (size_t i = 0; i < view->rec->group_count; i++) {
        const struct group *g = &view->rec->groups[i];

        for (uint32_t k = 0; g->head.confirmed && k < g->head.created_count;
             k++)
            if (g->created[k].stack
                && view->paths.of_stack[g->created[k].stack] == path)
                return i + 1;
    }
    return 0;
}

static void
explain_leak(const struct view *view, const struct watched *w,
             struct finding *f)
{
    const struct path *p = &view->paths.items[w->id];
    const struct stack_counts *c = &p->counts;
    const struct trend *t = &w->trend;
    size_t group = verdict_group_of_path(view, w->id);

    because(f,
            "the floor of its live bytes rose in each of %zu windows over "
            "%s: %s -> %s",
            t->windows, units_seconds(t->until - t->since),
            units_bytes(t->first), units_bytes(t->last));
    if (p->estimate.sampled)
        because(f, "that is %s %s %s by sampling, from %.0f live samples; "
                   "about %s ever allocated there",
                units_bytes(t->rise), SAMPLING_PLUS_MINUS,
                units_bytes(t->error), p->estimate.samples,
                units_plural(c->allocations, "block"));
    else
        because(f, "%s live of %s ever allocated there",
                units_plural(counts_live_blocks(c), "block"),
                units_count(c->allocations));
    if (t->until < view->growth.last_seconds - 1)
        because(f, "it paused %s after the start, when the program went idle",
                units_seconds(t->until));
    else
        because(f, "it was still growing at the last snapshot, %s after the "
                   "start",
                units_seconds(view->growth.last_seconds));
    if (group)
        because(f, "the objects of cycle #%zu are made there", group);
}

static void
judge_path(const struct view *view, const struct watched *w,
           struct verdict *v)
{
    const struct trend *t = &w->trend;
    const struct path *p = &view->paths.items[w->id];
    struct finding *f;
    char title[TEXT_ROOM];

    if (t->kind < TREND_FILLED)
        return;
    frames_title(&view->names, p->node, title, sizeof title);
    if (t->kind == TREND_LEAK) {
        f = find(v, FINDING_LEAK, "leak: %s grows (%s)", title,
                 units_rate(t->per_second));
        explain_leak(view, w, f);
    } else if (t->kind == TREND_FILLING) {
        f = find(v, FINDING_FILLING,
                 "growth that slows down: %s, perhaps a cache still filling",
                 title);
        because(f, "%s -> %s in %s, the second half at less than half the "
                   "speed of the first",
                units_bytes(t->first), units_bytes(t->last),
                units_seconds(t->until - t->since));
    } else if (t->kind == TREND_FILLED) {
        f = find(v, FINDING_CACHE, "cache: filled and stopped: %s", title);
        because(f, "%s -> %s, flat since %s after the start although work "
                   "went on for %s more: not a leak",
                units_bytes(t->first), units_bytes(t->last),
                units_seconds(t->stopped),
                units_seconds(t->until - t->stopped));
    } else {
        f = find(v, FINDING_IDLE, "growth stopped with the work: %s", title);
        because(f, "%s -> %s until %s after the start, when the program went "
                   "idle; record it under load for longer",
                units_bytes(t->first), units_bytes(t->last),
                units_seconds(t->stopped));
    }
    f->path = w->id;
}

int
verdict_in_a_cycle(const struct recording *rec, uint32_t type)
{
    for (size_t i = 0; i < rec->group_count; i++)
        for (uint32_t k = 0; k < rec->groups[i].head.member_count; k++)
            if (rec->groups[i].members[k].type == type
                && rec->groups[i].head.confirmed)
                return 1;
    return 0;
}

void
verdict_list_deltas(const struct type_growth *g, char *text, size_t size)
{
    size_t used = 0;

    *text = '\0';
    for (size_t i = 0; i < g->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%+.0f",
                                 i ? " " : "",
                                 g->values[i + 1] - g->values[i]);
}

static int
has_scanned(const struct recording *rec)
{
    for (uint32_t i = 1; i < rec->scan_count; i++)
        if (rec->scans[i].status == HKR_SCAN_DONE)
            return 1;
    return 0;
}

static void
judge_type(const struct view *view, const struct watched *w,
           struct verdict *v)
{
    const struct type_growth *g = &w->type;
    char deltas[TEXT_ROOM];
    struct finding *f;

    if (g->verdict != TYPE_GROWING || verdict_in_a_cycle(view->rec, w->id))
        return;
    f = find(v, FINDING_TYPE, "objects of type %.80s grow (%.0f/min)",
             recording_string(view->rec, view->rec->types[w->id].name),
             g->per_second * 60);
    verdict_list_deltas(g, deltas, sizeof deltas);
    because(f, "more of them live in each of %zu intervals over %s: "
               "%.0f -> %.0f (%s)",
            g->count, units_seconds(g->until - g->since), g->values[0],
            g->values[g->count], deltas);
    if (has_scanned(view->rec))
        because(f, "scans found none of them unreachable: something still "
                   "holds a reference");
    if (census_held_by(view->rec, w->id, deltas, sizeof deltas) == 0)
        because(f, "held by: %s", deltas);
    f->type = w->id;
}

/* What the allocator keeps beyond what the program uses. */
static double
waste_of(const struct hkr_snapshot *h, const struct hkr_snapshot *first)
{
    double used = (double)(h->usable_bytes ? h->usable_bytes : h->live_bytes);
    double base;

    if (h->heap_bytes)
        return (double)h->heap_bytes - used;
    if (h->rss_bytes == 0)
        return 0;
    base = (double)first->rss_bytes - (double)first->agent_bytes
        - (double)first->live_bytes;
    return (double)h->rss_bytes - (double)h->agent_bytes - used
        - (base > 0 ? base : 0);
}

static void
judge_fragmentation(const struct view *view, struct verdict *v)
{
    const struct snapshot *s = view->rec->snapshots;
    size_t n = view->growth.snapshots;
    const struct hkr_snapshot *last;
    double least;
    struct finding *f;

    if (n < TREND_SNAPSHOTS_MIN || view->growth.total.kind == TREND_LEAK)
        return;
    last = &s[n - 1].head;
    least = waste_of(last, &s[0].head);
    for (size_t i = n - n / 3; i < n; i++) {
        double waste = waste_of(&s[i].head, &s[0].head);

        least = waste < least ? waste : least;
    }
    if (least < WASTE_BYTES || least < (double)last->live_bytes)
        return;
    f = find(v, FINDING_FRAGMENTATION,
             "fragmentation: the allocator holds %s that nobody uses",
             units_bytes(least));
    because(f, "%s live, %s %s, for the last third of the timeline",
            units_bytes((double)last->live_bytes),
            units_bytes((double)(last->heap_bytes ? last->heap_bytes
                                                  : last->rss_bytes)),
            last->heap_bytes ? "of heap" : "resident");
    because(f, "live memory does not grow");
}

static void
judge_end(const struct view *view, struct verdict *v)
{
    uint32_t state = view->rec->header.state;
    uint64_t bytes = recording_counter(view->rec, COUNTER_live_bytes);
    uint64_t blocks = recording_counter(view->rec, COUNTER_live_blocks);
    struct finding *f;

    if (state != HKR_STATE_EXITED && state != HKR_STATE_ABORTED
        && state != HKR_STATE_EXEC && state != HKR_STATE_CRASHED)
        return;
    f = find(v, FINDING_EXIT,
             "%s in %s still allocated at exit",
             units_plural(bytes, "byte"), units_plural(blocks, "block"));
    because(f, "of %s ever allocated; whether something still points to them "
               "is not known",
            units_plural(recording_counter(view->rec, COUNTER_allocations),
                         "block"));
}

/* Grows in all, though no single path does by the rule. */
static void
judge_total(const struct view *view, struct verdict *v)
{
    const struct trend *t = &view->growth.total;
    struct finding *f;

    if (t->kind != TREND_LEAK)
        return;
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i].path != FINDING_NO_PATH)
            return;
    f = find(v, FINDING_LEAK, "leak: live memory grows (%s), by many paths",
             units_rate(t->per_second));
    because(f,
            "its floor rose in each of %zu windows over %s: %s -> %s, but "
            "that of no single path did",
            t->windows, units_seconds(t->until - t->since),
            units_bytes(t->first), units_bytes(t->last));
    if (sampling_used(view->rec))
        because(f, "live memory in all is counted exactly, paths are "
                   "estimated: a smaller sample= or a longer recording may "
                   "show which");
}

/* About how far snapshots are apart. */
static double
snapshot_distance(const struct view *view)
{
    size_t n = view->growth.snapshots;
    double apart = n > 2 ? view->growth.seconds / (double)(n - 1) : 1;

    return apart < 0.1 ? 1 : apart;
}

static void
judge_calm(const struct view *view, struct verdict *v)
{
    size_t n = view->growth.snapshots;
    double apart = snapshot_distance(view);
    const struct trend *t = &view->growth.total;
    struct finding *f;

    if (n < TREND_SNAPSHOTS_MIN || t->kind == TREND_TOO_SHORT) {
        if (v->count)
            return;
        f = find(v, FINDING_TOO_SHORT,
                 "not enough data: a verdict on growth needs about %s",
                 units_seconds(apart * TREND_SNAPSHOTS_MIN));
        because(f, "%s in %s so far, %d needed", units_plural(n, "snapshot"),
                units_seconds(view->growth.last_seconds),
                TREND_SNAPSHOTS_MIN);
        return;
    }
    for (size_t i = 0; i < v->count; i++)
        if (v->items[i].kind < FINDING_EXIT)
            return;
    f = find(v, FINDING_STEADY, "steady: no path and no type keeps growing");
    because(f, "%s over %s in all, %s live at the end",
            units_plural(n, "snapshot"), units_seconds(view->growth.seconds),
            units_bytes((double)view->growth.live_bytes));
    if (t->kind == TREND_GREW)
        because(f, "the floor of live memory moved by %s, but not window by "
                   "window",
                units_signed_bytes(t->rise));
}

/* How bad: kinds in the order of their list, then as they came.  A long
   steady run that ended is steady first of all. */
static int
severity(const struct finding *f)
{
    return f->kind == FINDING_STEADY ? FINDING_EXIT * 2 - 1 : f->kind * 2;
}

static void
sort_findings(struct verdict *v)
{
    for (size_t i = 1; i < v->count; i++)
        for (size_t k = i;
             k && severity(&v->items[k]) < severity(&v->items[k - 1]); k--) {
            struct finding swap = v->items[k];

            v->items[k] = v->items[k - 1];
            v->items[k - 1] = swap;
        }
}

static int
compare_speed(const void *va, const void *vb)
{
    const struct watched *a = va, *b = vb;

    if (a->trend.kind != b->trend.kind)
        return a->trend.kind < b->trend.kind ? 1 : -1;
    return (b->trend.rise > a->trend.rise) - (b->trend.rise < a->trend.rise);
}

/* A copy with the fastest first, so that those which find no room are the
   least; NULL without memory. */
static struct watched *
fastest_first(const struct watched *list, size_t count)
{
    struct watched *copy = calloc(count + 1, sizeof *copy);

    for (size_t i = 0; copy && i < count; i++)
        copy[i] = list[i];
    if (copy && count)
        qsort(copy, count, sizeof *copy, compare_speed);
    return copy;
}

void
verdict_make(const struct view *view, struct verdict *out)
{
    const struct growth *g = &view->growth;
    struct watched *paths = fastest_first(g->paths, g->path_count);
    struct watched *types = fastest_first(g->types, g->type_count);

    *out = (struct verdict){.count = 0};
    judge_cycles(view, out);
    judge_end(view, out);
    judge_fragmentation(view, out);
    for (size_t i = 0; paths && i < g->path_count; i++)
        judge_path(view, &paths[i], out);
    for (size_t i = 0; types && i < g->type_count; i++)
        judge_type(view, &types[i], out);
    judge_total(view, out);
    judge_calm(view, out);
    sort_findings(out);
    free(paths);
    free(types);
}
