/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * options.c -- parse HEAPKNOT_OPTIONS.
 *
 * Called by   boot.c, once, before any other thread exists.
 * Memory      a static buffer; texts point into it.
 * Fails       never: what it cannot read is said and left at its default.
 */
#include "agent/options.h"

#include <string.h>

#include "agent/say.h"

enum kind { TEXT, SIZE, TIME, COUNT, BOOL, SHARE };

#define AS_TEXT(v) (const char *)(v)
#define AS_SIZE(v) (v)
#define AS_TIME(v) (v)
#define AS_COUNT(v) (v)
#define AS_BOOL(v) (v)
#define AS_SHARE(v) (v)
struct options opt = {
#define HK_OPTION(name, KIND, value, text, help) AS_##KIND(value),
#include "tbl/options.h"
#undef HK_OPTION
};

struct row {
    const char *name;
    enum kind kind;
    void *value;
};
static const struct row rows[] = {
#define HK_OPTION(name, KIND, value, text, help) {#name, KIND, &opt.name},
#include "tbl/options.h"
#undef HK_OPTION
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit sizes[] = {
    {"", 1},           {"B", 1},           {"K", 1 << 10},
    {"KB", 1 << 10},   {"KiB", 1 << 10},   {"M", 1 << 20},
    {"MB", 1 << 20},   {"MiB", 1 << 20},   {"G", 1 << 30},
    {"GB", 1 << 30},   {"GiB", 1 << 30},   {NULL, 0},
};
static const struct unit times[] = {
    {"ns", 1},           {"us", 1000},           {"ms", 1000000},
    {"s", 1000000000},   {"m", 60000000000},     {"h", 3600000000000},
    {"", 1000000000},    {NULL, 0},
};
static const struct unit plain[] = {{"", 1}, {NULL, 0}};
static const struct unit shares[] = {{"%", 10000}, {NULL, 0}};

char options_text[HK_OPTIONS_TEXT_BYTES];
static char work[HK_OPTIONS_TEXT_BYTES];

/* A decimal number, perhaps with a fraction, times its unit. */
static int
parse_number(const char *s, const struct unit *units, uint64_t *value)
{
    uint64_t whole = 0, fraction = 0, scale = 1;

    if (*s < '0' || *s > '9')
        return 0;
    for (; *s >= '0' && *s <= '9'; s++) {
        if (whole > UINT64_MAX / 20)
            return 0;
        whole = whole * 10 + (uint64_t)(*s - '0');
    }
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9'; s++)
            if (scale < 1000000) {
                fraction = fraction * 10 + (uint64_t)(*s - '0');
                scale *= 10;
            }
    for (; units->name; units++)
        if (strcmp(units->name, s) == 0) {
            if (whole > UINT64_MAX / 2 / units->factor)
                return 0;
            *value = whole * units->factor + fraction * units->factor / scale;
            return 1;
        }
    return 0;
}

static int
parse_bool(const char *s, uint64_t *value)
{
    static const char *const yes[] = {"1", "on", "yes", "true", NULL};
    static const char *const no[] = {"0", "off", "no", "false", NULL};

    for (int i = 0; yes[i]; i++) {
        if (strcmp(s, yes[i]) == 0)
            return *value = 1, 1;
        if (strcmp(s, no[i]) == 0)
            return *value = 0, 1;
    }
    return 0;
}

static int
parse_value(const struct row *row, const char *s)
{
    switch (row->kind) {
    case TEXT:
        *(const char **)row->value = s;
        return *s != '\0';
    case SIZE:
        return parse_number(s, sizes, row->value);
    case TIME:
        return parse_number(s, times, row->value);
    case COUNT:
        return parse_number(s, plain, row->value);
    case BOOL:
        return parse_bool(s, row->value);
    case SHARE:
        return parse_number(s, shares, row->value);
    }
    return 0;
}

/* Levenshtein distance, names being short. */
static unsigned
distance(const char *a, const char *b)
{
    unsigned row[64];
    size_t m = strlen(b);

    if (m >= 63)
        return 64;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; a[i - 1]; i++) {
        unsigned diagonal = row[0]++;

        for (size_t j = 1; j <= m; j++) {
            unsigned up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

            best = up + 1 < best ? up + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = up;
        }
    }
    return row[m];
}

static void
complain_unknown(const char *key)
{
    const char *nearest = rows[0].name;
    unsigned best = 64;

    for (size_t i = 0; i < ROW_COUNT; i++) {
        unsigned d = distance(key, rows[i].name);

        if (d < best) {
            best = d;
            nearest = rows[i].name;
        }
    }
    say("HEAPKNOT_OPTIONS: unknown option \"%s\", ignored (nearest: %s)", key,
        nearest);
}

static void
read_pair(char *pair)
{
    char *equals = strchr(pair, '=');
    const char *value = equals ? equals + 1 : "1";

    if (equals)
        *equals = '\0';
    for (char *p = pair; *p; p++)
        if (*p == '-')
            *p = '_';
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(rows[i].name, pair) != 0)
            continue;
        if (!parse_value(&rows[i], value))
            say("HEAPKNOT_OPTIONS: %s=\"%s\" makes no sense, ignored", pair,
                value);
        return;
    }
    complain_unknown(pair);
}

static void
bound(void)
{
    if (opt.depth < 1 || opt.depth > 128)
        opt.depth = 128;
    if (opt.publish < 1000000)
        opt.publish = 1000000;
    if (opt.interval < 10000000)
        opt.interval = 10000000;
    if (opt.max_file < 1 << 20)
        opt.max_file = 1 << 20;
}

void
options_read(const char *text)
{
    char *next, *p = work;

    if (!text)
        return;
    strncpy(options_text, text, sizeof(options_text) - 1);
    if (strlen(text) >= sizeof(work))
        say("HEAPKNOT_OPTIONS is longer than %u bytes: the rest is ignored",
            (unsigned)sizeof(work) - 1);
    strncpy(work, text, sizeof(work) - 1);
    for (; p; p = next) {
        next = strchr(p, ':');
        if (next)
            *next++ = '\0';
        if (*p)
            read_pair(p);
    }
    bound();
}
