/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * report_json.c -- schema "heapknot-report-1".
 *
 * Members are written in the order of the manual.  Times are seconds, and
 * seconds since the start where they name a moment; sizes are bytes.  Keys are
 * only ever added.
 */
#include "reporter/render.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reporter/fingerprint.h"
#include "reporter/json_parts.h"
#include "reporter/mistakes.h"
#include "reporter/scans.h"

#define SCHEMA "heapknot-report-1"

static double
seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static json_t *
time_text(uint64_t realtime_ns)
{
    time_t t = (time_t)(realtime_ns / 1000000000);
    char text[64];
    struct tm tm;

    if (realtime_ns == 0 || !gmtime_r(&t, &tm)
        || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_text(text);
}

static json_t *
command_list(const struct recording *rec)
{
    json_t *list = json_array();

    for (size_t i = 0; i < rec->fact_count; i++)
        if (strcmp(rec->facts[i].name, "command") == 0)
            json_array_append_new(list, json_text(rec->facts[i].value));
    return list;
}

static json_t *
process_object(const struct view *view)
{
    static const char *const facts[] = {
        "exe",     "exe_build_id", "ppid",   "host",    "boot_id",
        "cwd",     "allocator",    "unwinder", "options", "agent_version"};
    const struct recording *rec = view->rec;
    const struct hkr_header *h = &rec->header;
    char *command = recording_command(rec);
    int ended = h->state == HKR_STATE_LIVE && view->live ? 0 : 1;
    json_t *o = json_object();

    json_put(o, "command", json_text(command ? command : ""));
    free(command);
    json_put(o, "arguments", command_list(rec));
    json_put_number(o, "pid", h->pid);
    json_put(o, "started", time_text(h->start_realtime_ns));
    json_put(o, "ended",
             ended ? time_text(h->start_realtime_ns + h->published_ns)
                   : json_null());
    json_put(o, "state", json_text(view_state(view)));
    json_put(o, "seconds", json_real(view_ran_seconds(view)));
    json_put_number(o, "exit_signal", h->exit_signal);
    json_put(o, "reason", json_text(h->reason));
    json_put(o, "publish_seconds", json_real(seconds(h->publish_interval_ns)));
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        json_put(o, facts[i], json_text(recording_fact(rec, facts[i])));
    return o;
}

static void
put_counters(json_t *o, const struct view *view, enum counter_kind kind)
{
    for (unsigned c = 0; c < COUNTER_COUNT; c++)
        if (counter_rows[c].kind == kind)
            json_put_number(o, counter_rows[c].name,
                            recording_counter(view->rec, c));
}

static json_t *
totals_object(const struct view *view)
{
    json_t *o = json_object();

    put_counters(o, view, KIND_TOTAL);
    put_counters(o, view, KIND_FACT);
    return o;
}

static json_t *
losses_object(const struct view *view)
{
    json_t *o = json_object();

    put_counters(o, view, KIND_LOSS);
    json_put_number(o, "truncated", view->rec->missing_bytes);
    json_put_number(o, "torn", (uint64_t)view->rec->torn);
    return o;
}

static json_t *
cost_object(const struct view *view)
{
    json_t *o = json_object();

    put_counters(o, view, KIND_COST);
    return o;
}

static json_t *
share_or_null(double share)
{
    return share > 0 ? json_real(share) : json_null();
}

/* null where every block was recorded and nothing could change that. */
static json_t *
sampling_object(const struct view *view)
{
    const struct recording *rec = view->rec;
    double limit = view_overhead_limit(view);
    json_t *o;

    if (!view->sampled && limit <= 0)
        return json_null();
    o = json_object();
    json_put_number(o, "bytes", recording_counter(rec, COUNTER_sample_bytes));
    json_put_number(o, "sampled_blocks",
                    recording_counter(rec, COUNTER_sampled_blocks));
    json_put_number(o, "changes",
                    recording_counter(rec, COUNTER_sample_changes));
    json_put(o, "overhead",
             share_or_null((double)recording_counter(
                               rec, COUNTER_overhead_ppm)
                           / 1e6));
    json_put(o, "overhead_limit", share_or_null(limit));
    json_put(o, "confidence", json_real(SAMPLING_CONFIDENCE));
    return o;
}

static json_t *
finding_object(const struct view *view, const struct finding *f)
{
    json_t *o = json_object(), *because = json_array();

    json_put(o, "headline", json_text(f->headline));
    json_put(o, "kind", json_text(verdict_kind(f->kind)));
    for (size_t i = 0; i < f->because_count; i++)
        json_array_append_new(because, json_text(f->because[i]));
    json_put(o, "because", because);
    if (f->path != FINDING_NO_PATH)
        json_put_number(o, "stack", view->paths.items[f->path].stack);
    if (f->type)
        json_put(o, "type",
                 json_text(recording_string(view->rec,
                                            view->rec->types[f->type].name)));
    return o;
}

/* The headline's finding, and the others under "also". */
static json_t *
verdict_object(const struct view *view)
{
    json_t *o = finding_object(view, &view->verdict.items[0]);
    json_t *also = json_array();

    for (size_t i = 1; i < view->verdict.count; i++)
        json_array_append_new(also,
                              finding_object(view, &view->verdict.items[i]));
    json_put(o, "also", also);
    return o;
}

static void
put_sampled(json_t *o, const struct view *view, const struct path *p)
{
    struct interval i = view_interval(view, p);

    json_put(o, "sampled_blocks",
             p->estimate.sampled ? json_bytes(p->estimate.samples)
                                 : json_null());
    json_put_interval(o, &p->estimate, &i);
}

static int
is_leaking(const struct view *view, uint32_t path)
{
    const struct trend *t = growth_path(&view->growth, path);

    return t && t->kind == TREND_LEAK;
}

static void
write_stacks(const struct view *view, size_t top, struct json_out *out)
{
    uint32_t n = view->paths.count;

    if (top && n > top)
        n = (uint32_t)top;
    json_list_begin(out, "stacks");
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = view->order[i];
        const struct path *p = &view->paths.items[index];
        json_t *o = json_object();

        json_put_number(o, "id", p->stack);
        json_put_number(o, "live_bytes", counts_live_bytes(&p->counts));
        json_put_number(o, "live_blocks", counts_live_blocks(&p->counts));
        json_put_number(o, "allocations", p->counts.allocations);
        json_put_number(o, "frees", p->counts.frees);
        json_put_number(o, "allocated_bytes", p->counts.allocated_bytes);
        put_sampled(o, view, p);
        json_put(o, "truncated",
                 json_boolean(p->flags & HKR_STACK_TRUNCATED));
        json_put_trend(o, growth_path(&view->growth, index));
        if (is_leaking(view, index))
            json_put_fingerprint(o,
                                 fingerprint_path(&view->names, p->node));
        json_put(o, "frames", json_frames(&view->names, p->node));
        json_list_add(out, o);
    }
    json_list_end(out);
}

