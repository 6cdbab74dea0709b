/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * notes.h -- hk_annotate(): a text beside an object.
 */
#ifndef HK_AGENT_NOTES_H
#define HK_AGENT_NOTES_H

#include <stdint.h>

/* Instead of the object's note, or NULL: none any more.  0 or an errno value:
   ENOSPC, or EAGAIN if it had to wait longer than wait_ns. */
int notes_set(const void *object, const char *text, uint64_t wait_ns);

/* The note of an object as a string of the recording, 0: it has none.  For
   objects that are shown: strings stay for ever. */
uint32_t notes_string(const void *object);

#endif
