/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * strings.h -- interned strings of the recording.
 *
 * An id is the offset of the string in one long table (0: none).  Under
 * lock_strings; strings_find_or_add is for slow paths.
 */
#ifndef HK_AGENT_STRINGS_H
#define HK_AGENT_STRINGS_H

#include <stdint.h>

int strings_start(void);
uint32_t strings_add(const char *s); /* 0: no room */
const char *strings_get(uint32_t id);
uint32_t strings_bytes(void); /* bytes of the table that are published */

#endif
