/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_diff.c -- `heapknot diff` for people.
 */
#include "reporter/render.h"

#include "reporter/units.h"

#define STACK_LINES 8

static int64_t
difference(uint64_t a, uint64_t b)
{
    return (int64_t)(b - a);
}

static void
print_totals(const struct diff *d, const struct text_out *out)
{
    const struct stack_counts *a = &d->total_a, *b = &d->total_b;
    double bytes = (double)counts_live_bytes(b) - (double)counts_live_bytes(a);

    fprintf(out->file, "live memory %s, %s blocks",
            units_signed_bytes(bytes),
            units_signed_count(difference(counts_live_blocks(a),
                                          counts_live_blocks(b))));
    fprintf(out->file, ": from %s in %s to %s in %s\n",
            units_bytes((double)counts_live_bytes(a)),
            units_plural(counts_live_blocks(a), "block"),
            units_bytes((double)counts_live_bytes(b)),
            units_plural(counts_live_blocks(b), "block"));
}

static void
print_moments(const struct diff *d, const struct text_out *out)
{
    const struct moment *both[2] = {d->a, d->b};

    for (int i = 0; i < 2; i++) {
        fprintf(out->file, "%s ", i ? "to  " : "from");
        text_plain(out, both[i]->names.rec->path);
        fputs(", ", out->file);
        text_plain(out, both[i]->label);
        fprintf(out->file, ", at %s\n",
                units_seconds((double)both[i]->state.time_ns / 1e9));
    }
    if (d->by_names)
        fputs("matched by names of functions: the builds differ\n",
              out->file);
}

static void
print_path(const struct diff_path *p, const struct text_out *out)
{
    const char *about = diff_path_is_sampled(p) ? "about " : "";

    fprintf(out->file, "  %s", units_signed_bytes((double)diff_path_bytes(p)));
    if (*about)
        fprintf(out->file, " " SAMPLING_PLUS_MINUS " %s%s",
                units_bytes(p->error),
                diff_path_is_unsure(p) ? " (within the error of sampling)"
                                       : "");
    fprintf(out->file, ", %s%s blocks: %s -> %s; %s made, %s freed\n", about,
            units_signed_count(diff_path_blocks(p)),
            units_bytes((double)counts_live_bytes(&p->a)),
            units_bytes((double)counts_live_bytes(&p->b)),
            units_signed_count(difference(p->a.allocations,
                                          p->b.allocations)),
            units_signed_count(difference(p->a.frees, p->b.frees)));
    text_stack(p->names, p->node, "      ", STACK_LINES, out);
}

static void
print_types(const struct diff *d, const struct text_out *out)
{
    if (d->type_count == 0)
        return;
    text_heading(out, "Objects by type");
    fprintf(out->file, "  %12s %12s %12s  type\n", "live", "created",
            "destroyed");
    for (size_t i = 0; i < d->type_count; i++) {
        const struct diff_type *t = &d->types[i];

        fprintf(out->file, "  %12s %12s %12s  ",
                units_signed_count(difference(counts_live_objects(&t->a),
                                              counts_live_objects(&t->b))),
                units_signed_count(difference(t->a.created, t->b.created)),
                units_signed_count(
                    difference(t->a.destroyed, t->b.destroyed)));
        text_plain(out, t->name);
        fputc('\n', out->file);
    }
}

/* Paths whose live bytes or blocks changed come first; those that only worked
   are counted. */
void
text_diff(const struct diff *diff, const struct text_out *out)
{
    size_t shown = 0, left = 0, busy = 0, unsure = 0;

    print_totals(diff, out);
    print_moments(diff, out);
    text_diff_sampling(diff, out);
    for (size_t i = 0; i < diff->path_count; i++) {
        const struct diff_path *p = &diff->paths[i];

        if (diff_path_bytes(p) == 0 && diff_path_blocks(p) == 0) {
            busy++;
        } else if (shown == out->top) {
            left++;
            unsure += diff_path_is_unsure(p);
        } else {
            if (shown++ == 0)
                text_heading(out, "Changed paths");
            print_path(p, out);
        }
    }
    if (left)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(left, "more path"));
    if (unsure)
        fprintf(out->file, "  %s of them within the error of sampling\n",
                units_count(unsure));
    if (busy)
        fprintf(out->file, "  %s allocated and freed as much\n",
                units_plural(busy, "path"));
    print_types(diff, out);
}
