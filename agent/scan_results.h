/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_results.h -- what a scan tells: a snapshot child its parent.
 *
 * A shared region: a struct results, then frames one after another.  The child
 * fills a frame and then moves `used` behind it (release), so that the parent
 * finds only whole frames however the child ended.  The parent believes no
 * length: a traverse function may have scribbled.
 *
 *      +---------+-------+-------+---------+-------+-- - -
 *      | results | label | label | cycle   | cycle |
 *      +---------+-------+-------+---------+-------+-- - -
 *                                 members, edges and sites follow the struct
 */
#ifndef HK_AGENT_SCAN_RESULTS_H
#define HK_AGENT_SCAN_RESULTS_H

#include <stdint.h>

#include "format/recording.h"

#define RESULTS_BYTES (UINT64_C(256) << 20)
#define RESULTS_BYTES_LEAST (UINT64_C(16) << 20)

#define SCAN_MEMBERS_SHOWN 64u
#define SCAN_EDGES_SHOWN 256u
#define SCAN_SITES_MAX 4096u
#define SCAN_LABEL_BYTES 200u

/* Shown of a census: kinds of referrers, paths, steps of each. */
#define SCAN_REFERRERS 64u
#define SCAN_PATHS 3u
#define SCAN_STEPS 64u

enum scan_phase {
    SCAN_PHASE_START,
    SCAN_PHASE_COPY,
    SCAN_PHASE_TRAVERSE,
    SCAN_PHASE_REACH,
    SCAN_PHASE_COMPONENTS,
    SCAN_PHASE_EMIT,
    SCAN_PHASE_CENSUS
};

struct results {
    uint32_t finished; /* futex: 1 when everything is there */
    uint32_t status;   /* enum hkr_scan_status, valid when finished */
    uint32_t phase;    /* enum scan_phase */
    uint32_t slot;     /* being looked at */
    uint32_t type;     /* its type */
    uint32_t fault_type; /* of the first object that could not be read */
    uint64_t progress; /* grows while the child is not stuck */
    uint64_t objects, edges, unreachable;
    uint64_t unknown, skipped, excess;
    uint64_t opaque; /* objects whose references a copy cannot read */
    uint64_t ignored;
    uint64_t bytes;  /* of the graph */
    uint64_t cycles;
    uint64_t cpu_ns;
    uint64_t room; /* bytes of the region */
    uint64_t used; /* offset of the end of the last whole frame */
    uint32_t stop;  /* from the parent: the child shall end */
    uint32_t ticks; /* at which the child looked at its own pace */
};

enum { RESULT_LABEL = 1, RESULT_CYCLE = 2, RESULT_CENSUS = 3 };

struct result_head {
    uint32_t bytes; /* of the frame, a multiple of 8 */
    uint32_t kind;
};

struct result_label {
    struct result_head head;
    char text[]; /* NUL-terminated */
};

/* One unreachable cycle.  Members and edges are there for the first of each
   shape, sites for all: created_count, then released_count. */
struct result_cycle {
    struct result_head head;
    uint64_t identity; /* hash of members, words, edges: equal if untouched */
    uint64_t shape;
    uint64_t objects, bytes;
    uint64_t held_objects, held_bytes;
    uint64_t nested_bytes; /* all of it, if another cycle holds this one */
    uint32_t oldest_ms, youngest_ms; /* births of members */
    uint32_t slot, serial; /* of one member: is it still there? */
    uint32_t member_count, edge_count;
    uint32_t created_count, released_count;
    uint32_t from_ms; /* births from here on have to be looked at to see it and
                         all that leads to it */
    uint32_t is_hidden; /* a copy cannot find it: it, or what is lost and leads
                           to it, has a traverse function */
    uint32_t pad;
    /* struct hkr_member, struct hkr_edge (label: offset of a result_label, 0:
       none), struct hkr_site */
};

/* Who refers to objects of one type.  As in the recording, but each label is
   the offset of a result_label. */
struct result_census {
    struct result_head head;
    struct hkr_census census;
    /* struct hkr_referrer, then paths: struct hkr_path, struct hkr_step */
};

#define SCAN_CENSUS_BYTES                                              \
    (sizeof(struct result_census) +                                    \
     SCAN_REFERRERS * sizeof(struct hkr_referrer) +                    \
     SCAN_PATHS *                                                      \
         (sizeof(struct hkr_path) + SCAN_STEPS * sizeof(struct hkr_step)))

static inline uint64_t
result_cycle_bytes(uint64_t members, uint64_t edges, uint64_t sites)
{
    return sizeof(struct result_cycle) + members * sizeof(struct hkr_member) +
           edges * sizeof(struct hkr_edge) + sites * sizeof(struct hkr_site);
}

#endif
