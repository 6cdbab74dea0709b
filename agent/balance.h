/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * balance.h -- who has taken and dropped references to which live object, for
 * the types in refs= (table BALA).
 *
 * Each object of such a type has a log: for each call stack, how many
 * increments and decrements it made.  When the object ends its log is taken
 * off the sums, so these tell of live objects only.
 */
#ifndef HK_AGENT_BALANCE_H
#define HK_AGENT_BALANCE_H

#include <stdint.h>

/* Is this a type in refs=? */
int balance_names(const char *type_name);

/*
 * An object and the reference that it is born with; one more reference (by 1)
 * or less (-1); its end.  stack may be 0: unknown.  Nobody waits longer than
 * wait_ns: what is not written down by then is counted.  The first two return
 * 0 where no log is kept of the object, (any more): it need not come again.
 */
int balance_begin(const void *object, uint32_t type, uint32_t stack,
                  uint64_t wait_ns);
int balance_count(const void *object, uint32_t stack, int by,
                  uint64_t wait_ns);
void balance_end(const void *object, uint64_t wait_ns);

/* At the end of the process: names in refs= that no type has. */
void balance_say_unknown(void);

/* Around a fork; what before returned goes to the other two.  A child in which
   somebody's half-done work may stand starts without logs. */
uint64_t balance_before_fork(uint64_t wait_ns);
void balance_after_fork_parent(uint64_t taken);
void balance_after_fork_child(uint64_t taken);

#endif
