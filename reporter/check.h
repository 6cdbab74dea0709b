/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * check.h -- are all references inside a recording good?
 */
#ifndef HK_REPORTER_CHECK_H
#define HK_REPORTER_CHECK_H

#include <stddef.h>
#include <stdint.h>

struct fail;
struct recording;

/* Checks modules, nodes, stacks, types and scans.  Where the recording is torn
   or truncated, a bad reference becomes 0 ("unknown").  0, or -1. */
int check_tables(struct recording *rec, struct fail *why);

/* Unpack rec->time, rec->find and rec->graph into snapshots, groups and
   censuses, checking them.  Torn or truncated: up to the first frame that is
   not right.  0, or -1. */
int check_timeline(struct recording *rec, size_t bytes, struct fail *why);
int check_findings(struct recording *rec, size_t bytes, struct fail *why);
int check_graph(struct recording *rec, size_t bytes, struct fail *why);

/* Between check.c and check_graph.c.  An id that must be below `limit`, of a
   string, of any: 0, or -1 with a sentence; 0 if lenient, the id is 0 then. */
int check_is_lenient(const struct recording *rec);
int check_id(const struct recording *rec, uint32_t *id, uint64_t limit,
             const char *what, struct fail *why);
int check_string(const struct recording *rec, uint32_t *id, const char *what,
                 struct fail *why);
int check_bad_frame(const struct recording *rec, const char *what,
                    size_t number, size_t offset, struct fail *why);

#endif
