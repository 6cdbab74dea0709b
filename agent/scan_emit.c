/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_emit.c -- the cycles of a scan, written down for the parent.
 *
 * What        visits everything that is lost a second time, now for labels and
 *             places in arrays; computes identity and shape of each cycle, what
 *             would go with it; writes a result_cycle, with members and edges
 *             for the first of each shape.
 * Called by   scan_work.c.
 * Threads     one.
 * Memory      graph_map(), given back; label texts go into the results region.
 * Fails       -1: no memory.  A label or size that cannot be read is left
 *             out; a full region ends the list.
 * Invariants  in a snapshot a second visit gives the edges of the first; where
 *             it does not (on live data), the surplus is ignored, and the
 *             identity is one that no other scan will find.
 *
 * Who refers to a cycle is part of its identity, if that is lost too: else an
 * object on the move that two scans take for lost, each for another reason,
 * would prove what hangs off it.
 */
#include "agent/scan_emit.h"

#include <string.h>

#include "agent/scan_frames.h"
#include "agent/scan_shape.h"
#include "agent/scan_sites.h"
#include "agent/scan_tables.h"
#include "lib/registry.h"

#define RETRIES 8
#define ARRAYS 6 /* by member */

struct extra { /* beside each shape_edge */
    uint32_t label_at;
    int32_t index;
};

struct emit {
    struct scan_work *w;
    const struct graph *g;
    const struct components *c;
    struct frames frames;
    uint32_t *local;  /* of a lost object: its number in its component */
    uint64_t *whole;  /* objects and bytes of a component and below it */
    uint64_t *above;  /* of a component: what its lost referrers are */
    uint8_t *is_nested; /* of a component: a cycle dominates it */
    uint32_t *age;    /* of a component and what leads to it: UINT32_MAX - the
                         oldest birth */
    uint8_t *hidden;  /* of a component: would a copy not find it? */
    uint64_t *names;  /* hash of each type's name, 0: not yet known */
    uint64_t *shapes; /* those that have an example */
    uint32_t shape_count;
    struct hkr_site *created, *released;

    /* The component in hand. */
    uint32_t component, n;
    uint64_t room[ARRAYS], edge_room, extra_room;
    uint64_t *colours, *next, *bytes;
    uint32_t *first, *order, *place;
    struct shape_edge *edges;
    struct extra *extras;
    uint64_t edge_count;
    int is_ignored; /* a member is: hk_ignore() */

    /* The member in hand. */
    uint32_t member;
    uint32_t seen; /* references visited */
    uint64_t word, hash;
    uint64_t size;
    int no_memory;
};

/* ---- one member --------------------------------------------------------- */

static uint32_t
node_of(const struct emit *e, uint32_t member)
{
    const struct components *c = e->c;

    return c->node[c->members[c->first[e->component] + member]];
}

static void
add_edge(struct emit *e, uint32_t to, const char *label, ptrdiff_t index)
{
    struct frames_label l = frames_label(&e->frames, label);

    if (graph_grow((void **)&e->edges, &e->edge_room, sizeof *e->edges,
                   e->edge_count + 1) ||
        graph_grow((void **)&e->extras, &e->extra_room, sizeof *e->extras,
                   e->edge_count + 1)) {
        e->no_memory = 1;
        return;
    }
    e->edges[e->edge_count].from = e->member;
    e->edges[e->edge_count].to = to;
    e->edges[e->edge_count].label = l.hash;
    e->extras[e->edge_count].label_at = l.at;
    e->extras[e->edge_count].index =
        index < 0 || index > INT32_MAX ? -1 : (int32_t)index;
    e->edge_count++;
}