static json_t *
timeline_object(const struct view *view)
{
    const struct recording *rec = view->rec;
    json_t *o = json_object();
    size_t n = rec->snapshot_count;

    json_put_number(o, "snapshots", n);
    json_put_number(o, "used", view->growth.snapshots);
    json_put(o, "first",
             json_real(n ? seconds(rec->snapshots[0].head.time_ns) : 0));
    json_put(o, "last",
             json_real(n ? seconds(rec->snapshots[n - 1].head.time_ns) : 0));
    json_put_trend(o, &view->growth.total);
    return o;
}

static json_t *
snapshot_object(const struct recording *rec, size_t index)
{
    const struct hkr_snapshot *h = &rec->snapshots[index].head;
    json_t *o = json_object();

    json_put_number(o, "snapshot", index + 1);
    json_put(o, "time", json_real(seconds(h->time_ns)));
    if (h->name)
        json_put(o, "name", json_text(recording_string(rec, h->name)));
    json_put_number(o, "live_bytes", h->live_bytes);
    json_put_number(o, "live_blocks", h->live_blocks);
    json_put_number(o, "allocations", h->allocations);
    json_put_number(o, "frees", h->frees);
    json_put_number(o, "usable_bytes", h->usable_bytes);
    json_put_number(o, "rss_bytes", h->rss_bytes);
    json_put_number(o, "heap_bytes", h->heap_bytes);
    json_put_number(o, "agent_bytes", h->agent_bytes);
    return o;
}

/* "snapshots": all of them; "marks": those with a name. */
static void
write_snapshots(const struct view *view, int marks, struct json_out *out)
{
    json_list_begin(out, marks ? "marks" : "snapshots");
    for (size_t i = 0; i < view->rec->snapshot_count; i++)
        if (!marks || view->rec->snapshots[i].head.name)
            json_list_add(out, snapshot_object(view->rec, i));
    json_list_end(out);
}

static void
begin(struct json_out *out, const struct view *view, FILE *file)
{
    json_begin(out, file);
    json_member(out, "schema", json_text(SCHEMA));
    json_member(out, "verdict", verdict_object(view));
    json_member(out, "process", process_object(view));
}

int
json_report(const struct view *view, size_t top, FILE *file)
{
    struct json_out out;

    begin(&out, view, file);
    json_member(&out, "totals", totals_object(view));
    json_member(&out, "sampling", sampling_object(view));
    write_stacks(view, top, &out);
    json_type_list(view, &out);
    json_mistakes(view, &out);
    json_holds(view, &out);
    json_groups(view, top, &out);
    json_scans(view, &out);
    json_member(&out, "losses", losses_object(view));
    json_member(&out, "cost", cost_object(view));
    json_member(&out, "timeline", timeline_object(view));
    write_snapshots(view, 0, &out);
    write_snapshots(view, 1, &out);
    return json_end(&out);
}

int
json_cycles(const struct view *view, size_t top, FILE *file)
{
    struct json_out out;

    begin(&out, view, file);
    json_groups(view, top, &out);
    json_scans(view, &out);
    json_member(&out, "losses", losses_object(view));
    return json_end(&out);
}

int
json_types(const struct view *view, size_t top, FILE *file)
{
    struct json_out out;

    (void)top;
    begin(&out, view, file);
    json_type_list(view, &out);
    json_member(&out, "losses", losses_object(view));
    return json_end(&out);
}
