/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * say.h -- one-line messages to stderr, with a formatter of our own.
 *
 * At most SAY_MAX lines a process; never allocates, keeps errno.
 * Formats: %s %u (unsigned) %lu (unsigned long, uint64_t) %x %lx %d %%.
 */
#ifndef HK_AGENT_SAY_H
#define HK_AGENT_SAY_H

#include <stdarg.h>
#include <stddef.h>

/* "heapknot: " + the line. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* snprintf with the formats above; returns the length written. */
size_t say_format(char *buf, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t say_vformat(char *buf, size_t size, const char *format, va_list args);

#endif
