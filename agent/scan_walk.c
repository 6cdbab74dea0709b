/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_walk.c -- copies the graph of registered objects.
 *
 * What        a pass over the records, which enters the objects into the map;
 *             another one for what is at each place, unless headers tell that;
 *             then one over the objects, in order of address, for their
 *             references.
 * Called by   scan_work.c.
 * Threads     one.  Of a snapshot the registry is whole at every instant; the
 *             records of a running program may change between the passes: what
 *             comes later is left out, what goes is skipped.
 * Memory      the graph's.
 * Fails       -1: no memory.  An object that cannot be read is skipped.
 * Invariants  batch[current] is being visited while the objects of the other
 *             one are on their way into the cache.
 */
#include <string.h>

#include "agent/scan_work.h"
#include "lib/registry.h"

#define AHEAD 8u          /* records whose place in the map is fetched ahead */
#define FAR_AHEAD 48u     /* records fetched ahead */
#define REST_OBJECTS 1024u

/* ---- records ------------------------------------------------------------ */

struct seen {
    uint64_t object;
    uint16_t type;
    const hk_type *of;
};

/* 1: a whole record of an object that is to be looked at. */
static int
see(const struct scan_wish *wish, const struct record *rec, struct seen *s)
{
    struct record k = {.kind = __atomic_load_n(&rec->kind, __ATOMIC_ACQUIRE)};
    uint32_t order = __atomic_load_n(&rec->order, __ATOMIC_RELAXED);

    if (k.state != RECORD_TRACKED ||
        (wish->is_young && rec->birth_ms < wish->since_ms))
        return 0;
    s->object = (uint64_t)(uintptr_t)registry_object(rec);
    s->type = k.type;
    s->of = type_get(k.type);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return s->of && s->object &&
           __atomic_load_n(&rec->kind, __ATOMIC_RELAXED) == k.kind &&
           __atomic_load_n(&rec->order, __ATOMIC_RELAXED) == order;
}

static inline void
fetch(const struct scan_work *w, const struct record *rec)
{
    __builtin_prefetch(
        map_entry(&w->g.map, (uint64_t)(uintptr_t)registry_object(rec)), 1);
}

static uint32_t
watch_flag(const struct scan_wish *wish, uint16_t type)
{
    for (uint32_t i = 0; i < wish->watched_count; i++)
        if (wish->watched[i] == type)
            return NODE_WATCHED;
    return 0;
}

static int
enter(struct scan_work *w, const struct seen *s, uint32_t slot, int is_second)
{
    size_t header = type_is_foreign(s->of) ? 0 : s->of->spec.header_offset;

    if (!is_second) {
        w->g.is_plain &= !type_is_foreign(s->of);
        return graph_add(&w->g, s->object, header);
    }
    graph_set(&w->g, s->object, header, slot, s->type,
              watch_flag(w->wish, s->type));
    return 0;
}

static int
rest(struct scan_work *w)
{
    w->r->progress++;
    return scan_work_rest(w);
}

/* One pass over the records. */
static int
take_objects(struct scan_work *w, int is_second)
{
    uint32_t limit = registry_limit();
    struct seen s;

    for (uint32_t slot = 1; slot < limit; slot++) {
        const struct record *rec = registry_at(slot);

        if (slot % REGISTRY_SEGMENT_RECORDS + AHEAD < REGISTRY_SEGMENT_RECORDS)
            fetch(w, rec + AHEAD);
        __builtin_prefetch(rec + FAR_AHEAD, 0, 0);
        if (see(w->wish, rec, &s) && enter(w, &s, slot, is_second))
            return -1;
        if (slot % REST_OBJECTS == 0 && rest(w))
            return -1;
    }
    return 0;
}

/* ---- references --------------------------------------------------------- */

static int
visit(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct scan_work *w = arg;
    uint64_t n = w->g.edge_count - w->g.first[w->in_hand];

    (void)label;
    (void)index;
    if (!child)
        return 0;
    if (n >= GRAPH_REFERENCES_MAX)
        return -1;
    if (n % REST_OBJECTS == REST_OBJECTS - 1)
        rest(w);
    graph_push(&w->g, child);
    return w->g.failed;
}

