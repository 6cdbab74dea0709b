/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * start.h -- the constructor.
 */
#ifndef HK_LIB_START_H
#define HK_LIB_START_H

/* Does nothing, but who calls it has start.c in a static link, too. */
void start_is_linked(void);

#endif
