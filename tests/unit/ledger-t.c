/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger-t.c -- is the sum over all ledgers the truth at every moment?
 *
 * Threads book to more stacks than a ledger has room for, in a working set
 * that wanders, so that places are claimed, given up and tables grow.  Each
 * counts its events after it has booked them, and frees only what somebody has
 * booked as allocated.  A reader adds up meanwhile: it must find what had been
 * counted before it began, no more than was counted when it had finished (and
 * one event a thread), never more frees than allocations, and no counter that
 * goes back.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/intern.h"
#include "agent/lane.h"
#include "agent/meta.h"
#include "agent/options.h"
#include "tests/tap/tap.h"

#define STACKS 20000u
#define THREADS 6u

__thread struct thread self;
struct stack *intern_stacks;

struct worker {
    pthread_t id;
    uint64_t done; /* events: counted after they were booked */
    uint64_t jumps;
    uint64_t seed;
    uint32_t spread; /* the size of its working set */
    uint32_t order;  /* of its table when it began */
    int tid;
    struct lane *lane;
} __attribute__((aligned(64)));

static struct worker workers[THREADS];
static uint32_t outstanding[STACKS + 1]; /* allocated, not freed */
static int stopping;
static uint64_t base; /* events booked by threads that have ended */

static uint64_t
bytes_of(uint32_t id)
{
    return id * 7u + 1;
}

static void
book(uint32_t id, uint64_t allocations, uint64_t frees)
{
    struct lane *lane = lane_mine();
    struct tally *t = lane ? ledger_entry(&lane->ledger, id) : NULL;
    struct tally one = {allocations, frees, allocations * bytes_of(id),
                        frees * bytes_of(id)};

    if (!t) {
        ledger_share(id, &one);
        return;
    }
    if (allocations) {
        ledger_add(&t->allocations, allocations);
        ledger_add(&t->allocated_bytes, one.allocated_bytes);
    } else {
        ledger_add_after(&t->frees, frees);
        ledger_add_after(&t->freed_bytes, one.freed_bytes);
    }
}

static int
take_outstanding(uint32_t id)
{
    uint32_t n = __atomic_load_n(&outstanding[id], __ATOMIC_RELAXED);

    while (n)
        if (__atomic_compare_exchange_n(&outstanding[id], &n, n - 1, 0,
                                        __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return 1;
    return 0;
}

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void
step(struct worker *w)
{
    uint64_t r = next_random(&w->seed);
    uint32_t first = w->spread > 20 ? (uint32_t)(w->done / 20000) * 997 : 0;
    uint32_t id = (first + (uint32_t)(r >> 8) % w->spread) % STACKS + 1;

    if ((r & 1) && take_outstanding(id)) {
        book(id, 0, 1);
    } else {
        book(id, 1, 0);
        __atomic_fetch_add(&outstanding[id], 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&w->done, w->done + 1, __ATOMIC_RELEASE);
}

/* The kernel may know a thread a moment longer than pthread_join. */
static void
wait_until_gone(int tid)
{
    while (tgkill(getpid(), tid, 0) == 0)
        sched_yield();
}

static void *
work(void *arg)
{
    struct worker *w = arg;

    w->tid = gettid();
    step(w);
    w->order = self.lane ? self.lane->ledger.table->order : 0;
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED))
        step(w);
    w->lane = self.lane;
    return NULL;
}

static void
start_workers(void *(*fn)(void *))
{
    static const uint32_t spreads[THREADS] = {20, 80, 400, 3000, 9000, STACKS};

    stopping = 0;
    memset(workers, 0, sizeof(workers));
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i].seed = 88172645463325252u + i;
        workers[i].spread = spreads[i];
        pthread_create(&workers[i].id, NULL, fn, &workers[i]);
    }
}

static uint64_t
done_by_workers(void)
{
    uint64_t n = base;

    for (uint32_t i = 0; i < THREADS; i++)
        n += __atomic_load_n(&workers[i].done, __ATOMIC_ACQUIRE);
    return n;
}

