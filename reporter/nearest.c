/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * nearest.c -- did you mean?
 *
 * Optimal string alignment: insertions, deletions, replacements, and swaps of
 * neighbours, since those are what fingers do.
 */
#include "reporter/cli.h"

#include <string.h>

#define WORD_MAX 48

static int
least(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

static int
distance(const char *a, const char *b)
{
    int row[3][WORD_MAX + 1];
    int la = (int)strlen(a), lb = (int)strlen(b);

    if (la > WORD_MAX || lb > WORD_MAX)
        return WORD_MAX;
    for (int j = 0; j <= lb; j++)
        row[0][j] = j;
    for (int i = 1; i <= la; i++) {
        int *now = row[i % 3], *last = row[(i + 2) % 3];

        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            now[j] = least(now[j - 1] + 1, last[j] + 1,
                           last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]
                && row[(i + 1) % 3][j - 2] + 1 < now[j])
                now[j] = row[(i + 1) % 3][j - 2] + 1;
        }
    }
    return row[la % 3][lb];
}

const char *
cli_nearest(const char *word, const char *const *list)
{
    int length = (int)strlen(word);
    int best = length < 4 ? 1 : length < 7 ? 2 : 3;
    const char *nearest = NULL;

    for (; *list; list++) {
        int d = distance(word, *list);

        if (length >= 3 && strncmp(word, *list, (size_t)length) == 0)
            d = 1; /* abbreviated */
        if (d < best || (d == best && !nearest)) {
            best = d;
            nearest = *list;
        }
    }
    return nearest;
}
