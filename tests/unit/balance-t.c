/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * balance-t.c -- do the sums tell of live objects only, whatever was taken,
 * dropped, forgotten or given up?
 *
 * Each test has a type of its own, so that the rows of others do not matter.
 */
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/balance.h"
#include "agent/balance_rows.h"
#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/meta.h"
#include "agent/options.h"
#include "lib/type.h"
#include "tests/tap/tap.h"

#define WAIT_NS 1000000000u
#define THREADS 4
#define TURNS 20000

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

hk_type *type_table[65536];

uint32_t
type_count(void)
{
    return 0;
}

static char objects[20000][64];

static struct hkr_balance
sum_of(uint32_t type, uint32_t stack)
{
    struct hkr_balance sum = {0, 0, 0, 0}, r;

    for (uint32_t id = 1; rows_get(id, &r); id++)
        if (r.type == type && (r.stack == stack || stack == UINT32_MAX)) {
            sum.increments += r.increments;
            sum.decrements += r.decrements;
        }
    return sum;
}

static void
is_sum(uint32_t type, uint32_t stack, uint64_t plus, uint64_t minus,
       const char *what)
{
    struct hkr_balance sum = sum_of(type, stack);

    ok(sum.increments == plus && sum.decrements == minus, "%s: +%u -%u", what,
       (unsigned)sum.increments, (unsigned)sum.decrements);
}

static int
begin(int object, uint32_t type, uint32_t stack)
{
    return balance_begin(objects[object], type, stack, WAIT_NS);
}

static int
count(int object, uint32_t stack, int by)
{
    return balance_count(objects[object], stack, by, WAIT_NS);
}

static void
end(int object)
{
    balance_end(objects[object], WAIT_NS);
}

static void
lives(void)
{
    ok(begin(0, 1, 10), "an object");
    is_sum(1, 10, 1, 0, "its birth is an increment");
    ok(count(0, 11, 1) && count(0, 11, 1) && count(0, 12, -1), "three more");
    is_sum(1, 11, 2, 0, "two by one stack");
    is_sum(1, 12, 0, 1, "a decrement by another");
    ok(begin(1, 1, 10) && count(1, 11, -1), "another object");
    is_sum(1, 10, 2, 0, "births of both");
    is_sum(1, 11, 2, 1, "one stack may do both");
    begin(2, 2, 10);
    is_sum(1, 10, 2, 0, "another type is another row");
    end(0);
    is_sum(1, 10, 1, 0, "an end takes off its own birth");
    is_sum(1, 11, 0, 1, "and what was done to it");
    is_sum(1, 12, 0, 0, "all of it");
    end(1);
    is_sum(1, UINT32_MAX, 0, 0, "no objects, no references");
    is_sum(2, UINT32_MAX, 1, 0, "but those of the other type");
    ok(!count(1, 11, 1), "of the dead nothing is kept");
    end(1);
    is_sum(1, UINT32_MAX, 0, 0, "and nothing changes");
    begin(0, 1, 10);
    count(0, 11, 1);
    begin(0, 3, 20);
    is_sum(1, UINT32_MAX, 0, 0, "a birth at the address of an old object");
    is_sum(3, UINT32_MAX, 1, 0, "ends that");
    end(0);
}

/* More stacks than a log keeps. */
static void
many_stacks(void)
{
    uint64_t lost = count_get(HKC_refs_lost);

    begin(0, 4, 1);
    for (uint32_t s = 2; s <= 300; s++)
        count(0, s, 1);
    is_sum(4, UINT32_MAX, 300, 0, "300 stacks: no reference is lost");
    is_sum(4, 0, 300 - 256, 0, "those beyond 256 are without their place");
    is_int(300 - 256, (int64_t)(count_get(HKC_refs_lost) - lost),
           "and counted");
    count(0, 7, -1);
    count(0, 1000, 1);
    is_sum(4, 7, 0, 0, "a stack that is even makes room");
    is_sum(4, 1000, 1, 0, "for another");
    end(0);
    is_sum(4, UINT32_MAX, 0, 0, "the end takes off all");
}

static void
many_objects(void)
{
    int kept = 1;

    for (int i = 0; i < 20000; i++)
        kept &= begin(i, 5, 1 + (uint32_t)i % 3) && count(i, 9, 1);
    ok(kept, "20,000 objects");
    is_sum(5, 1, 6667, 0, "a third of the births");
    is_sum(5, 9, 20000, 0, "all references");
    for (int i = 0; i < 20000; i += 2)
        end(i);
    is_sum(5, 9, 10000, 0, "half of them");
    for (int i = 1; i < 20000; i += 2)
        end(i);
    is_sum(5, UINT32_MAX, 0, 0, "none");
}