static int
visit(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct emit *e = arg;
    uint32_t node = node_of(e, e->member);
    uint32_t edge = e->g->first[node] + e->seen;
    uint32_t to, lost;

    if (!child)
        return 0;
    e->seen++;
    e->hash = shape_mix(e->hash, (uint64_t)(uintptr_t)child);
    e->hash = shape_mix(e->hash, (uint64_t)index);
    if (edge >= graph_edges_end(e->g, node))
        return 0;
    to = e->g->edges[edge];
    lost = to == GRAPH_NONE ? 0 : e->g->lost[to];
    if (lost && e->c->component[lost - 1] == e->component)
        add_edge(e, e->local[lost - 1], label, index);
    return e->no_memory;
}

static void
read_references(void *arg)
{
    struct emit *e = arg;
    uint32_t node = node_of(e, e->member);
    const hk_type *type = type_get(e->g->types[node]);
    uint64_t address = scan_work_address(e->w, node);
    const char *bytes;

    e->w->r->slot = e->g->slots[node];
    e->w->r->type = type->id;
    bytes = address ? reader_bytes(&e->w->reader, type, address) : NULL;
    if (!bytes)
        return;
    e->word = type_word(type, bytes);
    if (!type_is_foreign(type) &&
        type_header(type, bytes)->bits & HK_BIT_IGNORED)
        e->is_ignored = 1;
    reader_traverse(&e->w->reader, type, bytes, visit, e);
}

static void
read_name(void *arg)
{
    struct emit *e = arg;
    uint32_t type = e->g->types[node_of(e, e->member)];
    const char *name = type_get(type)->spec.name;
    char text[SCAN_LABEL_BYTES] = "";

    if (e->w->reader.is_copy) {
        tables_text(text, sizeof text, name);
        name = text;
    }
    e->names[type] = shape_text(name, SCAN_LABEL_BYTES);
}

/* Of the node in e->seen. */
static void
read_size(void *arg)
{
    struct emit *e = arg;
    uint32_t node = e->seen;
    uint64_t address = scan_work_address(e->w, node);

    e->w->r->type = e->g->types[node];
    e->size = type_object_bytes(type_get(e->g->types[node]),
                                (void *)(uintptr_t)address);
}

/* What extra_size would add is code of the program: only in a snapshot. */
static uint64_t
size_of(struct emit *e, uint32_t node)
{
    const hk_type *type = type_get(e->g->types[node]);

    e->seen = node;
    if (!type->spec.extra_size || e->w->reader.is_copy)
        return type->spec.size;
    return e->w->guard(read_size, e) ? e->size : type->spec.size;
}

/* References first; a label that faults is set aside and the member read
   again. */
static void
read_member(struct emit *e, uint32_t member)
{
    uint64_t mark = e->edge_count;

    e->member = member;
    e->first[member] = (uint32_t)mark;
    for (int i = 0; i < RETRIES; i++) {
        e->edge_count = mark;
        e->seen = 0;
        e->hash = e->word = 0;
        if (e->w->guard(read_references, e) || !e->frames.reading)
            break;
        frames_set_aside(&e->frames);
    }
    e->w->r->progress++;
    e->no_memory |= scan_work_rest(e->w);
}

static void
read_details(struct emit *e, uint32_t member)
{
    uint32_t node = node_of(e, member), type = e->g->types[node];

    if (!e->names[type] && !e->w->guard(read_name, e))
        e->names[type] = shape_hash(2);
    e->colours[member] = e->names[type];
    e->bytes[member] = size_of(e, node);
}

/* ---- sites -------------------------------------------------------------- */

/* Uses next as scratch. */
static uint32_t
sites(struct emit *e, int released, struct hkr_site *out)
{
    for (uint32_t k = 0; k < e->n; k++) {
        uint32_t node = node_of(e, k);
        const struct record *rec = registry_record(e->g->slots[node]);
        uint32_t stack = released ? rec->release_stack : rec->created_stack;

        e->next[k] = sites_key(stack, e->g->types[node]);
    }
    return sites_count(e->next, e->n, out, SCAN_SITES_MAX);
}

/* ---- one cycle ---------------------------------------------------------- */

