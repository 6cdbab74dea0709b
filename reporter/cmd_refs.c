/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_refs.c -- heapknot refs [--json] [--strict] [--top=N] [--type=TYPE]
 * FILE|PID
 */
#include <stdio.h>

#include "reporter/arguments.h"
#include "reporter/cli.h"
#include "reporter/refs.h"
#include "reporter/views.h"

#define TOP_DEFAULT 20

static int
has_losses(const struct recording *rec)
{
    return recording_counter(rec, COUNTER_refs_lost)
        || recording_counter(rec, COUNTER_refs_given_up) || rec->torn
        || rec->truncated;
}

static int
show(const char *cmd, const struct arguments *args, const struct view *view)
{
    struct text_out out =
        text_to(stdout, args->top ? args->top : TOP_DEFAULT, args->files[0]);
    struct refs refs;

    if (refs_make(view, args->type, &refs)) {
        cli_error(cmd, "not enough memory to analyse %s", args->files[0]);
        return HK_EXIT_UNREADABLE;
    }
    if (args->json)
        json_refs(view, &refs, args->top, stdout);
    else
        text_refs(view, &refs, &out);
    refs_free(&refs);
    return args->strict && has_losses(view->rec) ? HK_EXIT_INCOMPLETE
                                                 : HK_EXIT_CLEAN;
}

int
cmd_refs(int argc, char **argv)
{
    struct arguments args;
    struct view view;
    int code = arguments_parse(argc, argv,
                               ARGUMENT_JSON | ARGUMENT_STRICT | ARGUMENT_TOP
                                   | ARGUMENT_TYPE,
                               1, &args);

    if (code)
        return code < 0 ? HK_EXIT_CLEAN : code;
    code = view_open(args.files[0], &view);
    if (code)
        return code;
    code = show(argv[0], &args, &view);
    view_free(&view);
    return views_finish(argv[0], code);
}
