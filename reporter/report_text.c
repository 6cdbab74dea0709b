/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * report_text.c -- `heapknot report` for people.
 *
 * Headline first, then what supports it, then the numbers; what is zero is
 * not printed.
 */
#include "reporter/render.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reporter/mistakes.h"
#include "reporter/scans.h"
#include "reporter/units.h"

#define STACK_LINES 8
#define COMMAND_BYTES 160
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

struct text_out
text_to(FILE *file, size_t top, const char *name)
{
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    struct text_out out = {file, 0, top, name};

    out.bold = isatty(fileno(file)) && term && strcmp(term, "dumb")
        && !(no_color && *no_color);
    return out;
}

void
text_plain(const struct text_out *out, const char *string)
{
    for (; *string; string++)
        fputc((unsigned char)*string < ' ' || *string == 127 ? '?' : *string,
              out->file);
}

void
text_heading(const struct text_out *out, const char *format, ...)
{
    va_list args;

    fprintf(out->file, "\n%s", out->bold ? BOLD : "");
    va_start(args, format);
    vfprintf(out->file, format, args);
    va_end(args);
    fprintf(out->file, "%s\n", out->bold ? PLAIN : "");
}

void
text_frame(const struct frame *f, const struct text_out *out)
{
    text_plain(out, f->at.function);
    if (f->at.file) {
        fputc(' ', out->file);
        text_plain(out, frames_basename(f->at.file));
        if (f->at.line > 0)
            fprintf(out->file, ":%d", f->at.line);
    } else if (f->at.module && *f->at.module) {
        fputs(" in ", out->file);
        text_plain(out, frames_basename(f->at.module));
    }
    if (f->at.inlined)
        fputs(" (inlined)", out->file);
}

void
text_stack(const struct names *names, uint32_t node, const char *indent,
           size_t most, const struct text_out *out)
{
    struct frames frames = {0};
    size_t count, shown;

    frames_of(names, node, &frames);
    count = frames_without_start(&frames);
    shown = most && count > most + 1 ? most : count;
    for (size_t i = 0; i < shown; i++) {
        fputs(indent, out->file);
        text_frame(&frames.items[i], out);
        fputc('\n', out->file);
    }
    if (shown < count)
        fprintf(out->file, "%s... %zu more\n", indent, count - shown);
    if (frames.count == 0)
        fprintf(out->file, "%sunknown stack\n", indent);
    frames_free(&frames);
}

void
text_stack_line(const struct names *names, uint32_t node, size_t most,
                const struct text_out *out)
{
    struct frames frames = {0};

    frames_of(names, node, &frames);
    for (size_t i = 0; i < frames_without_start(&frames) && i < most; i++) {
        fputs(i ? " < " : "", out->file);
        text_frame(&frames.items[i], out);
    }
    if (frames.count == 0)
        fputs("unknown stack", out->file);
    frames_free(&frames);
}

static void
print_finding(const struct finding *f, int first, const struct text_out *out)
{
    if (!first)
        fputs("also: ", out->file);
    fputs(out->bold && first ? BOLD : "", out->file);
    text_plain(out, f->headline);
    fprintf(out->file, "%s\n", out->bold && first ? PLAIN : "");
    for (size_t i = 0; i < f->because_count; i++) {
        fputs("    because ", out->file);
        text_plain(out, f->because[i]);
        fputc('\n', out->file);
    }
}

void
text_verdict(const struct view *view, const struct text_out *out)
{
    for (size_t i = 0; i < view->verdict.count; i++)
        print_finding(&view->verdict.items[i], i == 0, out);
    if (view->verdict.dropped)
        fprintf(out->file, "also: %s like these\n",
                units_plural(view->verdict.dropped, "more finding"));
}

static void
print_state(const struct view *view, const struct text_out *out)
{
    const struct hkr_header *h = &view->rec->header;

    fprintf(out->file, "%s", view_state(view));
    if (h->state == HKR_STATE_LIVE && !view->live)
        fprintf(out->file,
                " (or out of sight); the last %s before that may be missing",
                units_seconds((double)h->publish_interval_ns / 1e9));
    if (h->state == HKR_STATE_CRASHED && h->exit_signal)
        fprintf(out->file, " by signal %u", h->exit_signal);
    if (h->reason[0]) {
        fputs("; the agent says: ", out->file);
        text_plain(out, h->reason);
    }
    fputc('\n', out->file);
}

void
text_process(const struct view *view, const struct text_out *out)
{
    char *command = recording_command(view->rec);
    const char *allocator = recording_fact(view->rec, "allocator");

    if (command && strlen(command) > COMMAND_BYTES)
        strcpy(command + COMMAND_BYTES - 4, "...");
    fputs("\nprocess  ", out->file);
    text_plain(out, command && *command ? command : "(unknown command)");
    fprintf(out->file, "\n         pid %u, ran for %s, allocator ",
            view->rec->header.pid, units_seconds(view_ran_seconds(view)));
    text_plain(out, allocator && *allocator ? allocator : "unknown");
    fputs("\n         state: ", out->file);
    print_state(view, out);
    free(command);
}

static uint64_t
counter(const struct view *view, enum counter c)
{
    return recording_counter(view->rec, c);
}

