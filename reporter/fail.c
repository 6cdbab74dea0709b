/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fail.c -- see fail.h.
 */
#include "reporter/fail.h"

#include <stdarg.h>
#include <stdio.h>

int
fail_set(struct fail *why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    for (char *p = why->text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    return -1;
}

int
fail_memory(struct fail *why, const char *name)
{
    return fail_set(why, "%s: not enough memory to read it", name);
}
