/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * demangle.h -- names as the programmer wrote them.
 */
#ifndef HK_REPORTER_DEMANGLE_H
#define HK_REPORTER_DEMANGLE_H

/* The C++ or Rust name behind a symbol, or a copy of the symbol where there is
   none.  To be freed by the caller; NULL: no memory. */
char *demangle(const char *symbol);

#endif
