/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * hold.h -- named references, as the publisher reads them.
 *
 * Holds with one name, type and stack are a group; groups never go away.
 * Under the agent only.
 */
#ifndef HK_LIB_HOLD_H
#define HK_LIB_HOLD_H

#include <stdint.h>

#define HOLD_GROUPS 4096u

struct hold_group {
    uint64_t hash; /* 0: free */
    const char *name;
    uint32_t stack;
    uint32_t type; /* id, or 0 */
    uint32_t is_root;
    uint32_t is_whole; /* stored last */
    uint64_t live, ever;
};

int hold_any(void); /* was there ever a hold? */

/* NULL: none there, or not whole yet.  index < HOLD_GROUPS. */
const struct hold_group *hold_group(uint32_t index);

/* Sets oldest_ms[group] to host_now_ms() of its oldest live hold, or to
   UINT32_MAX.  Walks over all holds. */
void hold_oldest(uint32_t oldest_ms[HOLD_GROUPS]);

uint64_t hold_live(void); /* named references that are not roots */
uint64_t hold_lost(void); /* holds that found no place */

#endif
