/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ignore.c -- see ignore.h.
 */
#include "reporter/ignore.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporter/fingerprint.h"

#define LINE_ROOM 1024

static int
add(struct ignores *list, const struct ignored *item, struct fail *why)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        struct ignored *items = realloc(list->items, room * sizeof *items);

        if (!items)
            return fail_set(why, "not enough memory");
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = *item;
    return 0;
}

int
ignore_word(struct ignores *list, const char *word, struct fail *why)
{
    size_t length = strcspn(word, ":");
    struct ignored item = {0, ISSUE_KINDS, NULL};

    if (fingerprint_parse(word, &item.fingerprint) == 0)
        return add(list, &item, why);
    item.kind = issue_of_word(word, length);
    if (!word[length] || !word[length + 1] || item.kind == ISSUE_KINDS)
        return fail_set(why,
                        "'%.200s' is neither a fingerprint of 16 digits nor "
                        "KIND:PATTERN, such as type:session",
                        word);
    item.pattern = strdup(word + length + 1);
    if (!item.pattern)
        return fail_set(why, "not enough memory");
    if (add(list, &item, why) == 0)
        return 0;
    free(item.pattern);
    return -1;
}

/* The line without its comment and the blanks at both ends. */
static char *
bare(char *line)
{
    size_t n;

    line[strcspn(line, "\n")] = '\0';
    for (char *c = strchr(line, '#'); c; c = strchr(c + 1, '#'))
        if (c == line || c[-1] == ' ' || c[-1] == '\t') {
            *c = '\0';
            break;
        }
    line += strspn(line, " \t");
    n = strlen(line);
    while (n && strchr(" \t\r", line[n - 1]))
        line[--n] = '\0';
    return line;
}

int
ignore_file(struct ignores *list, const char *path, struct fail *why)
{
    FILE *f = fopen(path, "re");
    char line[LINE_ROOM];
    struct fail wrong;
    int number = 0;

    if (!f) {
        fail_set(why, "%.300s: %s", path, strerror(errno));
        return -2;
    }
    while (fgets(line, sizeof line, f)) {
        char *word = bare(line);

        number++;
        if (*word && ignore_word(list, word, &wrong)) {
            fclose(f);
            return fail_set(why, "%.200s:%d: %.250s", path, number,
                            wrong.text);
        }
    }
    if (ferror(f)) {
        fail_set(why, "%.300s: %s", path, strerror(errno));
        fclose(f);
        return -2;
    }
    fclose(f);
    return 0;
}

static int
matches_a_name(const char *pattern, const char *names)
{
    char name[LINE_ROOM];

    for (; *names; names += strcspn(names, "\n"), names += *names == '\n') {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(names, "\n"),
                 names);
        if (fnmatch(pattern, name, 0) == 0)
            return 1;
    }
    return 0;
}

int
ignore_matches(const struct ignores *list, const struct issue *issue)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct ignored *g = &list->items[i];
        int same = g->kind == issue->kind
            || (g->kind == ISSUE_TYPE && issue->kind == ISSUE_LEFT);

        if (!g->pattern && g->fingerprint == issue->fingerprint)
            return 1;
        if (g->pattern && same && matches_a_name(g->pattern, issue->names))
            return 1;
    }
    return 0;
}

void
ignore_free(struct ignores *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].pattern);
    free(list->items);
    *list = (struct ignores){0};
}
