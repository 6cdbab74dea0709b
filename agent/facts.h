/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * facts.h -- what the recording says about the process (table PROC).
 */
#ifndef HK_AGENT_FACTS_H
#define HK_AGENT_FACTS_H

/* Once for each recording; under lock_publish. */
void facts_write(void);
/* The executable's build-id, as soon as its module is known; cheap. */
void facts_write_build_id(void);
void facts_reset(void); /* in a forked child */

#endif
