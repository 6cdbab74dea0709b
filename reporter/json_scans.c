/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_scans.c -- "scans" of schema "heapknot-report-1".
 */
#include "reporter/scans.h"

static double
seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static const char *
scan_status(uint32_t status)
{
    static const char *const words[] = {
        "done", "denied", "hung", "crashed", "no-memory", "truncated",
        "skipped"};

    return status < sizeof words / sizeof *words ? words[status] : "unknown";
}

static const char *
scan_method(uint32_t method)
{
    return method == HKR_SCAN_SNAPSHOT ? "snapshot"
        : method == HKR_SCAN_COPY      ? "copy"
                                       : "unknown";
}

/* Since version 1.3; null before. */
static void
put_newer(json_t *o, const struct recording *rec, const struct hkr_scan *s)
{
    int has = recording_has(rec, 3);

    json_put(o, "method",
             has ? json_text(scan_method(s->method)) : json_null());
    json_put(o, "reason",
             s->reason ? json_text(recording_string(rec, s->reason))
                       : json_null());
    json_put(o, "opaque_objects",
             has ? json_number(s->opaque_objects) : json_null());
    json_put(o, "ignored", has ? json_number(s->ignored) : json_null());
    json_put(o, "memory_bytes",
             has ? json_number(s->memory_bytes) : json_null());
    json_put(o, "wall_seconds",
             has ? json_real(seconds(s->wall_ns)) : json_null());
}

static json_t *
scan_object(const struct recording *rec, const struct hkr_scan *s)
{
    json_t *o = json_object();

    json_put(o, "kind",
             json_text(s->kind == HKR_SCAN_EXACT ? "exact" : "unknown"));
    json_put(o, "status", json_text(scan_status(s->status)));
    json_put_number(o, "generation", s->generation);
    json_put(o, "time", json_real(seconds(s->time_ns)));
    json_put_number(o, "objects", s->objects);
    json_put_number(o, "edges", s->edges);
    json_put_number(o, "unreachable", s->unreachable);
    json_put(o, "seconds", json_real(seconds(s->child_ns)));
    json_put(o, "pause_ms", json_real((double)s->pause_ns / 1e6));
    json_put(o, "predicted_pause_ms",
             json_real((double)s->predicted_pause_ns / 1e6));
    json_put_number(o, "suspects", s->suspects);
    json_put_number(o, "confirmed", s->confirmed);
    json_put_number(o, "resurrected", s->resurrected);
    json_put_number(o, "unknown_edges", s->unknown_edges);
    json_put_number(o, "skipped_objects", s->skipped_objects);
    json_put_number(o, "excess_edges", s->excess_edges);
    if (s->culprit)
        json_put(o, "culprit", json_text(recording_string(rec, s->culprit)));
    put_newer(o, rec, s);
    return o;
}

void
json_scans(const struct view *view, struct json_out *out)
{
    json_list_begin(out, "scans");
    for (uint32_t i = 1; i < view->rec->scan_count; i++)
        json_list_add(out, scan_object(view->rec, &view->rec->scans[i]));
    json_list_end(out);
}
