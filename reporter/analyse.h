/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * analyse.h -- what the counters of a recording mean, as pure functions.
 *
 * PATHS.  The reporter speaks of paths, not of stacks: a path is all stacks
 * with the same visible frames, wherever their modules were loaded, so that a
 * plugin loaded twice, or malloc and calloc called at one place, are one line.
 * A frame is (build-id, or else name, of its module; address in that file).
 *
 * TRENDS.  The rule of CPython's regrtest -R, made robust for a service under
 * load: after a warm-up, time is cut into windows; the floor of a window is
 * the least that was live in it.  Something leaks if the floor of every window
 * is above that of the one before, and by more in all than the sampling of
 * blocks would explain.
 */
#ifndef HK_REPORTER_ANALYSE_H
#define HK_REPORTER_ANALYSE_H

#include <stddef.h>
#include <stdint.h>

#include "reporter/intervals.h"
#include "reporter/model.h"
#include "reporter/sampling.h"

/* Adds what a node is to the key of its parent. */
typedef uint64_t (*node_key_fn)(void *arg, uint32_t node,
                                uint64_t parent_key);

struct path {
    uint64_t key;
    uint32_t node;  /* innermost visible frame */
    uint32_t stack; /* the smallest id of its stacks */
    uint32_t flags; /* HKR_STACK_* of any */
    struct stack_counts counts;
    struct estimate estimate; /* of its live bytes */
};

/* Paths of a recording.  of_stack[id] is the path of a stack, or `count` for
   the one that holds what was not sampled: that is on no path. */
struct paths {
    struct path *items;
    uint32_t count;
    uint32_t *of_stack;
    uint32_t stack_count;
};

/* Paths with the counters of a state.  key: NULL for the usual one.  -1: no
   memory. */
int paths_make(const struct recording *rec, const struct state *state,
               node_key_fn key, void *arg, struct paths *out);
void paths_free(struct paths *paths);
/* Path numbers by live bytes, largest first (then allocated bytes, then id);
   malloc'd, NULL without memory. */
uint32_t *paths_by_live_bytes(const struct paths *paths);
uint64_t analyse_hash(uint64_t seed, const void *bytes, size_t count);

enum trend_kind {
    TREND_TOO_SHORT, /* fewer windows than the rule needs */
    TREND_FLAT,      /* no more than noise, or shrinking */
    TREND_GREW,      /* more than at the start, but by no rule */
    TREND_STARTUP,   /* grew at the start only */
    TREND_FILLED,    /* grew for a while, then stopped though work went on */
    TREND_IDLE,      /* stopped growing when the work stopped */
    TREND_FILLING,   /* still grows, ever more slowly */
    TREND_LEAK       /* grows in every window, and still does */
};

/* Values at moments, e.g. the live bytes of a path at each snapshot. */
struct series {
    const double *seconds; /* ascending */
    const double *values;
    const double *work; /* allocations so far, of the whole process */
    size_t count;
    /* Where values are estimates, else churn is NULL: as in struct estimate,
       with the variance of a value for each byte of it. */
    const double *churn;
    double per_byte, unit;
    int ended; /* the process has; its last snapshot is not in here */
};

struct trend {
    enum trend_kind kind;
    size_t windows;        /* after the warm-up */
    double rise;           /* of the floor, after the warm-up */
    double per_second;     /* the floor's slope, after the warm-up */
    double error;          /* of the rise, by sampling: half the interval */
    double since, until;   /* seconds: what the verdict is about */
    double first, last;    /* values */
    double stopped;        /* seconds: FILLED, IDLE, STARTUP */
};

#define TREND_SNAPSHOTS_MIN 8
#define TREND_WINDOWS_MIN 6

/* least_rise: rises up to that are noise, as are those that sampling may have
   made. */
struct trend trend_of(const struct series *series, double least_rise);
/* The series without an idle end, if enough is left of it. */
struct series trend_cut_idle(const struct series *series);

/* A path or a type whose series was looked at. */
struct watched {
    uint32_t id; /* index in paths, or id of a type */
    struct trend trend;
    struct type_growth type; /* of types: the rule of intervals.h */
};

/* What the timeline says. */
struct growth {
    size_t snapshots; /* used: the last ones, of the teardown, are not */
    double seconds;   /* from the first to the last of them */
    double last_seconds; /* time of the last */
    struct watched *paths, *types;
    size_t path_count, type_count;
    struct trend total; /* of live_bytes */
    uint64_t live_bytes; /* at the last used snapshot */
};

/* -1: no memory.  Takes up to about half the size of the recording, for the
   series of the largest paths. */
int growth_of(const struct recording *rec, const struct paths *paths,
              struct growth *out);
void growth_free(struct growth *growth);
/* The trend of a path, NULL if it was not looked at. */
const struct trend *growth_path(const struct growth *g, uint32_t path);
/* The same for a type; its trend is TREND_LEAK if and only if it is
   TYPE_GROWING. */
const struct watched *growth_type(const struct growth *g, uint32_t type);

#endif
