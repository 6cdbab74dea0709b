/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * counters.c -- tbl/counters.h, for those who walk all counters of a kind.
 */
#include "reporter/counters.h"

const struct counter_row counter_rows[COUNTER_COUNT] = {
#define HK_COUNTER(name, kind, unit, help) \
    { #name, KIND_##kind, UNIT_##unit, help },
#include "tbl/counters.h"
#undef HK_COUNTER
};

uint64_t
counter_value(const struct hkr_header *header, enum counter c)
{
    return (uint32_t)c < header->counter_count && c < HKR_COUNTER_MAX
               ? header->counters[c]
               : 0;
}
