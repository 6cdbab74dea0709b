/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * collect.h -- one collection.
 */
#ifndef HK_LIB_COLLECT_H
#define HK_LIB_COLLECT_H

#include <stddef.h>

/* Collects generations 0 .. generation, inside gc_enter(): counts, and 0; or
   -1: no memory, nothing was touched.  Moves gc.count and the long-lived
   totals, not the statistics. */
int collect(int generation, size_t *collected, size_t *uncollectable);

#endif
