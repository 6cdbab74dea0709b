/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * gate.h -- `heapknot check`: what is wrong now, and which of it is new.
 *
 * Without a baseline everything is new, and what is still there at the end is
 * no issue.  With one, an issue that it has, of the same kind and fingerprint,
 * is known; and a type of which more objects are left than in the baseline,
 * by more than the tolerance and GATE_LEFT_MIN, is an issue, as are holds.
 */
#ifndef HK_REPORTER_GATE_H
#define HK_REPORTER_GATE_H

#include <stdio.h>

#include "reporter/ignore.h"
#include "reporter/inventory.h"

#define GATE_LEFT_MIN 10 /* objects or references more are no issue */
#define GATE_TOLERANCE 0.10

struct text_out;

struct gate {
    struct inventory now, base;
    struct ignores ignores;
    int has_base;
    double tolerance; /* 0.1: 10 % */
    size_t counts[ISSUE_STATES]; /* of issues now */
};

/* Adds a recording, or what `check --json` or `report --json` wrote, to base.
   0, or -1. */
int baseline_load(const char *path, struct inventory *base,
                  struct fail *why);
/* Fills in the states of all issues, and adds those of what is left. */
void gate_compare(struct gate *gate);
void gate_free(struct gate *gate);

void text_check(const struct gate *gate, const struct text_out *out);
/* 0, or -1: the output failed. */
int json_check(const struct gate *gate, FILE *file);

#endif
