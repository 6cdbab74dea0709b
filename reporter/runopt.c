/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * runopt.c -- check options against tbl/options.h.
 */
#include "reporter/runopt.h"

#include <stdio.h>
#include <string.h>

#include "reporter/cli.h"

enum kind { TEXT, SIZE, TIME, COUNT, BOOL, SHARE };

struct row {
    const char *name;
    enum kind kind;
};

static const struct row rows[] = {
#define HK_OPTION(name, KIND, value, text, help) { #name, KIND },
#include "tbl/options.h"
#undef HK_OPTION
};

#define ROW_COUNT (sizeof rows / sizeof *rows)

/* For each kind: the words that may follow a number, and an example. */
static const char *const size_units[] = { "",  "B",  "K",  "KB",  "KiB", "M",
                                          "MB", "MiB", "G", "GB", "GiB", NULL };
static const char *const time_units[] = { "",  "ns", "us", "ms",
                                          "s", "m",  "h",  NULL };
static const char *const count_units[] = { "", NULL };
static const char *const share_units[] = { "%", NULL };
static const char *const bool_words[] = { "0",  "1",   "on", "off",  "yes",
                                          "no", "true", "false", NULL };

static const struct {
    const char *const *units;
    const char *expects;
} kinds[] = {
    [TEXT] = { NULL, "a text" },
    [SIZE] = { size_units, "a size such as 512KiB or 64MiB" },
    [TIME] = { time_units, "a time such as 250ms, 5s or 2m" },
    [COUNT] = { count_units, "a number" },
    [BOOL] = { bool_words, "on or off" },
    [SHARE] = { share_units, "a share such as 0.1%" },
};

static int
is_among(const char *word, const char *const *list)
{
    for (; *list; list++) {
        if (strcmp(word, *list) == 0)
            return 1;
    }
    return 0;
}

static int
is_number_with(const char *s, const char *const *units)
{
    size_t digits = strspn(s, "0123456789");

    if (digits == 0 || digits > 18)
        return 0;
    s += digits;
    if (*s == '.')
        s += 1 + strspn(s + 1, "0123456789");
    return is_among(s, units);
}

static int
is_good(enum kind kind, const char *value)
{
    if (kind == TEXT)
        return value[0] != '\0';
    if (kind == BOOL)
        return is_among(value, bool_words);
    return is_number_with(value, kinds[kind].units);
}

static const struct row *
find(const char *key)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].name, key) == 0)
            return &rows[i];
    }
    return NULL;
}

static void
exchange(char *s, char from, char to)
{
    for (; *s; s++) {
        if (*s == from)
            *s = to;
    }
}

static void
explain_unknown(char *key, char *why, size_t why_bytes)
{
    static const char *const names[] = {
#define HK_OPTION(name, KIND, value, text, help) #name,
#include "tbl/options.h"
#undef HK_OPTION
        "help", NULL
    };
    const char *near = cli_nearest(key, names);
    char shown[64] = "";

    exchange(key, '_', '-');
    if (!near) {
        snprintf(why, why_bytes, "unknown option --%s", key);
        return;
    }
    snprintf(shown, sizeof shown, "%s", near);
    exchange(shown, '_', '-');
    snprintf(why, why_bytes, "unknown option --%s: did you mean --%s?", key,
             shown);
}

static int
append(char *text, const char *key, const char *value)
{
    size_t used = strlen(text);
    int n = snprintf(text + used, RUNOPT_TEXT_BYTES - used, "%s%s=%s",
                     used ? ":" : "", key, value);

    return n >= 0 && (size_t)n < RUNOPT_TEXT_BYTES - used ? 0 : -1;
}

int
runopt_set(char *text, const char *key, const char *value, char *why,
           size_t why_bytes)
{
    const struct row *row = find(key);

    if (strchr(value, ':')) {
        snprintf(why, why_bytes,
                 "--%s=%s: a value may not contain ':', which separates "
                 "options", key, value);
        return -1;
    }
    if (!row || !is_good(row->kind, value)) {
        snprintf(why, why_bytes, "--%s=%s: expected %s", key, value,
                 row ? kinds[row->kind].expects : "an option");
        return -1;
    }
    if (append(text, key, value) == 0)
        return 0;
    snprintf(why, why_bytes, "options are longer than %d bytes together",
             RUNOPT_TEXT_BYTES - 1);
    return -1;
}

int
runopt_add(char *text, const char *argument, char *why, size_t why_bytes)
{
    char key[64];
    const char *name = argument + 2;
    size_t length = strcspn(name, "=");
    const char *value = name[length] ? name + length + 1 : NULL;
    const struct row *row;

    snprintf(key, sizeof key, "%.*s", (int)length, name);
    exchange(key, '-', '_');
    row = length < sizeof key ? find(key) : NULL;
    if (!row) {
        explain_unknown(key, why, why_bytes);
        return -1;
    }
    if (!value && row->kind != BOOL) {
        snprintf(why, why_bytes, "--%.*s needs a value: --%.*s=VALUE, %s",
                 (int)length, name, (int)length, name,
                 kinds[row->kind].expects);
        return -1;
    }
    return runopt_set(text, key, value ? value : "on", why, why_bytes);
}
