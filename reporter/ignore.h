/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ignore.h -- which issues are accepted: --ignore= and --ignore-file=.
 *
 * A word is a fingerprint, 16 hexadecimal digits, or KIND:PATTERN, where KIND
 * is a word of ISSUE_LIST and PATTERN is one of the shell's, matched with each
 * name of the issue: the types of a cycle, the type, the functions of a path,
 * the sentence, type and functions of a mistake, the name or type of a hold.
 * "type:" covers what grew and what was left.  A file has one word a line;
 * what follows a '#' at the beginning or after a blank is a comment.
 */
#ifndef HK_REPORTER_IGNORE_H
#define HK_REPORTER_IGNORE_H

#include <stddef.h>
#include <stdint.h>

#include "reporter/fail.h"
#include "reporter/inventory.h"

struct ignores {
    struct ignored {
        uint64_t fingerprint; /* if pattern is NULL */
        enum issue_kind kind;
        char *pattern;
    } *items;
    size_t count, room;
};

/* 0, or -1: it is no such word, or no memory. */
int ignore_word(struct ignores *list, const char *word, struct fail *why);
/* 0; -1: a line is wrong; -2: it cannot be read. */
int ignore_file(struct ignores *list, const char *path, struct fail *why);
int ignore_matches(const struct ignores *list, const struct issue *issue);
void ignore_free(struct ignores *list);

#endif
