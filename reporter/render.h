/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * render.h -- views as text and as JSON.
 *
 * Text is for people: at most 100 columns where names allow, bold headings on
 * a terminal only.  JSON is for programs: schema "heapknot-report-1" and the
 * keys of the manual, always valid UTF-8; big parts are written one element at
 * a time, so that memory stays bounded.
 */
#ifndef HK_REPORTER_RENDER_H
#define HK_REPORTER_RENDER_H

#include <stdio.h>

#include "reporter/diff.h"
#include "reporter/view.h"

/* What a file or terminal may be given. */
struct text_out {
    FILE *file;
    int bold;         /* may use bold */
    size_t top;       /* paths and groups shown in full */
    const char *name; /* of the recording, for the next command to run */
};
struct text_out text_to(FILE *file, size_t top, const char *name);

void text_report(const struct view *view, const struct text_out *out);
void text_cycles(const struct view *view, const struct text_out *out);
void text_types(const struct view *view, const struct text_out *out);
void text_diff(const struct diff *diff, const struct text_out *out);

/* Parts of the above. */
void text_heading(const struct text_out *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void text_verdict(const struct view *view, const struct text_out *out);
void text_process(const struct view *view, const struct text_out *out);
void text_groups(const struct view *view, const struct text_out *out);
void text_type_table(const struct view *view, const struct text_out *out);
void text_cost(const struct view *view, const struct text_out *out);
void text_losses(const struct view *view, const struct text_out *out);
/* Lines for the head: how it was sampled; nothing if it was not. */
void text_sampling(const struct view *view, const struct text_out *out);
void text_diff_sampling(const struct diff *diff, const struct text_out *out);
/* "  12 MiB in 34 blocks, of 56 made", with intervals where sampled. */
void text_path_figures(const struct view *view, const struct path *p,
                       const struct text_out *out);
void text_path_sum(const struct view *view, const struct text_out *out);
/* Bytes that a terminal would interpret become '?'. */
void text_plain(const struct text_out *out, const char *string);
/* "function file:line". */
void text_frame(const struct frame *f, const struct text_out *out);
/* Frames, one a line, at most `most` of them (0: all). */
void text_stack(const struct names *names, uint32_t node, const char *indent,
                size_t most, const struct text_out *out);
/* "inner file:line < caller file:line", for one line. */
void text_stack_line(const struct names *names, uint32_t node, size_t most,
                     const struct text_out *out);

/* top 0: everything.  0, or -1: the output failed. */
int json_report(const struct view *view, size_t top, FILE *file);
int json_cycles(const struct view *view, size_t top, FILE *file);
int json_types(const struct view *view, size_t top, FILE *file);
int json_diff(const struct diff *diff, size_t top, FILE *file);

/* What the folded format can count. */
enum folded_cost {
    FOLDED_live_bytes,
    FOLDED_live_blocks,
    FOLDED_allocations,
    FOLDED_frees,
    FOLDED_allocated_bytes,
    FOLDED_COSTS
};
extern const char *const folded_costs[FOLDED_COSTS + 1]; /* ends with NULL */
/* outermost;...;innermost value.  0, or -1: the output failed. */
int folded_write(const struct view *view, enum folded_cost cost, FILE *file);

#endif
