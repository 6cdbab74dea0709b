/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * arguments.h -- the command line of the views.
 */
#ifndef HK_REPORTER_ARGUMENTS_H
#define HK_REPORTER_ARGUMENTS_H

#include <stddef.h>

/* Options that a view takes. */
enum {
    ARGUMENT_JSON = 1,   /* --json */
    ARGUMENT_STRICT = 2, /* --strict */
    ARGUMENT_TOP = 4,    /* --top=N */
    ARGUMENT_FORMAT = 8, /* --format=WORD */
    ARGUMENT_COST = 16,  /* --cost=WORD */
    ARGUMENT_TYPE = 32,  /* --type=NAME */
    /* Those that follow may be repeated: see argument_fn. */
    ARGUMENT_BASELINE = 64,     /* --baseline=FILE */
    ARGUMENT_IGNORE = 128,      /* --ignore=WORD */
    ARGUMENT_IGNORE_FILE = 256, /* --ignore-file=FILE */
    ARGUMENT_TOLERANCE = 512,   /* --tolerance=PERCENT */
    ARGUMENT_MAX_LIVE = 1024    /* --max-live=SIZE */
};

/* Takes an option of the second part; 0 or an exit code. */
typedef int (*argument_fn)(void *arg, unsigned flag, const char *value);

struct arguments {
    int json, strict;
    size_t top; /* as given, or 0 */
    const char *format, *cost, *type;
    char **files; /* in argv, whose order changes */
    int file_count;
    argument_fn other; /* may be set before */
    void *other_arg;
};

/* 0; HK_EXIT_USAGE after a line on stderr; or -1 after help was asked for and
   given (exit 0).  At least one file, at most `files`. */
int arguments_parse(int argc, char **argv, unsigned allowed, int files,
                    struct arguments *out);

#endif
