/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * counters.h -- the numbers of tbl/counters.h, live.
 *
 * Rare events add here with a relaxed atomic; totals are summed up by the
 * publisher.
 */
#ifndef HK_AGENT_COUNTERS_H
#define HK_AGENT_COUNTERS_H

#include <stdint.h>

enum hk_counter {
#define HK_COUNTER(name, kind, unit, help) HKC_##name,
#include "tbl/counters.h"
#undef HK_COUNTER
    HKC_COUNT
};

extern uint64_t counters[HKC_COUNT];

static inline void
count_add(enum hk_counter c, uint64_t n)
{
    __atomic_fetch_add(&counters[c], n, __ATOMIC_RELAXED);
}

static inline void
count_set(enum hk_counter c, uint64_t n)
{
    __atomic_store_n(&counters[c], n, __ATOMIC_RELAXED);
}

static inline uint64_t
count_get(enum hk_counter c)
{
    return __atomic_load_n(&counters[c], __ATOMIC_RELAXED);
}

#endif
