/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trace.c -- the reachability of tracked objects.
 *
 * What        one pass over the objects writes their references down and
 *             subtracts them from the counts; what is left with a count is held
 *             from outside the set, and so is all that it leads to.
 * Called by   collect.c, gc.c (hk_gc_scan).
 * Threads     one, and nobody else moves.
 * Memory      see trace.h.
 * Fails       trace_run: -1.
 * Invariants  an edge is believed only if the slot it leads to is of an object
 *             at that very address (tag).
 *
 * With millions of objects the time goes into cache misses: the header of
 * each object referred to, and its node.  So references pass through a ring,
 * in which both are fetched long before they are looked at.
 */
#include "lib/trace.h"

#include <string.h>

#include "lib/foreign.h"
#include "lib/mistake.h"
#include "lib/trace_set.h"
#include "lib/type.h"
#include "lib/weak.h"

#define RING 64u       /* references under way */
#define HEADER_AGE 24u /* when one is that old its header is read */
#define NODE_AGE 48u   /* and its node is counted */
#define AHEAD 12u      /* records, edges, queue entries fetched ahead */
#define NONE UINT32_MAX
#define REFS_MAX UINT32_C(0x3fffffff)

struct walk {
    struct trace *t;
    void *ring[RING];
    uint64_t read, counted; /* edges that have come so far */
    int by_address;         /* some headers are not where objects begin */
};

/* ---- edges -------------------------------------------------------------- */

static int
more_edges(struct trace *t)
{
    uint64_t room = t->edge_room ? 2 * t->edge_room
                                 : 4 * (uint64_t)t->room + 64;
    uint32_t *edges = room < NONE ? trace_take(room, sizeof(*edges)) : NULL;

    if (!edges)
        return -1;
    if (t->edges)
        memcpy(edges, t->edges, t->edge_count * sizeof(*edges));
    trace_give(t->edges, t->edge_room, sizeof(*edges));
    t->edges = edges;
    t->edge_room = room;
    return 0;
}

void
trace_free(struct trace *t)
{
    trace_give(t->nodes, t->room, sizeof(*t->nodes));
    trace_give(t->first, (size_t)t->room + 1, sizeof(*t->first));
    trace_give(t->state, t->room, 1);
    trace_give(t->queue, t->room, sizeof(*t->queue));
    trace_give(t->order, t->room, sizeof(*t->order));
    trace_give(t->slots, t->room, sizeof(*t->slots));
    trace_give(t->table, (size_t)1 << t->table_bits, sizeof(*t->table));
    trace_give(t->edges, t->edge_room, sizeof(*t->edges));
    memset(t, 0, sizeof(*t));
}

/* The slot that the object's header names; whether it tells the truth the tag
   shows. */
static inline uint32_t
slot_of(const struct walk *w, const void *child)
{
    uint32_t slot = w->by_address ? registry_find(child) : 0;

    if (!slot && !((uintptr_t)child & 7))
        slot = __atomic_load_n(&((const hk_object *)child)->slot,
                               __ATOMIC_RELAXED);
    return slot;
}

static inline void
read_header(struct walk *w)
{
    struct trace *t = w->t;
    const void *child = w->ring[w->read % RING];
    uint32_t node = trace_node_of(t, slot_of(w, child));

    if (node >= t->count)
        node = NONE;
    else
        __builtin_prefetch(&t->nodes[node], 1);
    t->edges[w->read++] = node;
}

static inline void
count_edge(struct walk *w)
{
    struct trace *t = w->t;
    uint32_t *edge = &t->edges[w->counted];

    if (*edge != NONE
        && t->nodes[*edge].tag == trace_tag(w->ring[w->counted % RING])) {
        t->nodes[*edge].refs--;
        t->known_edges++;
    } else
        *edge = NONE;
    w->counted++;
}

