/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_cost.c -- what the agent cost, for people.
 */
#include "reporter/render.h"

#include "reporter/units.h"

static uint64_t
counter(const struct view *view, enum counter c)
{
    return recording_counter(view->rec, c);
}

static double
ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static void
print_captures(const struct view *view, const struct text_out *out)
{
    uint64_t captures = counter(view, COUNTER_captures);
    uint64_t verified = counter(view, COUNTER_verified_captures);

    if (captures)
        fprintf(out->file,
                "  %s captured, %.2g frames walked for each; %.2g %% of them "
                "slow, by libunwind\n",
                units_plural(captures, "stack"),
                ratio(counter(view, COUNTER_walked_frames), captures),
                ratio(counter(view, COUNTER_slow_captures), captures) * 100);
    if (verified)
        fprintf(out->file, "  verify=unwind: %s compared with libunwind's, "
                           "%s differed\n",
                units_plural(verified, "stack"),
                units_count(counter(view, COUNTER_unwind_mismatches)));
}

static void
print_pauses(const struct view *view, double ran, const struct text_out *out)
{
    double pauses = (double)counter(view, COUNTER_pause_total_ns) / 1e9;

    if (counter(view, COUNTER_pause_total_ns))
        fprintf(out->file,
                "  the program was blocked for %s in all (%.3f %%), %s at "
                "most\n",
                units_seconds(pauses), ran > 0 ? pauses / ran * 100 : 0,
                units_seconds(
                    (double)counter(view, COUNTER_pause_max_ns) / 1e9));
}

void
text_cost(const struct view *view, const struct text_out *out)
{
    double ran = view_ran_seconds(view);
    double cpu = (double)(counter(view, COUNTER_publish_ns)
                          + counter(view, COUNTER_scan_cpu_ns)) / 1e9;

    text_heading(out, "Cost of the agent");
    fprintf(out->file,
            "  %s resident; %s publishing, %s scanning (%.2f %% of a CPU)\n",
            units_bytes((double)counter(view, COUNTER_agent_bytes)),
            units_seconds((double)counter(view, COUNTER_publish_ns) / 1e9),
            units_seconds((double)counter(view, COUNTER_scan_cpu_ns) / 1e9),
            ran > 0 ? cpu / ran * 100 : 0);
    print_captures(view, out);
    print_pauses(view, ran, out);
}
