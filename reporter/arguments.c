/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * arguments.c -- see arguments.h.
 */
#include "reporter/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "reporter/cli.h"

static const struct option {
    const char *name;
    unsigned flag;
    int has_value;
} options[] = {{"--json", ARGUMENT_JSON, 0},
               {"--strict", ARGUMENT_STRICT, 0},
               {"--top", ARGUMENT_TOP, 1},
               {"--format", ARGUMENT_FORMAT, 1},
               {"--cost", ARGUMENT_COST, 1},
               {"--baseline", ARGUMENT_BASELINE, 1},
               {"--ignore", ARGUMENT_IGNORE, 1},
               {"--ignore-file", ARGUMENT_IGNORE_FILE, 1},
               {"--tolerance", ARGUMENT_TOLERANCE, 1},
               {"--max-live", ARGUMENT_MAX_LIVE, 1},
               {"--type", ARGUMENT_TYPE, 1}};
#define OPTIONS (sizeof options / sizeof *options)

static int
unknown(const char *cmd, const char *word, unsigned allowed)
{
    const char *words[OPTIONS + 2];
    char name[32];
    const char *near;
    size_t n = 0;

    for (size_t i = 0; i < OPTIONS; i++)
        if (options[i].flag & allowed)
            words[n++] = options[i].name;
    words[n++] = "--help";
    words[n] = NULL;
    name[0] = '\0';
    strncat(name, word, strcspn(word, "=") < sizeof name
                            ? strcspn(word, "=")
                            : sizeof name - 1);
    near = cli_nearest(name, words);
    if (near)
        return cli_usage_error(cmd, "unknown option '%s': did you mean '%s'?",
                               word, near);
    return cli_usage_error(cmd, "unknown option '%s'", word);
}

static int
set_top(const char *cmd, const char *value, struct arguments *out)
{
    char *end;
    unsigned long n = strtoul(value, &end, 10);

    if (*value < '0' || *value > '9' || *end)
        return cli_usage_error(cmd, "--top=%s is not a number", value);
    out->top = n;
    return 0;
}

static int
set(const char *cmd, unsigned flag, const char *value, struct arguments *out)
{
    switch (flag) {
    case ARGUMENT_JSON:
        out->json = 1;
        return 0;
    case ARGUMENT_STRICT:
        out->strict = 1;
        return 0;
    case ARGUMENT_FORMAT:
        out->format = value;
        return 0;
    case ARGUMENT_COST:
        out->cost = value;
        return 0;
    case ARGUMENT_TYPE:
        out->type = value;
        return 0;
    case ARGUMENT_TOP:
        return set_top(cmd, value, out);
    default:
        return out->other(out->other_arg, flag, value);
    }
}

/* One option; *next is the word after it, in case that is its value.  *used
   counts the words. */
static int
parse_option(const char *cmd, const char *word, const char *next,
             unsigned allowed, int *used, struct arguments *out)
{
    size_t length = strcspn(word, "=");

    for (size_t i = 0; i < OPTIONS; i++) {
        const struct option *o = &options[i];
        const char *value = word[length] ? word + length + 1 : NULL;

        if (strlen(o->name) != length || strncmp(o->name, word, length)
            || !(o->flag & allowed))
            continue;
        if (!o->has_value && value)
            return cli_usage_error(cmd, "%s takes no value", o->name);
        if (o->has_value && !value) {
            value = next;
            *used = 2;
        }
        if (o->has_value && !value)
            return cli_usage_error(cmd, "%s needs a value", o->name);
        return set(cmd, o->flag, value, out);
    }
    return unknown(cmd, word, allowed);
}

int
arguments_parse(int argc, char **argv, unsigned allowed, int files,
                struct arguments *out)
{
    const char *cmd = argv[0];
    int only_files = 0, used, code;

    *out = (struct arguments){
        .files = argv + 1, .other = out->other, .other_arg = out->other_arg};
    if (cli_wants_help(argc, argv))
        return -1;
    for (int i = 1; i < argc; i += used) {
        used = 1;
        if (!only_files && strcmp(argv[i], "--") == 0) {
            only_files = 1;
        } else if (!only_files && argv[i][0] == '-' && argv[i][1]) {
            code = parse_option(cmd, argv[i],
                                i + 1 < argc ? argv[i + 1] : NULL, allowed,
                                &used, out);
            if (code)
                return code;
        } else if (out->file_count == files) {
            return cli_usage_error(cmd, "too many arguments: '%s'", argv[i]);
        } else {
            out->files[out->file_count++] = argv[i];
        }
    }
    if (out->file_count == 0)
        return cli_usage_error(cmd, "no recording given");
    return 0;
}
