/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_cycles.c -- groups of unreachable cycles, for people.
 *
 *      CYCLE #1  confirmed (scans 4+7, 30.0 s apart)  x1,284 instances
 *         Session (refcount 2, known 2) --conn--> Conn
 *         created       1,284x  session_new session.c:88 < accept_loop net.c:9
 *         last release  1,284x  session_put session.c:140 < on_close net.c:3
 */
#include "reporter/render.h"

#include <inttypes.h>

#include "reporter/units.h"

#define MEMBERS_SHOWN 12
#define SITES_SHOWN 3
#define SITE_FRAMES 3

static void
print_state(const struct recording *rec, const struct hkr_group *h,
            const struct text_out *out)
{
    fputs(h->confirmed ? "confirmed" : "suspect", out->file);
    if (h->first_scan && h->first_scan < rec->scan_count
        && h->last_scan < rec->scan_count && h->last_scan > h->first_scan) {
        double apart = (double)(rec->scans[h->last_scan].time_ns
                                - rec->scans[h->first_scan].time_ns) / 1e9;

        fprintf(out->file, " (scans %u to %u, %s apart)", h->first_scan,
                h->last_scan, units_seconds(apart));
    }
    fprintf(out->file, "  x%s", units_plural(h->instances, "instance"));
    if (h->confirmed && h->confirmed < h->instances)
        fprintf(out->file, " (%s confirmed)", units_count(h->confirmed));
}

static void
print_head(const struct recording *rec, const struct group *g, size_t number,
           const struct text_out *out)
{
    const struct hkr_group *h = &g->head;

    fprintf(out->file, "  CYCLE #%zu  ", number);
    print_state(rec, h, out);
    fprintf(out->file, ", %s, %s each",
            units_plural(h->objects, "object"),
            units_bytes((double)h->instance_bytes));
    if (h->held_objects)
        fprintf(out->file, " (+%s, %s held by them)",
                units_plural(h->held_objects, "object"),
                units_bytes((double)h->held_bytes));
    fprintf(out->file, "\n     fingerprint %016" PRIx64 "\n", h->fingerprint);
}

static void
print_edge(const struct recording *rec, const struct group *g,
           const struct hkr_edge *e, const struct text_out *out)
{
    const char *label = recording_string(rec, e->label);

    fputs(" --", out->file);
    text_plain(out, *label ? label : "?");
    if (e->index >= 0)
        fprintf(out->file, "[%d]", e->index);
    fputs("--> ", out->file);
    text_plain(out, recording_type_name(rec, g->members[e->to].type));
    if (e->to != e->from && g->head.member_count > 2)
        fprintf(out->file, " #%u", e->to + 1);
}

static void
print_member(const struct recording *rec, const struct group *g, uint32_t i,
             const struct text_out *out)
{
    const struct hkr_member *m = &g->members[i];
    const char *gap = "";

    fputs("     ", out->file);
    if (g->head.member_count > 2)
        fprintf(out->file, "#%u ", i + 1);
    text_plain(out, recording_type_name(rec, m->type));
    fprintf(out->file, "(refcount %" PRIu64 ", known %" PRIu64 ")",
            m->refcount, m->known);
    for (uint32_t e = 0; e < g->head.edge_count; e++)
        if (g->edges[e].from == i) {
            fputs(gap, out->file);
            print_edge(rec, g, &g->edges[e], out);
            gap = ",";
        }
    fputc('\n', out->file);
}

static void
print_sites(const struct view *view, const char *what,
            const struct hkr_site *sites, uint32_t count,
            const struct text_out *out)
{
    const struct recording *rec = view->rec;

    for (uint32_t i = 0; i < count && i < SITES_SHOWN; i++) {
        fprintf(out->file, "     %-12s %s x ", i ? "" : what,
                units_count(sites[i].count));
        text_plain(out, recording_type_name(rec, sites[i].type));
        fputs(": ", out->file);
        if (rec->stacks[sites[i].stack].flags & HKR_STACK_UNSAMPLED)
            fputs("by paths that were not sampled", out->file);
        else
            text_stack_line(&view->names, rec->stacks[sites[i].stack].node,
                            SITE_FRAMES, out);
        fputc('\n', out->file);
    }
    if (count > SITES_SHOWN)
        fprintf(out->file, "     %-12s ... %s\n", "",
                units_plural(count - SITES_SHOWN, "more place"));
}

static void
print_group(const struct view *view, const struct group *g, size_t number,
            const struct text_out *out)
{
    const struct hkr_group *h = &g->head;

    print_head(view->rec, g, number, out);
    for (uint32_t i = 0; i < h->member_count && i < MEMBERS_SHOWN; i++)
        print_member(view->rec, g, i, out);
    if (h->objects > MEMBERS_SHOWN || h->objects > h->member_count)
        fprintf(out->file, "     ... of %s\n",
                units_plural(h->objects, "object"));
    print_sites(view, "created", g->created, h->created_count, out);
    print_sites(view, "last release", g->released, h->released_count, out);
}

void
text_groups(const struct view *view, const struct text_out *out)
{
    const struct recording *rec = view->rec;

    if (rec->group_count == 0)
        return;
    text_heading(out, "Unreachable cycles (%s)",
                 units_plural(rec->group_count, "shape"));
    for (size_t i = 0; i < rec->group_count && i < out->top; i++)
        print_group(view, &rec->groups[i], i + 1, out);
    if (rec->group_count > out->top)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(rec->group_count - out->top, "more shape"));
}

void
text_cycles(const struct view *view, const struct text_out *out)
{
    text_verdict(view, out);
    if (view->rec->group_count == 0)
        fprintf(out->file, "\nNo unreachable cycles: %s.\n",
                view->rec->scan_count > 1
                    ? "no scan has found one"
                    : "no scan has run yet (heapknot ctl FILE scan)");
    text_groups(view, out);
}
