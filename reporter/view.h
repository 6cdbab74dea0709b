/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * view.h -- a recording with all that the views need to know of it.
 */
#ifndef HK_REPORTER_VIEW_H
#define HK_REPORTER_VIEW_H

#include "reporter/analyse.h"
#include "reporter/frames.h"
#include "reporter/model.h"
#include "reporter/verdict.h"

struct view {
    struct recording *rec; /* owned */
    struct names names;    /* with the symboliser, owned */
    struct state now, first; /* as last published; at the first snapshot */
    struct paths paths;
    uint32_t *order; /* paths by live bytes */
    struct growth growth;
    struct verdict verdict;
    int live; /* the process is running */
    int sampled; /* some blocks were not recorded with their stack */
};

/* Takes over rec, whatever happens.  symbols 0: addresses only.  0, or -1: no
   memory. */
int view_make(struct recording *rec, int symbols, struct view *out);
/* For commands: opens, makes, says what went wrong; an exit code. */
int view_open(const char *file_or_pid, struct view *out);
void view_free(struct view *view);

/* Numbers that views of all formats need. */
double view_ran_seconds(const struct view *view);
const char *view_state(const struct view *view); /* "live", "killed", ... */
int view_has_losses(const struct view *view);
/* Of a path's live bytes, which cannot be more than those of all. */
struct interval view_interval(const struct view *view, const struct path *p);
/* The share of overhead=, or 0 if that was not set. */
double view_overhead_limit(const struct view *view);

#endif
