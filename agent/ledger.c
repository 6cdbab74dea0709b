/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ledger.c -- what happens beside the common path of ledger.h: places are
 * claimed, entries move out, tables grow; and the publisher's side.
 *
 * Called by   account.c (the owner), lane.c (the publisher).
 * Threads     `move` and ledger_hold are each stored before the other is
 *             loaded, both sequentially consistent: an owner that begins a
 *             move sees the hold, or the publisher sees the move.
 * Memory      a region for tables; a free list for each size.
 * Fails       no table, no place: the shared counters serve instead.
 * Invariants  a free place has a zero tally.  With a hold that the owner has
 *             seen, tally and tag of a place stay together, moved[] stays as
 *             it is, and a table is replaced at most once, by one with the
 *             same tallies.
 */
#include "agent/ledger.h"

#include <string.h>
#include <sys/mman.h>

#include "agent/intern.h"
#include "agent/meta.h"
#include "agent/os.h"

#define REGION_BYTES ((size_t)256 << 20)
#define PAGE_BYTES 4096u
#define ORDERS 4u
#define GROWING UINT32_MAX
#define MOVE_EVERY 8u     /* conflicts */
#define CONFLICT_SHARE 16 /* of its events: not worth a larger table */

static const uint32_t places_of[ORDERS] = {LEDGER_FIRST, 256, 1024, 8192};

uint32_t ledger_hold;
static char *region;
static uint64_t region_used;
static uint64_t free_tables[ORDERS]; /* changes << 32 | page in region + 1 */

static uint64_t
load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void
store(uint64_t *counter, uint64_t value)
{
    __atomic_store_n(counter, value, __ATOMIC_RELAXED);
}

/* ---- tables -------------------------------------------------------------- */

int
ledger_start(void)
{
    region = meta_reserve(REGION_BYTES);
    return region != NULL;
}

