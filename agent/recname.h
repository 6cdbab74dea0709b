/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recname.h -- from the pattern output= to the name of a recording.
 */
#ifndef HK_AGENT_RECNAME_H
#define HK_AGENT_RECNAME_H

#include <stddef.h>

#define RECNAME_BYTES 4096
#define RECNAME_TRIES 99

/*
 * The absolute name to try as number `attempt` (1 ..  RECNAME_TRIES): %n is
 * the attempt; without it the second attempt puts the pid before ".hk" (if the
 * pattern has no %p), the next ones a number as well.  A folder gets the
 * default name in it.  1, or 0 if it is too long.
 */
int recname_make(char *name, size_t size, const char *pattern,
                 unsigned attempt);

#endif