static int
make_room(struct emit *e, uint32_t n)
{
    void **const array[ARRAYS] = {(void **)&e->colours, (void **)&e->next,
                                  (void **)&e->bytes,   (void **)&e->first,
                                  (void **)&e->order,   (void **)&e->place};

    for (int i = 0; i < ARRAYS; i++)
        if (graph_grow(array[i], &e->room[i], i < 3 ? 8 : 4, (uint64_t)n + 1))
            return -1;
    return 0;
}

static void
note_age(uint32_t *oldest, uint32_t age)
{
    if (age > *oldest)
        *oldest = age;
}

/* Who is in it, what they refer to, and who of the lost refers to them. */
static uint64_t
identify(struct emit *e)
{
    uint64_t identity = shape_mix(0, e->above[e->component]);

    for (uint32_t k = 0; k < e->n && !e->no_memory; k++) {
        uint32_t slot = e->g->slots[node_of(e, k)];

        note_age(&e->age[e->component],
                 UINT32_MAX - registry_record(slot)->birth_ms);
        read_member(e, k);
        identity = shape_mix(identity, (uint64_t)slot << 32 |
                                           registry_record(slot)->serial);
        identity = shape_mix(identity, e->word);
        identity = shape_mix(identity, e->hash);
    }
    e->first[e->n] = (uint32_t)e->edge_count;
    return identity;
}

static void
pass_down(struct emit *e, uint64_t identity)
{
    uint8_t *hidden = e->hidden;

    for (uint32_t k = 0; k < e->n; k++)
        if (type_get(e->g->types[node_of(e, k)])->spec.traverse)
            hidden[e->component] = 1;
    for (uint32_t k = 0; k < e->n; k++) {
        uint32_t node = node_of(e, k);

        for (uint32_t d = e->g->first[node]; d < graph_edges_end(e->g, node);
             d++) {
            uint32_t to = e->g->edges[d];
            uint32_t lost = to == GRAPH_NONE ? 0 : e->g->lost[to];

            uint32_t below = lost ? e->c->component[lost - 1] : e->component;

            if (below == e->component)
                continue;
            e->above[below] += shape_hash(identity);
            hidden[below] |= hidden[e->component];
            note_age(&e->age[below], e->age[e->component]);
        }
    }
}

static void
describe(struct emit *e, struct result_cycle *head)
{
    const uint64_t *whole = &e->whole[2 * (size_t)e->component];

    head->oldest_ms = UINT32_MAX;
    head->from_ms = UINT32_MAX - e->age[e->component];
    for (uint32_t k = 0; k < e->n; k++) {
        uint32_t slot = e->g->slots[node_of(e, k)];
        const struct record *rec = registry_record(slot);

        e->member = k;
        read_details(e, k);
        head->bytes += e->bytes[k];
        if (k == 0) {
            head->slot = slot;
            head->serial = rec->serial;
        }
        if (rec->birth_ms > head->youngest_ms)
            head->youngest_ms = rec->birth_ms;
        if (rec->birth_ms < head->oldest_ms)
            head->oldest_ms = rec->birth_ms;
    }
    head->objects = e->n;
    head->held_objects = whole[0] - e->n;
    head->held_bytes = whole[1] > head->bytes ? whole[1] - head->bytes : 0;
    head->nested_bytes = e->is_nested[e->component] ? whole[1] : 0;
    head->is_hidden = e->hidden[e->component];
    head->shape =
        shape_refine(e->colours, e->next, e->n, e->edges, e->edge_count);
}

/* All references of what is lost are known. */
static uint32_t
references(const struct emit *e, uint32_t node)
{
    const hk_type *type = type_get(e->g->types[node]);
    struct scan_work *w = e->w;
    const char *bytes = reader_bytes(&w->reader, type,
                                     scan_work_address(w, node));
    uint64_t refs = bytes ? type_refcount(type, bytes) : 0;

    return refs > UINT32_MAX ? UINT32_MAX : (uint32_t)refs;
}

