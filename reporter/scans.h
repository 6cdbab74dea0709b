/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scans.h -- what scans did, and what they found.
 */
#ifndef HK_REPORTER_SCANS_H
#define HK_REPORTER_SCANS_H

#include "reporter/json_out.h"
#include "reporter/render.h"

/* Has any scan looked at objects, rather than been skipped or refused? */
int scans_looked(const struct recording *rec);

void text_scans(const struct view *view, const struct text_out *out);
void json_scans(const struct view *view, struct json_out *out);
/* "cycles"; top 0: all. */
void json_groups(const struct view *view, size_t top, struct json_out *out);

#endif
