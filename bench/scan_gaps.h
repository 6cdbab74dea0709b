/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_gaps.h -- how long a program is held up, seen from inside.
 *
 * Threads that do something every 100 us and look at the clock: the longest
 * time between two looks.
 *
 *      clock  nothing else: only a lost processor holds it up
 *      fault  touches a fresh page: what holds the lock of the address space
 *             holds it up, as a clone does
 *      write  writes to an old page: after a clone each has to be copied
 *
 * The last two have real-time priority where the system allows it, so that it
 * is the kernel that they wait for and no other process.
 */
#ifndef BENCH_SCAN_GAPS_H
#define BENCH_SCAN_GAPS_H

#include <stdint.h>

enum { GAPS_CLOCK, GAPS_FAULT, GAPS_WRITE, GAPS_KINDS };

/* Returns 1 if they have it. */
int gaps_start(void);
/* Forgets the gaps so far. */
void gaps_begin(void);
/* The longest of each kind since then, in ns. */
void gaps_end(uint64_t longest[GAPS_KINDS]);

#endif