static int
is_older(const struct emit *e, const struct hkr_member *m, uint32_t a,
         uint32_t b)
{
    const struct record *x, *y;

    if (m[a].born_ms != m[b].born_ms)
        return m[a].born_ms < m[b].born_ms;
    x = registry_record(e->g->slots[node_of(e, e->order[a])]);
    y = registry_record(e->g->slots[node_of(e, e->order[b])]);
    return (int32_t)(x->order - y->order) < 0;
}

/* Births of one ms become successive ones, so that their order shows. */
static void
spread_births(const struct emit *e, struct hkr_member *m, uint32_t count)
{
    uint8_t by_age[SCAN_MEMBERS_SHOWN];

    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i;

        for (; at > 0 && is_older(e, m, i, by_age[at - 1]); at--)
            by_age[at] = by_age[at - 1];
        by_age[at] = (uint8_t)i;
    }
    for (uint32_t i = 1; i < count; i++)
        if (m[by_age[i]].born_ms <= m[by_age[i - 1]].born_ms)
            m[by_age[i]].born_ms = m[by_age[i - 1]].born_ms + 1;
}

static void
put_members(struct emit *e, struct hkr_member *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = e->order[i], node = node_of(e, k);

        memset(&out[i], 0, sizeof out[i]);
        out[i].refcount = out[i].known = references(e, node);
        out[i].bytes = e->bytes[k];
        out[i].address = scan_work_address(e->w, node);
        out[i].type = e->g->types[node];
        out[i].born_ms = registry_record(e->g->slots[node])->birth_ms;
    }
    spread_births(e, out, count);
}

/* Edges among the members shown, in their order; out NULL: only counts. */
static uint32_t
put_edges(const struct emit *e, uint32_t members, struct hkr_edge *out)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < members; i++) {
        uint32_t k = e->order[i];

        for (uint32_t d = e->first[k]; d < e->first[k + 1]; d++) {
            if (e->place[e->edges[d].to] == UINT32_MAX)
                continue;
            if (count == SCAN_EDGES_SHOWN)
                return count;
            if (out) {
                out[count].from = i;
                out[count].to = e->place[e->edges[d].to];
                out[count].label = e->extras[d].label_at;
                out[count].index = e->extras[d].index;
            }
            count++;
        }
    }
    return count;
}

static void
put_cycle(struct emit *e, struct result_cycle *head)
{
    uint64_t bytes;
    struct result_cycle *out;
    char *p;

    if (shape_enter(e->shapes, &e->shape_count, head->shape)) {
        head->member_count =
            shape_order(e->colours, e->n, e->edges, e->first, e->order,
                        SCAN_MEMBERS_SHOWN, e->place);
        head->edge_count = put_edges(e, head->member_count, NULL);
    }
    head->created_count = sites(e, 0, e->created);
    head->released_count = sites(e, 1, e->released);
    bytes = result_cycle_bytes(head->member_count, head->edge_count,
                               (uint64_t)head->created_count +
                                   head->released_count);
    out = frames_reserve(&e->frames, bytes);
    if (!out)
        return;
    *out = *head;
    p = (char *)(out + 1);
    put_members(e, (struct hkr_member *)(void *)p, head->member_count);
    p += head->member_count * sizeof(struct hkr_member);
    put_edges(e, head->member_count, (struct hkr_edge *)(void *)p);
    p += head->edge_count * sizeof(struct hkr_edge);
    memcpy(p, e->created, head->created_count * sizeof *e->created);
    p += head->created_count * sizeof(struct hkr_site);
    memcpy(p, e->released, head->released_count * sizeof *e->released);
    frames_commit(&e->frames, &out->head, bytes, RESULT_CYCLE);
}

