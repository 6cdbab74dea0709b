/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * target.h -- can the agent get into this program?
 */
#ifndef HK_REPORTER_TARGET_H
#define HK_REPORTER_TARGET_H

#include <stddef.h>

/*
 * Where execvp(3) would find the command.  0, or the errno value with which it
 * would fail: ENOENT, EACCES.
 */
int target_find(const char *command, char *path, size_t path_bytes);

/*
 * Looks for what keeps a preloaded library out of the executable at path (of a
 * script: of its interpreter).  1 with the reason in why, a phrase such as "it
 * is statically linked"; 0: nothing was found.
 */
int target_obstacle(const char *path, char *why, size_t why_bytes);

#endif
