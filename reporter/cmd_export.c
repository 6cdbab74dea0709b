/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_export.c -- heapknot export --format=folded [--cost=WORD] FILE|PID
 */
#include <string.h>

#include "reporter/arguments.h"
#include "reporter/cli.h"
#include "reporter/views.h"

static const char *const formats[] = {"folded", NULL};

static int
bad_word(const char *option, const char *word, const char *const *list,
         const char *all)
{
    const char *near = cli_nearest(word, list);

    if (near)
        return cli_usage_error("export", "%s=%s: did you mean '%s'?", option,
                               word, near);
    return cli_usage_error("export", "%s=%s is unknown: there is %s", option,
                           word, all);
}

/* The place of a word in a list, or -1. */
static int
place(const char *word, const char *const *list)
{
    for (int i = 0; list[i]; i++)
        if (strcmp(list[i], word) == 0)
            return i;
    return -1;
}

int
cmd_export(int argc, char **argv)
{
    struct arguments args = {0};
    struct view view;
    int cost = FOLDED_live_bytes;
    int code = arguments_parse(
        argc, argv, ARGUMENT_FORMAT | ARGUMENT_COST | ARGUMENT_STRICT, 1,
        &args);

    if (code)
        return code < 0 ? HK_EXIT_CLEAN : code;
    if (!args.format)
        return cli_usage_error("export", "no format given: --format=folded");
    if (place(args.format, formats) < 0)
        return bad_word("--format", args.format, formats, "folded");
    if (args.cost)
        cost = place(args.cost, folded_costs);
    if (cost < 0)
        return bad_word("--cost", args.cost, folded_costs,
                        "live_bytes, live_blocks, allocations, frees, "
                        "allocated_bytes");
    code = view_open(args.files[0], &view);
    if (code)
        return code;
    folded_write(&view, (enum folded_cost)cost, stdout);
    if (args.strict && view_has_losses(&view))
        code = HK_EXIT_INCOMPLETE;
    view_free(&view);
    return views_finish("export", code);
}
