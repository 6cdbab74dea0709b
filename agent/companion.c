/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * companion.c -- see companion.h.
 *
 * Called by   publish.c.
 * Threads     under lock_publish; the companion goes on meanwhile.
 * Memory      static, 50 KiB, untouched while there is nothing to write.
 * Fails       what finds no room is counted by recfile.c; a string that finds
 *             none is 0.
 * Invariants  a group of holds keeps its id in the recording.
 */
#include "agent/companion.h"

#include <string.h>

#include "agent/balance_rows.h"
#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/held.h"
#include "agent/recfile.h"
#include "agent/strings.h"
#include "lib/hold.h"
#include "lib/mistake.h"

static uint32_t mistakes; /* looked at */
static uint32_t whats[MISTAKES_MAX];

static uint32_t holds;                  /* ids given */
static uint16_t groups[HOLD_GROUPS + 1]; /* by id: index + 1 */
static uint32_t names[HOLD_GROUPS + 1]; /* by id */
static uint8_t is_known[HOLD_GROUPS];   /* by index */
static uint32_t oldest_ms[HOLD_GROUPS]; /* by index */

/* ---- before ------------------------------------------------------------- */

static void
read_mistakes(void)
{
    const struct mistake_record *m;

    mistakes = mistake_count();
    for (uint32_t i = 0; i < mistakes; i++) {
        m = mistake_get(i);
        if (m && !whats[i])
            whats[i] = strings_add(m->what);
    }
}

static void
read_holds(void)
{
    const struct hold_group *g;

    for (uint32_t i = 0; i < HOLD_GROUPS; i++) {
        g = is_known[i] ? NULL : hold_group(i);
        if (!g)
            continue;
        is_known[i] = 1;
        groups[++holds] = (uint16_t)(i + 1);
        names[holds] = strings_add(g->name);
    }
}

void
companion_read(void)
{
    read_mistakes();
    if (hold_any())
        read_holds();
}

/* ---- after -------------------------------------------------------------- */

static uint32_t
up_to(uint32_t id, uint32_t most)
{
    return id <= most ? id : 0;
}

/* Since the start of this process; 0 means none, so the start itself is 1. */
static uint64_t
moment(uint32_t ms)
{
    uint64_t ns = (uint64_t)ms * 1000000u, gone = boot_start_ns - boot_first_ns;

    return ns > gone ? ns - gone : 1;
}

/* 0: no room. */
static int
write_mistake(uint32_t index, uint32_t stacks, uint32_t types)
{
    const struct mistake_record *m = mistake_get(index);
    struct hkr_mistake *to = recfile_record(HKR_MIST, sizeof(*to), index + 1);

    if (!to)
        return 0;
    if (!m || !whats[index])
        return 1;
    to->what = whats[index];
    to->type = up_to(m->type, types);
    to->here = up_to(m->here, stacks);
    to->origin = up_to(m->past.origin, stacks);
    to->last = up_to(m->past.last, stacks);
    to->count = __atomic_load_n(&m->count, __ATOMIC_RELAXED);
    to->first_ns = moment(m->first_ms);
    to->last_ns = moment(__atomic_load_n(&m->last_ms, __ATOMIC_RELAXED));
    to->address = (uintptr_t)m->object;
    to->kind = (uint32_t)m->kind;
    return 1;
}

static int
write_hold(uint32_t id, uint32_t stacks, uint32_t types)
{
    uint32_t index = groups[id] - 1u;
    const struct hold_group *g = hold_group(index);
    struct hkr_hold *to = recfile_record(HKR_HOLD, sizeof(*to), id);

    if (!to)
        return 0;
    to->name = names[id];
    to->type = up_to(g->type, types);
    to->stack = up_to(g->stack, stacks);
    to->flags = g->is_root ? HKR_HOLD_ROOT : 0;
    to->live = __atomic_load_n(&g->live, __ATOMIC_RELAXED);
    to->ever = __atomic_load_n(&g->ever, __ATOMIC_RELAXED);
    to->oldest_ns =
        oldest_ms[index] == UINT32_MAX ? 0 : moment(oldest_ms[index]);
    return 1;
}

static void
write_counters(void)
{
    count_set(HKC_mistakes, mistake_total());
    count_set(HKC_mistakes_lost, mistake_lost());
    count_set(HKC_holds, hold_live());
    count_set(HKC_holds_lost, hold_lost());
    count_set(HKC_held_back_bytes, held_bytes());
}

void
companion_write(uint32_t stacks, uint32_t types)
{
    uint32_t n = 0;

    while (n < mistakes && write_mistake(n, stacks, types))
        n++;
    if (n)
        recfile_publish_table(HKR_MIST, n);
    if (holds)
        hold_oldest(oldest_ms);
    for (n = 0; n < holds && write_hold(n + 1, stacks, types);)
        n++;
    if (n)
        recfile_publish_table(HKR_HOLD, n);
    rows_write(stacks, types);
    write_counters();
}

void
companion_reset(void)
{
    if (mistakes)
        memset(whats, 0, sizeof(whats));
    if (holds)
        memset(is_known, 0, sizeof(is_known));
    mistakes = holds = 0;
}
