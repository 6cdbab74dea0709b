/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_scans.c -- the last scans, for people.
 *
 *      at 10.0 s: 1,000 objects, 3 unreachable; 2 suspect, 0 confirmed, 0
 *      resurrected; blocked 1.5 ms, child 10.0 ms
 *      at 20.0 s: did not run: the pause would be 40 ms, pause_budget=...
 *      at 30.0 s: child died: signal 11 (traverse of Session); blocked ...
 *
 * (each one line).
 */
#include "reporter/scans.h"

#include <inttypes.h>

#include "reporter/units.h"

#define SCANS_SHOWN 4

static const char *
scan_status(uint32_t status)
{
    static const char *const words[] = {
        "done", "clone refused", "stopped by the watchdog", "child died",
        "no memory", "done, more findings than fit", "did not run"};

    return status < sizeof words / sizeof *words ? words[status] : "unknown";
}

static int
has_looked(const struct hkr_scan *s)
{
    return s->status == HKR_SCAN_DONE || s->status == HKR_SCAN_TRUNCATED;
}

int
scans_looked(const struct recording *rec)
{
    for (uint32_t i = 1; i < rec->scan_count; i++)
        if (has_looked(&rec->scans[i]))
            return 1;
    return 0;
}

static void
print_count(uint64_t n, const char *word, const char *what,
            const struct text_out *out)
{
    if (n)
        fprintf(out->file, "; %s %s", units_plural(n, word), what);
}

static void
print_findings(const struct hkr_scan *s, const struct text_out *out)
{
    fprintf(out->file,
            "%s, %s unreachable; %" PRIu64 " suspect, %" PRIu64
            " confirmed, %" PRIu64 " resurrected",
            units_plural(s->objects, "object"), units_count(s->unreachable),
            s->suspects, s->confirmed, s->resurrected);
}

/* An older recording has zeros for what is newer. */
static void
print_cost(const struct hkr_scan *s, const struct text_out *out)
{
    fprintf(out->file, "; blocked %s, %s %s",
            units_seconds((double)s->pause_ns / 1e9),
            s->method == HKR_SCAN_COPY ? "copy while running" : "child",
            units_seconds((double)s->child_ns / 1e9));
    if (s->wall_ns)
        fprintf(out->file, ", %s in all",
                units_seconds((double)s->wall_ns / 1e9));
    if (s->memory_bytes)
        fprintf(out->file, ", %s of tables",
                units_bytes((double)s->memory_bytes));
    print_count(s->opaque_objects, "object", "that a copy cannot read", out);
    print_count(s->ignored, "cycle", "ignored (hk_ignore)", out);
    print_count(s->skipped_objects, "object", "left out", out);
}

/* Why it failed or did not run, and whose traverse was to blame. */
static void
print_reason(const struct recording *rec, const struct hkr_scan *s,
             const struct text_out *out)
{
    if (s->reason) {
        fputs(": ", out->file);
        text_plain(out, recording_string(rec, s->reason));
    }
    if (s->culprit) {
        fputs(" (traverse of ", out->file);
        text_plain(out, recording_string(rec, s->culprit));
        fputc(')', out->file);
    }
}

static void
print_scan(const struct recording *rec, const struct hkr_scan *s,
           const struct text_out *out)
{
    fprintf(out->file, "  at %s: ", units_seconds((double)s->time_ns / 1e9));
    if (has_looked(s))
        print_findings(s, out);
    if (s->status)
        fprintf(out->file, "%s%s", has_looked(s) ? "; " : "",
                scan_status(s->status));
    print_reason(rec, s, out);
    if (s->status != HKR_SCAN_SKIPPED)
        print_cost(s, out);
    fputc('\n', out->file);
}

void
text_scans(const struct view *view, const struct text_out *out)
{
    uint32_t n = view->rec->scan_count;

    if (n <= 1)
        return;
    text_heading(out, "Scans");
    if (n - 1 > SCANS_SHOWN)
        fprintf(out->file, "  ... %s before\n",
                units_plural(n - 1 - SCANS_SHOWN, "scan"));
    for (uint32_t i = n - 1 > SCANS_SHOWN ? n - SCANS_SHOWN : 1; i < n; i++)
        print_scan(view->rec, &view->rec->scans[i], out);
}
