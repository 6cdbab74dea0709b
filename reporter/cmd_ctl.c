/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_ctl.c -- heapknot ctl: scan, snapshot, mark, status.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reporter/cli.h"
#include "reporter/control.h"
#include "reporter/explain.h"
#include "reporter/locate.h"

#define SECOND_NS UINT64_C(1000000000)

struct verb {
    const char *name;
    enum hkr_command command; /* NONE: answered from the file */
    int has_argument;
    uint64_t timeout_ns;
};

static const struct verb verbs[] = {
    { "scan", HKR_CMD_SCAN, 0, 60 * SECOND_NS },
    { "snapshot", HKR_CMD_SNAPSHOT, 0, 5 * SECOND_NS },
    { "mark", HKR_CMD_MARK, 1, 5 * SECOND_NS },
    { "status", HKR_CMD_NONE, 0, 0 },
};

#define VERB_COUNT (sizeof verbs / sizeof *verbs)

static const struct verb *
find_verb(const char *name)
{
    for (size_t i = 0; i < VERB_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    }
    return NULL;
}

static int
unknown_verb(const char *name)
{
    static const char *const names[] = { "scan", "snapshot", "mark", "status",
                                         NULL };
    const char *near = cli_nearest(name, names);

    if (near)
        return cli_usage_error("ctl", "unknown request '%s': did you mean "
                               "'%s'?", name, near);
    return cli_usage_error("ctl", "unknown request '%s'", name);
}

/* The name becomes part of FILE@NAME and of lines in reports. */
static int
check_name(const char *name)
{
    size_t limit = sizeof((struct hkr_control *)0)->argument - 1;

    if (!*name)
        return cli_usage_error("ctl", "the name of a mark may not be empty");
    if (strlen(name) > limit)
        return cli_usage_error("ctl", "the name of a mark may have at most "
                               "%zu bytes", limit);
    for (; *name; name++) {
        if ((unsigned char)*name < ' ' || *name == 0x7f)
            return cli_usage_error("ctl", "the name of a mark may not contain "
                                   "control characters");
    }
    return 0;
}

static int
check_arguments(int argc, char **argv, const struct verb **verb)
{
    if (argc < 2)
        return cli_usage_error("ctl", "which recording or process?");
    if (argc < 3)
        return cli_usage_error("ctl", "what to do: scan, snapshot, mark NAME "
                               "or status?");
    *verb = find_verb(argv[2]);
    if (!*verb)
        return unknown_verb(argv[2]);
    if ((*verb)->has_argument && argc < 4)
        return cli_usage_error("ctl", "%s needs a name", argv[2]);
    if (argc > 3 + (*verb)->has_argument)
        return cli_usage_error("ctl", "too many arguments after '%s'",
                               argv[2 + (*verb)->has_argument]);
    return (*verb)->has_argument ? check_name(argv[3]) : 0;
}

static int
ask(struct control *c, const struct verb *verb, const char *argument)
{
    if (control_ask(c, verb->command, argument, verb->timeout_ns) != 0) {
        cli_error("ctl", "%s", c->why);
        return HK_EXIT_UNREADABLE;
    }
    if (c->answer.text[0])
        puts(c->answer.text);
    else
        printf("%s: done\n", verb->name);
    return HK_EXIT_CLEAN;
}

int
cmd_ctl(int argc, char **argv)
{
    char path[LOCATE_PATH_BYTES], why[LOCATE_PATH_BYTES + 128];
    const struct verb *verb = NULL;
    struct control c;
    int writes, status = check_arguments(argc, argv, &verb);

    if (status)
        return status;
    if (cli_find_recording(argv[1], path, sizeof path, why, sizeof why)) {
        cli_error("ctl", "%s", why);
        return HK_EXIT_UNREADABLE;
    }
    writes = verb->command != HKR_CMD_NONE;
    if (control_open(&c, path, cli_pid(argv[1]), writes) != 0) {
        cli_error("ctl", "%s", c.why);
        return HK_EXIT_UNREADABLE;
    }
    if (writes)
        status = ask(&c, verb, argc > 3 ? argv[3] : NULL);
    else
        explain_status(&c, path);
    control_close(&c);
    return status;
}
