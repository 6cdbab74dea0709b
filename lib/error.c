/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * error.c -- one sentence for each thread.
 *
 * Called by   every function of the library that can fail.
 * Memory      thread-local, in the static TLS block: it must not allocate,
 *             since it may run inside the program's allocator.  Small, because
 *             a library opened late shares what little surplus there is.
 * Fails       a sentence too long is cut.
 */
#include "lib/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "heapknot.h"

static __thread char sentence[160]
    __attribute__((tls_model("initial-exec")));

void
error_set(int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    errno = code;
}

const char *
hk_last_error(void)
{
    return sentence[0] ? sentence : "no error";
}
