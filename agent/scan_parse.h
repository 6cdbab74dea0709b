/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_parse.h -- reads what a scan told, and believes none of it.
 *
 * Code of the program ran where the results were written: it may have changed
 * them, and may do so still, if it has forked.  So a frame is copied first,
 * where nobody else gets at it, and then looked at.
 *
 * Threads     one at a time (scan.c).
 * Memory      its own, for one frame.
 * Fails       what is not whole ends the list; what is too large or not as long
 *             as it should be is left out.
 */
#ifndef HK_AGENT_SCAN_PARSE_H
#define HK_AGENT_SCAN_PARSE_H

#include <stddef.h>

#include "agent/scan_results.h"

/* The results in hand, mapped so many bytes long. */
void parse_begin(const struct results *r, uint64_t bytes);
/* The next cycle or census; NULL: no more.  Valid until the next call. */
const struct result_head *parse_next(void);
/* The text of a label at an offset of the results, or NULL.  Valid until the
   next call. */
const char *parse_label(uint32_t at);

static inline const struct result_cycle *
parse_as_cycle(const struct result_head *h)
{
    return h->kind == RESULT_CYCLE ? (const struct result_cycle *)h : NULL;
}

static inline const struct result_census *
parse_as_census(const struct result_head *h)
{
    return h->kind == RESULT_CENSUS ? (const struct result_census *)h : NULL;
}

#endif
