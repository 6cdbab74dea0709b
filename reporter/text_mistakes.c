/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_mistakes.c -- mistakes with objects and named references, for people.
 */
#include "reporter/mistakes.h"

#include <inttypes.h>
#include <stdlib.h>

#include "reporter/units.h"

#define STACK_LINES 6
#define LINE_FRAMES 3

static void
print_sentence(const struct recording *rec, const struct hkr_mistake *m,
               const struct text_out *out)
{
    const char *what = recording_string(rec, m->what);

    text_plain(out, *what ? what : mistake_kind(m->kind));
    if (m->type) {
        fputs(": ", out->file);
        text_plain(out, recording_type_name(rec, m->type));
    }
    if (m->address)
        fprintf(out->file, " at 0x%" PRIx64, m->address);
    if (m->count > 1)
        fprintf(out->file, "; %s times", units_count(m->count));
    fputc('\n', out->file);
}

static void
print_stack(const struct view *view, const char *what, uint32_t stack,
            const struct text_out *out)
{
    const struct hkr_stack *s = &view->rec->stacks[stack];

    if (!stack)
        return;
    fprintf(out->file, "    %s\n", what);
    if (s->flags & HKR_STACK_UNSAMPLED)
        fputs("      by a path that was not sampled\n", out->file);
    else
        text_stack(&view->names, s->node, "      ", STACK_LINES, out);
}

static void
print_mistake(const struct view *view, const struct hkr_mistake *m,
              const struct text_out *out)
{
    fputs("  ", out->file);
    print_sentence(view->rec, m, out);
    print_stack(view, "here", m->here, out);
    print_stack(view, mistake_origin(m->kind), m->origin, out);
    print_stack(view, mistake_last(m->kind), m->last, out);
}

/* In the order in which they were made: the first may be the cause of the
   others. */
void
text_mistakes(const struct view *view, const struct text_out *out)
{
    const struct recording *rec = view->rec;
    uint64_t all = recording_counter(rec, COUNTER_mistakes), more = 0;
    size_t shown = 0;

    for (uint32_t i = 1; i < rec->mistake_count; i++) {
        if (!rec->mistakes[i].kind)
            continue;
        if (shown == out->top) {
            more++;
            continue;
        }
        if (shown++ == 0)
            text_heading(out, "Mistakes with objects (%s in all)",
                         units_count(all));
        print_mistake(view, &rec->mistakes[i], out);
    }
    if (more)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(more, "more kind and place"));
}

static void
print_hold(const struct view *view, const struct hkr_hold *h,
           const struct text_out *out)
{
    const struct recording *rec = view->rec;

    fprintf(out->file, "  held for %s: %s x \"",
            units_seconds(hold_seconds(rec, h)), units_count(h->live));
    text_plain(out, recording_string(rec, h->name));
    fputs("\" ", out->file);
    text_plain(out, recording_type_name(rec, h->type));
    if (h->ever > h->live)
        fprintf(out->file, ", of %s ever", units_count(h->ever));
    fputs("\n      ", out->file);
    text_stack_line(&view->names, rec->stacks[h->stack].node, LINE_FRAMES,
                    out);
    fputc('\n', out->file);
}

static uint64_t
count_roots(const struct recording *rec)
{
    uint64_t n = 0;

    for (uint32_t i = 1; i < rec->hold_count; i++)
        if (rec->holds[i].flags & HKR_HOLD_ROOT)
            n += rec->holds[i].live;
    return n;
}

void
text_holds(const struct view *view, const struct text_out *out)
{
    size_t count;
    uint32_t *ids = holds_standing(view->rec, &count);
    uint64_t roots = count_roots(view->rec);

    if (ids && (count || roots))
        text_heading(out, "Named references that were not put");
    for (size_t i = 0; ids && i < count && i < out->top; i++)
        print_hold(view, &view->rec->holds[ids[i]], out);
    if (ids && count > out->top)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(count - out->top, "more name and place"));
    if (roots)
        fprintf(out->file, "  %s, meant to stay\n",
                units_plural(roots, "root"));
    free(ids);
}
