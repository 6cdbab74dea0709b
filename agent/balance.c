/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * balance.c -- see balance.h: a table of logs by object, and one of sums.
 *
 * Logs stand in a hash table by the address of the object, cut into stripes
 * with a lock each.  A log is a chain of blocks with eight entries each; an
 * entry names a row, the sum over all objects of one type for one stack:
 *
 *      stripe ─▶ bucket ─▶ log of an object ─▶ more of its entries
 *                          {row, +, -} ──────┐
 *                                            ▼
 *      rows (balance_rows.c)                {type, stack, +, -}
 *
 * Called by   host.c for the companion, companion.c, life.c.
 * Threads     any.  A lock is held for some tens of loads and stores, with
 *             nothing else taken under it; rows are lock-free.  Who interrupts
 *             the agent, in a signal handler, does not wait at all.
 * Memory      meta.c: 128 bytes an object with up to eight stacks, 8 a bucket.
 *             Blocks are used again, never returned.
 * Fails       no memory: the object's log is given up, and counted.  A lock
 *             that is not to be had: the change is lost, and counted.
 * Invariants  a row is the sum of the entries that name it.  The row of an
 *             entry has the type of its log.  An object has LOG_MOST entries at
 *             most and one for stack 0.
 */
#include "agent/balance.h"

#include <stddef.h>
#include <string.h>

#include "agent/balance_rows.h"
#include "agent/counters.h"
#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/say.h"
#include "lib/type.h"

#define STRIPES 32u
#define LOG_ENTRIES 8u
#define LOG_MOST 256u
#define FIRST_BUCKETS 512u
#define MOST_BUCKETS (1u << 18)
#define SLAB_BYTES (256u << 10)
#define PIECE_BYTES (16u << 10)
#define NAME_BYTES 128

struct entry {
    uint32_t row; /* index */
    uint32_t increments, decrements;
};

struct log { /* 128 bytes */
    struct log *next; /* in its bucket, or of the free ones */
    struct log *more;
    const void *object; /* NULL in all blocks but the first */
    uint32_t type, used; /* used: entries in all blocks */
    struct entry entries[LOG_ENTRIES];
};

_Static_assert(sizeof(struct log) == 128, "as the head of this file says");
_Static_assert(PIECE_BYTES % sizeof(struct log) == 0, "no rest");

static struct stripe {
    struct lock lock;
    uint32_t is_stuck; /* somebody waited in vain: nobody else does */
    struct log **table;
    uint32_t buckets, logs;
    struct log *free;
    char *slab, *piece; /* what is not yet cut into blocks, and in use */
    size_t slab_left, piece_left;
} __attribute__((aligned(64))) stripes[STRIPES];

static uint32_t is_off; /* everything was given up */

/* ---- stripes ------------------------------------------------------------ */

static uint64_t
hash_address(const void *object)
{
    return ((uintptr_t)object >> 3) * UINT64_C(0x9e3779b97f4a7c15);
}

/* NULL: not within that time. */
static struct stripe *
lock_stripe(const void *object, uint64_t wait_ns)
{
    struct stripe *s = &stripes[(hash_address(object) >> 56) % STRIPES];
    int stuck = __atomic_load_n(&s->is_stuck, __ATOMIC_RELAXED) != 0;

    if (lock_take(&s->lock, stuck ? 0 : wait_ns)) {
        if (stuck)
            __atomic_store_n(&s->is_stuck, 0, __ATOMIC_RELAXED);
        return s;
    }
    if (wait_ns)
        __atomic_store_n(&s->is_stuck, 1, __ATOMIC_RELAXED);
    count_add(HKC_refs_lost, 1);
    return NULL;
}

static void
unlock_stripe(struct stripe *s)
{
    lock_release(&s->lock);
}

static struct log **
bucket_locked(struct stripe *s, const void *object)
{
    return &s->table[(hash_address(object) >> 24) & (s->buckets - 1)];
}

/* The place that names the object's log, or the end of its bucket. */
static struct log **
find_locked(struct stripe *s, const void *object)
{
    static struct log *none;
    struct log **place = s->buckets ? bucket_locked(s, object) : &none;

    while (*place && (*place)->object != object)
        place = &(*place)->next;
    return place;
}

/* Bucket i is divided between i and i + buckets. */
static void
split_locked(struct stripe *s)
{
    uint32_t old = s->buckets;

    s->buckets *= 2;
    for (uint32_t i = 0; i < old; i++) {
        struct log *l = s->table[i], *next;

        s->table[i] = NULL;
        for (; l; l = next) {
            struct log **to = bucket_locked(s, l->object);

            next = l->next;
            l->next = *to;
            *to = l;
        }
    }
}

