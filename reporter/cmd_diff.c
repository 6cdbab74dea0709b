/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_diff.c -- heapknot diff [--json] [--top=N] A [B]
 *
 * A and B: FILE, FILE@MARK or FILE@N.  One of them, FILE: from the first
 * snapshot to now.  One, FILE@X: from X to now.  Two: from A to B, where a
 * plain FILE is its latest state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reporter/arguments.h"
#include "reporter/cli.h"
#include "reporter/views.h"

#define TOP_DEFAULT 10
#define WORDS_MAX 256

/* What an argument names. */
struct place {
    char *file;
    const char *word; /* in file's memory; NULL: none */
};

/* Splits at the last '@', unless a file of the whole name exists. */
static int
split(const char *argument, struct place *out)
{
    char *at;

    *out = (struct place){strdup(argument), NULL};
    if (!out->file)
        return -1;
    at = strrchr(out->file, '@');
    if (at && access(argument, F_OK)) {
        *at = '\0';
        out->word = at + 1;
    }
    return 0;
}

/* Names of the marks of a recording, without repeats. */
static size_t
list_marks(const struct recording *rec, const char **words)
{
    size_t n = 0;

    for (size_t i = 0; i < rec->snapshot_count && n < WORDS_MAX; i++) {
        const char *name =
            recording_string(rec, rec->snapshots[i].head.name);
        size_t k = 0;

        while (k < n && strcmp(words[k], name))
            k++;
        if (*name && k == n)
            words[n++] = name;
    }
    words[n] = NULL;
    return n;
}

static int
unknown_moment(const struct recording *rec, const char *word)
{
    const char *words[WORDS_MAX + 1], *near;
    char list[256] = "";
    size_t n = list_marks(rec, words), used = 0;

    near = *word >= '0' && *word <= '9' ? NULL : cli_nearest(word, words);
    for (size_t i = 0; i < n && used < sizeof list - 1; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s",
                                 i ? ", " : "", words[i]);
    if (near)
        return cli_usage_error("diff",
                               "%s has no mark '%s': did you mean '%s'? "
                               "(marks: %s)",
                               rec->path, word, near, list);
    return cli_usage_error("diff",
                           "%s has no mark '%s' (marks: %s; snapshots: "
                           "%s%zu)",
                           rec->path, word, n ? list : "none",
                           rec->snapshot_count ? "1 to " : "",
                           rec->snapshot_count);
}

static int
no_memory(void)
{
    cli_error("diff", "not enough memory");
    return HK_EXIT_UNREADABLE;
}

/* Fills in state and label.  word NULL: now; "": the first snapshot. */
static int
find_moment(const char *word, struct moment *m)
{
    const struct recording *rec = m->names.rec;
    const struct hkr_snapshot *h;
    long index = 0;

    if (!word || (!*word && rec->snapshot_count == 0)) {
        snprintf(m->label, sizeof m->label, "%s", word ? "start" : "now");
        if (word ? state_empty(rec, &m->state) : state_now(rec, &m->state))
            return no_memory();
        return 0;
    }
    if (*word)
        index = diff_find_snapshot(rec, word);
    if (index < 0)
        return unknown_moment(rec, word);
    h = &rec->snapshots[index].head;
    snprintf(m->label, sizeof m->label, "snapshot %ld%s%.100s", index + 1,
             h->name ? ", mark " : "", recording_string(rec, h->name));
    return state_at(rec, (size_t)index, &m->state) ? no_memory() : 0;
}

static int
open_names(const char *file, struct names *out)
{
    struct recording *rec;
    int code = cli_open_recording(file, &rec);

    if (code == 0)
        *out = (struct names){rec, symboliser_open(rec)};
    return code;
}

static void
close_names(struct names *names)
{
    if (names->sym)
        symboliser_close(names->sym);
    recording_close((struct recording *)(uintptr_t)names->rec);
}

static int
print(const struct arguments *args, const struct moment *a,
      const struct moment *b)
{
    struct text_out out;
    struct diff diff;

    if (diff_make(a, b, &diff))
        return no_memory();
    if (args->json) {
        json_diff(&diff, args->top, stdout);
    } else {
        out = text_to(stdout, args->top ? args->top : TOP_DEFAULT, "");
        text_diff(&diff, &out);
    }
    diff_free(&diff);
    return views_finish("diff", HK_EXIT_CLEAN);
}

/* One file may hold both moments: then it is opened once, so that both are of
   one copy. */
static int
run(const struct arguments *args, const struct place *from,
    const struct place *to)
{
    struct moment a = {.label = ""}, b = {.label = ""};
    int one = strcmp(from->file, to->file) == 0;
    int code = open_names(from->file, &a.names);

    if (code)
        return code;
    if (one)
        b.names = a.names;
    else
        code = open_names(to->file, &b.names);
    if (code == 0)
        code = find_moment(from->word, &a);
    if (code == 0)
        code = find_moment(to->word, &b);
    if (code == 0)
        code = print(args, &a, &b);
    state_free(&a.state);
    state_free(&b.state);
    if (!one && b.names.rec)
        close_names(&b.names);
    close_names(&a.names);
    return code;
}

int
cmd_diff(int argc, char **argv)
{
    struct arguments args = {0};
    struct place from, to = {NULL, NULL};
    int code = arguments_parse(argc, argv, ARGUMENT_JSON | ARGUMENT_TOP, 2,
                               &args);

    if (code)
        return code < 0 ? HK_EXIT_CLEAN : code;
    if (split(args.files[0], &from)
        || split(args.files[args.file_count - 1], &to)) {
        free(from.file);
        return no_memory();
    }
    if (args.file_count == 1) {
        to.word = NULL;
        if (!from.word)
            from.word = "";
    }
    code = run(&args, &from, &to);
    free(from.file);
    free(to.file);
    return code;
}
