/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cmd_check.c -- heapknot check [options] FILE|PID ...
 *
 * For scripts: the status says whether something is wrong, or new.  Of several
 * reasons 3 (a recording that cannot be read) wins over 1 (findings), and that
 * over 4 (--strict: losses).
 */
#include <stdlib.h>
#include <string.h>

#include "reporter/arguments.h"
#include "reporter/cli.h"
#include "reporter/gate.h"
#include "reporter/views.h"

/* --tolerance=: "10" or "10%". */
static int
set_tolerance(const char *value, struct gate *gate)
{
    char *end;
    double percent = strtod(value, &end);

    end += *end == '%';
    if (*value < '0' || *value > '9' || *end || percent > 1e6)
        return cli_usage_error("check", "--tolerance=%s is not a percentage",
                               value);
    gate->tolerance = percent / 100;
    return 0;
}

/* --max-live=: bytes, or KiB, MiB, GiB. */
static int
set_max_live(const char *value, uint64_t *bytes)
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    char *end;
    double number = strtod(value, &end);

    for (int i = 0; i < 4; i++)
        if (*value >= '0' && *value <= '9' && strcmp(end, units[i]) == 0
            && number * (double)(UINT64_C(1) << 10 * i) < 9e18) {
            *bytes = (uint64_t)(number * (double)(UINT64_C(1) << 10 * i));
            return 0;
        }
    return cli_usage_error("check",
                           "--max-live=%s is not a size such as 512KiB or "
                           "64MiB", value);
}

struct check {
    struct gate gate;
    uint64_t max_live;
};

static int
load_ignore_file(struct gate *gate, const char *path)
{
    struct fail why;
    int result = ignore_file(&gate->ignores, path, &why);

    if (result == -1)
        return cli_usage_error("check", "%s", why.text);
    if (result)
        cli_error("check", "%s", why.text);
    return result ? HK_EXIT_UNREADABLE : 0;
}

static int
load_baseline(struct gate *gate, const char *path)
{
    struct fail why;

    gate->has_base = 1;
    if (baseline_load(path, &gate->base, &why) == 0)
        return 0;
    cli_error("check", "%s", why.text);
    return HK_EXIT_UNREADABLE;
}

/* An argument_fn: what other views do not have. */
static int
take_option(void *arg, unsigned flag, const char *value)
{
    struct check *c = arg;
    struct fail why;

    switch (flag) {
    case ARGUMENT_BASELINE:
        return load_baseline(&c->gate, value);
    case ARGUMENT_IGNORE:
        if (ignore_word(&c->gate.ignores, value, &why))
            return cli_usage_error("check", "%s", why.text);
        return 0;
    case ARGUMENT_IGNORE_FILE:
        return load_ignore_file(&c->gate, value);
    case ARGUMENT_TOLERANCE:
        return set_tolerance(value, &c->gate);
    default:
        return set_max_live(value, &c->max_live);
    }
}

/* All that can be read is looked at, even if some cannot. */
static int
read_all(const struct arguments *args, struct check *c)
{
    int status = 0;

    for (int i = 0; i < args->file_count; i++) {
        struct view view;

        if (view_open(args->files[i], &view)) {
            status = HK_EXIT_UNREADABLE;
            continue;
        }
        inventory_add(&c->gate.now, &view, args->files[i], c->max_live);
        view_free(&view);
    }
    return status;
}

static int
is_incomplete(const struct inventory *inv)
{
    for (size_t i = 0; i < inv->judged_count; i++)
        if (inv->judged[i].losses)
            return 1;
    return 0;
}

static int
run(const struct arguments *args, struct check *c)
{
    int code = read_all(args, c);
    struct text_out out = text_to(stdout, args->top, "");

    gate_compare(&c->gate);
    if (c->gate.now.no_memory || c->gate.base.no_memory) {
        cli_error("check", "not enough memory");
        return HK_EXIT_UNREADABLE;
    }
    if (c->gate.now.judged_count == 0)
        return code;
    if (args->json)
        json_check(&c->gate, stdout);
    else
        text_check(&c->gate, &out);
    if (code == 0 && c->gate.counts[ISSUE_NEW])
        code = HK_EXIT_FINDINGS;
    if (code == 0 && args->strict && is_incomplete(&c->gate.now))
        code = HK_EXIT_INCOMPLETE;
    return views_finish("check", code);
}

int
cmd_check(int argc, char **argv)
{
    struct check c = {.gate = {.tolerance = GATE_TOLERANCE}};
    struct arguments args = {.other = take_option, .other_arg = &c};
    int code = arguments_parse(
        argc, argv,
        ARGUMENT_JSON | ARGUMENT_STRICT | ARGUMENT_TOP | ARGUMENT_BASELINE
            | ARGUMENT_IGNORE | ARGUMENT_IGNORE_FILE | ARGUMENT_TOLERANCE
            | ARGUMENT_MAX_LIVE,
        argc, &args);

    if (code == 0)
        code = run(&args, &c);
    gate_free(&c.gate);
    return code < 0 ? HK_EXIT_CLEAN : code;
}
