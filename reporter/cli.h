/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.h -- what the commands share: exit codes, messages, help, and the ways
 * in which a user names a recording.
 */
#ifndef HK_REPORTER_CLI_H
#define HK_REPORTER_CLI_H

#include <stddef.h>

struct recording;

enum hk_exit {
#define HK_EXIT(NAME, value, meaning) HK_EXIT_##NAME = value,
#include "tbl/exit_codes.h"
#undef HK_EXIT
};

/* The commands: argv[0] is the command's name.  They return an exit code. */
#define HK_COMMAND(name, arguments, help) int cmd_##name(int argc, char **argv);
#include "tbl/commands.h"
#undef HK_COMMAND

/* Prints one line and a hint on stderr; returns HK_EXIT_USAGE.  cmd is NULL
   for the command line as a whole. */
int cli_usage_error(const char *cmd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "heapknot CMD: " and a line, on stderr; cmd may be NULL. */
void cli_error(const char *cmd, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Opens a recording by file name or by the PID of the process that maps it.
   0, or HK_EXIT_UNREADABLE after one clear line on stderr. */
int cli_open_recording(const char *file_or_pid, struct recording **rec);

/* The path of that recording; 0, or HK_EXIT_UNREADABLE with a sentence in
   why. */
int cli_find_recording(const char *file_or_pid, char *path, size_t path_bytes,
                       char *why, size_t why_bytes);

/* The PID that the argument means; 0 if it is no number, or names a file. */
int cli_pid(const char *file_or_pid);

/* The word of a NULL-terminated list that was probably meant, or NULL. */
const char *cli_nearest(const char *word, const char *const *list);

/* Prints the help of a command. */
void cli_print_help(const char *cmd);
/* The same if the user asked for it, before any "--"; returns 1 then. */
int cli_wants_help(int argc, char **argv);

#endif
