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
 * Invariants  at most half of a table is in use.
 */
#include "agent/suspects.h"

#include <string.h>

#include "agent/boot.h"
#include "agent/options.h"
#include "agent/pool.h"
#include "lib/registry.h"

struct table {
    struct suspect *entries;
    uint64_t places, used; /* places: a power of two */
};

static struct table old, new;

static int
make_table(struct table *t, uint64_t count)
{
    t->used = 0;
    for (t->places = 16; t->places < 2 * count;)
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
suspects_begin(uint64_t cycles)
{
    if (new.entries)
        drop_table(&new);
    return make_table(&new, cycles + old.used + 1);
}

static void
judge(struct suspect *s, const struct result_cycle *c, uint64_t now_ns)
{
    uint64_t born_ns = (uint64_t)c->youngest_ms * 1000000u;

    if (!s->confirmed_ns && born_ns + opt.min_age <= now_ns)
        s->confirmed_ns = now_ns;
}

const struct suspect *
suspects_see(const struct result_cycle *c, uint32_t scan, uint64_t now_ns)
{
    uint64_t identity = c->identity | !c->identity;
    struct suspect *before = place_of(&old, identity);
    struct suspect *s = place_of(&new, identity);

    if (!s || s->identity || new.used + 1 >= new.places)
        return NULL;
    if (before && before->identity) {
        *s = *before;
        before->serial = 0;
        before->slot = 0;
        judge(s, c, now_ns);
    } else {
        s->identity = identity;
        s->first_seen_ns = now_ns;
        s->first_scan = scan;
        s->slot = c->slot;
        s->serial = c->serial;
    }
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

    if (place && !place->identity) {
        *place = *s;
        new.used++;
    }
}

/* Was not seen in this scan. */
static void
dismiss(const struct suspect *s, int complete, struct suspects_tally *tally)
{
    if (!complete)
        carry_over(s);
    else if (!s->confirmed_ns && is_still_there(s))
        tally->resurrected++;
}

void
suspects_end(int complete, struct suspects_tally *tally)
{
    memset(tally, 0, sizeof *tally);
    for (uint64_t i = 0; i < old.places; i++)
        if (old.entries[i].identity && old.entries[i].slot)
            dismiss(&old.entries[i], complete, tally);
    if (old.entries)
        drop_table(&old);
    old = new;
    memset(&new, 0, sizeof new);
    for (uint64_t i = 0; i < old.places; i++)
        if (old.entries[i].identity) {
            tally->confirmed += old.entries[i].confirmed_ns != 0;
            tally->suspects += old.entries[i].confirmed_ns == 0;
        }
}

/* Nothing is given back: the pool's locks may be held by threads that are not
   in this process. */
void
suspects_reset(void)
{
    memset(&old, 0, sizeof old);
    memset(&new, 0, sizeof new);
}
