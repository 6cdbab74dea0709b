/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_types.c -- `heapknot types` for people, and its table in a report.
 */
#include "reporter/render.h"

#include <math.h>
#include <stdlib.h>

#include "reporter/units.h"

struct type_row {
    uint32_t type;
    enum type_verdict verdict;
    int64_t delta;
    uint64_t live;
};

/* Those that grow first, then by how much. */
static int
compare_rows(const void *va, const void *vb)
{
    const struct type_row *a = va, *b = vb;
    int grows = (b->verdict == TYPE_GROWING) - (a->verdict == TYPE_GROWING);

    if (grows)
        return grows;
    if (a->delta != b->delta)
        return a->delta < b->delta ? 1 : -1;
    return (b->live > a->live) - (b->live < a->live);
}

static struct type_row *
make_rows(const struct view *view, uint32_t n)
{
    struct type_row *rows = calloc(n + 1, sizeof *rows);

    for (uint32_t i = 0; rows && i < n; i++) {
        uint64_t live = counts_live_objects(&view->now.types[i + 1]);
        uint64_t first = counts_live_objects(&view->first.types[i + 1]);
        const struct watched *w = growth_type(&view->growth, i + 1);

        rows[i] = (struct type_row){i + 1,
                                    w ? w->type.verdict : TYPE_TOO_SHORT,
                                    (int64_t)(live - first), live};
    }
    if (rows && n)
        qsort(rows, n, sizeof *rows, compare_rows);
    return rows;
}

/* The numbers with which a reader can check the verdict. */
static void
print_intervals(const struct type_growth *g, const struct text_out *out)
{
    fprintf(out->file, "      %zu %s from %s to %s: ", g->count,
            g->by_marks ? "intervals between marks" : "intervals",
            units_seconds(g->since), units_seconds(g->until));
    for (size_t i = 0; i < g->count; i++)
        fprintf(out->file, "%+.0f ", g->values[i + 1] - g->values[i]);
    fprintf(out->file, "(%.0f -> %.0f", g->values[0], g->values[g->count]);
    if (isfinite(g->t))
        fprintf(out->file, ", t %.1f", g->t);
    if (g->verdict == TYPE_WITH_LOAD)
        fprintf(out->file, ", allocations a second x %.1f", g->load);
    fputs(")\n", out->file);
}

static void
print_row(const struct view *view, const struct type_row *row,
          const struct text_out *out)
{
    const struct type_counts *c = &view->now.types[row->type];
    const struct watched *w = growth_type(&view->growth, row->type);
    char rate[32] = "-";

    if (w && w->type.count)
        snprintf(rate, sizeof rate, "%+.1f", w->type.per_second * 60 + 0.0);
    fprintf(out->file, "  %10s %10s %12s %12s %10s  %-17s  ",
            units_count(row->live), units_signed_count(row->delta),
            units_count(c->created), units_count(c->destroyed), rate,
            w ? intervals_word(row->verdict) : "not looked at");
    text_plain(out, recording_string(view->rec,
                                     view->rec->types[row->type].name));
    fputc('\n', out->file);
}

static void
print_table(const struct view *view, int intervals,
            const struct text_out *out)
{
    uint32_t n = view->now.type_count - 1;
    struct type_row *rows = make_rows(view, n);

    if (!rows || n == 0) {
        free(rows);
        return;
    }
    text_heading(out, "Objects by type (delta: since the first snapshot)");
    fprintf(out->file, "  %10s %10s %12s %12s %10s  %-17s  type\n", "live",
            "delta", "created", "destroyed", "a minute", "verdict");
    for (uint32_t i = 0; i < n && i < out->top * 2; i++) {
        const struct watched *w = growth_type(&view->growth, rows[i].type);

        print_row(view, &rows[i], out);
        if (intervals && w && w->type.count)
            print_intervals(&w->type, out);
    }
    if (n > out->top * 2)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(n - out->top * 2, "more type"));
    free(rows);
}

void
text_type_table(const struct view *view, const struct text_out *out)
{
    print_table(view, 0, out);
}

void
text_types(const struct view *view, const struct text_out *out)
{
    text_verdict(view, out);
    if (view->now.type_count <= 1)
        fputs("\nNo types: the program registers none "
              "(hk_type_register of heapknot.h).\n",
              out->file);
    print_table(view, 1, out);
}
