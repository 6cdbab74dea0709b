/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * read.h -- a recording file becomes a model, or one clear sentence.
 *
 * The file is not trusted: every offset, count, id and string is checked
 * before it is used, and the memory taken is a small multiple of its size.
 * A live file is copied; should the agent be writing all the time, the last
 * copy is taken as it is (recording.torn).  Of a file whose end is missing the
 * part that is there is used (recording.truncated).  In both cases references
 * to what is missing become "unknown".
 *
 * struct recording is declared in model.h; recording_close() frees it.
 */
#ifndef HK_REPORTER_READ_H
#define HK_REPORTER_READ_H

#include <stddef.h>
#include <stdint.h>

#include "reporter/fail.h"

struct recording;

/* 0, or -1 with a sentence in why->text. */
int recording_open(const char *path, struct recording **out,
                   struct fail *why);

/* The same for bytes in memory, which the caller keeps.  For tests. */
int recording_parse(const char *name, const uint8_t *bytes, size_t count,
                    struct recording **out, struct fail *why);

#endif
