/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * text_check.c -- `heapknot check` for people: the verdict, a line for each
 * finding, and what could not be judged.
 */
#include "reporter/gate.h"

#include "reporter/fingerprint.h"
#include "reporter/render.h"
#include "reporter/units.h"

#define BOLD "\033[1m"
#define PLAIN "\033[0m"

static void
print_where(const struct gate *gate, const struct text_out *out)
{
    if (gate->now.judged_count == 1)
        text_plain(out, gate->now.judged[0].file);
    else
        fprintf(out->file, "%s",
                units_plural(gate->now.judged_count, "recording"));
}

static void
print_verdict(const struct gate *gate, const struct text_out *out)
{
    size_t new = gate->counts[ISSUE_NEW];
    const char *kind = gate->has_base ? "new finding" : "finding";

    fputs(out->bold ? BOLD : "", out->file);
    if (new)
        fprintf(out->file, "%s in ", units_plural(new, kind));
    else
        fprintf(out->file, "clean: %s in ",
                gate->has_base ? "nothing new" : "nothing found");
    print_where(gate, out);
    fprintf(out->file, "%s\n", out->bold ? PLAIN : "");
}

static void
print_issue(const struct gate *gate, const struct issue *issue,
            const struct text_out *out)
{
    char fingerprint[FINGERPRINT_BYTES];

    fingerprint_text(issue->fingerprint, fingerprint);
    fprintf(out->file, "  %-7s  %s  ", issue_word(issue->kind), fingerprint);
    text_plain(out, issue->headline);
    if (gate->now.judged_count > 1) {
        fputs("; in ", out->file);
        text_plain(out, issue->file);
    }
    if (issue->recordings > 1)
        fprintf(out->file, " and %s",
                units_plural(issue->recordings - 1, "more recording"));
    fputc('\n', out->file);
}

static void
print_issues(const struct gate *gate, const struct text_out *out)
{
    size_t shown = 0, new = gate->counts[ISSUE_NEW];

    for (size_t i = 0; i < gate->now.issue_count; i++) {
        const struct issue *issue = &gate->now.issues[i];

        if (issue->state != ISSUE_NEW)
            continue;
        if (out->top && shown == out->top)
            break;
        print_issue(gate, issue, out);
        shown++;
    }
    if (shown < new)
        fprintf(out->file, "  ... %s, see --top=\n",
                units_plural(new - shown, "more finding"));
    if (new)
        fputs("to accept one: --ignore=FINGERPRINT, or a line with it in the "
              "file of --ignore-file=\n",
              out->file);
}

static void
print_accepted(const struct gate *gate, const struct text_out *out)
{
    size_t known = gate->counts[ISSUE_KNOWN];
    size_t ignored = gate->counts[ISSUE_IGNORED];

    if (known)
        fprintf(out->file, "%s known from the baseline\n",
                units_plural(known, "finding"));
    if (ignored)
        fprintf(out->file, "%s ignored\n", units_plural(ignored, "finding"));
}

/* "note: growth ...: too short (app.hk and 2 more)" */
static void
print_note(const char *what, const char *file, size_t count,
           const struct text_out *out)
{
    if (count == 0)
        return;
    fprintf(out->file, "note: %s (", what);
    text_plain(out, file);
    if (count > 1)
        fprintf(out->file, " and %zu more", count - 1);
    fputs(")\n", out->file);
}

static void
print_notes(const struct gate *gate, const struct text_out *out)
{
    const struct judged *j = gate->now.judged;
    size_t counts[3] = {0};
    const char *files[3] = {0};

    for (size_t i = gate->now.judged_count; i-- > 0;) {
        const int lacks[3] = {!j[i].growth, !j[i].scanned, j[i].losses};

        for (int k = 0; k < 3; k++)
            if (lacks[k]) {
                counts[k]++;
                files[k] = j[i].file;
            }
    }
    print_note("too short to judge growth", files[0], counts[0], out);
    print_note("no scan looked for cycles", files[1], counts[1], out);
    print_note("the recording has losses, see heapknot report", files[2],
               counts[2], out);
}

void
text_check(const struct gate *gate, const struct text_out *out)
{
    print_verdict(gate, out);
    print_issues(gate, out);
    print_accepted(gate, out);
    print_notes(gate, out);
}
