/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_sites.h -- how many objects came from each call stack.
 *
 * Threads     any; memory is the caller's; nothing fails.
 */
#ifndef HK_AGENT_SCAN_SITES_H
#define HK_AGENT_SCAN_SITES_H

#include <stdint.h>

#include "format/recording.h"

static inline uint64_t
sites_key(uint32_t stack, uint16_t type)
{
    return (uint64_t)stack << 16 | type;
}

/* Sorts keys[n] and counts equal ones into out[max].  Where there are more
   than max, the last one loses its stack and takes the rest.  Returns how many
   are filled. */
uint32_t sites_count(uint64_t *keys, uint32_t n, struct hkr_site *out,
                     uint32_t max);

#endif
