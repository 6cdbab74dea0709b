/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * verdict.h -- what is wrong with the program, in a sentence, and why.
 *
 * Several may hold; the worst is first and is the headline.  A cache that
 * filled and stopped is never called a leak.
 */
#ifndef HK_REPORTER_VERDICT_H
#define HK_REPORTER_VERDICT_H

#include <stddef.h>
#include <stdint.h>

struct recording;
struct type_growth;
struct view;

/* By severity.  FINDING(name, "kind in JSON") */
#define FINDING_LIST                                                       \
    FINDING(CYCLES, "cycles")                                              \
    FINDING(LEAK, "leak")                                                  \
    FINDING(TYPE, "type-growth")                                           \
    FINDING(FRAGMENTATION, "fragmentation")                                \
    FINDING(SUSPECTS, "suspects")                                          \
    FINDING(FILLING, "filling")                                            \
    FINDING(IDLE, "idle")                                                  \
    FINDING(CACHE, "cache")                                                \
    FINDING(EXIT, "exit")                                                  \
    FINDING(TOO_SHORT, "not-enough-data")                                  \
    FINDING(STEADY, "steady")

enum finding_kind {
#define FINDING(name, text) FINDING_##name,
    FINDING_LIST
#undef FINDING
};

#define FINDING_BECAUSE_MAX 4
#define FINDING_TEXT_BYTES 256
#define VERDICT_MAX 16
#define FINDING_NO_PATH UINT32_MAX

struct finding {
    enum finding_kind kind;
    char headline[FINDING_TEXT_BYTES];
    char because[FINDING_BECAUSE_MAX][FINDING_TEXT_BYTES];
    size_t because_count;
    uint32_t path; /* index in paths, or FINDING_NO_PATH */
    uint32_t type; /* of TYPE, else 0 */
};

struct verdict {
    struct finding items[VERDICT_MAX];
    size_t count;   /* at least 1 once made */
    size_t dropped; /* findings for which there was no room */
};

/* From view's recording, paths, growth and names. */
void verdict_make(const struct view *view, struct verdict *out);
const char *verdict_kind(enum finding_kind kind);

/* The number of the confirmed group whose objects were made on this path, from
   1, or 0: then that is the explanation of its growth. */
size_t verdict_group_of_path(const struct view *view, uint32_t path);
/* Is the type among the members of confirmed cycles?  Likewise. */
int verdict_in_a_cycle(const struct recording *rec, uint32_t type);
/* "+4 +4 +5": the deltas of the rule. */
void verdict_list_deltas(const struct type_growth *g, char *text,
                         size_t size);

#endif
