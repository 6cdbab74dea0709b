/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_refs.c -- `heapknot refs` for people:
 *
 *      session: 312 live objects, 624 references; 312 of them taken in
 *          session_clone session.c:88 < on_copy net.c:40 and not dropped
 *
 *        bal=624 (+900 -276)  main main.c:20
 *                             loop main.c:9
 *          bal=312 (+588 -276)  on_copy net.c:40
 *          ...
 */
#include "reporter/refs.h"

#include <inttypes.h>
#include <string.h>

#include "reporter/units.h"

#define FRAMES_SHOWN 3
#define ALSO_SHOWN 3
#define INDENT_MOST 40
#define SENTENCE_BYTES 256

static void
print_path(const struct ref_tree *t, uint32_t node,
           const struct text_out *out)
{
    for (int i = 0; node && i < FRAMES_SHOWN; i++) {
        fputs(i ? " < " : "", out->file);
        text_frame(&t->nodes[node].frame, out);
        node = t->nodes[node].parent;
    }
}

static void
print_taken(const struct ref_tree *t, uint32_t node,
            const struct text_out *out)
{
    const struct ref_node *n = &t->nodes[node];

    fprintf(out->file, "%s of them ", units_count(n->left));
    fputs(n->is_birth ? "from birth in " : "taken in ", out->file);
    print_path(t, node, out);
    fputs(" and not dropped", out->file);
}

static void
print_verdict(const struct view *view, const struct ref_tree *t, int bold,
              const struct text_out *out)
{
    int is_negative;
    uint64_t n = refs_balance(t->increments, t->decrements, &is_negative);

    fputs(bold ? "\033[1m" : "", out->file);
    text_plain(out, recording_type_name(view->rec, t->type));
    fprintf(out->file, ": %s, ", units_plural(t->live, "live object"));
    if (is_negative)
        fprintf(out->file, "%s more dropped than taken",
                units_plural(n, "reference"));
    else
        fputs(units_plural(n, "reference"), out->file);
    if (t->taken_count) {
        fputs("; ", out->file);
        print_taken(t, t->taken[0], out);
    }
    fprintf(out->file, "%s\n", bold ? "\033[0m" : "");
}

static void
print_others(const struct ref_tree *t, const struct text_out *out)
{
    size_t i;

    for (i = 1; i < t->taken_count && i <= ALSO_SHOWN; i++) {
        fputs("    also ", out->file);
        print_taken(t, t->taken[i], out);
        fputc('\n', out->file);
    }
    if (i < t->taken_count)
        fprintf(out->file, "    also %s\n",
                units_plural(t->taken_count - i, "other call path"));
}

static void
indent(int columns, const struct text_out *out)
{
    fprintf(out->file, "%*s", columns, "");
}

/* Returns how wide it was. */
static int
print_numbers(uint64_t increments, uint64_t decrements,
              const struct text_out *out)
{
    int is_negative;
    uint64_t n = refs_balance(increments, decrements, &is_negative);

    return fprintf(out->file, "bal=%s%s (+%s -%s)  ", is_negative ? "-" : "",
                   units_count(n), units_count(increments),
                   units_count(decrements));
}

static void
print_node(const struct ref_tree *t, uint32_t node, int depth,
           const struct text_out *out)
{
    int columns = depth < INDENT_MOST ? depth : INDENT_MOST, width;
    const struct ref_node *n = &t->nodes[node];
    uint32_t more = node;

    indent(columns, out);
    width = print_numbers(n->increments, n->decrements, out);
    text_frame(&n->frame, out);
    fputc('\n', out->file);
    while ((more = refs_folded(t, node)) != 0) {
        node = more;
        indent(columns + width, out);
        text_frame(&t->nodes[node].frame, out);
        fputc('\n', out->file);
    }
    n = &t->nodes[node];
    if (n->has_own && (n->increments != n->own_increments
                       || n->decrements != n->own_decrements)) {
        indent(columns + 2, out);
        print_numbers(n->own_increments, n->own_decrements, out);
        fputs("itself\n", out->file);
    }
    for (uint32_t i = n->first; i; i = t->nodes[i].next)
        if (t->nodes[i].is_shown)
            print_node(t, i, depth + 2, out);
}

static void
print_tree(const struct view *view, struct ref_tree *t, int is_first,
           const struct text_out *out)
{
    size_t more = refs_show(t, out->top);

    fputs(is_first ? "" : "\n", out->file);
    print_verdict(view, t, out->bold, out);
    print_others(t, out);
    if (t->nodes[0].first && t->nodes[0].increments + t->nodes[0].decrements)
        fputc('\n', out->file);
    for (uint32_t i = t->nodes[0].first; i; i = t->nodes[i].next)
        if (t->nodes[i].is_shown)
            print_node(t, i, 2, out);
    if (more)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(more, "more call path"));
    if (t->matched_paths)
        fprintf(out->file, "  left out: %s that took as many as dropped (%s)\n",
                units_plural(t->matched_paths, "call path"),
                units_plural(t->matched_pairs, "matched pair"));
}

static void
print_losses(const struct recording *rec, const struct text_out *out)
{
    uint64_t lost = recording_counter(rec, COUNTER_refs_lost);
    uint64_t given_up = recording_counter(rec, COUNTER_refs_given_up);

    if (lost || given_up)
        fputc('\n', out->file);
    if (lost)
        fprintf(out->file, "not kept: %s of references, or the places\n",
                units_plural(lost, "change"));
    if (given_up)
        fprintf(out->file, "not kept, for want of memory (memory=): the "
                "references of %s\n", units_plural(given_up, "object"));
}

void
text_refs(const struct view *view, struct refs *refs,
          const struct text_out *out)
{
    char text[SENTENCE_BYTES];

    if (!refs->count)
        fputs("no references of objects were kept: record with "
              "--refs=TYPE\n", out->file);
    for (size_t i = 0; i < refs->count; i++)
        print_tree(view, &refs->trees[i], i == 0, out);
    for (size_t i = 0; refs_missing(view->rec, i, text, sizeof text); i++) {
        text_plain(out, text);
        fputc('\n', out->file);
    }
    print_losses(view->rec, out);
}
