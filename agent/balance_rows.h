/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * balance_rows.h -- the sums of balance.c: increments and decrements by type
 * and stack.
 */
#ifndef HK_AGENT_BALANCE_ROWS_H
#define HK_AGENT_BALANCE_ROWS_H

#include <stdint.h>

#include "format/recording.h"

#define ROWS_NONE UINT32_MAX

int rows_ready(void); /* 0: no memory; else the others may be called */
int rows_any(void);   /* were they ever asked for? */

/* The index of a row, made if need be; ROWS_NONE: no room. */
uint32_t rows_find(uint32_t type, uint32_t stack);
/* May be negative, as two's complement. */
void rows_add(uint32_t row, uint64_t increments, uint64_t decrements);
/* In a forked child that is still alone: all to 0; and, always, not to wait for
   a thread that is not there. */
void rows_clear(void);
void rows_after_fork_child(void);

/* In the order in which they were made, from 1; 0: there is none yet. */
int rows_get(uint32_t id, struct hkr_balance *to);

/* Table BALA; under lock_publish, after types and stacks.  Larger ids of these
   become 0. */
void rows_write(uint32_t stacks, uint32_t types);

#endif
