/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * explain.h -- what the header of a recording says, in sentences.
 */
#ifndef HK_REPORTER_EXPLAIN_H
#define HK_REPORTER_EXPLAIN_H

#include "reporter/control.h"

/* Lines on stdout: state, age, totals, cost, losses. */
void explain_status(const struct control *c, const char *path);

/* Each loss that is not 0, with what it counts; returns how many. */
int explain_losses(const struct hkr_header *h);

/* A sentence about how the process ended or that it runs.  alive is what
   control_is_alive says. */
void explain_state(const struct hkr_header *h, int alive, char *text,
                   size_t size);

/* "1.2 MiB", "250 ms", "1,234,567". */
const char *explain_bytes(char *buf, size_t size, uint64_t bytes);
const char *explain_ns(char *buf, size_t size, uint64_t ns);
const char *explain_count(char *buf, size_t size, uint64_t count);

#endif
