/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * options.h -- HEAPKNOT_OPTIONS, read once, before libc is ready.
 *
 * The list is tbl/options.h.  An unknown key or a bad value gets one line with
 * the nearest name and is skipped.
 */
#ifndef HK_AGENT_OPTIONS_H
#define HK_AGENT_OPTIONS_H

#include <stdint.h>

#define HK_OPTIONS_TEXT_BYTES 1024

struct options {
#define TEXT const char *
#define SIZE uint64_t
#define TIME uint64_t
#define COUNT uint64_t
#define BOOL uint64_t
#define SHARE uint64_t
#define HK_OPTION(name, KIND, value, text, help) KIND name;
#include "tbl/options.h"
#undef HK_OPTION
#undef TEXT
#undef SIZE
#undef TIME
#undef COUNT
#undef BOOL
#undef SHARE
};

extern struct options opt;
extern char options_text[HK_OPTIONS_TEXT_BYTES]; /* as given, for PROC */

/* text may be NULL.  Never fails. */
void options_read(const char *text);

#endif