static void
print_totals(const struct view *view, const struct text_out *out)
{
    uint64_t usable = counter(view, COUNTER_usable_bytes);
    uint64_t rss = counter(view, COUNTER_rss_bytes);
    uint64_t heap = counter(view, COUNTER_heap_bytes);

    fprintf(out->file, "totals   %s live in %s",
            units_bytes((double)counter(view, COUNTER_live_bytes)),
            units_plural(counter(view, COUNTER_live_blocks), "block"));
    if (usable)
        fprintf(out->file, "; usable %s", units_bytes((double)usable));
    if (heap)
        fprintf(out->file, "; heap %s", units_bytes((double)heap));
    if (rss)
        fprintf(out->file, "; resident %s", units_bytes((double)rss));
    fprintf(out->file, "\n         %s, %s, %s in all, from %s\n",
            units_plural(counter(view, COUNTER_allocations), "allocation"),
            units_plural(counter(view, COUNTER_frees), "free"),
            units_bytes((double)counter(view, COUNTER_allocated_bytes)),
            units_plural(counter(view, COUNTER_stacks), "stack"));
}

static void
print_path(const struct view *view, uint32_t index, const char *rate,
           const struct text_out *out)
{
    const struct path *p = &view->paths.items[index];

    text_path_figures(view, p, out);
    if (rate)
        fprintf(out->file, ", grows by %s", rate);
    fprintf(out->file, "%s  (stack %u)\n",
            p->flags & HKR_STACK_TRUNCATED ? ", cut at depth=" : "",
            p->stack);
    text_stack(&view->names, p->node, "      ", STACK_LINES, out);
}

static int
is_growing(const struct trend *t)
{
    return t && (t->kind == TREND_LEAK || t->kind == TREND_FILLING);
}

static int
compare_rate(const void *va, const void *vb)
{
    const struct watched *a = va, *b = vb;

    return (b->trend.per_second > a->trend.per_second)
        - (b->trend.per_second < a->trend.per_second);
}

static void
print_growing(const struct view *view, const struct text_out *out)
{
    const struct growth *g = &view->growth;
    struct watched *list = calloc(g->path_count + 1, sizeof *list);
    size_t n = 0;

    for (size_t i = 0; list && i < g->path_count; i++)
        if (is_growing(&g->paths[i].trend))
            list[n++] = g->paths[i];
    if (n) {
        qsort(list, n, sizeof *list, compare_rate);
        text_heading(out, "Growing paths");
    }
    for (size_t i = 0; i < n && i < out->top; i++)
        print_path(view, list[i].id, units_rate(list[i].trend.per_second),
                   out);
    free(list);
}

static void
print_largest(const struct view *view, const struct text_out *out)
{
    size_t shown = 0, left = 0;

    for (uint32_t i = 0; i < view->paths.count; i++) {
        uint32_t index = view->order[i];
        const struct path *p = &view->paths.items[index];

        if (counts_live_blocks(&p->counts) == 0
            || is_growing(growth_path(&view->growth, index)))
            continue;
        if (shown == out->top) {
            left++;
            continue;
        }
        if (shown++ == 0)
            text_heading(out, "Largest live paths");
        print_path(view, index, NULL, out);
    }
    if (left)
        fprintf(out->file, "  ... %s with live blocks, see --top=\n",
                units_plural(left, "more path"));
    text_path_sum(view, out);
}

static void
print_loss(const struct text_out *out, uint64_t value, const char *name,
           const char *meaning)
{
    if (value)
        fprintf(out->file, "  %12s  %s: %s\n", units_count(value), name,
                meaning);
}

void
text_losses(const struct view *view, const struct text_out *out)
{
    if (!view_has_losses(view))
        return;
    text_heading(out, "What is missing from these numbers");
    for (unsigned c = 0; c < COUNTER_COUNT; c++)
        if (counter_rows[c].kind == KIND_LOSS)
            print_loss(out, counter(view, c), counter_rows[c].name,
                       counter_rows[c].help);
    print_loss(out, view->rec->missing_bytes, "truncated",
               "bytes at the end of the recording that are gone");
    print_loss(out, (uint64_t)view->rec->torn, "torn",
               "the agent was writing when this was copied, or died then");
}

/* What one would ask next. */
static void
print_next(const struct view *view, const struct text_out *out)
{
    enum finding_kind kind = view->verdict.items[0].kind;
    const char *command = "types";

    if (kind == FINDING_CYCLES)
        command = "cycles";
    else if (kind == FINDING_LEAK || kind == FINDING_FILLING
             || kind == FINDING_IDLE || kind == FINDING_CACHE)
        command = "diff";
    else if (kind == FINDING_SUSPECTS && view->live)
        command = "ctl";
    else if (kind == FINDING_EXIT || kind == FINDING_FRAGMENTATION
             || view->rec->type_count <= 1)
        command = "export --format=folded";
    fprintf(out->file, "\nnext: heapknot %s ", command);
    text_plain(out, out->name);
    fputs(strcmp(command, "ctl") ? "\n" : " scan\n", out->file);
}

void
text_report(const struct view *view, const struct text_out *out)
{
    text_verdict(view, out);
    text_mistakes(view, out);
    text_process(view, out);
    print_totals(view, out);
    text_sampling(view, out);
    print_growing(view, out);
    text_groups(view, out);
    print_largest(view, out);
    text_type_table(view, out);
    text_holds(view, out);
    text_scans(view, out);
    text_cost(view, out);
    text_losses(view, out);
    print_next(view, out);
}
