/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * account-t.c -- the books against a model: random allocations, frees and
 * moves of made-up addresses, then live blocks and bytes must agree.
 */
#include "tests/tap/tap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account.h"
#include "agent/boot.h"
#include "agent/capture.h"
#include "agent/counters.h"
#include "agent/held.h"
#include "agent/index.h"
#include "agent/intern.h"
#include "agent/lane.h"
#include "agent/modules.h"
#include "agent/real.h"
#include "agent/recfile.h"
#include "agent/strings.h"
#include "agent/thread.h"
#include "lib/registry.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;
struct real real;
__thread struct thread self;
static uintptr_t pc = 0x1000;
static unsigned forgotten;

struct hkr_header *
recfile_header(void)
{
    return NULL;
}

uint32_t
capture_stack(const struct frame_record *frame, uint32_t rate)
{
    (void)frame;
    return intern_stack(&pc, 1, 0, rate);
}

int
held_leave(void *p)
{
    (void)p;
    forgotten++;
    return 0;
}

int
held_keep(void *p, uint32_t size_bytes)
{
    (void)p;
    (void)size_bytes;
    return 0;
}

void
held_again(void *p, uint64_t cell)
{
    (void)p;
    (void)cell;
}

void
held_drop(void *p, uint64_t cell)
{
    (void)p;
    (void)cell;
}

static size_t
twice(void *p)
{
    (void)p;
    return 64;
}

#define PLACES 5000
static size_t model[PLACES];

static void *
place(size_t i)
{
    return (void *)(0x7f0000000000u + i * 4096 * 37);
}

static void
totals(uint64_t *blocks, uint64_t *bytes)
{
    struct tally s;

    lane_tally(intern_stack_count());
    *blocks = *bytes = 0;
    for (uint32_t i = 1; i <= intern_stack_count(); i++) {
        lane_take(i, &s);
        *blocks += s.allocations - s.frees;
        *bytes += s.allocated_bytes - s.freed_bytes;
    }
}

static void
check_model(const char *when)
{
    uint64_t blocks, bytes, want_blocks = 0, want_bytes = 0;

    for (size_t i = 0; i < PLACES; i++)
        if (model[i]) {
            want_blocks++;
            want_bytes += model[i] - 1;
        }
    totals(&blocks, &bytes);
    is_int((long)want_blocks, (long)blocks, "blocks agree %s", when);
    is_int((long)want_bytes, (long)bytes, "bytes agree %s", when);
}

static void
step(unsigned i, unsigned j, size_t size)
{
    uint64_t cell;

    pc = 0x1000 + (size & 63) * 16;
    if (!model[i]) {
        account_alloc(place(i), size, 0);
        model[i] = size + 1;
    } else if (!model[j]) {
        cell = account_move_before(place(i));
        account_move_after(place(i), cell, place(j), size, 0);
        model[j] = size + 1;
        model[i] = 0;
    } else {
        account_free(place(i));
        model[i] = 0;
    }
}

static void
spills(void)
{
    uint64_t big = UINT64_C(5) << 30, blocks, bytes, more_blocks, more_bytes;

    totals(&blocks, &bytes);
    account_alloc(place(PLACES + 1), big, 0);
    totals(&more_blocks, &more_bytes);
    is_int((long)big, (long)(more_bytes - bytes), "5 GiB is booked whole");
    account_free(place(PLACES + 1));
    totals(&more_blocks, &more_bytes);
    is_int((long)bytes, (long)more_bytes, "and taken off whole");
}

int
main(void)
{
    uint64_t cell, unknown;

    real.usable_size = twice;
    modules_refresh();
    ok(strings_start() && intern_start() && index_start(5), "tables");
    srand(7);
    for (int i = 0; i < 200000; i++)
        step((unsigned)rand() % PLACES, (unsigned)rand() % PLACES,
             (size_t)rand() % 3000);
    check_model("after 200,000 random steps without a lane");
    lane_start();
    for (int i = 0; i < 200000; i++)
        step((unsigned)rand() % PLACES, (unsigned)rand() % PLACES,
             (size_t)rand() % 3000);
    ok(self.lane != NULL, "a lane");
    check_model("after as many with one");
    spills();

    cell = account_move_before(place(PLACES + 2));
    is_int(0, (long)cell, "moving an unknown block is no event");
    account_alloc(place(PLACES + 3), 100, 0);
    cell = account_move_before(place(PLACES + 3));
    account_move_after(place(PLACES + 3), cell, NULL, 200, 0);
    ok(account_stack_of(place(PLACES + 3), 0) != 0,
       "a realloc that failed leaves the block");
    cell = account_move_before(place(PLACES + 3));
    account_alloc(place(PLACES + 3), 50, 0);
    account_move_after(place(PLACES + 3), cell, place(PLACES + 4), 70, 0);
    ok(account_stack_of(place(PLACES + 3), 0) != 0,
       "a block that another thread got at the old address survives a move");
    account_free(place(PLACES + 3));
    account_free(place(PLACES + 4));

    unknown = count_get(HKC_unknown_frees);
    account_free(place(PLACES + 5));
    is_int((long)unknown + 1, (long)count_get(HKC_unknown_frees),
           "a free of an unknown block is counted");
    account_alloc(place(PLACES + 6), 10, 0);
    account_stack_of(place(PLACES + 6), 1);
    account_free(place(PLACES + 6));
    is_int(1, (long)forgotten, "the free of an adopted block is told");
    account_alloc(place(PLACES + 6), 10, 0);
    account_stack_of(place(PLACES + 6), 1);
    account_disown(place(PLACES + 6));
    account_free(place(PLACES + 6));
    is_int(1, (long)forgotten, "and not after it was forgotten");
    account_alloc(place(PLACES + 6), 10, 0);
    account_stack_of(place(PLACES + 6), 1);
    cell = account_move_before(place(PLACES + 6));
    is_int(2, (long)forgotten, "a realloc of an adopted block is told before");
    account_move_after(place(PLACES + 6), cell, place(PLACES + 6), 30, 0);
    account_free(place(PLACES + 6));
    is_int(2, (long)forgotten, "and once");
    account_alloc(place(PLACES + 7), 10, 0);
    account_alloc(place(PLACES + 7), 20, 0);
    account_free(place(PLACES + 7));
    check_model("where a free went by unseen");
    return done_testing();
}
