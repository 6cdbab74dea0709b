/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * runopt.h -- options of the agent, as `heapknot run` takes and checks them.
 *
 * The agent skips what it does not understand; a command line should rather
 * be refused.  What is accepted here the agent accepts: tests/cli/run.t asks
 * both.
 */
#ifndef HK_REPORTER_RUNOPT_H
#define HK_REPORTER_RUNOPT_H

#include <stddef.h>

#define RUNOPT_TEXT_BYTES 1024 /* what the agent reads, with its NUL */

/*
 * Adds "key=value" to text, a HEAPKNOT_OPTIONS under construction.  argument
 * is "--key=value" or, for switches, "--key".  0, or -1 with a sentence in
 * why.
 */
int runopt_add(char *text, const char *argument, char *why, size_t why_bytes);

/* The same for an option whose name is known. */
int runopt_set(char *text, const char *key, const char *value, char *why,
               size_t why_bytes);

#endif