static uint64_t
least_done(void)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < THREADS; i++) {
        uint64_t n = __atomic_load_n(&workers[i].done, __ATOMIC_ACQUIRE);

        least = n < least ? n : least;
    }
    return least;
}

static void
stop_workers(void)
{
    __atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(workers[i].id, NULL);
    for (uint32_t i = 0; i < THREADS; i++)
        if (workers[i].tid)
            wait_until_gone(workers[i].tid);
    base = done_by_workers();
    for (uint32_t i = 0; i < THREADS; i++)
        workers[i].done = 0;
}

/* ---- what a reader must find --------------------------------------------- */

static struct tally last[STACKS + 1];

struct faults {
    unsigned more_frees, backwards, too_few, too_many;
};

static const struct tally *
add_up(void)
{
    static struct tally sums[STACKS + 1];

    lane_tally(STACKS);
    for (uint32_t id = 1; id <= STACKS; id++)
        lane_take(id, &sums[id]);
    return sums;
}

static uint64_t
events_in(const struct tally *sums)
{
    uint64_t n = 0;

    for (uint32_t id = 1; id <= STACKS; id++)
        n += sums[id].allocations + sums[id].frees;
    return n;
}

static void
look(struct faults *f, uint64_t in_flight)
{
    uint64_t before = done_by_workers(), n;
    const struct tally *sums = add_up();

    n = events_in(sums);
    f->too_few += n < before;
    f->too_many += n > done_by_workers() + in_flight;
    for (uint32_t id = 1; id <= STACKS; id++) {
        const struct tally *t = &sums[id], *l = &last[id];

        f->more_frees += t->frees > t->allocations ||
                         t->freed_bytes > t->allocated_bytes;
        f->backwards += t->frees < l->frees ||
                        t->allocations < l->allocations ||
                        t->allocated_bytes < l->allocated_bytes ||
                        t->freed_bytes < l->freed_bytes;
    }
    memcpy(last, sums, sizeof(last));
}

static void
no_faults(const struct faults *f, const char *when)
{
    is_int(0, f->more_frees, "no more frees than allocations %s", when);
    is_int(0, f->backwards, "no counter goes back %s", when);
    is_int(0, f->too_few, "nothing counted is missing %s", when);
    is_int(0, f->too_many, "nothing is there twice %s", when);
}

/* With nobody at work: by stack, blocks and bytes. */
static void
is_exact(const char *when)
{
    const struct tally *sums = add_up();
    unsigned wrong = 0;

    for (uint32_t id = 1; id <= STACKS; id++) {
        const struct tally *t = &sums[id];

        wrong += t->allocations - t->frees != outstanding[id] ||
                 t->allocated_bytes != t->allocations * bytes_of(id) ||
                 t->freed_bytes != t->frees * bytes_of(id);
    }
    is_int(0, wrong, "every stack is exact %s", when);
    is_int((int64_t)base, (int64_t)events_in(sums), "and so is the sum");
}

/* ---- tests --------------------------------------------------------------- */

static uint64_t table_bytes; /* committed, with tables that have grown */

static void
test_readers(void)
{
    struct faults f = {0, 0, 0, 0};
    unsigned grown = 0, looks = 0;
    uint64_t moved = 0;

    start_workers(work);
    while (least_done() < 300000 || looks < 100) {
        look(&f, THREADS);
        looks++;
    }
    stop_workers();
    no_faults(&f, "while six threads book");
    is_exact("after it");
    for (uint32_t i = 0; i < THREADS; i++) {
        grown += i > 1 && workers[i].lane->ledger.table->order > 0;
        moved += workers[i].lane->ledger.move >> 32;
    }
    is_int(THREADS - 2, grown, "tables grow where it pays");
    /* A lane that another thread had may be full at first. */
    ok(workers[0].lane->ledger.table->order <= workers[0].order + 1,
       "and not where it does not");
    is_int(3, workers[5].lane->ledger.table->order, "up to the largest");
    ok(moved > 0, "and entries move out");
    table_bytes = meta_committed_bytes();
}

/* ---- jumps ---- */

static __thread sigjmp_buf out;
static __thread volatile sig_atomic_t may_jump;