static void *
take_and_drop(void *arg)
{
    uint32_t stack = 100 + (uint32_t)(uintptr_t)arg;
    int own = 100 + (int)(uintptr_t)arg;

    for (int i = 0; i < TURNS; i++) {
        balance_count(objects[0], stack, 1, WAIT_NS);
        balance_begin(objects[own], 6, stack, WAIT_NS);
        if (i % 2)
            balance_count(objects[0], 99, -1, WAIT_NS);
        balance_end(objects[own], WAIT_NS);
    }
    return NULL;
}

static void
threads(void)
{
    pthread_t t[THREADS];
    uint64_t lost = count_get(HKC_refs_lost);

    begin(0, 6, 98);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, take_and_drop, (void *)i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    is_sum(6, 100, TURNS, 0, "four threads: the first one's");
    is_sum(6, 103, TURNS, 0, "the last one's");
    is_sum(6, 99, 0, THREADS * TURNS / 2, "what all dropped");
    is_int(0, (int64_t)(count_get(HKC_refs_lost) - lost), "nothing is lost");
    end(0);
    is_sum(6, UINT32_MAX, 0, 0, "and all is gone with the object");
}

/* Somebody holds the locks and does not come back. */
static void
busy(void)
{
    uint64_t lost = count_get(HKC_refs_lost), taken;

    begin(0, 7, 1);
    taken = balance_before_fork(WAIT_NS);
    ok(taken, "locked");
    ok(balance_count(objects[0], 2, 1, 0), "the object is not given up");
    ok(balance_count(objects[0], 2, 1, 1000000), "nor after a while");
    ok(balance_count(objects[0], 2, 1, UINT64_MAX / 4), "only one waits");
    is_int(3, (int64_t)(count_get(HKC_refs_lost) - lost), "three are lost");
    is_sum(7, 2, 0, 0, "and not booked");
    balance_after_fork_parent(taken);
    ok(count(0, 2, 1), "unlocked");
    is_sum(7, 2, 1, 0, "it goes on");
    end(0);
}

static void
no_memory(void)
{
    uint64_t given_up = count_get(HKC_refs_given_up);
    int kept = 0, counted = 0;

    opt.memory = meta_committed_bytes() + (1u << 20);
    for (int i = 0; i < 20000; i++)
        kept += begin(i, 8, 1);
    ok(kept < 20000, "memory= is reached after %d objects", kept);
    is_int(20000 - kept, (int64_t)(count_get(HKC_refs_given_up) - given_up),
           "the others are counted");
    is_sum(8, 1, (uint64_t)kept, 0, "and not in the sums");
    for (uint32_t s = 2; s < 40; s++)
        for (int i = 0; i < kept && i < 100; i++)
            counted += count(i, s, 1) == 0;
    ok(counted, "some are given up later");
    is_sum(8, 1, 20000 - (count_get(HKC_refs_given_up) - given_up), 0,
           "with their birth");
    opt.memory = UINT64_C(1) << 30;
    for (int i = 0; i < 20000; i++)
        end(i);
    is_sum(8, UINT32_MAX, 0, 0, "nothing is left of any");
    ok(begin(0, 8, 1), "and there is memory again");
    end(0);
}

static void
forked(void)
{
    uint64_t taken = balance_before_fork(WAIT_NS);
    int status;

    balance_after_fork_parent(taken);
    begin(0, 9, 1);
    taken = balance_before_fork(WAIT_NS);
    if (fork() == 0) {
        balance_after_fork_child(taken);
        count(0, 2, 1);
        _exit(sum_of(9, 1).increments == 1 && sum_of(9, 2).increments == 1
                      && begin(1, 9, 1)
                  ? 0 : 1);
    }
    wait(&status);
    is_int(0, status, "a child goes on with what there was");
    if (fork() == 0) {
        uint64_t before = count_get(HKC_refs_given_up);

        balance_after_fork_child(taken & ~UINT64_C(4));
        _exit(sum_of(9, UINT32_MAX).increments == 0 && !count(0, 2, 1)
                      && !begin(1, 9, 1)
                      && count_get(HKC_refs_given_up) > before
                  ? 0 : 1);
    }
    wait(&status);
    is_int(0, status, "where a thread was amid something it starts afresh");
    balance_after_fork_parent(taken);
    is_sum(9, 1, 1, 0, "the parent goes on");
    end(0);
}

static void
names(void)
{
    ok(!balance_names("a"), "no refs=: no type");
    opt.refs = "session,,node";
    ok(balance_names("session") && balance_names("node"), "the names in it");
    ok(!balance_names("sess") && !balance_names("nodes") && !balance_names(""),
       "and no others");
}

int
main(void)
{
    opt.memory = UINT64_C(1) << 30;
    names();
    lives();
    many_stacks();
    no_memory();
    many_objects();
    threads();
    busy();
    forked();
    return done_testing();
}
