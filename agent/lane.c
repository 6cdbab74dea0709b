/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lane.c -- who has which lane, and the sum of all.
 *
 * Called by   account.c, capture.c at a thread's first event; publish.c.
 * Threads     words[] by compare-and-swap; the rest as lane.h says.
 * Memory      meta.c: lanes and words[], reserved; one tally a stack for the
 *             publisher.
 * Fails       as lane.h says.
 * Invariants  the lanes below `high` are reserved and booked.  A lane whose
 *             word has no tid is all zero but for its table of free places.
 */
#include "agent/lane.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "agent/intern.h"
#include "agent/meta.h"
#include "agent/os.h"

#define LANE_COST 8192u    /* what a lane is taken to touch */
#define RETRY_EVENTS 4096u /* of a thread without a lane */
#define REAP_TRIES 4u
#define REAP_NS 1000000000u
#define FOLDING UINT32_MAX /* in place of a tid */
#define NO_LANE UINT32_MAX
#define TALLIES_FIRST 65536u
#define COMMIT_TALLIES 2048u

const uint8_t lane_counter_of[LANE_COUNT] = {
    [LANE_captures] = HKC_captures,
    [LANE_slow_captures] = HKC_slow_captures,
    [LANE_verified_captures] = HKC_verified_captures,
    [LANE_capture_ns] = HKC_capture_ns,
};

static char *lanes;
static uint64_t *words; /* of each lane: owners so far << 32 | tid or 0 */
static uint32_t high;   /* lanes ever made */
static uint32_t hand;   /* where to look for a dead thread next */
static int pid;
static uint64_t reaped_ns;

static struct tally *tallies; /* by stack id; zero but for what lanes have */
static uint32_t tally_room, tallies_booked;

void
lane_start(void)
{
    size_t bytes = (size_t)LANE_MAX * LANE_BYTES;

    pid = os_getpid();
    words = meta_reserve(LANE_MAX * sizeof(*words));
    lanes = words ? meta_reserve(bytes) : NULL;
    /* A thread is to cost pages, not huge pages. */
    if (lanes)
        os_call(SYS_madvise, (long)lanes, (long)bytes, MADV_NOHUGEPAGE, 0, 0,
                0);
    ledger_start();
}

static struct lane *
lane_at(uint32_t i)
{
    return (struct lane *)(void *)(lanes + (size_t)i * LANE_BYTES);
}

static uint32_t
lane_high(void)
{
    return __atomic_load_n(&high, __ATOMIC_ACQUIRE);
}

static uint64_t
word_of(uint32_t i)
{
    return __atomic_load_n(&words[i], __ATOMIC_ACQUIRE);
}

static uint64_t
next_owner(uint64_t word, uint32_t tid)
{
    return ((word >> 32) + 1) << 32 | tid;
}

