/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_sampling.c -- what people are told of sampling: how much was sampled,
 * and how sure each figure is.
 */
#include "reporter/render.h"

#include <math.h>

#include "reporter/units.h"

#define PLUS_MINUS SAMPLING_PLUS_MINUS

static uint64_t
counter(const struct view *view, enum counter c)
{
    return recording_counter(view->rec, c);
}

static void
print_rate(const struct recording *rec, const struct text_out *out)
{
    uint64_t distance = recording_counter(rec, COUNTER_sample_bytes);

    if (distance)
        fprintf(out->file, "1 block per %s allocated",
                units_bytes((double)distance));
    else
        fputs("at times, every block now", out->file);
    fprintf(out->file, ", %s sampled",
            units_plural(recording_counter(rec, COUNTER_sampled_blocks),
                         "block"));
}

/* What overhead= made of it. */
static void
print_overhead(const struct view *view, const struct text_out *out)
{
    double limit = view_overhead_limit(view);
    uint64_t distance = counter(view, COUNTER_sample_bytes);
    uint64_t changes = counter(view, COUNTER_sample_changes);
    uint64_t ppm = counter(view, COUNTER_overhead_ppm);

    if (limit <= 0 && changes == 0)
        return;
    fputs(view->sampled ? "         " : "sampled  ", out->file);
    if (limit > 0)
        fprintf(out->file, "overhead=%g%%: ", limit * 100);
    if (distance)
        fprintf(out->file, "distance now %s",
                units_bytes((double)distance));
    else
        fputs("every block is recorded now", out->file);
    fprintf(out->file, ", changed %s", units_plural(changes, "time"));
    if (ppm)
        fprintf(out->file, "; recording took %.2g %% of CPU lately",
                (double)ppm / 1e4);
    fputc('\n', out->file);
}

void
text_sampling(const struct view *view, const struct text_out *out)
{
    if (view->sampled) {
        fputs("sampled  ", out->file);
        print_rate(view->rec, out);
        fputs("; totals are exact, figures by call\n"
              "         path are estimates, " PLUS_MINUS
              " and a..b are their 95 % confidence intervals\n",
              out->file);
    }
    print_overhead(view, out);
}

static void
print_interval(const struct estimate *e, const struct interval *i,
               const struct text_out *out)
{
    if (i->symmetric)
        fprintf(out->file, " " PLUS_MINUS " %s",
                units_bytes(SAMPLING_Z * sqrt(e->variance)));
    else
        fprintf(out->file, " (%s..%s)", units_bytes(i->low),
                units_bytes(i->high));
}

void
text_path_figures(const struct view *view, const struct path *p,
                  const struct text_out *out)
{
    const char *about = p->estimate.sampled ? "about " : "";
    struct interval i = view_interval(view, p);

    fprintf(out->file, "  %s",
            units_bytes((double)counts_live_bytes(&p->counts)));
    if (p->estimate.sampled)
        print_interval(&p->estimate, &i, out);
    fprintf(out->file, " in %s%s, of %s%s made", about,
            units_plural(counts_live_blocks(&p->counts), "block"), about,
            units_count(p->counts.allocations));
    if (p->estimate.sampled)
        fprintf(out->file, ", from %.0f samples", p->estimate.samples);
}

/* The paths against the total, which is known: does sampling explain what is
   between them? */
void
text_path_sum(const struct view *view, const struct text_out *out)
{
    double total = (double)counter(view, COUNTER_live_bytes), sum = 0, error;
    struct estimate e = {0};

    if (!view->sampled)
        return;
    for (uint32_t i = 0; i < view->paths.count; i++) {
        sum += (double)counts_live_bytes(&view->paths.items[i].counts);
        sampling_add(&e, &view->paths.items[i].estimate);
    }
    error = SAMPLING_Z * sqrt(e.variance + e.unit * e.unit);
    fprintf(out->file,
            "  all paths add up to %s " PLUS_MINUS " %s of %s live: %s is the "
            "error of sampling%s\n",
            units_bytes(sum), units_bytes(error), units_bytes(total),
            units_signed_bytes(sum - total),
            fabs(sum - total) <= error ? "" : ", more than it should be");
}

void
text_diff_sampling(const struct diff *diff, const struct text_out *out)
{
    const struct recording *a = diff->a->names.rec, *b = diff->b->names.rec;
    const struct recording *rec = sampling_used(b) ? b : a;

    if (!sampling_used(rec))
        return;
    fputs("sampled, ", out->file);
    print_rate(rec, out);
    fputs(": live memory in all is exact,\nchanges by call path are estimates,"
          " " PLUS_MINUS " is their 95 % confidence interval\n",
          out->file);
}
