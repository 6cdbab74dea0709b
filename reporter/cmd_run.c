/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_run.c -- heapknot run: set two variables and become the command.
 *
 * Nothing stays in between, so status, signals, terminal and process tree are
 * those of the command itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reporter/agentlib.h"
#include "reporter/cli.h"
#include "reporter/locate.h"
#include "reporter/runopt.h"
#include "reporter/target.h"

/* As env(1) and the shells do. */
enum { CANNOT_EXECUTE = 126, NOT_FOUND = 127 };

enum { WHY_BYTES = LOCATE_PATH_BYTES + 256 };

/* What the environment said already stays, before what is said here. */
static int
inherit_options(char *text)
{
    const char *old = getenv("HEAPKNOT_OPTIONS");

    text[0] = '\0';
    if (!old)
        return 0;
    if (strlen(old) >= RUNOPT_TEXT_BYTES)
        return cli_usage_error("run",
                               "HEAPKNOT_OPTIONS is longer than %d bytes",
                               RUNOPT_TEXT_BYTES - 1);
    strcpy(text, old);
    return 0;
}

/* -o FILE and -oFILE; *at moves on to the last word used. */
static int
read_output(int argc, char **argv, int *at, char *text, char *why)
{
    const char *value = argv[*at] + 2;

    if (!*value) {
        if (*at + 1 == argc) {
            snprintf(why, WHY_BYTES, "-o needs a file name");
            return -1;
        }
        value = argv[++*at];
    }
    return runopt_set(text, "output", value, why, WHY_BYTES);
}

/*
 * Reads options up to the command.  Returns its index, 0 after a request for
 * help, or -1 after a message.
 */
static int
read_arguments(int argc, char **argv, char *text)
{
    char why[WHY_BYTES];
    int i;

    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        int bad = 0;

        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            cli_print_help(argv[0]);
            return 0;
        }
        if (strncmp(argv[i], "-o", 2) == 0)
            bad = read_output(argc, argv, &i, text, why);
        else if (strncmp(argv[i], "--", 2) == 0)
            bad = runopt_add(text, argv[i], why, sizeof why);
        else
            bad = snprintf(why, sizeof why, "unknown option %s", argv[i]);
        if (bad) {
            cli_usage_error("run", "%s", why);
            return -1;
        }
    }
    if (i < argc)
        return i;
    cli_usage_error("run", "no command given");
    return -1;
}

static int
set_environment(const char *agent, const char *options)
{
    const char *old = getenv("LD_PRELOAD");
    size_t bytes = strlen(agent) + (old ? strlen(old) : 0) + 2;
    char *preload = malloc(bytes);
    int bad;

    if (!preload)
        return -1;
    snprintf(preload, bytes, "%s%s%s", agent, old && *old ? ":" : "",
             old ? old : "");
    bad = setenv("LD_PRELOAD", preload, 1);
    if (!bad && *options)
        bad = setenv("HEAPKNOT_OPTIONS", options, 1);
    free(preload);
    return bad;
}

/* The command runs all the same: heapknot must not be what breaks a script. */
static void
warn_if_closed(const char *command)
{
    char path[LOCATE_PATH_BYTES], why[WHY_BYTES];

    if (target_find(command, path, sizeof path) == 0
        && target_obstacle(path, why, sizeof why))
        cli_error("run", "%s will not be recorded: %s", command, why);
}

/* On a terminal, the name that the agent will make of its default.  The
   command takes our place, so that the process id is ours. */
static void
announce(const char *command)
{
    const char *slash = strrchr(command, '/');

    if (isatty(STDERR_FILENO))
        cli_error("run", "recording to heapknot.%s.%d.hk",
                  slash ? slash + 1 : command, (int)getpid());
}

/* The agent never overwrites: whoever then reads the old file is misled. */
static void
warn_if_there(const char *options, const char *command)
{
    char path[RUNOPT_TEXT_BYTES];
    const char *name = NULL, *at = options;
    struct stat st;

    for (; *at; at += strcspn(at, ":"), at += *at == ':') {
        if (strncmp(at, "output=", 7) == 0)
            name = at + 7;
    }
    if (!name) {
        announce(command);
        return;
    }
    snprintf(path, sizeof path, "%.*s", (int)strcspn(name, ":"), name);
    if (!strchr(path, '%') && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        cli_error("run", "%s is there already: the recording gets the "
                  "process id (%d) in its name", path, (int)getpid());
}

static const char *
explain(const char *command, int error)
{
    char path[LOCATE_PATH_BYTES];

    if (error != ENOENT)
        return strerror(error);
    return target_find(command, path, sizeof path) == 0
               ? "its interpreter does not exist"
               : "command not found";
}

/* Returns only when it failed. */
static int
become(char **command)
{
    int error;

    fflush(stdout);
    execvp(command[0], command);
    error = errno;
    cli_error("run", "%s: %s", command[0], explain(command[0], error));
    return error == ENOENT ? NOT_FOUND : CANNOT_EXECUTE;
}

int
cmd_run(int argc, char **argv)
{
    char options[RUNOPT_TEXT_BYTES], agent[LOCATE_PATH_BYTES], why[WHY_BYTES];
    int at;

    if (inherit_options(options))
        return HK_EXIT_USAGE;
    at = read_arguments(argc, argv, options);
    if (at <= 0)
        return at < 0 ? HK_EXIT_USAGE : HK_EXIT_CLEAN;
    if (agentlib_find(agent, sizeof agent, why, sizeof why) != 0) {
        cli_error("run", "%s", why);
        return HK_EXIT_UNREADABLE;
    }
    warn_if_closed(argv[at]);
    warn_if_there(options, argv[at]);
    if (set_environment(agent, options) != 0) {
        cli_error("run", "cannot set the environment: %s", strerror(errno));
        return CANNOT_EXECUTE;
    }
    return become(argv + at);
}