static inline void
push(struct walk *w, void *child)
{
    struct trace *t = w->t;

    if (t->edge_count == t->edge_room && more_edges(t)) {
        t->failed = 1;
        return;
    }
    __builtin_prefetch(child);
    w->ring[t->edge_count++ % RING] = child;
    if (t->edge_count - w->read > HEADER_AGE)
        read_header(w);
    if (w->read - w->counted > NODE_AGE - HEADER_AGE)
        count_edge(w);
}

static void
drain(struct walk *w)
{
    while (w->read < w->t->edge_count)
        read_header(w);
    while (w->counted < w->t->edge_count)
        count_edge(w);
}

static int
visit(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct walk *w = arg;

    (void)label;
    (void)index;
    if (child)
        push(w, child);
    return w->t->failed;
}

static inline uint32_t
refs_of(const hk_type *type, const void *object)
{
    uint64_t refs = type_refcount(type, object);

    return refs > REFS_MAX ? REFS_MAX : (uint32_t)refs;
}

static void
note_mistake(struct trace *t, struct trace_mistake mistake)
{
    if (t->mistake_count < TRACE_MISTAKES)
        t->mistakes[t->mistake_count++] = mistake;
}

int
trace_tell(struct trace *t)
{
    for (int i = 0; i < t->mistake_count; i++) {
        const struct trace_mistake *m = &t->mistakes[i];

        if (m->kind == HK_ERROR_FREED)
            mistake(m->kind, m->object, m->type, m->slot,
                    "freed or overwritten while it was tracked");
        else
            mistake(m->kind, m->object, m->type, m->slot,
                    "traverse finds %d references to it more than it has, so "
                    "it is not collected", m->excess);
    }
    return t->mistake_count > 0;
}

/* Its memory went to free(), and perhaps to another one, without its end.  The
   record goes too, so that this is said once. */
static void
drop_freed(struct trace *t, uint32_t node, const struct record *r)
{
    uint32_t slot = trace_slot(t, node);
    hk_type *type = registry_type(slot);
    void *object = registry_object(r);

    t->nodes[node].tag = 0;
    t->state[node] = TRACE_ABSENT;
    t->objects--;
    if (!registry_is_tracked(r))
        return; /* untracked a moment ago */
    note_mistake(t, (struct trace_mistake){HK_ERROR_FREED, 0, 0, object, type});
    weak_clear(object, NULL);
    if (type->spec.header_offset)
        foreign_remove(object);
    registry_remove(slot);
    type_count_destroyed(type);
}

/* The header, which the count needs anyway, must name this very record. */
static inline int
is_whole(const hk_type *type, const char *object, uint32_t slot)
{
    const hk_object *header = type_header(type, object);

    return type_is_foreign(type)
           || (__atomic_load_n(&header->slot, __ATOMIC_ACQUIRE) == slot
               && header->type == type->id);
}

static inline void
walk_object(struct walk *w, uint32_t node, const struct record *r)
{
    const hk_type *type = type_get(r->type);
    char *object = r->object;

    if (__builtin_expect(!is_whole(type, object, trace_slot(w->t, node)), 0)) {
        drop_freed(w->t, node, r);
        return;
    }
    w->t->nodes[node].refs += refs_of(type, object);
    if (type->ref_count < 0) {
        type_traverse(type, object, visit, w);
        return;
    }
    for (int i = 0; i < type->ref_count; i++) {
        void *child = *(void **)(void *)(object + type->refs[i]);

        if (child)
            push(w, child);
    }
}

/* A full set's records lie one after the other. */
static inline const struct record *
record_of(const struct trace *t, uint32_t node, const struct record *before)
{
    if (t->slots || !before || node % REGISTRY_SEGMENT_RECORDS == 0)
        return registry_record(trace_slot(t, node));
    return before + 1;
}

/* The record whose object is fetched ahead: of a full set a later one of the
   same segment. */
static inline void
fetch_ahead(const struct trace *t, uint32_t node, const struct record *r)
{
    if (!t->slots && (node + AHEAD) % REGISTRY_SEGMENT_RECORDS >= AHEAD) {
        if (r[AHEAD].state == RECORD_TRACKED)
            __builtin_prefetch(r[AHEAD].object);
    }
}

