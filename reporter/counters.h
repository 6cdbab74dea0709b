/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * counters.h -- the numbers in the header of a recording, as a table.
 */
#ifndef HK_REPORTER_COUNTERS_H
#define HK_REPORTER_COUNTERS_H

#include <stdint.h>

#include "format/recording.h"

/* By their place in tbl/counters.h. */
enum counter {
#define HK_COUNTER(name, kind, unit, help) COUNTER_##name,
#include "tbl/counters.h"
#undef HK_COUNTER
    COUNTER_COUNT
};

enum counter_kind { KIND_TOTAL, KIND_LOSS, KIND_COST, KIND_FACT };
enum counter_unit { UNIT_count, UNIT_bytes, UNIT_ns };
struct counter_row {
    const char *name;
    enum counter_kind kind;
    enum counter_unit unit;
    const char *help;
};
extern const struct counter_row counter_rows[COUNTER_COUNT];

/* Counters that an older agent did not have are 0. */
uint64_t counter_value(const struct hkr_header *header, enum counter c);

#endif
