/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * main.c -- heapknot COMMAND ...
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "reporter/cli.h"
#include "reporter/help.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define HK_COMMAND(name, arguments, help) { #name, cmd_##name },
#include "tbl/commands.h"
#undef HK_COMMAND
};

static const struct command *
find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int
unknown(const char *word)
{
    static const char *const words[] = {
#define HK_COMMAND(name, arguments, help) #name,
#include "tbl/commands.h"
#undef HK_COMMAND
        "help", "--help", "--version", NULL
    };
    const char *near = cli_nearest(word, words);

    if (near)
        return cli_usage_error(NULL, "unknown %s '%s': did you mean '%s'?",
                               word[0] == '-' ? "option" : "command", word,
                               near);
    return cli_usage_error(NULL, "unknown %s '%s'",
                           word[0] == '-' ? "option" : "command", word);
}

static int
help(int argc, char **argv)
{
    if (argc < 2) {
        help_print_all();
        return HK_EXIT_CLEAN;
    }
    if (!find(argv[1]))
        return unknown(argv[1]);
    cli_print_help(argv[1]);
    return HK_EXIT_CLEAN;
}

static int
dispatch(int argc, char **argv)
{
    const struct command *command;

    if (argc < 2) {
        fputs("heapknot: no command given\nsee heapknot --help\n", stderr);
        return HK_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0
        || strcmp(argv[1], "help") == 0)
        return help(argc - 1, argv + 1);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        help_print_version();
        return HK_EXIT_CLEAN;
    }
    command = find(argv[1]);
    if (!command)
        return unknown(argv[1]);
    /* What follows the program of `run` is that program's. */
    if (command->run != cmd_run && cli_wants_help(argc - 1, argv + 1))
        return HK_EXIT_CLEAN;
    return command->run(argc - 1, argv + 1);
}

/* An answer that did not reach its file is no answer. */
static int
flushed(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    cli_error(NULL, "cannot write the answer: %s", strerror(errno));
    return HK_EXIT_UNREADABLE;
}

int
main(int argc, char **argv)
{
    return flushed(dispatch(argc, argv));
}
