/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fail.h -- why something failed, as one sentence.
 */
#ifndef HK_REPORTER_FAIL_H
#define HK_REPORTER_FAIL_H

struct fail {
    char text[512]; /* no newline */
};

/* Both return -1.  Bytes that a terminal would interpret become '?'. */
int fail_set(struct fail *why, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int fail_memory(struct fail *why, const char *name);

#endif
