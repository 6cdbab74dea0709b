/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * balance_rows.c -- see balance_rows.h: an open hash table that only grows.
 *
 * Called by   balance.c; companion.c for the recording.
 * Threads     any, also in signal handlers: no locks.
 * Memory      meta.c, 1.8 MiB of address space from the first row on.
 * Fails       ROWS_NONE: no room.  The last rows are kept for stack 0, so that
 *             nearly always the type's sum stays right.
 * Invariants  a row keeps its place and its id; its key never changes.
 */
#include "agent/balance_rows.h"

#include <stddef.h>
#include <string.h>

#include "agent/meta.h"
#include "agent/recfile.h"

#define ROWS 65536u
#define USED_MOST (ROWS / 4 * 3) /* a table that is fuller is slow */
#define SPARE 4096u              /* of those, for stack 0 alone */
#define SPIN 1000000

static struct row {
    uint64_t key; /* 0: free */
    uint64_t increments, decrements;
} *rows;
static uint32_t *order; /* by id - 1: index + 1 */
static uint32_t row_count;
enum { UNMADE, MAKING, READY, REFUSED };
static uint32_t state;

static int
map_rows(void)
{
    size_t bytes = ROWS * (sizeof(*rows) + sizeof(*order));
    char *p = meta_commit(bytes) ? meta_reserve(bytes) : NULL;

    if (!p)
        return 0;
    rows = (struct row *)(void *)p;
    order = (uint32_t *)(void *)(p + ROWS * sizeof(*rows));
    return 1;
}

/* Another thread may be making them: a moment's work, which is waited for; but
   not for ever, since it may be what this signal handler interrupted. */
int
rows_ready(void)
{
    uint32_t seen = __atomic_load_n(&state, __ATOMIC_ACQUIRE);

    for (int i = 0; i < SPIN && seen == MAKING; i++)
        seen = __atomic_load_n(&state, __ATOMIC_ACQUIRE);
    if (seen == UNMADE
        && __atomic_compare_exchange_n(&state, &seen, MAKING, 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        seen = map_rows() ? READY : REFUSED;
        __atomic_store_n(&state, seen, __ATOMIC_RELEASE);
    }
    return seen == READY;
}

int
rows_any(void)
{
    return __atomic_load_n(&state, __ATOMIC_ACQUIRE) != UNMADE;
}

void
rows_add(uint32_t row, uint64_t increments, uint64_t decrements)
{
    __atomic_fetch_add(&rows[row].increments, increments, __ATOMIC_RELAXED);
    __atomic_fetch_add(&rows[row].decrements, decrements, __ATOMIC_RELAXED);
}

void
rows_clear(void)
{
    for (uint32_t i = 0; rows && i < ROWS; i++)
        rows[i].increments = rows[i].decrements = 0;
}

void
rows_after_fork_child(void)
{
    if (state == MAKING)
        state = REFUSED;
}

static void
append_row(uint32_t index)
{
    uint32_t at = __atomic_fetch_add(&row_count, 1, __ATOMIC_RELAXED);

    __atomic_store_n(&order[at], index + 1, __ATOMIC_RELEASE);
}

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 31) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ x >> 32;
}

uint32_t
rows_find(uint32_t type, uint32_t stack)
{
    uint64_t key = UINT64_C(1) << 63 | (uint64_t)type << 32 | stack, seen;
    uint32_t at = (uint32_t)mix(key) % ROWS;

    for (;; at = (at + 1) % ROWS) {
        seen = __atomic_load_n(&rows[at].key, __ATOMIC_ACQUIRE);
        if (!seen) {
            uint32_t used = __atomic_load_n(&row_count, __ATOMIC_RELAXED);

            if (used >= (stack ? USED_MOST - SPARE : USED_MOST))
                return ROWS_NONE;
            if (__atomic_compare_exchange_n(&rows[at].key, &seen, key, 0,
                                            __ATOMIC_ACQ_REL,
                                            __ATOMIC_ACQUIRE)) {
                append_row(at);
                return at;
            }
        }
        if (seen == key)
            return at;
    }
}

int
rows_get(uint32_t id, struct hkr_balance *to)
{
    uint32_t at, count = __atomic_load_n(&row_count, __ATOMIC_ACQUIRE);
    const struct row *r;

    if (id > count || !(at = __atomic_load_n(&order[id - 1],
                                             __ATOMIC_ACQUIRE)))
        return 0;
    r = &rows[at - 1];
    to->type = (uint32_t)(r->key >> 32) & UINT16_MAX;
    to->stack = (uint32_t)r->key;
    to->decrements = __atomic_load_n(&r->decrements, __ATOMIC_RELAXED);
    to->increments = __atomic_load_n(&r->increments, __ATOMIC_RELAXED);
    return 1;
}

void
rows_write(uint32_t stacks, uint32_t types)
{
    struct hkr_balance r;
    uint32_t n = 0;

    while (rows_get(n + 1, &r)) {
        struct hkr_balance *to =
            recfile_record(HKR_BALA, sizeof(*to), n + 1);

        if (!to)
            break;
        r.stack = r.stack <= stacks ? r.stack : 0;
        r.type = r.type <= types ? r.type : 0;
        if (memcmp(to, &r, sizeof(r)) != 0)
            *to = r;
        n++;
    }
    if (n)
        recfile_publish_table(HKR_BALA, n);
}
