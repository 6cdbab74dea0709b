/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_emit.c -- the cycles of a scan, written down for the parent.
 *
 * What        visits the members of each cyclic component a second time, now
 *             for labels and places in arrays; computes identity and shape;
 *             writes a result_cycle, with members and edges for the first of
 *             each shape.
 * Called by   scan_child.c in the snapshot child.
 * Threads     one.
 * Memory      graph_map(); label texts go into the results region.
 * Fails       -1: no memory.  A label or size that cannot be read is left
 *             out; a full region ends the list.
 * Invariants  nothing changes in the child's copy of the program, so a second
 *             visit gives the edges of the first; where it does not, the
 *             surplus is ignored.
 */
#include "agent/scan_emit.h"

#include <string.h>

#include "agent/os.h"
#include "agent/scan_child.h"
#include "agent/scan_shape.h"
#include "agent/scan_sites.h"
#include "lib/registry.h"
#include "lib/type.h"

#define LABEL_BITS 17
#define LABELS_MAX 65536u
#define SHAPE_BITS 16
#define RETRIES 8

struct label {
    const char *pointer;
    uint64_t hash;
    uint32_t at; /* offset of its result_label, 0: none */
};

struct extra { /* beside each shape_edge */
    uint32_t label_at;
    int32_t index;
};

struct emit {
    struct results *r;
    const struct graph *g;
    const struct components *c;
    uint32_t *local;    /* of a lost object: its number in its component */
    uint64_t *held;     /* objects and bytes hanging off each component */
    uint64_t *names;    /* hash of each type's name, 0: not yet known */
    struct label *labels;
    uint32_t label_count;
    uint64_t *shapes; /* those that have an example */
    uint32_t shape_count;
    struct hkr_site *created, *released;

    /* The component in hand. */
    uint32_t component, n;
    uint64_t room, edge_room, extra_room;
    uint64_t *colours, *next, *bytes;
    uint32_t *first, *order, *place;
    struct shape_edge *edges;
    struct extra *extras;
    uint64_t edge_count;

    /* The member in hand. */
    uint32_t member;
    uint32_t seen; /* references visited */
    uint64_t word, hash;
    const char *reading; /* the label whose text is being read */
    uint64_t size;
    int no_memory;
};

/* ---- the region --------------------------------------------------------- */

static void *
reserve(struct emit *e, uint64_t bytes)
{
    if (bytes > UINT32_MAX || e->r->used + bytes > e->r->room) {
        e->r->status = HKR_SCAN_TRUNCATED;
        return NULL;
    }
    return (char *)e->r + e->r->used;
}

static uint32_t
commit(struct emit *e, struct result_head *head, uint64_t bytes, uint32_t kind)
{
    uint64_t at = e->r->used;

    head->bytes = (uint32_t)bytes;
    head->kind = kind;
    __atomic_store_n(&e->r->used, at + bytes, __ATOMIC_RELEASE);
    return (uint32_t)at;
}

/* ---- labels ------------------------------------------------------------- */

static struct label *
label_entry(struct emit *e, const char *pointer)
{
    uint64_t at = shape_hash((uint64_t)(uintptr_t)pointer) >>
                  (64 - LABEL_BITS);

    while (e->labels[at].pointer && e->labels[at].pointer != pointer)
        at = (at + 1) & ((1u << LABEL_BITS) - 1);
    return &e->labels[at];
}

static uint32_t
store_text(struct emit *e, const char *text)
{
    size_t length = strnlen(text, SCAN_LABEL_BYTES - 1);
    uint64_t bytes = (sizeof(struct result_label) + length + 8) & ~UINT64_C(7);
    struct result_label *l = reserve(e, bytes);

    if (!l || length == 0)
        return 0;
    memcpy(l->text, text, length);
    l->text[length] = '\0';
    return commit(e, &l->head, bytes, RESULT_LABEL);
}

/* May fault while it reads the text: e->reading tells which it was. */
static struct label
find_label(struct emit *e, const char *pointer)
{
    struct label none = {NULL, shape_hash(0), 0}, *l;

    if (!pointer)
        return none;
    l = label_entry(e, pointer);
    if (l->pointer)
        return *l;
    e->reading = pointer;
    none.hash = shape_text(pointer, SCAN_LABEL_BYTES - 1);
    if (e->label_count < LABELS_MAX) {
        none.at = store_text(e, pointer);
        none.pointer = pointer;
        e->label_count++;
        *l = none;
    }
    e->reading = NULL;
    return none;
}

