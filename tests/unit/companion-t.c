/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * companion-t.c -- are the mistakes, holds and balances that the companion has
 * those that the reporter reads?
 *
 * What the companion would have is planted by hand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/balance_rows.h"
#include "agent/boot.h"
#include "agent/companion.h"
#include "agent/counters.h"
#include "agent/held.h"
#include "agent/options.h"
#include "agent/recfile.h"
#include "agent/retire.h"
#include "agent/strings.h"
#include "lib/hold.h"
#include "lib/mistake.h"
#include "reporter/model.h"
#include "reporter/read.h"
#include "tests/tap/tap.h"

#define STACKS 9u
#define TYPES 2u

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns = 1000000, boot_start_ns = 51000000;
uint64_t boot_start_realtime_ns;

/* ---- what the companion would know --------------------------------------- */

static struct mistake_record mistakes[MISTAKES_MAX];
static uint32_t mistakes_used;
static struct hold_group groups[HOLD_GROUPS];
static uint32_t oldest[HOLD_GROUPS];
static int any;

uint32_t
mistake_count(void)
{
    return mistakes_used;
}

const struct mistake_record *
mistake_get(uint32_t i)
{
    return mistakes[i].state ? &mistakes[i] : NULL;
}

uint64_t
mistake_total(void)
{
    return 1001;
}

uint64_t
mistake_lost(void)
{
    return 1002;
}

int
hold_any(void)
{
    return any;
}

const struct hold_group *
hold_group(uint32_t i)
{
    return groups[i].is_whole ? &groups[i] : NULL;
}

void
hold_oldest(uint32_t oldest_ms[HOLD_GROUPS])
{
    memcpy(oldest_ms, oldest, sizeof(oldest));
}

uint64_t
hold_live(void)
{
    return 1003;
}

uint64_t
hold_lost(void)
{
    return 1004;
}

uint64_t
held_bytes(void)
{
    return 1005;
}

/* ---- the rest of a publication ------------------------------------------- */

static uint32_t string_bytes;

static void
publish_strings(void)
{
    if (!string_bytes)
        recfile_append(HKR_STRS, "", string_bytes = 1);
    if (strings_bytes() > string_bytes)
        recfile_append(HKR_STRS, strings_get(string_bytes),
                       strings_bytes() - string_bytes);
    string_bytes = strings_bytes();
}

static void
publish_tables(void)
{
    for (uint32_t i = 1; i <= STACKS; i++)
        recfile_record(HKR_STAK, sizeof(struct hkr_stack), i);
    recfile_publish_table(HKR_STAK, STACKS);
    for (uint32_t i = 1; i <= TYPES; i++)
        recfile_record(HKR_TYPES, sizeof(struct hkr_type), i);
    recfile_publish_table(HKR_TYPES, TYPES);
}

static struct recording *
publish(void)
{
    struct recording *rec = NULL;
    struct fail why;

    companion_read();
    recfile_write_begin();
    publish_strings();
    publish_tables();
    companion_write(STACKS, TYPES);
    recfile_write_end();
    if (recording_open(recfile_path(), &rec, &why) != 0) {
        diag("%s", why.text);
        bail_out("the reporter cannot read it");
    }
    return rec;
}

/* ---- tests --------------------------------------------------------------- */

static void
nothing(void)
{
    struct recording *rec = publish();

    is_int(1, rec->mistake_count, "no mistakes");
    is_int(1, rec->hold_count, "no holds");
    is_int(1, rec->balance_count, "no balances");
    is_int(3, rec->header.version_minor, "version 1.3");
    recording_close(rec);
}

static void
told(void)
{
    const struct hkr_mistake *m;
    struct recording *rec;

    mistakes[0] = (struct mistake_record){
        .state = 1, .kind = 2, .type = 1, .here = 3, .past = {4, 5},
        .count = 6, .first_ms = 70, .last_ms = 80,
        .object = (void *)(uintptr_t)0x9abc, .what = "used after its end"};
    mistakes[2] = mistakes[0];
    mistakes[2].kind = HK_ERROR_UNRAISABLE;
    mistakes[2].type = TYPES + 1;
    mistakes[2].here = STACKS + 1;
    mistakes[2].past = (struct mistake_past){STACKS, UINT32_MAX};
    mistakes[2].first_ms = 10; /* before this process was forked */
    mistakes_used = 3;
    rec = publish();
    is_int(4, rec->mistake_count, "three were begun");
    m = &rec->mistakes[1];
    ok(m->kind == 2 && m->type == 1 && m->here == 3 && m->origin == 4
           && m->last == 5 && m->count == 6 && m->address == 0x9abc,
       "one as it was planted");
    is_str("used after its end", recording_string(rec, m->what), "its words");
    is_int(20000000, (int64_t)m->first_ns, "its time, since the start");
    is_int(30000000, (int64_t)m->last_ns, "and its last");
    is_int(0, m[1].kind, "one that is being made is empty");
    is_int(0, m[2].type, "a type that is not in the file is unknown");
    ok(m[2].here == 0 && m[2].last == 0, "stacks that are not, too");
    is_int(STACKS, m[2].origin, "the last that is there is there");
    is_int(1, (int64_t)m[2].first_ns, "what was before the start");
    recording_close(rec);
    mistakes[0].count = 60;
    mistakes[1] = mistakes[0];
    mistakes[1].kind = 7;
    rec = publish();
    is_int(60, (int64_t)rec->mistakes[1].count, "it happens again");
    is_int(7, rec->mistakes[2].kind, "the second is made");
    recording_close(rec);
}

