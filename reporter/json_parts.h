/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_parts.h -- what several JSON views have in common.
 */
#ifndef HK_REPORTER_JSON_PARTS_H
#define HK_REPORTER_JSON_PARTS_H

#include "reporter/frames.h"
#include "reporter/json_out.h"
#include "reporter/sampling.h"

json_t *json_frame(const struct frame *frame);
struct trend;
struct view;

/* The frames of a node, innermost first. */
json_t *json_frames(const struct names *names, uint32_t node);
/* Whole bytes; what JSON's integers cannot hold becomes the nearest. */
json_t *json_bytes(double bytes);
/* live_bytes_low and live_bytes_high; null where the value is exact. */
void json_put_interval(json_t *o, const struct estimate *e,
                       const struct interval *i);
void json_put_fingerprint(json_t *o, uint64_t fingerprint);
/* trend and per_second; t NULL: not looked at. */
void json_put_trend(json_t *o, const struct trend *t);
/* "types": all of them. */
void json_type_list(const struct view *view, struct json_out *out);

#endif