static void
jump(int number)
{
    (void)number;
    if (may_jump) {
        may_jump = 0;
        siglongjmp(out, 1);
    }
}

static void *
work_and_jump(void *arg)
{
    struct worker *w = arg;

    w->tid = gettid();
    if (sigsetjmp(out, 1))
        w->jumps++;
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        may_jump = 1;
        step(w);
        may_jump = 0;
    }
    return NULL;
}

static uint64_t
jumps(void)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < THREADS; i++)
        n += __atomic_load_n(&workers[i].jumps, __ATOMIC_RELAXED);
    return n;
}

/* An event that was jumped out of may have been booked or not. */
static void
test_jumps(void)
{
    struct faults f = {0, 0, 0, 0};
    uint64_t events;

    signal(SIGUSR1, jump);
    start_workers(work_and_jump);
    while (jumps() < 3000) {
        for (uint32_t i = 0; i < 50; i++)
            pthread_kill(workers[i % THREADS].id, SIGUSR1);
        look(&f, UINT32_MAX);
    }
    stop_workers();
    signal(SIGUSR1, SIG_IGN);
    no_faults(&f, "while handlers jump out");
    look(&f, UINT32_MAX);
    events = events_in(last);
    ok(events >= base && events <= base + jumps(),
       "at most one event a jump is lost or too much");
    base = events;
    for (uint32_t id = 1; id <= STACKS; id++)
        outstanding[id] = (uint32_t)(last[id].allocations - last[id].frees);
}

/* ---- a move that never ended ---- */

/* What an owner does when it moves the first place out, as far as `stage`. */
static void
begin_move(struct ledger *l, int stage)
{
    struct ledger_table *t = l->table;
    struct tally *tally = ledger_tallies(t);
    uint64_t head = l->move >> 32;
    struct ledger_moved *m = &l->moved[head % LEDGER_MOVED];

    m->tag = t->tags[0];
    m->tally = tally[0];
    l->move = head << 32 | 1;
    if (stage > 1)
        t->tags[0] = 0;
    if (stage > 2)
        tally[0].allocations = 0;
}

static void *
stop_in_a_move(void *arg)
{
    struct lane *lane = lane_mine();
    struct ledger *l = &lane->ledger;
    struct faults f = {0, 0, 0, 0};
    int stage = *(int *)arg;

    *(int *)arg = gettid();
    /* The first set: 16 stacks have their place in it, four find one. */
    for (uint32_t id = 16; id <= 16 * 16; id += 16)
        book(id, 1, 0);
    begin_move(l, stage);
    if (stage == 1) /* no harm is done yet: it goes on counting */
        book(l->table->tags[0] & ~LEDGER_TAG, 1, 0);
    look(&f, UINT32_MAX);
    base += 16 + (stage == 1);
    is_int((int64_t)base, (int64_t)events_in(last), "stage %d: is exact",
           stage);
    for (uint32_t id = 16; id <= 64 * 16; id += 16)
        book(id, 1, 0);
    base += 64;
    is_int((int64_t)base, (int64_t)events_in(add_up()),
           "stage %d: and so is what comes after", stage);
    is_int(0, (uint32_t)l->move, "stage %d: it is over", stage);
    return NULL;
}

static void
test_half_moves(void)
{
    for (int stage = 1; stage <= 3; stage++) {
        int argument = stage; /* and the thread's number */
        pthread_t id;

        lane_reap(UINT64_C(10000000000) * (uint64_t)stage);
        pthread_create(&id, NULL, stop_in_a_move, &argument);
        pthread_join(id, NULL);
        wait_until_gone(argument);
    }
    lane_reap(UINT64_C(50000000000));
    ok(meta_committed_bytes() < table_bytes,
       "tables are given back (%" PRIu64 " bytes of %" PRIu64 ")",
       meta_committed_bytes(), table_bytes);
}

/* ---- deaths ---- */

static uint64_t
sum_of_shared(void)
{
    uint64_t n = 0;

    for (uint32_t id = 1; id <= STACKS; id++)
        n += intern_stacks[id].allocations + intern_stacks[id].frees;
    return n;
}