static int
walk_all(struct trace *t)
{
    struct walk w = {.t = t, .by_address = type_lookup_needed()};
    const struct record *r = NULL;

    for (uint32_t i = 0; i < t->count && !t->failed; i++) {
        t->first[i] = (uint32_t)t->edge_count;
        r = record_of(t, i, r);
        if (t->state[i] & TRACE_ABSENT)
            continue;
        fetch_ahead(t, i, r);
        walk_object(&w, i, r);
    }
    if (t->failed)
        return -1;
    t->first[t->count] = (uint32_t)t->edge_count;
    drain(&w);
    return 0;
}

/* ---- reachability ------------------------------------------------------- */

static void
note_excess(struct trace *t, uint32_t node)
{
    uint32_t slot = trace_slot(t, node);

    note_mistake(t, (struct trace_mistake){
                        HK_ERROR_TOO_MANY_EDGES, slot,
                        (int)-t->nodes[node].refs,
                        registry_object(registry_at(slot)),
                        registry_type(slot)});
}

/* Marks what is held from outside; returns how many are left. */
static uint32_t
mark_roots(struct trace *t)
{
    uint32_t left = t->objects;

    for (uint32_t i = 0; i < t->count; i++) {
        if (t->state[i] || !t->nodes[i].refs)
            continue;
        if (t->nodes[i].refs > REFS_MAX)
            note_excess(t, i);
        t->state[i] = TRACE_REACHABLE;
        left--;
    }
    return left;
}

/* What node i leads to is reachable; what had its turn already is pulled back,
   to the end.  Mirrors visit_reachable(); returns how many are new. */
static inline uint32_t
reach_from(struct trace *t, uint32_t i)
{
    uint32_t found = 0, to;

    for (uint32_t e = t->first[i]; e < t->first[i + 1]; e++) {
        to = t->edges[e];
        if (to == NONE || t->state[to] & (TRACE_REACHABLE | TRACE_ABSENT))
            continue;
        if (t->state[to] & TRACE_PASSED)
            t->queue[t->pulled++] = to;
        t->state[to] |= TRACE_REACHABLE;
        found++;
    }
    return found;
}

/* The states of what node i leads to, the first of them. */
static inline void
fetch_targets(const struct trace *t, uint32_t i)
{
    for (uint32_t e = t->first[i]; e < t->first[i] + 2 && e < t->edge_count;
         e++)
        if (t->edges[e] != NONE)
            __builtin_prefetch(&t->state[t->edges[e]], 1);
}

static inline void
fetch_queue(const struct trace *t, uint32_t at, uint32_t end)
{
    if (at + 2 * AHEAD < end)
        __builtin_prefetch(&t->first[t->queue[at + 2 * AHEAD]]);
    if (at + AHEAD < end)
        __builtin_prefetch(&t->edges[t->first[t->queue[at + AHEAD]]]);
    if (at + AHEAD / 2 < end)
        fetch_targets(t, t->queue[at + AHEAD / 2]);
}

/* One pass through the list, then through what was pulled back; over as soon
   as nothing is left, since most heaps have little garbage.  Mirrors
   move_unreachable(). */
static void
reach(struct trace *t)
{
    uint32_t left = mark_roots(t);

    for (uint32_t place = 0; place < t->count && left; place++) {
        uint32_t i = trace_at(t, place);

        if (!t->order && i + AHEAD < t->count)
            fetch_targets(t, i + AHEAD);
        if (t->state[i] & TRACE_REACHABLE)
            left -= reach_from(t, i);
        else
            t->state[i] |= TRACE_PASSED;
    }
    for (uint32_t at = 0; at < t->pulled && left; at++) {
        fetch_queue(t, at, t->pulled);
        left -= reach_from(t, t->queue[at]);
    }
    t->unreachable = left;
}

static int
is_lost(const struct trace *t, uint32_t i)
{
    return !(t->state[i] & (TRACE_REACHABLE | TRACE_ABSENT | TRACE_LEGACY));
}

