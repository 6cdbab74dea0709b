/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * counters.c -- the numbers of tbl/counters.h.
 */
#include "agent/counters.h"

#include "format/recording.h"

_Static_assert((int)HKC_COUNT <= HKR_COUNTER_MAX, "counters fit the header");

uint64_t counters[HKC_COUNT] __attribute__((aligned(64)));