/* In a plain graph the header leads to the record. */
static inline int
find_record(struct scan_work *w, const struct scan_item *item)
{
    const hk_object *header = (const hk_object *)(uintptr_t)item->address;
    uint32_t slot = header->slot;
    const struct record *rec =
        slot && slot < w->limit ? registry_at(slot) : NULL;

    if (!rec || (uint64_t)(uintptr_t)registry_object(rec) != item->address ||
        rec->state != RECORD_TRACKED || rec->type != header->type)
        return 0;
    graph_take(&w->g, item->place, slot, rec->type,
               watch_flag(w->wish, rec->type));
    return 1;
}

/* A header that does not name the record back belongs to an object that is
   being made, or to a newer one at the same address. */
static inline int
is_current(const struct scan_work *w, const hk_type *type, const char *bytes)
{
    const hk_object *header;

    if (w->is_plain || type_is_foreign(type))
        return 1;
    header = type_header(type, bytes);
    return header->slot == w->g.slots[w->in_hand] && header->type == type->id;
}

/* Where most types have it. */
static inline uint64_t
refcount(const hk_type *type, const char *bytes)
{
    return type_is_foreign(type)
               ? type_refcount(type, bytes)
               : (uint32_t)__atomic_load_n(&type_header(type, bytes)->word,
                                           __ATOMIC_RELAXED);
}

/* Of an object whose header could not be read: from its record, which has to be
   looked for. */
static void
find_type(struct scan_work *w)
{
    for (uint32_t slot = 1; slot < w->limit; slot++) {
        const struct record *rec = registry_at(slot);

        if ((uint64_t)(uintptr_t)registry_object(rec) == w->address &&
            rec->state == RECORD_TRACKED) {
            w->g.types[w->in_hand] = rec->type;
            break;
        }
    }
    w->g.nodes++;
}

/* Its references cannot be known, so whatever it refers to stays reachable. */
static void
skip(struct scan_work *w)
{
    if (!w->g.slots[w->in_hand])
        find_type(w);
    if (!w->r->fault_type)
        w->r->fault_type = w->g.types[w->in_hand];
    graph_drop(&w->g, w->in_hand);
}

/* A load may fault, and is left by a jump then: the graph has to be in memory
   as it is, not in registers. */
static inline void
push_fields(struct graph *g, const hk_type *type, const char *bytes)
{
    for (int i = 0; i < type->ref_count; i++) {
        void *child;

        __asm__ volatile("" ::: "memory");
        child = *(void *const *)(const void *)(bytes + type->refs[i]);
        if (child)
            graph_push(g, child);
    }
}

static void
read_references(struct scan_work *w, const hk_type *type, const char *bytes)
{
    if (w->reader.is_copy && reader_is_opaque(&w->reader, type))
        w->opaque++;
    else if (type->ref_count >= 0)
        push_fields(&w->g, type, bytes);
    else if (reader_traverse(&w->reader, type, bytes, visit, w) < 0)
        skip(w);
}

static void
read_object(struct scan_work *w, const struct scan_item *item)
{
    const hk_type *type;
    const char *bytes;
    uint64_t refs;

    w->in_hand = item->place;
    w->address = item->address;
    w->r->type = 0;
    w->r->progress++;
    __asm__ volatile("" ::: "memory"); /* what follows may fault */
    if (w->is_plain && !find_record(w, item)) {
        w->g.nodes++;
        graph_drop(&w->g, item->place);
        return;
    }
    type = type_get(w->g.types[item->place]);
    w->r->slot = w->g.slots[item->place];
    w->r->type = type->id;
    bytes = w->reader.is_copy ? reader_bytes(&w->reader, type, item->address)
                              : (const char *)(uintptr_t)item->address;
    refs = bytes && is_current(w, type, bytes) ? refcount(type, bytes) : 0;
    if (refs == 0) {
        graph_drop(&w->g, item->place);
        return;
    }
    graph_count_refs(&w->g, item->place, refs);
    read_references(w, type, bytes);
}

/* ---- batches ------------------------------------------------------------ */

static void
add_item(struct scan_work *w, struct scan_batch *b, uint64_t address,
         uint32_t place)
{
    struct scan_item *item = &b->items[b->count++];

    item->address = address;
    item->place = place;
    if (!w->reader.is_copy)
        __builtin_prefetch((const void *)(uintptr_t)address, 0, 0);
}

