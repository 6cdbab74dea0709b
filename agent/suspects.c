/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * suspects.c -- the table of unreachable cycles, by identity.
 *
 * What        each scan fills a new table, taking over what the old one knew;
 *             what is left in the old one has gone, or has come back to life.
 * Called by   scan.c.
 * Threads     one at a time (lock_scan).
 * Memory      pool.
 * Fails       without memory the old table stays and the scan counts for
 *             nothing.
 * Invariants  at most three quarters of a table are in use.
 */
#include "agent/suspects.h"

#include <string.h>

#include "agent/options.h"
#include "agent/pool.h"
#include "lib/registry.h"

struct table {
    struct suspect *entries;
    uint64_t places, used; /* places: a power of two */
};

static struct table old, new;
static uint32_t clock_ms; /* of the snapshot, as births are told */
static uint32_t since_ms; /* births before were not looked at */
static enum suspects_sight sight;

static int
make_table(struct table *t, uint64_t count)
{
    t->used = 0;
    for (t->places = 16; t->places / 4 * 3 < count;)
        t->places *= 2;
    t->entries = pool_zalloc(t->places * sizeof *t->entries);
    return t->entries ? 0 : -1;
}

static void
drop_table(struct table *t)
{
    pool_free(t->entries);
    memset(t, 0, sizeof *t);
}

/* Where it is, or the empty place for it; NULL: the table is full. */
static struct suspect *
place_of(const struct table *t, uint64_t identity)
{
    uint64_t at = identity & (t->places - 1);

    if (!t->entries)
        return NULL;
    for (uint64_t i = 0; i < t->places; i++) {
        struct suspect *s = &t->entries[(at + i) & (t->places - 1)];

        if (s->identity == identity || s->identity == 0)
            return s;
    }
    return NULL;
}

int
suspects_begin(uint64_t cycles, uint32_t now_clock_ms, uint32_t from_ms,
               enum suspects_sight what)
{
    clock_ms = now_clock_ms;
    since_ms = from_ms;
    sight = what;
    if (new.entries)
        drop_table(&new);
    return make_table(&new, cycles + (from_ms || what ? old.used : 0));
}

/* Its members are at least as old as the first sight of them. */
static void
judge(struct suspect *s, const struct result_cycle *c, uint32_t now_ms)
{
    uint64_t age_ms = now_ms > s->first_seen_ms ? now_ms - s->first_seen_ms
                                                : 0;

    if (clock_ms > c->youngest_ms && clock_ms - c->youngest_ms > age_ms)
        age_ms = clock_ms - c->youngest_ms;
    if (!s->confirmed_ms && age_ms * 1000000u >= opt.min_age)
        s->confirmed_ms = now_ms ? now_ms : 1;
}

static int
has_room(const struct table *t)
{
    return t->used < t->places / 4 * 3;
}

const struct suspect *
suspects_see(const struct result_cycle *c, uint32_t scan, uint32_t now_ms)
{
    uint64_t identity = c->identity | !c->identity;
    struct suspect *before = place_of(&old, identity);
    struct suspect *s = place_of(&new, identity);

    if (!s || s->identity || !has_room(&new))
        return NULL;
    if (before && before->identity) {
        *s = *before;
        before->is_taken = 1;
        judge(s, c, now_ms);
    } else {
        s->identity = identity;
        s->first_seen_ms = now_ms;
        s->first_scan = scan;
        s->slot = c->slot;
        s->serial = c->serial;
        s->shape = c->shape;
        s->oldest_ms = c->oldest_ms;
        s->youngest_ms = c->youngest_ms;
        s->from_ms = c->from_ms;
        s->is_young = since_ms != 0;
        s->is_hidden = c->is_hidden != 0;
    }
    s->held_objects = c->held_objects;
    s->held_bytes = c->held_bytes;
    s->nested_bytes = c->nested_bytes;
    new.used++;
    return s;
}

static int
is_still_there(const struct suspect *s)
{
    const struct record *rec =
        s->slot < registry_limit() ? registry_record(s->slot) : NULL;

    return rec &&
           __atomic_load_n(&rec->state, __ATOMIC_ACQUIRE) == RECORD_TRACKED &&
           rec->serial == s->serial;
}

static void
carry_over(const struct suspect *s)
{
    struct suspect *place = place_of(&new, s->identity);

    if (place && !place->identity && has_room(&new)) {
        *place = *s;
        place->is_taken = 0;
        new.used++;
    }
}

/* Could this scan not have seen it? */
static int
is_out_of_sight(const struct suspect *s)
{
    return sight == SUSPECTS_PART || s->from_ms < since_ms ||
           (sight == SUSPECTS_READABLE && s->is_hidden);
}

/* Was not seen in this scan. */
static void
dismiss(const struct suspect *s, struct suspects_tally *tally)
{
    if (!is_still_there(s))
        return;
    if (is_out_of_sight(s))
        carry_over(s);
    else
        tally->resurrected++;
}

void
suspects_end(struct suspects_tally *tally)
{
    memset(tally, 0, sizeof *tally);
    for (uint64_t i = 0; i < old.places; i++)
        if (old.entries[i].identity && !old.entries[i].is_taken)
            dismiss(&old.entries[i], tally);
    if (old.entries)
        drop_table(&old);
    old = new;
    memset(&new, 0, sizeof new);
    for (uint64_t i = 0; i < old.places; i++)
        if (old.entries[i].identity) {
            tally->confirmed += old.entries[i].confirmed_ms != 0;
            tally->suspects += old.entries[i].confirmed_ms == 0;
        }
}

void
suspects_each(void (*fn)(const struct suspect *s, void *arg), void *arg)
{
    for (uint64_t i = 0; i < old.places; i++)
        if (old.entries[i].identity)
            fn(&old.entries[i], arg);
}

uint32_t
suspects_since(uint32_t from_ms)
{
    for (uint64_t i = 0; i < old.places; i++) {
        const struct suspect *s = &old.entries[i];

        if (s->identity && s->is_young && !s->confirmed_ms &&
            s->from_ms < from_ms)
            from_ms = s->from_ms;
    }
    return from_ms;
}

int
suspects_is_empty(void)
{
    return old.used == 0;
}

/* Nothing is given back: the pool's locks may be held by threads that are not
   in this process. */
void
suspects_reset(void)
{
    memset(&old, 0, sizeof old);
    memset(&new, 0, sizeof new);
}
