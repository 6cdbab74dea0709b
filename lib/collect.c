/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * collect.c -- one collection.
 *
 * What        finds what is unreachable (trace.c), then ends it in CPython's
 *             order: weak references die and their callbacks run, finalizers
 *             run, what they brought back lives on, the rest is cleared.
 * Source      gcmodule.c, gc_collect_main() and what it calls.
 * Called by   gc.c, inside gc_enter().
 * Threads     one; code of the program runs on it, and may do anything.
 * Memory      trace_take(), all before the first side effect.
 * Fails       -1 before the first side effect; never after it.
 * Invariants  garbage is known by slot and key, never by address alone:
 *             whatever the program's code ends meanwhile is noticed.
 */
#include "lib/collect.h"

#include <errno.h>

#include "lib/fields.h"
#include "lib/gc.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/shard.h"
#include "lib/slots.h"
#include "lib/trace.h"
#include "lib/type.h"
#include "lib/weak.h"

struct entry {
    uint32_t slot, order;
};

struct collection {
    struct trace t;
    int generation, old; /* old: where survivors go */
    struct entry *garbage; /* then the legacy ones, in the same array */
    uint32_t garbage_count, legacy_count, entries;
    uint32_t *slots;    /* for trace_again() */
    uint8_t *reachable;
    int may_live; /* code of the program ran since the trace */
    unsigned debug; /* as it was at the start: memory was reserved for that */
};

/* The object, or NULL if it is no more, or untracked.  The key is read after
   the state: of a free slot it is still the old one, and another thread may be
   filling that with an object of its own. */
static void *
alive(const struct entry *e)
{
    const struct record *r = e->slot ? registry_record(e->slot) : NULL;

    return r && registry_is_tracked(r)
                   && __atomic_load_n(&r->order, __ATOMIC_RELAXED) == e->order
               ? registry_object(r)
               : NULL;
}

static const hk_type *
type_of(const struct entry *e)
{
    return registry_type(e->slot);
}

/* NULL: foreign. */
static hk_object *
header_of(const struct entry *e)
{
    const hk_type *type = type_of(e);

    return type_is_foreign(type) ? NULL : type_header(type, alive(e));
}

/* No foreign object has one. */
static int
has_bit(const hk_object *header, unsigned bit)
{
    return header
           && (__atomic_load_n(&header->bits, __ATOMIC_RELAXED) & bit) != 0;
}

/* ---- preparations ------------------------------------------------------- */

static int
reserve(struct collection *c)
{
    size_t n = c->t.unreachable;
    size_t kept = c->debug & HK_GC_SAVEALL ? n : c->t.legacy;

    c->entries = c->t.unreachable;
    if (!n)
        return 0;
    c->garbage = trace_take(n, sizeof(*c->garbage));
    c->slots = trace_take(n, sizeof(*c->slots));
    c->reachable = trace_take(n, 1);
    return c->garbage && c->slots && c->reachable ? gc_garbage_reserve(kept)
                                                  : -1;
}

static void
release(struct collection *c)
{
    size_t n = c->entries;

    trace_give(c->garbage, n, sizeof(*c->garbage));
    trace_give(c->slots, n, sizeof(*c->slots));
    trace_give(c->reachable, n, 1);
    trace_free(&c->t);
}

static void
take_out(const struct trace *t, uint32_t node, struct entry *e)
{
    uint32_t slot = trace_slot(t, node);

    e->slot = slot;
    e->order = registry_at(slot)->order;
    registry_set_generation(slot, GENERATION_COLLECTING);
}

/* What survives is appended to the next generation; what is in the oldest
   stands where it stood. */
static void
keep(struct collection *c, uint32_t node)
{
    uint32_t slot = trace_slot(&c->t, node);

    if (registry_at(slot)->generation != c->old)
        registry_append(slot, (uint8_t)c->old);
}

/* Garbage into two lists; survivors to the next generation, then those that
   were pulled back.  Most full collections find nothing to do. */
static void
partition(struct collection *c)
{
    const struct trace *t = &c->t;
    struct entry *legacy = c->garbage + (t->unreachable - t->legacy);
    int stays = !t->moving && !t->unreachable;

    for (uint32_t place = 0; place < t->count && !stays; place++) {
        uint32_t i = trace_at(t, place);

        if (t->state[i] & (TRACE_ABSENT | TRACE_LEGACY))
            continue;
        if (!(t->state[i] & TRACE_REACHABLE))
            take_out(t, i, &c->garbage[c->garbage_count++]);
        else if (t->moving && !(t->state[i] & TRACE_PASSED))
            keep(c, i);
    }
    for (uint32_t at = 0; at < t->pulled; at++)
        if (registry_is_ordered())
            registry_append(trace_slot(t, t->queue[at]), (uint8_t)c->old);
        else if (t->moving)
            keep(c, t->queue[at]);
    for (uint32_t at = 0; at < t->legacy; at++)
        take_out(t, t->queue[t->pulled + at], &legacy[c->legacy_count++]);
}

/* As gc_collect_main() does before it begins, and after it has found out. */
static void
keep_counts(struct collection *c)
{
    size_t survivors = c->t.objects - c->t.unreachable;

    if (c->generation < 2)
        gc.count[c->generation + 1]++;
    for (int i = 1; i <= c->generation; i++)
        gc.count[i] = 0;
    shard_reset_allocated();
    if (c->generation == 1)
        gc.long_lived_pending += survivors;
    if (c->generation == 2) {
        gc.long_lived_pending = 0;
        gc.long_lived_total = survivors;
    }
}

