/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_cycles.c -- groups of unreachable cycles, for people.
 *
 *      CYCLE #1  confirmed (scans 4+7, 30.0 s apart)  x1,284 instances
 *         Session (refcount 2, known 2) --conn--> Conn
 *         created       1,284x  session_new session.c:88 < accept_loop net.c:9
 *         last release  1,284x  session_put session.c:140 < on_close net.c:3
 *         break at      back edge present in all 1,284 instances:
 *                       Conn.user_data (make it weak, or clear it in on_close)
 */
#include "reporter/render.h"

#include <inttypes.h>

#include "reporter/advice.h"
#include "reporter/scans.h"
#include "reporter/units.h"

#define MEMBERS_SHOWN 12
#define SITES_SHOWN 3
#define SITE_FRAMES 3
/* Before the lines of a group that have a title, and those that go on. */
#define TITLE "     %-12s "

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
    if (g->notes && g->notes[i]) {
        fputs(" \"", out->file);
        text_plain(out, recording_string(rec, g->notes[i]));
        fputc('"', out->file);
    }
    for (uint32_t e = 0; e < g->head.edge_count; e++)
        if (g->edges[e].from == i) {
            fputs(gap, out->file);
            print_edge(rec, g, &g->edges[e], out);
            gap = ",";
        }
    fputc('\n', out->file);
}

static void
print_sites(const struct view *view, const char *what, const char *nowhere,
            const struct hkr_site *sites, uint32_t count,
            const struct text_out *out)
{
    const struct recording *rec = view->rec;

    for (uint32_t i = 0; i < count && i < SITES_SHOWN; i++) {
        fprintf(out->file, TITLE "%s x ", i ? "" : what,
                units_count(sites[i].count));
        text_plain(out, recording_type_name(rec, sites[i].type));
        fputs(": ", out->file);
        if (rec->stacks[sites[i].stack].flags & HKR_STACK_UNSAMPLED)
            fputs("by paths that were not sampled", out->file);
        else if (sites[i].stack == 0)
            fputs(nowhere, out->file);
        else
            text_stack_line(&view->names, rec->stacks[sites[i].stack].node,
                            SITE_FRAMES, out);
        fputc('\n', out->file);
    }
    if (count > SITES_SHOWN)
        fprintf(out->file, TITLE "... %s\n", "",
                units_plural(count - SITES_SHOWN, "more place"));
}

/* "oldest 5 min 3 s, youngest 2.0 s; growing +12/min for 5 min 0 s" */
static void
print_growth(const struct recording *rec, const struct group *g,
             const struct text_out *out)
{
    const struct hkr_group *h = &g->head;
    double oldest, youngest, rate, over;
    int aged = advice_ages(rec, g, &oldest, &youngest) == 0;
    int rated = advice_rate(rec, g, &rate, &over) == 0;

    fprintf(out->file, TITLE "%s, %s in all\n", "retained",
            units_plural(advice_retained_objects(h), "object"),
            units_bytes((double)advice_retained_bytes(h)));
    if (!aged && !rated)
        return;
    fprintf(out->file, TITLE, "age");
    if (aged)
        fprintf(out->file, "oldest %s, youngest %s%s", units_seconds(oldest),
                units_seconds(youngest), rated ? "; " : "");
    if (rated && rate > 0 && rate < 10)
        fprintf(out->file, "growing +%.1f/min", rate);
    else if (rated && rate > 0)
        fprintf(out->file, "growing +%s/min",
                units_count((uint64_t)(rate < 1e15 ? rate + 0.5 : 1e15)));
    else if (rated)
        fputs("not growing", out->file);
    if (rated)
        fprintf(out->file, " for %s", units_seconds(over));
    fputc('\n', out->file);
}

