/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_frames.h -- writes frames into the results region, and the texts of
 * labels, each once.
 *
 * Threads     one: that of the scan.
 * Memory      graph_map(), until frames_end.
 * Fails       a full region sets status to HKR_SCAN_TRUNCATED; what is there
 *             is right.  A text that cannot be read is left out.
 */
#ifndef HK_AGENT_SCAN_FRAMES_H
#define HK_AGENT_SCAN_FRAMES_H

#include <stdint.h>

#include "agent/scan_results.h"

struct frames_label {
    const char *pointer;
    uint64_t hash; /* of its text */
    uint32_t at;   /* offset of its result_label, 0: none */
};

struct frames {
    struct results *r;
    struct frames_label *labels;
    uint32_t label_count;
    const char *reading; /* the label whose text is being read */
};

int frames_start(struct frames *f, struct results *r);
void frames_end(struct frames *f);

/* Room for a frame, or NULL; it counts once it is committed. */
void *frames_reserve(struct frames *f, uint64_t bytes);
/* Where the frame is, in the region. */
uint32_t frames_commit(struct frames *f, struct result_head *head,
                       uint64_t bytes, uint32_t kind);

/* Of a text that may fault while it is read: f->reading tells then which it
   was, and frames_set_aside() makes the next look-up leave it alone. */
struct frames_label frames_label(struct frames *f, const char *text);
void frames_set_aside(struct frames *f);

#endif
