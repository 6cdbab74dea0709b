/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_results.h -- what a snapshot child tells its parent.
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

enum scan_phase {
    SCAN_PHASE_START,
    SCAN_PHASE_COPY,
    SCAN_PHASE_TRAVERSE,
    SCAN_PHASE_REACH,
    SCAN_PHASE_COMPONENTS,
    SCAN_PHASE_EMIT
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
    uint64_t cycles;
    uint64_t cpu_ns;
    uint64_t room; /* bytes of the region */
    uint64_t used; /* offset of the end of the last whole frame */
};

enum { RESULT_LABEL = 1, RESULT_CYCLE = 2 };

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
    uint32_t youngest_ms; /* birth of the youngest member */
    uint32_t slot, serial; /* of one member: is it still there? */
    uint32_t member_count, edge_count;
    uint32_t created_count, released_count;
    uint32_t pad;
    /* struct hkr_member, struct hkr_edge (label: offset of a result_label, 0:
       none), struct hkr_site */
};

static inline uint64_t
result_cycle_bytes(uint64_t members, uint64_t edges, uint64_t sites)
{
    return sizeof(struct result_cycle) + members * sizeof(struct hkr_member) +
           edges * sizeof(struct hkr_edge) + sites * sizeof(struct hkr_site);
}

#endif