static size_t
bytes_of(uint32_t order)
{
    size_t bytes = LEDGER_BYTES((size_t)places_of[order]);

    return (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
}

static struct ledger_table *
table_at(uint64_t head)
{
    uint32_t page = (uint32_t)head;

    return (struct ledger_table *)(void *)(region + (size_t)(page - 1) *
                                                        PAGE_BYTES);
}

/* The link of a free table lies in `older`, as such a head. */
static struct ledger_table *
pop_table(uint32_t order)
{
    uint64_t *list = &free_tables[order];
    uint64_t head = __atomic_load_n(list, __ATOMIC_ACQUIRE), next;

    do {
        if (!(uint32_t)head)
            return NULL;
        next = (uint32_t)(uintptr_t)__atomic_load_n(&table_at(head)->older,
                                                    __ATOMIC_RELAXED);
        next |= ((head >> 32) + 1) << 32;
    } while (!__atomic_compare_exchange_n(list, &head, next, 0,
                                          __ATOMIC_ACQUIRE,
                                          __ATOMIC_ACQUIRE));
    return table_at(head);
}

static void
push_table(struct ledger_table *t, uint32_t order)
{
    uint64_t *list = &free_tables[order];
    uint64_t page = (uint64_t)((char *)t - region) / PAGE_BYTES + 1;
    uint64_t head = __atomic_load_n(list, __ATOMIC_RELAXED), next;

    do {
        __atomic_store_n(&t->older,
                         (struct ledger_table *)(uintptr_t)(uint32_t)head,
                         __ATOMIC_RELAXED);
        next = ((head >> 32) + 1) << 32 | page;
    } while (!__atomic_compare_exchange_n(list, &head, next, 0,
                                          __ATOMIC_RELEASE,
                                          __ATOMIC_RELAXED));
}

static struct ledger_table *
new_table(size_t bytes)
{
    uint64_t from = __atomic_load_n(&region_used, __ATOMIC_RELAXED);

    do {
        if (!region || from + bytes > REGION_BYTES)
            return NULL;
    } while (!__atomic_compare_exchange_n(&region_used, &from, from + bytes,
                                          0, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    return (struct ledger_table *)(void *)(region + from);
}

static struct ledger_table *
take_table(uint32_t order)
{
    size_t bytes = bytes_of(order);
    struct ledger_table *t;

    if (!meta_commit(bytes))
        return NULL;
    t = pop_table(order);
    if (!t)
        t = new_table(bytes);
    if (!t) {
        meta_uncommit(bytes);
        return NULL;
    }
    t->mask = places_of[order] / LEDGER_WAYS - 1;
    t->order = order;
    return t;
}

static void
give_table_back(struct ledger_table *t)
{
    uint32_t order = t->order;
    size_t bytes = bytes_of(order);

    if (os_call(SYS_madvise, (long)t, (long)bytes, MADV_DONTNEED, 0, 0, 0))
        memset(t, 0, bytes);
    meta_uncommit(bytes);
    push_table(t, order);
}

/* ---- the owner ----------------------------------------------------------- */

void
ledger_begin(struct ledger *l, void *first_table, struct ledger_moved *moved)
{
    struct ledger_table *t = first_table;

    t->mask = LEDGER_FIRST / LEDGER_WAYS - 1;
    t->order = 0;
    l->moved = moved;
    __atomic_store_n(&l->table, t, __ATOMIC_RELEASE);
}

void
ledger_share(uint32_t id, const struct tally *t)
{
    struct stack *s = &intern_stacks[id];

    if (t->allocations) {
        __atomic_fetch_add(&s->allocations, t->allocations, __ATOMIC_RELAXED);
        __atomic_fetch_add(&s->allocated_bytes, t->allocated_bytes,
                           __ATOMIC_RELAXED);
    }
    if (t->frees) {
        __atomic_fetch_add(&s->frees, t->frees, __ATOMIC_RELEASE);
        __atomic_fetch_add(&s->freed_bytes, t->freed_bytes, __ATOMIC_RELEASE);
    }
}

/* 1: nobody reads, the change may be made; end_change follows. */
static int
begin_change(struct ledger *l, uint32_t what)
{
    uint64_t head = l->move >> 32 << 32;

    __atomic_exchange_n(&l->move, head | what, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&ledger_hold, __ATOMIC_SEQ_CST))
        return 1;
    __atomic_store_n(&l->move, head, __ATOMIC_RELEASE);
    return 0;
}

static void
end_change(struct ledger *l, uint32_t moved)
{
    __atomic_store_n(&l->move, ((l->move >> 32) + moved) << 32,
                     __ATOMIC_RELEASE);
}

static struct ledger_moved *
head_of(const struct ledger *l, uint64_t move)
{
    return &l->moved[(uint32_t)(move >> 32) % LEDGER_MOVED];
}

static void
clear(struct tally *t)
{
    store(&t->allocations, 0);
    store(&t->frees, 0);
    store(&t->allocated_bytes, 0);
    store(&t->freed_bytes, 0);
}

static int
move_out(struct ledger *l, uint32_t place)
{
    struct ledger_table *t = l->table;
    struct ledger_moved *m = head_of(l, l->move);
    uint32_t used = (uint32_t)(l->move >> 32) -
                    __atomic_load_n(&l->tail, __ATOMIC_ACQUIRE);

    /* The publisher may be reading what a cancelled move left at the head. */
    if (used >= LEDGER_MOVED ||
        __atomic_load_n(&ledger_hold, __ATOMIC_SEQ_CST))
        return 0;
    m->tag = t->tags[place];
    m->tally = ledger_tallies(t)[place];
    if (!begin_change(l, place + 1))
        return 0;
    __atomic_store_n(&t->tags[place], 0, __ATOMIC_RELEASE);
    clear(&ledger_tallies(t)[place]);
    end_change(l, 1);
    return 1;
}

/* Somebody jumped out of a change.  Before the tag was cleared the place still
   counts, and nothing has happened; after that nothing was added to it.  What
   is cancelled is so for all before the hold is looked at again. */
void
ledger_recover(struct ledger *l)
{
    uint32_t what = (uint32_t)l->move;
    struct ledger_table *t = l->table;

    if (what == 0)
        return;
    if (what == GROWING || t->tags[what - 1] == head_of(l, l->move)->tag) {
        __atomic_exchange_n(&l->move, l->move >> 32 << 32, __ATOMIC_SEQ_CST);
        return;
    }
    clear(&ledger_tallies(t)[what - 1]);
    end_change(l, 1);
}

/* Every set of the old table spreads over at least four sets of the new one,
   which get nothing from elsewhere: all find a place. */
static void
copy_table(struct ledger_table *to, struct ledger_table *from)
{
    uint32_t places = (from->mask + 1) * LEDGER_WAYS;

    for (uint32_t i = 0; i < places; i++) {
        uint32_t tag = from->tags[i];
        uint32_t at = (tag & to->mask) * LEDGER_WAYS;

        if (!tag)
            continue;
        while (to->tags[at])
            at++;
        to->tags[at] = tag;
        ledger_tallies(to)[at] = ledger_tallies(from)[i];
    }
}

static uint64_t
events_in(struct ledger_table *t)
{
    uint32_t places = (t->mask + 1) * LEDGER_WAYS;
    uint64_t n = 0;

    for (uint32_t i = 0; i < places; i++)
        n += ledger_tallies(t)[i].allocations + ledger_tallies(t)[i].frees;
    return n;
}

/* Are conflicts more than a small share of what has happened lately? */
static int
wants_growth(struct ledger *l)
{
    uint64_t events = events_in(l->table);
    uint64_t lately = events > l->seen ? events - l->seen : 0;
    int many = (uint64_t)l->conflicts * CONFLICT_SHARE > lately;

    l->seen = events;
    l->conflicts = 0;
    return many;
}

static void
grow(struct ledger *l)
{
    struct ledger_table *old = l->table, *t;
    uint32_t order = old->order + 1;

    if (order >= ORDERS || !wants_growth(l))
        return;
    t = take_table(order);
    if (!t)
        return;
    if (!begin_change(l, GROWING)) {
        give_table_back(t);
        return;
    }
    copy_table(t, old);
    t->older = old;
    __atomic_store_n(&l->table, t, __ATOMIC_RELEASE);
    end_change(l, 0);
}

struct tally *
ledger_claim(struct ledger *l, uint32_t id)
{
    struct ledger_table *t;
    uint32_t set, way;
    unsigned ways;

    ledger_recover(l);
    t = l->table;
    set = (id & t->mask) * LEDGER_WAYS;
    ways = ledger_match(t->tags + set, 0);
    if (!ways) {
        l->conflicts++;
        if (l->conflicts >= 2 * LEDGER_WAYS * (t->mask + 1))
            grow(l);
        if (l->table != t)
            return ledger_entry(l, id);
        way = l->conflicts / MOVE_EVERY % LEDGER_WAYS;
        if (l->conflicts % MOVE_EVERY || !move_out(l, set + way))
            return NULL;
        ways = 1u << way;
    }
    set += (unsigned)__builtin_ctz(ways);
    __atomic_store_n(&t->tags[set], id | LEDGER_TAG, __ATOMIC_RELEASE);
    return &ledger_tallies(t)[set];
}

/* ---- the publisher ------------------------------------------------------- */

void
ledger_hold_moves(int on)
{
    __atomic_store_n(&ledger_hold, on != 0, __ATOMIC_SEQ_CST);
}

static void
add(struct tally *sums, uint32_t count, uint32_t tag, const struct tally *t)
{
    uint32_t id = tag & ~LEDGER_TAG;
    struct tally *sum = &sums[id];

    if (id == 0 || id > count)
        return;
    sum->freed_bytes += __atomic_load_n(&t->freed_bytes, __ATOMIC_ACQUIRE);
    sum->frees += __atomic_load_n(&t->frees, __ATOMIC_ACQUIRE);
    sum->allocations += load(&t->allocations);
    sum->allocated_bytes += load(&t->allocated_bytes);
}

/* The place that was moving when the hold began, perhaps to this day: the
   tag goes from the old one to 0 to the next, no further while we read. */
static void
sum_moving(const struct ledger *l, struct ledger_table *t, uint64_t move,
           struct tally *sums, uint32_t count)
{
    const struct ledger_moved *m = head_of(l, move);
    uint32_t place = (uint32_t)move - 1, tag, again;
    struct tally here[2];

    do {
        memset(here, 0, sizeof(here));
        tag = __atomic_load_n(&t->tags[place], __ATOMIC_ACQUIRE);
        add(here, 1, 1, &ledger_tallies(t)[place]);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        again = __atomic_load_n(&t->tags[place], __ATOMIC_RELAXED);
    } while (tag != again);
    if (tag != m->tag)
        add(sums, count, m->tag, &m->tally);
    if (tag)
        add(sums, count, tag, &here[1]);
}

static void
drain(struct ledger *l, uint32_t head)
{
    for (; l->tail != head;
         __atomic_store_n(&l->tail, l->tail + 1, __ATOMIC_RELEASE)) {
        const struct ledger_moved *m = &l->moved[l->tail % LEDGER_MOVED];

        ledger_share(m->tag & ~LEDGER_TAG, &m->tally);
    }
}

void
ledger_sum(struct ledger *l, struct tally *sums, uint32_t count)
{
    uint64_t move = __atomic_load_n(&l->move, __ATOMIC_SEQ_CST);
    struct ledger_table *t = __atomic_load_n(&l->table, __ATOMIC_ACQUIRE);
    uint32_t moving = (uint32_t)move, places;

    if (!t)
        return;
    places = (t->mask + 1) * LEDGER_WAYS;
    for (uint32_t i = 0; i < places; i++) {
        uint32_t tag = __atomic_load_n(&t->tags[i], __ATOMIC_ACQUIRE);

        if (tag && i + 1 != moving)
            add(sums, count, tag, &ledger_tallies(t)[i]);
    }
    if (moving && moving != GROWING)
        sum_moving(l, t, move, sums, count);
    drain(l, (uint32_t)(move >> 32));
}

void
ledger_fold(struct ledger *l)
{
    struct ledger_table *t = l->table, *older;
    uint32_t places;

    if (!t)
        return;
    ledger_recover(l);
    drain(l, (uint32_t)(l->move >> 32));
    places = (t->mask + 1) * LEDGER_WAYS;
    for (uint32_t i = 0; i < places; i++)
        if (t->tags[i])
            ledger_share(t->tags[i] & ~LEDGER_TAG, &ledger_tallies(t)[i]);
    for (; t->order; t = older) {
        older = t->older;
        give_table_back(t);
    }
    l->table = NULL;
}
