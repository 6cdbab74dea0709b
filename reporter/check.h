/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * check.h -- are all references inside a recording good?
 */
#ifndef HK_REPORTER_CHECK_H
#define HK_REPORTER_CHECK_H

#include <stddef.h>

struct fail;
struct recording;

/* Checks modules, nodes, stacks, types and scans.  Where the recording is torn
   or truncated, a bad reference becomes 0 ("unknown").  0, or -1. */
int check_tables(struct recording *rec, struct fail *why);

/* Unpack rec->time and rec->find into snapshots and groups, checking them.
   Torn or truncated: up to the first frame that is not right.  0, or -1. */
int check_timeline(struct recording *rec, size_t bytes, struct fail *why);
int check_findings(struct recording *rec, size_t bytes, struct fail *why);

#endif
