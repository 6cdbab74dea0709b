/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * mistakes.h -- what the companion saw: mistakes with objects, and references
 * with a name (holds).
 */
#ifndef HK_REPORTER_MISTAKES_H
#define HK_REPORTER_MISTAKES_H

#include "reporter/json_out.h"
#include "reporter/render.h"

/* "put-twice"; "unknown" for a kind of a newer agent. */
const char *mistake_kind(uint32_t kind);
/* What the stacks `origin` and `last` of such a mistake are of: "created" and
   "last release", "died", "freed", "held" and "put". */
const char *mistake_origin(uint32_t kind);
const char *mistake_last(uint32_t kind);

/* The holds that stand, the oldest first, roots apart; malloc'd ids of HOLD,
   NULL: no memory. */
uint32_t *holds_standing(const struct recording *rec, size_t *count);
/* How long the oldest one stood when the recording was last published. */
double hold_seconds(const struct recording *rec, const struct hkr_hold *h);

void text_mistakes(const struct view *view, const struct text_out *out);
void text_holds(const struct view *view, const struct text_out *out);
void json_mistakes(const struct view *view, struct json_out *out);
void json_holds(const struct view *view, struct json_out *out);

#endif
