/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_why.c -- who holds it, for people.
 *
 *      session: 312 objects live, 311 of them held only by hub.sessions[]
 *
 *      references 624 = 312 hub.sessions[] + 300 channel.subscribers[] + 2
 *      named holds ("worker queue") + 10 unknown
 *
 *      Paths from a root
 *        hub 0x5500 (references 3, 1 known, root) made in main main.c:3
 *          .sessions[4] -> session 0x7710 made in session_new session.c:88
 */
#include "reporter/why.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "reporter/units.h"

#define FIELDS_SHOWN 6
#define HOLDS_SHOWN 3
#define HOLDS_LOOKED 1024u /* for names; more would take too long */
#define MADE_FRAMES 1

static void
print_term(uint64_t n, const char *what, int *first,
           const struct text_out *out)
{
    if (n == 0)
        return;
    fprintf(out->file, " %s %s ", *first ? "=" : "+", units_count(n));
    text_plain(out, what);
    *first = 0;
}

/* Has a hold of the type before this one the same name? */
static int
is_named_before(const struct recording *rec, uint32_t type, uint32_t hold)
{
    const char *name = recording_string(rec, rec->holds[hold].name);

    for (uint32_t i = 1; i < hold; i++)
        if (rec->holds[i].type == type && rec->holds[i].live
            && strcmp(recording_string(rec, rec->holds[i].name), name) == 0)
            return 1;
    return 0;
}

/* ("worker queue", "main loop", ...) */
static void
print_hold_names(const struct recording *rec, uint32_t type,
                 const struct text_out *out)
{
    size_t shown = 0;

    for (uint32_t i = 1; i < rec->hold_count && i < HOLDS_LOOKED; i++) {
        if (rec->holds[i].type != type || !rec->holds[i].live
            || is_named_before(rec, type, i))
            continue;
        if (shown == HOLDS_SHOWN) {
            fputs(", ...", out->file);
            break;
        }
        fputs(shown++ ? ", \"" : " (\"", out->file);
        text_plain(out, recording_string(rec, rec->holds[i].name));
        fputc('"', out->file);
    }
    if (shown)
        fputc(')', out->file);
}

static void
print_fields(const struct why *why, const struct census_sum *s, int *first,
             const struct text_out *out)
{
    const struct recording *rec = why->view->rec;
    uint32_t n = why->census->head.referrer_count;
    struct hkr_referrer *list = census_referrers(why->census);
    uint64_t shown = 0;
    char name[CENSUS_NAME_BYTES];

    for (uint32_t i = 0; list && i < n && i < FIELDS_SHOWN; i++) {
        census_field_name(rec, list[i].from, list[i].label, name,
                          sizeof name);
        print_term(list[i].edges, name, first, out);
        shown += list[i].edges;
    }
    free(list);
    if (s->fields + s->other_fields > shown)
        print_term(s->fields + s->other_fields - shown, "other fields", first,
                   out);
}

static void
print_sum(const struct why *why, const struct text_out *out)
{
    const struct recording *rec = why->view->rec;
    struct census_sum s = census_sum_of(rec, why->census);
    int first = 1;

    fprintf(out->file, "\nreferences %s", units_count(s.references));
    if (s.excess)
        fprintf(out->file, " + %s too many edges", units_count(s.excess));
    print_fields(why, &s, &first, out);
    print_term(s.holds,
               s.holds_unsure ? "named holds or unknown"
               : s.holds == 1 ? "named hold"
                              : "named holds",
               &first, out);
    if (s.holds)
        print_hold_names(rec, why->type, out);
    print_term(s.unknown, "unknown", &first, out);
    fputs(first ? " = 0\n" : "\n", out->file);
    if (s.excess)
        fputs("    a traverse function reports more edges than there are "
              "references\n", out->file);
    if (s.holds_unsure)
        fprintf(out->file, "    %s now; the scan saw fewer references\n",
                units_plural(census_holds(rec, why->type), "named hold"));
}

static void
print_made(const struct why *why, const struct hkr_step *step,
           const struct text_out *out)
{
    const struct recording *rec = why->view->rec;

    if (step->created
        && !(rec->stacks[step->created].flags & HKR_STACK_UNSAMPLED)) {
        fputs(" made in ", out->file);
        text_stack_line(&why->view->names, rec->stacks[step->created].node,
                        MADE_FRAMES, out);
    }
    fputc('\n', out->file);
}

static void
print_note(const struct why *why, const struct hkr_step *step,
           const struct text_out *out)
{
    if (!step->note)
        return;
    fputs(" \"", out->file);
    text_plain(out, recording_string(why->view->rec, step->note));
    fputc('"', out->file);
}

static void
print_step(const struct why *why, const struct hkr_step *step,
           const struct text_out *out)
{
    const struct recording *rec = why->view->rec;
    const char *label = recording_string(rec, step->label);

    fputs("    .", out->file);
    text_plain(out, *label ? label : "?");
    if (step->index >= 0)
        fprintf(out->file, "[%d]", step->index);
    fputs(" -> ", out->file);
    text_plain(out, recording_type_name(rec, step->type));
    fprintf(out->file, " 0x%" PRIx64, step->address);
    print_note(why, step, out);
    print_made(why, step, out);
}

static void
print_path(const struct why *why, const struct census_path *path,
           const struct text_out *out)
{
    const struct hkr_path *p = &path->head;

    fputs("  ", out->file);
    text_plain(out, recording_type_name(why->view->rec,
                                        path->steps[0].type));
    fprintf(out->file, " 0x%" PRIx64 " (references %s, %s known, root)",
            path->steps[0].address, units_count(p->refcount),
            units_count(p->known));
    print_note(why, &path->steps[0], out);
    print_made(why, &path->steps[0], out);
    for (uint32_t i = 1; i < p->step_count; i++) {
        if (p->left_out && i == (p->step_count < 4 ? 1 : p->step_count / 2))
            fprintf(out->file, "    ... %s\n",
                    units_plural(p->left_out, "step"));
        print_step(why, &path->steps[i], out);
    }
}

static void
print_paths(const struct why *why, const struct text_out *out)
{
    const struct census *c = why->census;
    uint32_t shown = 0;

    if (why->path) {
        text_heading(out, "Path from a root");
        print_path(why, why->path, out);
        return;
    }
    if (c->head.path_count == 0)
        return;
    text_heading(out, "Paths from a root");
    for (; shown < c->head.path_count && shown < out->top; shown++)
        print_path(why, &c->paths[shown], out);
    if (shown < c->head.path_count)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(c->head.path_count - shown, "more path"));
}

void
text_why(const struct why *why, const struct text_out *out)
{
    const struct hkr_census *h = &why->census->head;
    char text[WHY_HEADLINE_BYTES];

    why_headline(why, text, sizeof text);
    text_plain(out, text);
    fputc('\n', out->file);
    if (why->path) {
        print_paths(why, out);
        text_heading(out, "All objects of its type");
        why_headline(&(struct why){.view = why->view, .type = why->type,
                                   .census = why->census},
                     text, sizeof text);
        fputs("  ", out->file);
        text_plain(out, text);
        fputc('\n', out->file);
    }
    if (h->lost && census_live(why->census))
        fprintf(out->file, "    %s more %s unreachable: see heapknot "
                "cycles\n",
                units_count(h->lost), h->lost == 1 ? "is" : "are");
    print_sum(why, out);
    fprintf(out->file, "    by the scan at %s%s\n",
            h->scan ? units_seconds(census_seconds(why->view->rec,
                                                   why->census))
                    : "an unknown time",
            why->asked ? ", made for this question" : "");
    if (!why->path)
        print_paths(why, out);
}