static int
change_owner(uint32_t i, uint64_t word, uint32_t tid)
{
    return __atomic_compare_exchange_n(&words[i], &word,
                                       next_owner(word, tid), 0,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static int
is_gone(uint32_t tid)
{
    return os_call(SYS_tgkill, pid, (long)tid, 0, 0, 0, 0) == -ESRCH;
}

/* ---- a lane for this thread ---------------------------------------------- */

/* A free one, or that of a dead thread whose number we have got: a lane is
   ours, too, if a signal handler jumped out of lane_make. */
static uint32_t
find(uint32_t tid)
{
    uint32_t n = lane_high(), free_lane = NO_LANE;
    uint64_t word, free_word = 0;

    for (uint32_t i = 0; i < n; i++) {
        word = word_of(i);
        if ((uint32_t)word == tid && change_owner(i, word, tid))
            return i;
        if (free_lane == NO_LANE && (uint32_t)word == 0) {
            free_lane = i;
            free_word = word;
        }
    }
    if (free_lane != NO_LANE && change_owner(free_lane, free_word, tid))
        return free_lane;
    return NO_LANE;
}

/* Threads that come and go leave enough of them to be found at once. */
static uint32_t
find_dead(uint32_t tid)
{
    uint32_t n = lane_high();

    for (uint32_t k = 0; k < REAP_TRIES && n; k++) {
        uint32_t i = __atomic_fetch_add(&hand, 1, __ATOMIC_RELAXED) % n;
        uint64_t word = word_of(i);

        if ((uint32_t)word == 0 || (uint32_t)word == FOLDING ||
            ((uint32_t)word != tid && !is_gone((uint32_t)word)))
            continue;
        if (change_owner(i, word, tid))
            return i;
    }
    return NO_LANE;
}

static uint32_t
make(uint32_t tid)
{
    uint32_t i = lane_high();

    if (i >= LANE_MAX || !meta_commit(LANE_COST))
        return NO_LANE;
    while (!__atomic_compare_exchange_n(&high, &i, i + 1, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        if (i >= LANE_MAX)
            break;
    if (i < LANE_MAX && change_owner(i, 0, tid))
        return i;
    if (i >= LANE_MAX)
        meta_uncommit(LANE_COST);
    return NO_LANE;
}

/* What one of them finds, another thread may be quicker to take. */
static uint32_t
get(uint32_t tid)
{
    uint32_t i = NO_LANE;

    for (int tries = 0; tries < 3 && i == NO_LANE; tries++) {
        i = find(tid);
        i = i != NO_LANE ? i : find_dead(tid);
        i = i != NO_LANE ? i : make(tid);
    }
    return i;
}

/* The end of the stack that a thread was born with: glibc keeps what it has of
   a thread there, and the kernel arguments and environment for the first. */
static uintptr_t
own_stack_end(uint32_t tid)
{
    extern void *__libc_stack_end;

    return tid == (uint32_t)pid ? (uintptr_t)__libc_stack_end
                                : (uintptr_t)__builtin_thread_pointer();
}

struct lane *
lane_make(void)
{
    uint32_t tid, i;
    struct lane *lane;

    if (!lanes || self.lane_wait) {
        self.lane_wait -= self.lane_wait != 0;
        return NULL;
    }
    self.lane_wait = RETRY_EVENTS;
    tid = (uint32_t)os_gettid();
    if (is_gone(tid)) /* shares our memory, but is no thread of ours */
        return NULL;
    i = get(tid);
    if (i == NO_LANE)
        return NULL;
    lane = lane_at(i);
    if (lane->ledger.table)
        ledger_recover(&lane->ledger);
    else
        ledger_begin(&lane->ledger, lane->first_table, lane->moved);
    trail_start(&lane->trail, own_stack_end(tid));
    self.lane_wait = 0;
    self.lane = lane;
    return lane;
}

/* ---- lanes without a thread ---------------------------------------------- */

static void
fold(uint32_t i)
{
    struct lane *lane = lane_at(i);

    ledger_fold(&lane->ledger);
    for (uint32_t c = 0; c < LANE_COUNT; c++)
        if (lane->counts[c])
            count_add((enum hk_counter)lane_counter_of[c], lane->counts[c]);
    count_add(HKC_walked_frames, lane->trail.walked);
    if (os_call(SYS_madvise, (long)lane, LANE_BYTES, MADV_DONTNEED, 0, 0, 0))
        memset(lane, 0, sizeof(*lane));
    __atomic_store_n(&words[i], next_owner(word_of(i), 0), __ATOMIC_RELEASE);
}

void
lane_reap(uint64_t now_ns)
{
    uint32_t n = lane_high();

    if (now_ns - reaped_ns < REAP_NS)
        return;
    reaped_ns = now_ns;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t word = word_of(i);

        if ((uint32_t)word && is_gone((uint32_t)word) &&
            change_owner(i, word, FOLDING))
            fold(i);
    }
}

void
lane_reset(void)
{
    uint32_t n = lane_high();

    pid = os_getpid();
    ledger_hold_moves(0);
    reaped_ns = 0;
    for (uint32_t i = 0; i < n; i++)
        if (lane_at(i) == self.lane)
            words[i] = next_owner(words[i], (uint32_t)os_gettid());
        else if ((uint32_t)words[i])
            fold(i);
}

/* ---- sums ---------------------------------------------------------------- */

/* The tables of stacks fit into memory= or there would be none; this adds half
   as much, and what is not allowed is used nevertheless: without it nothing
   could be published. */
static int
make_room(uint32_t count)
{
    uint32_t room = tally_room ? tally_room : TALLIES_FIRST;

    while (tallies_booked <= count) {
        meta_commit(COMMIT_TALLIES * sizeof(*tallies));
        tallies_booked += COMMIT_TALLIES;
    }
    if (count < tally_room)
        return 1;
    while (room <= count)
        room *= 2;
    if (tallies)
        meta_release(tallies, tally_room * sizeof(*tallies));
    tallies = meta_reserve(room * sizeof(*tallies));
    tally_room = tallies ? room : 0;
    return tallies != NULL;
}

int
lane_tally(uint32_t count)
{
    uint32_t n = lane_high();

    if (!make_room(count))
        return 0;
    ledger_hold_moves(1);
    for (uint32_t i = 0; i < n; i++)
        if ((uint32_t)word_of(i))
            ledger_sum(&lane_at(i)->ledger, tallies, count);
    ledger_hold_moves(0);
    return 1;
}

static uint64_t
load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* More frees than allocations are those of blocks that were allocated after a
   ledger was read, or what a fork has left: the pages of its child are copied
   one by one, while other threads go on. */
void
lane_take(uint32_t id, struct tally *sum)
{
    const struct stack *s = &intern_stacks[id];
    struct tally *t = &tallies[id];
    uint64_t freed_bytes = t->freed_bytes + load(&s->freed_bytes);
    uint64_t frees = t->frees + load(&s->frees);

    sum->allocations = t->allocations + load(&s->allocations);
    sum->allocated_bytes = t->allocated_bytes + load(&s->allocated_bytes);
    sum->frees = smaller(frees, sum->allocations);
    sum->freed_bytes = smaller(freed_bytes, sum->allocated_bytes);
    if (t->allocations | t->frees)
        memset(t, 0, sizeof(*t));
}

void
lane_add_counts(uint64_t *numbers)
{
    uint32_t n = lane_high();

    for (uint32_t i = 0; i < n; i++) {
        const struct lane *lane = lane_at(i);

        if (!(uint32_t)word_of(i))
            continue;
        for (uint32_t c = 0; c < LANE_COUNT; c++)
            numbers[lane_counter_of[c]] +=
                __atomic_load_n(&lane->counts[c], __ATOMIC_RELAXED);
        numbers[HKC_walked_frames] +=
            __atomic_load_n(&lane->trail.walked, __ATOMIC_RELAXED);
    }
}
