/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * views.h -- what the commands that show one recording have in common.
 */
#ifndef HK_REPORTER_VIEWS_H
#define HK_REPORTER_VIEWS_H

#include "reporter/render.h"

typedef void (*text_view_fn)(const struct view *, const struct text_out *);
typedef int (*json_view_fn)(const struct view *, size_t top, FILE *);

/* Parses the command line, opens the recording, prints one of the two, and
   returns the exit code. */
int views_run(int argc, char **argv, text_view_fn text, json_view_fn json);

/* Flushes stdout: code, or HK_EXIT_UNREADABLE after a line on stderr if
   nothing could be written (a closed pipe is no error). */
int views_finish(const char *cmd, int code);

#endif