static struct hold_group
a_group(const char *name, uint32_t stack, uint32_t is_root)
{
    return (struct hold_group){.name = name, .stack = stack, .type = 2,
                               .is_root = is_root, .is_whole = 1, .live = 3,
                               .ever = 8};
}

static void
held(void)
{
    const struct hkr_hold *h;
    struct recording *rec;

    any = 1;
    groups[4000] = a_group("queue", 3, 0);
    oldest[4000] = 60;
    groups[4001] = a_group("table", STACKS + 1, 1);
    oldest[4001] = UINT32_MAX;
    rec = publish();
    is_int(3, rec->hold_count, "two groups");
    h = &rec->holds[1];
    is_str("queue", recording_string(rec, h->name), "the name");
    ok(h->type == 2 && h->stack == 3 && h->live == 3 && h->ever == 8
           && h->flags == 0,
       "as it was planted");
    is_int(10000000, (int64_t)h->oldest_ns, "the oldest");
    is_int(HKR_HOLD_ROOT, h[1].flags, "a root");
    is_int(0, h[1].stack, "a stack that is not there");
    is_int(0, (int64_t)h[1].oldest_ns, "of which none stands");
    recording_close(rec);
    groups[1] = a_group("new", 1, 0);
    groups[4000].live = 0;
    groups[4000].ever = 9;
    rec = publish();
    is_int(4, rec->hold_count, "one more");
    is_str("new", recording_string(rec, rec->holds[3].name), "at the end");
    ok(rec->holds[1].live == 0 && rec->holds[1].ever == 9,
       "the first one has moved on");
    recording_close(rec);
}

static void
balanced(void)
{
    const struct hkr_balance *b;
    struct recording *rec;

    opt.memory = UINT64_C(1) << 30;
    ok(rows_ready(), "rows");
    rows_add(rows_find(2, STACKS), 5, 1);
    rows_add(rows_find(TYPES + 1, STACKS + 1), 3, 0);
    rec = publish();
    is_int(3, rec->balance_count, "two rows");
    b = &rec->balances[1];
    ok(b->type == 2 && b->stack == STACKS && b->increments == 5
           && b->decrements == 1,
       "as it was planted");
    ok(b[1].type == 0 && b[1].stack == 0 && b[1].increments == 3,
       "a type and a stack that are not there");
    recording_close(rec);
    rows_add(rows_find(2, STACKS), (uint64_t)-4, (uint64_t)-1);
    rows_add(rows_find(1, 1), 1, 0);
    rec = publish();
    is_int(4, rec->balance_count, "one more");
    ok(rec->balances[1].increments == 1 && rec->balances[1].decrements == 0,
       "the first one has moved on");
    is_int(1, rec->balances[3].type, "the new one is at the end");
    recording_close(rec);
}

static void
numbers(void)
{
    is_int(1001, (int64_t)count_get(HKC_mistakes), "mistakes");
    is_int(1002, (int64_t)count_get(HKC_mistakes_lost), "those lost");
    is_int(1003, (int64_t)count_get(HKC_holds), "holds");
    is_int(1004, (int64_t)count_get(HKC_holds_lost), "those lost");
    is_int(1005, (int64_t)count_get(HKC_held_back_bytes), "held back");
}

/* All places taken: several chunks. */
static void
full(void)
{
    struct recording *rec;
    uint32_t same = 0;

    for (uint32_t i = 0; i < MISTAKES_MAX; i++) {
        mistakes[i] = mistakes[0];
        mistakes[i].count = i;
    }
    mistakes_used = MISTAKES_MAX;
    for (uint32_t i = 0; i < HOLD_GROUPS; i++)
        groups[i] = a_group("many", 1 + i % STACKS, 0);
    rec = publish();
    is_int(MISTAKES_MAX + 1, rec->mistake_count, "all mistakes");
    is_int(HOLD_GROUPS + 1, rec->hold_count, "all holds");
    for (uint32_t i = 0; i < MISTAKES_MAX; i++)
        same += rec->mistakes[i + 1].count == i;
    is_int(MISTAKES_MAX, same, "each at its place");
    recording_close(rec);
}

int
main(void)
{
    const char *why;

    opt.output = "/tmp/companion-t.%p.%n.hk";
    if (!strings_start() || recfile_create(&why) != 0)
        bail_out("no recording");
    nothing();
    told();
    held();
    balanced();
    numbers();
    full();
    companion_reset();
    unlink(recfile_path());
    return done_testing();
}
