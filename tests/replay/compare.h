/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * compare.h -- is what was seen in a step what was to be seen?
 */
#ifndef HK_TESTS_REPLAY_COMPARE_H
#define HK_TESTS_REPLAY_COMPARE_H

#include "tests/replay/vector.h"

/* 1: yes.  0: no, and why holds a line about the first difference.  Sorts
   seen->log. */
int compare_step(const struct vector_step *expected, struct vector_step *seen,
                 char *why, size_t size);

#endif
