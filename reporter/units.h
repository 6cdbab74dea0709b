/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * units.h -- numbers for people: 1.2 MiB, 3.5 KiB/s, 2 min 5 s, 12,345.
 *
 * Each returns text in one of a few static buffers used in turn, good for the
 * arguments of one printf.
 */
#ifndef HK_REPORTER_UNITS_H
#define HK_REPORTER_UNITS_H

#include <stdint.h>

const char *units_bytes(double bytes);
const char *units_signed_bytes(double bytes);
const char *units_rate(double bytes_per_second);
const char *units_count(uint64_t n);
const char *units_signed_count(int64_t n);
const char *units_seconds(double seconds);
const char *units_plural(uint64_t n, const char *word); /* "2 blocks" */

#endif
