/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * agentlib.h -- where libheapknot-agent.so is.
 */
#ifndef HK_REPORTER_AGENTLIB_H
#define HK_REPORTER_AGENTLIB_H

#include <stddef.h>

/*
 * HEAPKNOT_AGENT, else beside this executable (built or installed), else where
 * it was configured to be.  0 with an absolute path, or -1 with one line in
 * why.
 */
int agentlib_find(char *path, size_t path_bytes, char *why, size_t why_bytes);

#endif