/* The objects of the next KiB that has any. */
static void
take_entry(struct scan_work *w, struct scan_batch *b)
{
    uint64_t base, bits;
    const struct map_entry *e = map_next(&w->g.map, &w->cursor, &base);
    uint32_t place;

    if (!e) {
        w->is_ending = w->g.map.count + 1;
        return;
    }
    place = e->rank;
    for (bits = e->bits; bits; bits &= bits - 1, place++)
        if (w->is_plain || graph_is_node(&w->g, place))
            add_item(w, b,
                     base + MAP_GRANULE * (uint64_t)__builtin_ctzll(bits) +
                         (w->g.cells[place] & CELL_LOW), place);
}

/* Where an object is by its record, unless that is another's by now: then it
   cannot be read. */
static uint64_t
extra_address(const struct scan_work *w, uint32_t place)
{
    uint64_t address = scan_work_address(w, place);

    return w->reader.is_copy && graph_find(&w->g, address) != place ? 0
                                                                    : address;
}

/* Objects that share a granule with another one come last. */
static void
take_extras(struct scan_work *w, struct scan_batch *b)
{
    uint32_t place = w->is_ending - 1;

    for (; place < w->g.count && b->count < 64; place++)
        if (graph_is_node(&w->g, place))
            add_item(w, b, extra_address(w, place), place);
    w->is_ending = place + 1;
}

static void
take_batch(struct scan_work *w, struct scan_batch *b)
{
    b->count = 0;
    while (!b->count && !w->is_ending)
        take_entry(w, b);
    if (!b->count)
        take_extras(w, b);
}

/* The records that the headers of a batch name.  Where one cannot be read,
   read_object() will see that, too. */
static inline void
fetch_records(struct scan_work *w, const struct scan_batch *b)
{
    w->is_fetching = 1;
    w->r->type = 0;
    while (w->fetched < b->count) {
        const struct scan_item *item = &b->items[w->fetched++];
        const hk_object *header = (const hk_object *)(uintptr_t)item->address;

        __asm__ volatile("" ::: "memory");
        if (header->slot < w->limit)
            __builtin_prefetch(registry_at(header->slot));
    }
    w->is_fetching = 0;
}

/* Copies all of a batch at once, if its objects lie together. */
static void
fetch_batch(struct scan_work *w, const struct scan_batch *b)
{
    uint64_t end = 0;

    for (uint32_t i = 0; i < b->count; i++) {
        const hk_type *type = type_get(w->g.types[b->items[i].place]);
        uint64_t e = b->items[i].address + reader_span(&w->reader, type);

        end = e > end ? e : end;
    }
    if (b->count)
        reader_fetch(&w->reader, b->items[0].address, end);
}

/* From where the walk stands to the end; a fault leaves it in the middle of
   the object in hand. */
static void
walk_from(void *arg)
{
    struct scan_work *w = arg;

    while (w->batch[w->current].count && !w->g.failed) {
        struct scan_batch *b = &w->batch[w->current];

        if (w->is_plain)
            fetch_records(w, b);
        while (w->at < b->count) {
            const struct scan_item *item = &b->items[w->at++];

            while (w->opened <= item->place)
                graph_open(&w->g, w->opened++);
            read_object(w, item);
        }
        w->current ^= 1;
        w->at = w->fetched = 0;
        if (w->reader.is_copy)
            fetch_batch(w, &w->batch[w->current]);
        take_batch(w, b);
        scan_work_rest(w);
    }
}

static int
take_references(struct scan_work *w)
{
    w->current = 0;
    w->at = w->fetched = w->opened = w->is_ending = 0;
    w->is_fetching = 0;
    w->cursor.entry = 0;
    take_batch(w, &w->batch[0]);
    take_batch(w, &w->batch[1]);
    if (w->reader.is_copy)
        fetch_batch(w, &w->batch[0]);
    while (!w->guard(walk_from, w))
        if (!w->is_fetching)
            skip(w);
    while (w->opened < w->g.count)
        graph_open(&w->g, w->opened++);
    return graph_close(&w->g);
}

int
scan_walk(struct scan_work *w)
{
    if (graph_start(&w->g) || take_objects(w, 0) || graph_number(&w->g))
        return -1;
    w->g.is_plain &= !w->reader.is_copy;
    w->is_plain = w->g.is_plain;
    w->limit = registry_limit();
    if (!w->is_plain && take_objects(w, 1))
        return -1;
    graph_sort(&w->g);
    w->r->phase = SCAN_PHASE_TRAVERSE;
    return take_references(w);
}