static void
mark_unreadable(struct emit *e)
{
    struct label *l = label_entry(e, e->reading);

    if (!l->pointer && e->label_count < LABELS_MAX) {
        l->pointer = e->reading;
        l->hash = shape_hash(1);
        e->label_count++;
    }
    e->reading = NULL;
}

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
    struct label l = find_label(e, label);

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
    uint32_t edge = e->g->nodes[node].first + e->seen;
    uint32_t to, lost;

    if (!child || edge >= graph_edges_end(e->g, node))
        return 0;
    e->seen++;
    e->hash = shape_mix(e->hash, (uint64_t)(uintptr_t)child);
    e->hash = shape_mix(e->hash, (uint64_t)index);
    to = e->g->edges[edge];
    lost = to == GRAPH_NONE ? 0 : e->g->nodes[to].lost;
    if (lost && e->c->component[lost - 1] == e->component)
        add_edge(e, e->local[lost - 1], label, index);
    return e->no_memory;
}

static void
read_references(void *arg)
{
    struct emit *e = arg;
    const struct graph_node *n = &e->g->nodes[node_of(e, e->member)];
    void *object = (void *)(uintptr_t)n->object;
    const hk_type *type = type_get(n->type);

    e->r->slot = n->slot;
    e->r->type = n->type;
    e->word = type_word(type, object);
    type_traverse(type, object, visit, e);
}

static void
read_name(void *arg)
{
    struct emit *e = arg;
    uint32_t type = e->g->nodes[node_of(e, e->member)].type;

    e->names[type] = shape_text(type_get(type)->spec.name, SCAN_LABEL_BYTES);
}

/* size: that of the node in e->seen. */
static void
read_size(void *arg)
{
    struct emit *e = arg;
    const struct graph_node *n = &e->g->nodes[e->seen];

    e->size = type_object_bytes(type_get(n->type),
                                (void *)(uintptr_t)n->object);
}

static uint64_t
size_of(struct emit *e, uint32_t node)
{
    const hk_type *type = type_get(e->g->nodes[node].type);

    e->seen = node;
    if (!type->spec.extra_size)
        return type->spec.size;
    return scan_child_guarded(read_size, e) ? e->size : type->spec.size;
}

/* References first; a label that faults is set aside and the member read
   again. */
static void
read_member(struct emit *e, uint32_t member)
{
    uint32_t node = node_of(e, member), type = e->g->nodes[node].type;
    uint64_t mark = e->edge_count;

    e->member = member;
    e->first[member] = (uint32_t)mark;
    for (int i = 0; i < RETRIES; i++) {
        e->edge_count = mark;
        e->seen = 0;
        e->hash = 0;
        if (scan_child_guarded(read_references, e) || !e->reading)
            break;
        mark_unreadable(e);
    }
    if (!e->names[type] && !scan_child_guarded(read_name, e))
        e->names[type] = shape_hash(2);
    e->colours[member] = e->names[type];
    e->bytes[member] = size_of(e, node);
    e->r->progress++;
}

/* ---- sites -------------------------------------------------------------- */

/* Uses next as scratch. */
static uint32_t
sites(struct emit *e, int released, struct hkr_site *out)
{
    for (uint32_t k = 0; k < e->n; k++) {
        const struct graph_node *n = &e->g->nodes[node_of(e, k)];
        const struct record *rec = registry_record(n->slot);
        uint32_t stack = released ? rec->release_stack : rec->created_stack;

        e->next[k] = sites_key(stack, n->type);
    }
    return sites_count(e->next, e->n, out, SCAN_SITES_MAX);
}

/* ---- one cycle ---------------------------------------------------------- */

static int
make_room(struct emit *e, uint32_t n)
{
    uint64_t more = e->room, room[6];
    void **const array[6] = {(void **)&e->colours, (void **)&e->next,
                             (void **)&e->bytes,   (void **)&e->first,
                             (void **)&e->order,   (void **)&e->place};

    for (int i = 0; i < 6; i++) {
        room[i] = e->room;
        if (graph_grow(array[i], &room[i], i < 3 ? 8 : 4, (uint64_t)n + 1))
            return -1;
        more = room[i];
    }
    e->room = more;
    return 0;
}