/* "Conn.user_data and Session.conn" */
static void
print_set(const struct recording *rec, const struct advice *a,
          const struct text_out *out)
{
    char name[ADVICE_NAME_BYTES];

    for (uint32_t i = 0; i < a->set_count; i++) {
        advice_field_name(rec, &a->fields[a->set[i]], name, sizeof name);
        fputs(i == 0 ? "" : i + 1 == a->set_count ? " and " : ", ",
              out->file);
        text_plain(out, name);
    }
}

/* "(make it weak, or clear it in on_close)" */
static void
print_remedy(const struct advice *a, const struct text_out *out)
{
    fputs(a->weak == ADVICE_WEAK_SAFE ? " (make it weak, or clear " :
          " (clear ", out->file);
    fputs(a->set_count > 1 ? "them" : "it", out->file);
    if (a->clear_in[0]) {
        fputs(" in ", out->file);
        text_plain(out, a->clear_in);
    } else {
        fputs(" before its object is let go", out->file);
    }
    fputs(")\n", out->file);
}

/* Why weak would do, or not; nothing where no census tells. */
static void
print_weak(const struct recording *rec, const struct advice *a,
           const struct text_out *out)
{
    const struct advice_field *f = &a->fields[a->set[0]];

    if (a->weak == ADVICE_WEAK_UNKNOWN || a->set_count > 1)
        return;
    fprintf(out->file, TITLE, "");
    if (a->weak == ADVICE_WEAK_SAFE) {
        fputs("weak would do: no ", out->file);
        text_plain(out, recording_type_name(rec, f->to));
        fprintf(out->file, " of %s lives by this field alone\n",
                units_count(f->live));
    } else {
        fprintf(out->file, "weak would not do: %s of %s live ones are held "
                "by this field alone\n",
                units_count(f->sole), units_count(f->live));
    }
}

static void
print_weak_instead(const struct recording *rec, const struct advice *a,
                   const struct text_out *out)
{
    const struct advice_field *f = advice_weak_instead(a);
    char name[ADVICE_NAME_BYTES];

    if (!f)
        return;
    advice_field_name(rec, f, name, sizeof name);
    fprintf(out->file, TITLE "or break it at ", "");
    text_plain(out, name);
    fputs(", where weak would do: no ", out->file);
    text_plain(out, recording_type_name(rec, f->to));
    fprintf(out->file, " of %s lives by it alone\n", units_count(f->live));
}

static void
print_where(const struct recording *rec, const struct group *g,
            const struct advice *a, const struct text_out *out)
{
    fprintf(out->file, TITLE, "break at");
    if (a->set_count == 0) {
        fputs("no cycle is complete in the part that is shown\n", out->file);
        return;
    }
    if (a->set_count > 1)
        fprintf(out->file, "no single field is in every cycle; %s ",
                a->set_cut ? "it takes more than" : "together they do:");
    else if (g->head.instances == 1)
        fprintf(out->file, "%s: ", advice_is_back(&a->fields[a->set[0]])
                                       ? "back edge" : "edge");
    else
        fprintf(out->file, "%s present in all %s: ",
                advice_is_back(&a->fields[a->set[0]]) ? "back edge" : "edge",
                units_plural(g->head.instances, "instance"));
    print_set(rec, a, out);
    print_remedy(a, out);
    print_weak(rec, a, out);
    print_weak_instead(rec, a, out);
}

static void
print_advice(const struct view *view, const struct group *g,
             const struct text_out *out)
{
    struct advice a;

    if (advice_make(view, g, &a))
        return;
    print_where(view->rec, g, &a, out);
    if (a.part && a.set_count)
        fprintf(out->file, TITLE "judged by the part that is shown\n", "");
    advice_free(&a);
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
    print_sites(view, "created", "unknown stack", g->created,
                h->created_count, out);
    print_sites(view, "last release", "never released, as far as was seen",
                g->released, h->released_count, out);
    print_growth(view->rec, g, out);
    print_advice(view, g, out);
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
                scans_looked(view->rec)
                    ? "no scan has found one"
                    : "no scan has run yet (heapknot ctl FILE scan)");
    text_groups(view, out);
    text_scans(view, out);
}