/* Mirrors move_legacy_finalizers() and move_legacy_finalizer_reachable(). */
static void
mark_legacy(struct trace *t)
{
    uint32_t *queue = t->queue + t->pulled;
    uint32_t left = t->unreachable;

    for (uint32_t place = 0; place < t->count && left; place++) {
        uint32_t i = trace_at(t, place);

        if (!is_lost(t, i))
            continue;
        left--;
        if (!type_is_collectable(registry_type(trace_slot(t, i)))) {
            t->state[i] |= TRACE_LEGACY;
            queue[t->legacy++] = i;
        }
    }
    for (uint32_t at = 0; at < t->legacy; at++)
        for (uint32_t e = t->first[queue[at]]; e < t->first[queue[at] + 1];
             e++) {
            uint32_t to = t->edges[e];

            if (to != NONE && is_lost(t, to)) {
                t->state[to] |= TRACE_LEGACY;
                queue[t->legacy++] = to;
            }
        }
}

int
trace_run(struct trace *t, int generation)
{
    memset(t, 0, sizeof(*t));
    if (trace_set(t, generation) || more_edges(t) || walk_all(t))
        return -1;
    reach(t);
    if (t->unreachable)
        mark_legacy(t);
    return 0;
}

/* ---- once more ---------------------------------------------------------- */

struct again {
    struct trace *t;
    const uint32_t *slots;
    uint8_t *reachable;
    uint32_t n, place, pulled;
    int by_address;
};

/* The place of an object in the list, by its first number. */
static uint32_t
find_again(const struct again *a, const void *child)
{
    struct walk w = {.by_address = a->by_address};
    uint32_t slot = slot_of(&w, child);
    const struct record *r = registry_record(slot);
    uint32_t node = r && r->object == child ? trace_node_of(a->t, slot) : NONE;
    uint32_t place = node < a->t->count ? a->t->first[node] : NONE;

    return place < a->n && a->slots[place] == slot ? place : NONE;
}

static int
subtract(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct again *a = arg;
    uint32_t place = child ? find_again(a, child) : NONE;

    (void)label;
    (void)index;
    if (place != NONE)
        a->t->nodes[place].refs--;
    return 0;
}

static int
reach_again(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct again *a = arg;
    uint32_t place = child ? find_again(a, child) : NONE;

    (void)label;
    (void)index;
    if (place == NONE || a->reachable[place])
        return 0;
    a->reachable[place] = place < a->place ? 2 : 1;
    if (place < a->place)
        a->t->queue[a->pulled++] = place;
    return 0;
}

static void
traverse_slot(uint32_t slot, hk_visit_fn fn, struct again *a)
{
    const struct record *r = registry_at(slot);

    type_traverse(type_get(r->type), r->object, fn, a);
}

static void
count_again(struct again *a)
{
    struct trace *t = a->t;
    const struct record *r;

    for (uint32_t i = 0; i < a->n; i++) {
        t->nodes[i].refs = 0;
        if (a->slots[i])
            t->first[trace_node_of(t, a->slots[i])] = i;
    }
    for (uint32_t i = 0; i < a->n; i++)
        if (a->slots[i]) {
            r = registry_at(a->slots[i]);
            t->nodes[i].refs += refs_of(type_get(r->type), r->object);
            traverse_slot(a->slots[i], subtract, a);
        }
    for (uint32_t i = 0; i < a->n; i++)
        a->reachable[i] = a->slots[i] && t->nodes[i].refs;
}

uint32_t
trace_again(struct trace *t, const uint32_t *slots, uint32_t n,
            uint8_t *reachable)
{
    struct again a = {t, slots, reachable, n, 0, 0, type_lookup_needed()};

    count_again(&a);
    for (a.place = 0; a.place < n; a.place++)
        if (reachable[a.place])
            traverse_slot(slots[a.place], reach_again, &a);
    for (uint32_t at = 0; at < a.pulled; at++)
        traverse_slot(slots[t->queue[at]], reach_again, &a);
    return a.pulled;
}