static void *
be_short(void *arg)
{
    for (int i = 0; i < 100; i++)
        step(arg);
    lane_count(self.lane, LANE_captures);
    return NULL;
}

static uint64_t
captures(void)
{
    uint64_t numbers[HKC_COUNT] = {0};

    lane_add_counts(numbers);
    return numbers[HKC_captures] + count_get(HKC_captures);
}

static void
test_deaths(void)
{
    uint64_t committed = meta_committed_bytes(), before;
    uint64_t counted = captures();

    for (int round = 0; round < 2000; round++) {
        start_workers(be_short);
        stop_workers();
    }
    ok(meta_committed_bytes() < committed + 40 * 16384,
       "12,000 short threads share a few lanes");
    is_int((int64_t)counted + 2000 * THREADS, (int64_t)captures(),
           "their counters go on counting");
    is_int((int64_t)base, (int64_t)events_in(add_up()),
           "and every event is there");
    before = sum_of_shared();
    lane_reap(UINT64_C(1) << 50);
    ok(before < base, "some of them in the lanes of the dead,");
    is_int((int64_t)base, (int64_t)sum_of_shared(),
           "none after these were folded");
    is_int((int64_t)counted + 2000 * THREADS, (int64_t)count_get(HKC_captures),
           "counters too");
    start_workers(be_short);
    stop_workers();
    is_int((int64_t)base, (int64_t)events_in(add_up()),
           "and their lanes serve again");
}

/* ---- fork ---- */

/* What was there when the child was made: its pages were copied one by one
   while other threads went on. */
static int
check_child(uint64_t *had)
{
    struct faults f = {0, 0, 0, 0};

    lane_reset();
    look(&f, THREADS);
    *had = events_in(last);
    if (f.backwards)
        return 1;
    if (sum_of_shared() >= *had) /* the forking thread's are in its lane */
        return 2;
    for (uint32_t i = 0; i < 50000; i++)
        book(i % STACKS + 1, 1, 0);
    return events_in(add_up()) == *had + 50000 ? 0 : 3;
}

static void
test_fork(void)
{
    uint64_t *had = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t before, after;
    int failed = 0, wrong = 0, status;

    book(1, 1, 0); /* the forking thread has a lane */
    outstanding[1]++;
    base++;
    start_workers(work);
    fflush(stdout);
    for (int i = 0; i < 60; i++) {
        pid_t child;

        before = done_by_workers();
        child = fork();
        if (child == 0)
            _exit(check_child(had));
        after = done_by_workers() + THREADS;
        waitpid(child, &status, 0);
        failed += status != 0;
        wrong += *had < before || *had > after;
    }
    stop_workers();
    is_int(0, failed, "60 forked children go on from where they were");
    is_int(0, wrong, "which is where the parent was then");
    is_int((int64_t)base, (int64_t)events_in(add_up()),
           "and so does the parent");
    munmap(had, 4096);
}

/* ---- no room ---- */

static pthread_barrier_t all_counted;

static void *
count_lanes(void *arg)
{
    struct worker *w = arg;

    work(arg);
    w->jumps = self.lane == NULL;
    pthread_barrier_wait(&all_counted); /* or the next one gets this lane */
    return NULL;
}

static void
test_exhaustion(void)
{
    struct faults f = {0, 0, 0, 0};
    uint64_t memory = opt.memory;

    add_up(); /* has its own memory now */
    opt.memory = meta_committed_bytes() + 8192;
    pthread_barrier_init(&all_counted, NULL, THREADS);
    start_workers(count_lanes);
    while (done_by_workers() < 1000000)
        look(&f, THREADS);
    stop_workers();
    is_int(THREADS - 1, (int64_t)jumps(), "memory= has room for one lane");
    no_faults(&f, "where most threads have none");
    is_exact("without room");
    opt.memory = memory;
}

int
main(void)
{
    opt.memory = UINT64_C(1) << 30;
    intern_stacks = meta_reserve((STACKS + 1) * sizeof(*intern_stacks));
    lane_start();
    test_exhaustion();
    test_readers();
    test_jumps();
    test_half_moves();
    test_deaths();
    test_fork();
    return done_testing();
}
