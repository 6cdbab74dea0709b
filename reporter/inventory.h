/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * inventory.h -- what is wrong in one or more recordings, each thing under a
 * fingerprint, and what was still there at their end.
 *
 * Two inventories are compared to tell what is new: see gate.h.
 */
#ifndef HK_REPORTER_INVENTORY_H
#define HK_REPORTER_INVENTORY_H

#include <stddef.h>
#include <stdint.h>

struct view;

/* ISSUE(name, "kind in JSON and in patterns") */
#define ISSUE_LIST                                                         \
    ISSUE(CYCLE, "cycle")     /* confirmed cycles of one shape */          \
    ISSUE(TYPE, "type")       /* grows in every interval */                \
    ISSUE(PATH, "path")       /* its live bytes grow in every window */    \
    ISSUE(MEMORY, "memory")   /* live memory grows, by no single path */   \
    ISSUE(MISTAKE, "mistake") /* with objects, of the program */           \
    ISSUE(LEFT, "left")       /* more objects of a type than before */     \
    ISSUE(HOLD, "hold")       /* more named references than before */      \
    ISSUE(LIVE, "live")       /* more bytes than --max-live= */

enum issue_kind {
#define ISSUE(name, word) ISSUE_##name,
    ISSUE_LIST
#undef ISSUE
    ISSUE_KINDS
};

enum issue_state { ISSUE_NEW, ISSUE_KNOWN, ISSUE_IGNORED, ISSUE_STATES };

struct issue {
    enum issue_kind kind;
    enum issue_state state;
    uint64_t fingerprint;
    char *headline; /* one line */
    char *names;    /* what patterns are matched with, one a line */
    char *file;     /* the first recording that has it */
    size_t recordings;
};

/* Objects of a type, or references of a name at a place. */
struct stock {
    uint64_t fingerprint;
    char *name; /* of a hold: "name type" */
    uint64_t live; /* at the end of a recording, the most of all */
    char *file;  /* that recording */
};

struct stocks {
    struct stock *items;
    size_t count, room;
};

/* One recording, as far as it was judged. */
struct judged {
    char *file;
    const char *state;
    uint32_t pid;
    double seconds;
    int growth;  /* long enough to tell */
    int scanned; /* or has no objects */
    int losses;
};

struct inventory {
    struct issue *issues;
    size_t issue_count, issue_room;
    struct stocks types, holds;
    struct judged *judged;
    size_t judged_count, judged_room;
    int no_memory; /* something is missing: not to be used */
};

/* max_live: bytes, 0: no limit. */
void inventory_add(struct inventory *inv, const struct view *view,
                   const char *file, uint64_t max_live);
/* Adds to one of the same kind and fingerprint, or makes it.  Text is copied;
   NULL without memory. */
struct issue *inventory_issue(struct inventory *inv, enum issue_kind kind,
                              uint64_t fingerprint, const char *headline,
                              const char *names, const char *file);
/* Adds to the one of the same fingerprint; text is copied. */
void inventory_stock(struct inventory *inv, struct stocks *stocks,
                     const struct stock *stock);
/* Of each the larger number; `stocks` are freed. */
void inventory_merge(struct inventory *inv, struct stocks *to,
                     struct stocks *stocks);
const struct issue *inventory_find(const struct inventory *inv,
                                   enum issue_kind kind,
                                   uint64_t fingerprint);
/* judged->file is copied. */
void inventory_judged(struct inventory *inv, const struct judged *judged);
/* 0 where there is none. */
uint64_t inventory_live(const struct stocks *stocks, uint64_t fingerprint);
void inventory_free(struct inventory *inv);

const char *issue_word(enum issue_kind kind);
/* ISSUE_KINDS: none has this word, of `length` bytes. */
enum issue_kind issue_of_word(const char *word, size_t length);

#endif
