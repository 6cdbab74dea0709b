/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * error.h -- why the last call of this thread failed.
 */
#ifndef HK_LIB_ERROR_H
#define HK_LIB_ERROR_H

/* Leaves the sentence for hk_last_error() and sets errno to code. */
void error_set(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
