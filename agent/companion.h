/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * companion.h -- what the companion knows of mistakes, holds and references,
 * for the recording (tables MIST, HOLD and BALA).
 *
 * Under lock_publish.
 */
#ifndef HK_AGENT_COMPANION_H
#define HK_AGENT_COMPANION_H

#include <stdint.h>

/* Looks at what there is, before anybody asks how many types, stacks and
   strings there are: those that it refers to are among them. */
void companion_read(void);
/* Writes that, after types and stacks; larger ids of these become 0. */
void companion_write(uint32_t stacks, uint32_t types);
void companion_reset(void); /* in a forked child */

#endif
