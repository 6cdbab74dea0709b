/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * diff.h -- what changed between two moments, of one recording or of two.
 *
 * In one recording paths are compared as they are.  In two recordings they are
 * matched by their frames: build-ids and addresses where the builds are the
 * same, else names of functions.
 */
#ifndef HK_REPORTER_DIFF_H
#define HK_REPORTER_DIFF_H

#include "reporter/analyse.h"
#include "reporter/frames.h"

struct fail;

/* A moment of a recording. */
struct moment {
    struct names names;
    struct state state;
    char label[160]; /* "snapshot 3", "mark start", "now" */
};

struct diff_path {
    uint64_t key;
    const struct names *names; /* of the recording that has the node */
    uint32_t node, stack;
    struct stack_counts a, b;
    struct estimate estimate_a, estimate_b;
    double error; /* of the change in live bytes, by sampling: half of its
                     interval */
};

struct diff_type {
    const char *name;
    struct type_counts a, b;
};

struct diff {
    const struct moment *a, *b;
    int by_names; /* paths were matched by names of functions */
    struct diff_path *paths; /* changed ones, largest change first; those
                                within the error of sampling last */
    size_t path_count;
    struct diff_type *types; /* changed ones */
    size_t type_count;
    struct stack_counts total_a, total_b; /* exact */
};

/* 0, or -1: no memory.  The moments must outlive the diff. */
int diff_make(const struct moment *a, const struct moment *b,
              struct diff *out);
void diff_free(struct diff *diff);

/* The snapshot that `word` means: a number from 1, or the name of a mark (the
   last one of that name).  Its index, or -1. */
long diff_find_snapshot(const struct recording *rec, const char *word);

static inline int64_t
diff_path_bytes(const struct diff_path *p)
{
    return (int64_t)(counts_live_bytes(&p->b) - counts_live_bytes(&p->a));
}

static inline int
diff_path_is_sampled(const struct diff_path *p)
{
    return p->estimate_a.sampled || p->estimate_b.sampled;
}

/* May sampling alone explain the change? */
static inline int
diff_path_is_unsure(const struct diff_path *p)
{
    double change = (double)diff_path_bytes(p);

    return diff_path_is_sampled(p)
        && (change < 0 ? -change : change) <= p->error;
}

static inline int64_t
diff_path_blocks(const struct diff_path *p)
{
    return (int64_t)(counts_live_blocks(&p->b) - counts_live_blocks(&p->a));
}

#endif
