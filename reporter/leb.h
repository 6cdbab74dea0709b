/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * leb.h -- unsigned LEB128: 7 bits a byte, low first, top bit = more.
 */
#ifndef HK_REPORTER_LEB_H
#define HK_REPORTER_LEB_H

#include <stdint.h>

/* Reads a number and moves *at behind it.  0, or -1 at the end of the bytes or
   if it has more than 64 bits. */
static inline int
leb_read(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;

    for (unsigned shift = 0; *at < end; shift += 7) {
        uint8_t byte = *(*at)++;

        if (shift > 63 || (shift == 63 && byte > 1))
            return -1;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return 0;
        }
    }
    return -1;
}

#endif
