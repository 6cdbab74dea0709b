/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * view.c -- see view.h.
 */
#include "reporter/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporter/cli.h"

/* Confirmed groups first, then by what they hold. */
static int
compare_groups(const void *va, const void *vb)
{
    const struct hkr_group *a = &((const struct group *)va)->head;
    const struct hkr_group *b = &((const struct group *)vb)->head;
    uint64_t x = a->instances * a->instance_bytes + a->held_bytes;
    uint64_t y = b->instances * b->instance_bytes + b->held_bytes;

    if (!a->confirmed != !b->confirmed)
        return !a->confirmed - !b->confirmed;
    if (x != y)
        return x < y ? 1 : -1;
    return (a->fingerprint > b->fingerprint)
        - (a->fingerprint < b->fingerprint);
}

static int
fill(struct view *v)
{
    if (v->rec->group_count)
        qsort(v->rec->groups, v->rec->group_count, sizeof *v->rec->groups,
              compare_groups);
    if (state_now(v->rec, &v->now) || state_at(v->rec, 0, &v->first)
        || paths_make(v->rec, &v->now, NULL, NULL, &v->paths)
        || !(v->order = paths_by_live_bytes(&v->paths)))
        return -1;
    return growth_of(v->rec, &v->paths, &v->growth);
}

int
view_make(struct recording *rec, int symbols, struct view *out)
{
    *out = (struct view){.rec = rec};
    if (fill(out)) {
        view_free(out);
        return -1;
    }
    out->live = recording_is_live(rec);
    out->sampled = sampling_used(rec);
    out->names = (struct names){rec, symbols ? symboliser_open(rec) : NULL};
    verdict_make(out, &out->verdict);
    return 0;
}

int
view_open(const char *file_or_pid, struct view *out)
{
    struct recording *rec;
    int code = cli_open_recording(file_or_pid, &rec);

    if (code)
        return code;
    if (view_make(rec, 1, out)) {
        fprintf(stderr, "heapknot: %s: not enough memory to analyse it\n",
                file_or_pid);
        return HK_EXIT_UNREADABLE;
    }
    return HK_EXIT_CLEAN;
}

void
view_free(struct view *view)
{
    if (view->names.sym)
        symboliser_close(view->names.sym);
    growth_free(&view->growth);
    free(view->order);
    paths_free(&view->paths);
    state_free(&view->now);
    state_free(&view->first);
    recording_close(view->rec);
    *view = (struct view){0};
}

double
view_ran_seconds(const struct view *view)
{
    return (double)view->rec->header.published_ns / 1e9;
}

const char *
view_state(const struct view *view)
{
    switch (view->rec->header.state) {
    case HKR_STATE_LIVE:
        return view->live ? "live" : "killed";
    case HKR_STATE_EXITED:
        return "exited";
    case HKR_STATE_EXEC:
        return "exec";
    case HKR_STATE_ABORTED:
        return "aborted";
    case HKR_STATE_CRASHED:
        return "crashed";
    case HKR_STATE_RETIRED:
        return "retired";
    default:
        return "unknown";
    }
}

int
view_has_losses(const struct view *view)
{
    const struct recording *rec = view->rec;
    uint64_t sum = 0;

    for (unsigned c = 0; c < COUNTER_COUNT; c++)
        if (counter_rows[c].kind == KIND_LOSS)
            sum |= recording_counter(rec, c);
    return sum || rec->torn || rec->truncated;
}

struct interval
view_interval(const struct view *view, const struct path *p)
{
    double most = view->sampled
        ? (double)recording_counter(view->rec, COUNTER_live_bytes)
        : 0;

    return sampling_interval((double)counts_live_bytes(&p->counts),
                             &p->estimate, most);
}

/* A number and "%"; what the agent does not understand it ignores. */
static void
read_share(const char *text, double *share)
{
    char *end;
    double value = strtod(text, &end);

    if (*text >= '0' && *text <= '9' && *end == '%'
        && strcspn(end, ":") == 1)
        *share = value / 100;
}

/* The last one wins, as in the agent. */
double
view_overhead_limit(const struct view *view)
{
    const char *at = recording_fact(view->rec, "options");
    double share = 0;

    for (; at && *at; at = strchr(at, ':')) {
        at += *at == ':';
        if (strncmp(at, "overhead=", 9) == 0)
            read_share(at + 9, &share);
    }
    return share > 0 && share <= 1 ? share : 0;
}
