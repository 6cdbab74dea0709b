/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * retire.h -- give up safely: pass through for ever, say it once, write the
 * reason into the recording.
 */
#ifndef HK_AGENT_RETIRE_H
#define HK_AGENT_RETIRE_H

void retire(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *retire_reason(void); /* "" while it lives */
/* A reason from before the recording was there, into it. */
void retire_write_reason(void);
/* Not the end of the agent, but something the report must explain: written
   to the recording's reason, said once. */
void degrade(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