/* Room for one more log; 0: there is no table. */
static int
make_room_locked(struct stripe *s)
{
    size_t width = sizeof(*s->table);

    if (!s->table) {
        s->table = meta_reserve(MOST_BUCKETS * width);
        if (!s->table)
            return 0;
    }
    if (!s->buckets && meta_commit(FIRST_BUCKETS * width))
        s->buckets = FIRST_BUCKETS;
    if (s->logs > s->buckets && s->buckets < MOST_BUCKETS
        && meta_commit(s->buckets * width))
        split_locked(s);
    return s->buckets != 0;
}

/* ---- blocks ------------------------------------------------------------- */

static int
add_piece_locked(struct stripe *s)
{
    if (!s->slab_left) {
        s->slab = meta_reserve(SLAB_BYTES);
        if (!s->slab)
            return 0;
        s->slab_left = SLAB_BYTES;
    }
    if (!meta_commit(PIECE_BYTES))
        return 0;
    s->piece = s->slab + (SLAB_BYTES - s->slab_left);
    s->piece_left = PIECE_BYTES;
    s->slab_left -= PIECE_BYTES;
    return 1;
}

static struct log *
take_block_locked(struct stripe *s)
{
    struct log *b = s->free;

    if (b) {
        s->free = b->next;
    } else {
        if (!s->piece_left && !add_piece_locked(s))
            return NULL;
        b = (struct log *)(void *)s->piece;
        s->piece += sizeof(*b);
        s->piece_left -= sizeof(*b);
    }
    memset(b, 0, sizeof(*b));
    return b;
}

static void
free_block_locked(struct stripe *s, struct log *b)
{
    b->next = s->free;
    s->free = b;
}

/* ---- logs --------------------------------------------------------------- */

static void
take_off_row(const struct entry *e)
{
    rows_add(e->row, -(uint64_t)e->increments, -(uint64_t)e->decrements);
}

/* The entries of a log one after another, as i counts from 0: *block is the one
   that has it. */
static struct entry *
step(struct log **block, uint32_t i)
{
    if (i && i % LOG_ENTRIES == 0)
        *block = (*block)->more;
    return &(*block)->entries[i % LOG_ENTRIES];
}

/* One of the row that has room for another change; a full one stays. */
static struct entry *
find_entry(struct log *l, uint32_t row)
{
    struct log *block = l;

    for (uint32_t i = 0; i < l->used; i++) {
        struct entry *e = step(&block, i);

        if (e->row == row && e->increments != UINT32_MAX
            && e->decrements != UINT32_MAX)
            return e;
    }
    return NULL;
}

/* A stack that dropped as many as it took says nothing: its place is used. */
static struct entry *
find_matched(struct log *l)
{
    struct log *block = l;

    for (uint32_t i = 0; i < l->used; i++) {
        struct entry *e = step(&block, i);

        if (e->increments == e->decrements) {
            take_off_row(e);
            e->increments = e->decrements = 0;
            return e;
        }
    }
    return NULL;
}

static struct entry *
append_locked(struct stripe *s, struct log *l)
{
    struct log *last = l;

    while (last->more)
        last = last->more;
    if (l->used && l->used % LOG_ENTRIES == 0) {
        last->more = take_block_locked(s);
        if (!last->more)
            return NULL;
        last = last->more;
    }
    return &last->entries[l->used++ % LOG_ENTRIES];
}

/* For a stack that the log does not know; NULL: no memory. */
static struct entry *
new_entry_locked(struct stripe *s, struct log *l, uint32_t row)
{
    struct entry *e = NULL;

    if (l->used >= LOG_MOST && !(e = find_matched(l))) {
        count_add(HKC_refs_lost, 1);
        row = rows_find(l->type, 0);
        e = row != ROWS_NONE ? find_entry(l, row) : NULL;
    }
    if (row == ROWS_NONE)
        return NULL;
    if (!e)
        e = append_locked(s, l);
    if (e)
        e->row = row;
    return e;
}

static int
book_locked(struct stripe *s, struct log *l, uint32_t stack, int by)
{
    uint32_t row = rows_find(l->type, stack);
    struct entry *e;

    if (!stack)
        count_add(HKC_refs_lost, 1);
    if (row == ROWS_NONE) {
        count_add(HKC_refs_lost, 1);
        row = rows_find(l->type, 0);
    }
    e = row != ROWS_NONE ? find_entry(l, row) : NULL;
    if (!e && !(e = new_entry_locked(s, l, row)))
        return 0;
    e->increments += by > 0;
    e->decrements += by < 0;
    rows_add(e->row, by > 0, by < 0);
    return 1;
}

static void
remove_locked(struct stripe *s, struct log **place)
{
    struct log *l = *place, *block = l, *more;

    for (uint32_t i = 0; i < l->used; i++)
        take_off_row(step(&block, i));
    *place = l->next;
    for (; l; l = more) {
        more = l->more;
        free_block_locked(s, l);
    }
    s->logs--;
}

