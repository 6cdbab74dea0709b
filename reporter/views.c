/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * views.c -- see views.h.
 */
#include "reporter/views.h"

#include <errno.h>
#include <string.h>

#include "reporter/arguments.h"
#include "reporter/cli.h"

#define TOP_DEFAULT 5

int
views_finish(const char *cmd, int code)
{
    errno = 0;
    if ((fflush(stdout) || ferror(stdout)) && errno != EPIPE) {
        cli_error(cmd, "cannot write the output: %s",
                  errno ? strerror(errno) : "output error");
        return HK_EXIT_UNREADABLE;
    }
    return code;
}

int
views_run(int argc, char **argv, text_view_fn text, json_view_fn json)
{
    struct arguments args = {0};
    struct view view;
    struct text_out out;
    int code = arguments_parse(
        argc, argv, ARGUMENT_JSON | ARGUMENT_STRICT | ARGUMENT_TOP, 1, &args);

    if (code)
        return code < 0 ? HK_EXIT_CLEAN : code;
    code = view_open(args.files[0], &view);
    if (code)
        return code;
    if (args.json) {
        json(&view, args.top, stdout);
    } else {
        out = text_to(stdout, args.top ? args.top : TOP_DEFAULT,
                      args.files[0]);
        text(&view, &out);
    }
    if (args.strict && view_has_losses(&view))
        code = HK_EXIT_INCOMPLETE;
    view_free(&view);
    return views_finish(argv[0], code);
}
