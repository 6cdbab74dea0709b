/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * arguments.h -- the command line of the views.
 */
#ifndef HK_REPORTER_ARGUMENTS_H
#define HK_REPORTER_ARGUMENTS_H

#include <stddef.h>

#define ARGUMENTS_FILES_MAX 2

/* Options that a view takes. */
enum {
    ARGUMENT_JSON = 1,   /* --json */
    ARGUMENT_STRICT = 2, /* --strict */
    ARGUMENT_TOP = 4,    /* --top=N */
    ARGUMENT_FORMAT = 8, /* --format=WORD */
    ARGUMENT_COST = 16   /* --cost=WORD */
};

struct arguments {
    int json, strict;
    size_t top; /* as given, or 0 */
    const char *format, *cost;
    const char *files[ARGUMENTS_FILES_MAX];
    int file_count;
};

/* 0; HK_EXIT_USAGE after a line on stderr; or -1 after help was asked for and
   given (exit 0).  At least one file, at most `files`. */
int arguments_parse(int argc, char **argv, unsigned allowed, int files,
                    struct arguments *out);

#endif