/* Does the shape have an example already?  Remembers it. */
static int
is_known_shape(struct emit *e, uint64_t shape)
{
    uint32_t mask = (1u << SHAPE_BITS) - 1;
    uint32_t at = (uint32_t)(shape >> (64 - SHAPE_BITS));

    shape |= !shape;
    for (; e->shapes[at]; at = (at + 1) & mask)
        if (e->shapes[at] == shape)
            return 1;
    if (e->shape_count < mask / 2) {
        e->shapes[at] = shape;
        e->shape_count++;
    }
    return 0;
}

static void
describe(struct emit *e, struct result_cycle *head)
{
    uint64_t identity = 0;

    for (uint32_t k = 0; k < e->n; k++) {
        const struct graph_node *n = &e->g->nodes[node_of(e, k)];
        const struct record *rec = registry_record(n->slot);

        read_member(e, k);
        identity = shape_mix(identity, (uint64_t)n->slot << 32 | rec->serial);
        identity = shape_mix(identity, e->word);
        identity = shape_mix(identity, e->hash);
        head->bytes += e->bytes[k];
        if (k == 0) {
            head->slot = n->slot;
            head->serial = rec->serial;
        }
        if (rec->birth_ms > head->youngest_ms)
            head->youngest_ms = rec->birth_ms;
    }
    e->first[e->n] = (uint32_t)e->edge_count;
    head->identity = identity;
    head->objects = e->n;
    head->held_objects = e->held[2 * (size_t)e->component];
    head->held_bytes = e->held[2 * (size_t)e->component + 1];
    head->shape =
        shape_refine(e->colours, e->next, e->n, e->edges, e->edge_count);
}

static void
put_members(struct emit *e, struct hkr_member *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = e->order[i];
        const struct graph_node *n = &e->g->nodes[node_of(e, k)];

        memset(&out[i], 0, sizeof out[i]);
        out[i].refcount = n->refs;
        out[i].known = n->known;
        out[i].bytes = e->bytes[k];
        out[i].address = n->object;
        out[i].type = n->type;
    }
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

    if (!is_known_shape(e, head->shape)) {
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
    out = reserve(e, bytes);
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
    commit(e, &out->head, bytes, RESULT_CYCLE);
}

static void
emit_one(struct emit *e, uint32_t component)
{
    struct result_cycle head;

    memset(&head, 0, sizeof head);
    e->component = component;
    e->n = e->c->first[component + 1] - e->c->first[component];
    e->edge_count = 0;
    if (make_room(e, e->n)) {
        e->no_memory = 1;
        return;
    }
    describe(e, &head);
    if (!e->no_memory)
        put_cycle(e, &head);
}

/* ---- all ---------------------------------------------------------------- */

static int
prepare(struct emit *e)
{
    const struct components *c = e->c;

    e->local = graph_map(c->lost_count, 4);
    e->held = graph_map(c->count, 16);
    e->names = graph_map(65536, 8);
    e->labels = graph_map((size_t)1 << LABEL_BITS, sizeof *e->labels);
    e->shapes = graph_map((size_t)1 << SHAPE_BITS, 8);
    e->created = graph_map(SCAN_SITES_MAX, sizeof *e->created);
    e->released = graph_map(SCAN_SITES_MAX, sizeof *e->released);
    return e->local && e->held && e->names && e->labels && e->shapes &&
                   e->created && e->released
               ? 0
               : -1;
}

/* Numbers the members of each cycle, and adds up what hangs off it. */
static void
survey(struct emit *e)
{
    const struct components *c = e->c;

    for (uint32_t i = 0; i < c->count; i++)
        for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++) {
            uint32_t lost = c->members[k], owner = c->owner[i];

            e->local[lost] = k - c->first[i];
            if (owner == i || owner == GRAPH_NONE)
                continue;
            e->held[2 * (size_t)owner]++;
            e->held[2 * (size_t)owner + 1] += size_of(e, c->node[lost]);
            e->r->progress++;
        }
}

int
scan_emit_cycles(struct results *results, const struct graph *g,
                 const struct components *c)
{
    static struct emit e; /* of this process, which does it once */

    e.r = results;
    e.g = g;
    e.c = c;
    if (prepare(&e))
        return -1;
    survey(&e);
    for (uint32_t i = 0; i < c->count && !e.no_memory; i++)
        if (components_is_cyclic(c, i)) {
            results->cycles++;
            emit_one(&e, i);
        }
    return e.no_memory ? -1 : 0;
}
