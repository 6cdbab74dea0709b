/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.h -- a thread's own counters of the stacks that it books to.
 *
 * A set-associative table by stack id, written by one thread with plain
 * stores: the common path has neither a lock-prefixed instruction nor a line
 * that another thread writes.  What is true of a stack is the sum of its
 * counters in intern_stacks and in all ledgers.
 *
 *      ledger    table -> mask, tags[sets][4], tallies[sets][4]
 *                moved[] <- entries that had to make room
 *
 * A tag is a stack id with its top bit set; 0 is a free place, and its tally
 * is zero.  A stack that finds its set full is a conflict: it is booked to
 * intern_stacks by atomics, now and then it takes a place from another, and
 * where that happens often the table grows.
 *
 * Moving an entry out is never half done for who reads.  Its tally is written
 * to moved[head], then `move` says (head, place), then the place is cleared,
 * then `move` says (head + 1, none).  So at any moment, whatever became of the
 * owner -- switched off, jumped out of by a signal handler, dead, left behind
 * by a fork -- a reader who takes the tally of `place` from moved[head] once
 * its tag has changed is exact.  While ledger_hold is set no owner begins a
 * move; it does without, and never waits.
 *
 * What a death costs  SIGKILL, or a crash without on_crash=1, loses the events
 *                     since the last publication, as when all counters were
 *                     shared: at most `publish=` (or what
 *                     publish_interval_ns() made of it) before the end.  A
 *                     publication includes every event whose hook had returned
 *                     when it began, in whatever ledger, dead threads' too.
 * Order               an entry's frees are read before its allocations.  What
 *                     one thread allocates and another frees while the ledgers
 *                     are read may show more frees: lane_take() cuts them off.
 * Threads             the owner writes; the publisher (lock_publish) reads.
 * Memory              the first table lies in the lane (lane.h), larger ones in
 *                     a region of their own; they stay with the lane.
 * Fails               ledger_claim returns NULL: use ledger_share.
 */
#ifndef HK_AGENT_LEDGER_H
#define HK_AGENT_LEDGER_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define LEDGER_WAYS 4u
#define LEDGER_TAG 0x80000000u
#define LEDGER_FIRST 64u /* places in the first table */
#define LEDGER_MOVED 64u /* moves between two publications */

struct tally {
    uint64_t allocations, frees;
    uint64_t allocated_bytes, freed_bytes;
};

/* Tallies follow the tags. */
struct ledger_table {
    uint32_t mask;  /* sets - 1 */
    uint32_t order; /* which of the sizes, 0: the first */
    struct ledger_table *older; /* outgrown, still the lane's */
    uint32_t tags[] __attribute__((aligned(64)));
};
#define LEDGER_BYTES(places) \
    (sizeof(struct ledger_table) + (places) * (4 + sizeof(struct tally)))

struct ledger_moved {
    uint32_t tag;
    struct tally tally;
};

struct ledger {
    struct ledger_table *table; /* NULL: nobody has used it yet */
    struct ledger_moved *moved; /* a ring of LEDGER_MOVED */
    uint64_t move;              /* head << 32 | place + 1 that is moving */
    uint64_t seen;              /* events when growth was last considered */
    uint32_t tail;              /* of moved[]; the publisher's */
    uint32_t conflicts;
};

/* Set by the publisher while it reads. */
extern uint32_t ledger_hold;

int ledger_start(void); /* 0: tables will not grow */

/* ---- the owner ----------------------------------------------------------- */

void ledger_begin(struct ledger *l, void *first_table,
                  struct ledger_moved *moved);
/* Before another thread owns it, and after a jump out of a move. */
void ledger_recover(struct ledger *l);
/* A place for that stack, or NULL: none now. */
struct tally *ledger_claim(struct ledger *l, uint32_t id);
/* To the counters that all threads share. */
void ledger_share(uint32_t id, const struct tally *t);

static inline struct tally *
ledger_tallies(struct ledger_table *t)
{
    return (struct tally *)(void *)(t->tags +
                                    ((size_t)t->mask + 1) * LEDGER_WAYS);
}

/* Which of a set's four tags that is, as a bit each. */
static inline unsigned
ledger_match(const uint32_t *tags, uint32_t tag)
{
#if defined(__SSE2__)
    __m128i four = _mm_load_si128((const __m128i *)(const void *)tags);
    __m128i same = _mm_cmpeq_epi32(four, _mm_set1_epi32((int)tag));

    return (unsigned)_mm_movemask_ps(_mm_castsi128_ps(same));
#else
    return (unsigned)(tags[0] == tag) | (unsigned)(tags[1] == tag) << 1 |
           (unsigned)(tags[2] == tag) << 2 | (unsigned)(tags[3] == tag) << 3;
#endif
}

static inline struct tally *
ledger_entry(struct ledger *l, uint32_t id)
{
    struct ledger_table *t = l->table;
    size_t set = (size_t)(id & t->mask) * LEDGER_WAYS;
    unsigned ways = ledger_match(t->tags + set, id | LEDGER_TAG);

    if (__builtin_expect(ways == 0, 0))
        return ledger_claim(l, id);
    return ledger_tallies(t) + set + (unsigned)__builtin_ctz(ways);
}

/* By the owner alone: one load, one store. */
static inline void
ledger_add(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* The same, and whoever sees it sees the allocation, too. */
static inline void
ledger_add_after(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELEASE);
}

/* ---- the publisher, with lock_publish ------------------------------------ */

void ledger_hold_moves(int on);
/* While moves are held: adds to sums[id] what the ledger has, for ids up to
   count; what was moved out goes to the shared counters. */
void ledger_sum(struct ledger *l, struct tally *sums, uint32_t count);
/* All of it goes there, of a thread that is no more; gives its tables back.
   The caller clears what remains. */
void ledger_fold(struct ledger *l);

#endif