static int
begin_locked(struct stripe *s, const void *object, uint32_t type,
             uint32_t stack)
{
    struct log *l, **place = find_locked(s, object);

    if (*place) /* of an object whose end nobody saw */
        remove_locked(s, place);
    l = make_room_locked(s) ? take_block_locked(s) : NULL;
    if (!l)
        return 0;
    l->object = object;
    l->type = type;
    place = bucket_locked(s, object);
    l->next = *place;
    *place = l;
    s->logs++;
    if (book_locked(s, l, stack, 1))
        return 1;
    remove_locked(s, find_locked(s, object));
    return 0;
}

int
balance_begin(const void *object, uint32_t type, uint32_t stack,
              uint64_t wait_ns)
{
    struct stripe *s;
    int kept = 0;

    if (is_off)
        return 0;
    if (rows_ready()) {
        s = lock_stripe(object, wait_ns);
        if (!s)
            return 0;
        kept = begin_locked(s, object, type, stack);
        unlock_stripe(s);
    }
    if (!kept)
        count_add(HKC_refs_given_up, 1);
    return kept;
}

int
balance_count(const void *object, uint32_t stack, int by, uint64_t wait_ns)
{
    struct stripe *s = is_off ? NULL : lock_stripe(object, wait_ns);
    struct log **place;
    int kept;

    if (!s)
        return !is_off;
    place = find_locked(s, object);
    kept = *place && book_locked(s, *place, stack, by);
    if (*place && !kept) {
        remove_locked(s, place);
        count_add(HKC_refs_given_up, 1);
    }
    unlock_stripe(s);
    return kept;
}

void
balance_end(const void *object, uint64_t wait_ns)
{
    struct stripe *s = is_off ? NULL : lock_stripe(object, wait_ns);
    struct log **place;

    if (!s)
        return;
    place = find_locked(s, object);
    if (*place)
        remove_locked(s, place);
    unlock_stripe(s);
}

/* ---- fork --------------------------------------------------------------- */

uint64_t
balance_before_fork(uint64_t wait_ns)
{
    uint64_t taken = 0, end, now;

    if (!rows_any())
        return 0;
    end = os_now_ns() + wait_ns;
    for (uint32_t i = 0; i < STRIPES; i++) {
        now = os_now_ns();
        taken |= (uint64_t)lock_take(&stripes[i].lock,
                                     now < end ? end - now : 0) << i;
    }
    return taken;
}

void
balance_after_fork_parent(uint64_t taken)
{
    for (uint32_t i = STRIPES; i-- > 0;)
        if (taken >> i & 1)
            lock_release(&stripes[i].lock);
}

static void
give_everything_up(void)
{
    is_off = 1;
    for (uint32_t i = 0; i < STRIPES; i++)
        count_add(HKC_refs_given_up, stripes[i].logs);
    rows_clear();
}

void
balance_after_fork_child(uint64_t taken)
{
    uint64_t all = (UINT64_C(1) << STRIPES) - 1;

    for (uint32_t i = 0; i < STRIPES; i++)
        stripes[i].lock.word = stripes[i].is_stuck = 0;
    rows_after_fork_child();
    if (rows_any() && taken != all)
        give_everything_up();
}

/* ---- names -------------------------------------------------------------- */

/* The name in refs= that begins at *at, and its length; 0: there are no
   more. */
static size_t
next_name(const char **at)
{
    size_t n = 0;

    while (**at == ',')
        ++*at;
    while ((*at)[n] && (*at)[n] != ',')
        n++;
    return n;
}

static int
is_name(const char *name, const char *part, size_t length)
{
    return strncmp(name, part, length) == 0 && !name[length];
}

int
balance_names(const char *type_name)
{
    size_t n;

    for (const char *at = opt.refs; (n = next_name(&at)); at += n)
        if (is_name(type_name, at, n))
            return 1;
    return 0;
}

static const hk_type *
find_type(const char *name, size_t length)
{
    for (uint32_t id = 1; id <= type_count(); id++)
        if (is_name(type_get(id)->spec.name, name, length))
            return type_get(id);
    return NULL;
}

static void
say_unseen(const char *name, const hk_type *type)
{
    if (!type)
        say("refs=%s: the program has no type of this name", name);
    else if (type_is_foreign(type))
        say("refs=%s: its objects are adopted and count by themselves, so "
            "nobody sees references taken and dropped", name);
}

/* A program without types is none of ours: it may be the shell that started
   one. */
void
balance_say_unknown(void)
{
    char name[NAME_BYTES];
    size_t n;

    if (!type_count())
        return;
    for (const char *at = opt.refs; (n = next_name(&at)); at += n)
        if (n < sizeof(name)) {
            memcpy(name, at, n);
            name[n] = '\0';
            say_unseen(name, find_type(at, n));
        }
}