static void
emit_one(struct emit *e, uint32_t component)
{
    struct result_cycle head;
    uint32_t above;

    memset(&head, 0, sizeof head);
    e->component = component;
    e->n = e->c->first[component + 1] - e->c->first[component];
    e->edge_count = 0;
    e->is_ignored = 0;
    if (make_room(e, e->n)) {
        e->no_memory = 1;
        return;
    }
    above = e->c->dominator[component];
    e->is_nested[component] =
        above != GRAPH_NONE && (components_is_cyclic(e->c, above) ||
                                e->is_nested[above]);
    head.identity = identify(e);
    pass_down(e, head.identity);
    if (e->no_memory || !components_is_cyclic(e->c, component))
        return;
    if (e->is_ignored) {
        e->w->r->ignored++;
        return;
    }
    e->w->r->cycles++;
    describe(e, &head);
    put_cycle(e, &head);
}

/* ---- all ---------------------------------------------------------------- */

static int
prepare(struct emit *e)
{
    const struct components *c = e->c;

    if (frames_start(&e->frames, e->w->r))
        return -1;
    e->local = graph_map(c->lost_count, 4);
    e->whole = graph_map(c->count, 16);
    e->above = graph_map(c->count, 8);
    e->is_nested = graph_map(c->count, 1);
    e->age = graph_map(c->count, 4);
    e->hidden = graph_map(c->count, 1);
    e->names = graph_map(65536, 8);
    e->shapes = graph_map(SHAPE_PLACES, 8);
    e->created = graph_map(SCAN_SITES_MAX, sizeof *e->created);
    e->released = graph_map(SCAN_SITES_MAX, sizeof *e->released);
    return e->local && e->whole && e->above && e->is_nested && e->age &&
                   e->hidden && e->names && e->shapes && e->created &&
                   e->released
               ? 0
               : -1;
}

static void
clean_up(struct emit *e)
{
    const struct components *c = e->c;

    frames_end(&e->frames);
    graph_unmap(e->local, c->lost_count, 4);
    graph_unmap(e->whole, c->count, 16);
    graph_unmap(e->above, c->count, 8);
    graph_unmap(e->is_nested, c->count, 1);
    graph_unmap(e->age, c->count, 4);
    graph_unmap(e->hidden, c->count, 1);
    graph_unmap(e->names, 65536, 8);
    graph_unmap(e->shapes, SHAPE_PLACES, 8);
    graph_unmap(e->created, SCAN_SITES_MAX, sizeof *e->created);
    graph_unmap(e->released, SCAN_SITES_MAX, sizeof *e->released);
    graph_unmap(e->colours, e->room[0], 8);
    graph_unmap(e->next, e->room[1], 8);
    graph_unmap(e->bytes, e->room[2], 8);
    graph_unmap(e->first, e->room[3], 4);
    graph_unmap(e->order, e->room[4], 4);
    graph_unmap(e->place, e->room[5], 4);
    graph_unmap(e->edges, e->edge_room, sizeof *e->edges);
    graph_unmap(e->extras, e->extra_room, sizeof *e->extras);
    memset(e, 0, sizeof *e);
}

/* Numbers the members of each component, and adds up what goes with it: a
   dominator has a larger number than what it dominates. */
static void
survey(struct emit *e)
{
    const struct components *c = e->c;

    for (uint32_t i = 0; i < c->count; i++) {
        uint64_t *own = &e->whole[2 * (size_t)i];
        uint32_t above = c->dominator[i];

        for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++) {
            e->local[c->members[k]] = k - c->first[i];
            own[0]++;
            own[1] += size_of(e, c->node[c->members[k]]);
            e->w->r->progress++;
        }
        if (above != GRAPH_NONE) {
            e->whole[2 * (size_t)above] += own[0];
            e->whole[2 * (size_t)above + 1] += own[1];
        }
    }
}

/* Downwards: whoever refers to a component comes before it. */
int
scan_emit_cycles(struct scan_work *w)
{
    static struct emit e;
    int failed;

    memset(&e, 0, sizeof e);
    e.w = w;
    e.g = &w->g;
    e.c = &w->parts;
    failed = prepare(&e);
    if (!failed)
        survey(&e);
    for (uint32_t i = w->parts.count; i-- > 0 && !failed;) {
        emit_one(&e, i);
        failed = e.no_memory;
    }
    clean_up(&e);
    return failed ? -1 : 0;
}