/* ---- the end of garbage ------------------------------------------------- */

static void
say_each(const struct entry *e, uint32_t n, const char *what)
{
    for (uint32_t i = 0; i < n; i++)
        if (alive(&e[i]))
            gc_say("gc: %s <%s %p>\n", what, hk_type_name(type_of(&e[i])),
                   alive(&e[i]));
}

static void
silence(hk_weak **place)
{
    weak_silence(*place);
}

/* Mirrors handle_weakrefs(): all die before the first callback runs. */
static void
end_weak_references(struct collection *c)
{
    struct weak_pending pending = {NULL, NULL};
    const struct entry *e = c->garbage, *end = e + c->garbage_count;

    for (; e < end; e++)
        if (type_of(e)->has_weakrefs)
            fields_walk_weakrefs(type_of(e)->spec.fields, alive(e), silence);
    for (e = c->garbage; e < end; e++) {
        if (!has_bit(header_of(e), OBJECT_WEAK))
            continue;
        weak_clear(alive(e), &pending);
        c->may_live = 1; /* another thread may have locked one before */
    }
    weak_run(&pending);
}

/* Mirrors finalize_garbage(). */
static void
finalize(struct collection *c)
{
    const struct entry *e = c->garbage, *end = e + c->garbage_count;

    for (; e < end; e++) {
        void *self = alive(e);
        hk_object *header = self ? header_of(e) : NULL;
        const hk_type *type = self ? type_of(e) : NULL;

        if (!header || !type->spec.finalize
            || has_bit(header, OBJECT_FINALIZED))
            continue;
        __atomic_or_fetch(&header->bits, OBJECT_FINALIZED, __ATOMIC_RELAXED);
        c->may_live = 1;
        hk_incref(header);
        type->spec.finalize(self);
        hk_decref(header);
    }
}

static void
to_old(struct collection *c, struct entry *e)
{
    if (alive(e)
        && registry_at(e->slot)->generation == GENERATION_COLLECTING)
        registry_append(e->slot, (uint8_t)c->old);
    e->slot = 0;
}

/* Mirrors handle_resurrected_objects(); also, weak references that finalizers
   made of what is still garbage die now, unheard (GH-91636). */
static void
let_live(struct collection *c)
{
    uint32_t pulled;

    for (uint32_t i = 0; i < c->garbage_count; i++)
        c->slots[i] = alive(&c->garbage[i]) ? c->garbage[i].slot : 0;
    pulled = trace_again(&c->t, c->slots, c->garbage_count, c->reachable);
    for (uint32_t i = 0; i < c->garbage_count; i++)
        if (!c->slots[i] || c->reachable[i] == 1)
            to_old(c, &c->garbage[i]);
        else if (!c->reachable[i]
                 && has_bit(header_of(&c->garbage[i]), OBJECT_WEAK))
            weak_clear(alive(&c->garbage[i]), NULL);
    for (uint32_t at = 0; at < pulled; at++)
        to_old(c, &c->garbage[c->t.queue[at]]);
}

/* A foreign one may forget itself in its clear, so nothing is looked up after
   that. */
static void
clear_object(void *self, const hk_type *type, hk_object *header)
{
    if (header)
        hk_incref(header);
    else
        type->spec.retain(self);
    slots_clear(type, self);
    if (header)
        hk_decref(header);
    else
        type->spec.release(self);
}

/* Mirrors delete_garbage(). */
static void
clear(struct collection *c)
{
    for (uint32_t i = 0; i < c->garbage_count; i++) {
        struct entry *e = &c->garbage[i];
        void *self = alive(e);

        if (self && c->debug & HK_GC_SAVEALL)
            gc_garbage_add(self);
        else if (self)
            clear_object(self, type_of(e), header_of(e));
        to_old(c, e);
    }
}

/* Mirrors handle_legacy_finalizers(). */
static size_t
keep_legacy(struct collection *c)
{
    struct entry *e = c->garbage + (c->t.unreachable - c->t.legacy);
    size_t n = 0;

    if (c->debug & HK_GC_UNCOLLECTABLE)
        say_each(e, c->legacy_count, "uncollectable");
    for (uint32_t i = 0; i < c->legacy_count; i++) {
        void *self = alive(&e[i]);

        if (!self)
            continue;
        n++;
        if (type_of(&e[i])->spec.legacy_del
            || (c->debug & HK_GC_SAVEALL && header_of(&e[i])))
            gc_garbage_add(self);
        to_old(c, &e[i]);
    }
    return n;
}

static size_t
end_garbage(struct collection *c)
{
    size_t n = 0;

    if (c->debug & HK_GC_COLLECTABLE)
        say_each(c->garbage, c->garbage_count, "collectable");
    end_weak_references(c);
    finalize(c);
    if (c->may_live)
        let_live(c);
    for (uint32_t i = 0; i < c->garbage_count; i++)
        n += alive(&c->garbage[i]) != NULL;
    clear(c);
    return n;
}

int
collect(int generation, size_t *collected, size_t *uncollectable)
{
    struct collection c = {.generation = generation, .debug = gc.debug};
    int saved = errno;
    int failed;

    c.old = generation < 2 ? generation + 1 : 2;
    failed = trace_run(&c.t, generation) || reserve(&c);
    if (!failed) {
        keep_counts(&c);
        partition(&c);
        registry_sweep_young();
        c.may_live = trace_tell(&c.t);
        *collected = end_garbage(&c);
        *uncollectable = keep_legacy(&c);
    }
    release(&c);
    errno = saved;
    return failed ? -1 : 0;
}
