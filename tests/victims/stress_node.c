/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * stress_node.c -- objects of six layouts behind one interface.
 *
 * What the companion can do by itself (INLINE, LATE) is left to it.
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stress.h"

enum { KINDS_MAX = 512, REACHED_MAX = 4096 };

static const hk_field pair_fields[] = {
    {"left", HK_REF, offsetof(struct pair, left), 0},
    {"right", HK_REF, offsetof(struct pair, right), 0},
    {NULL, HK_END, 0, 0},
};
static const hk_slist_spec cells = {offsetof(struct cell, next),
                                    offsetof(struct cell, node)};

static const hk_field inline_fields[] = {
    {"link", HK_REF_INLINE, offsetof(struct node, ref), REFS},
    {"weak", HK_WEAKREF, offsetof(struct node, weak), 0},
    {NULL, HK_END, 0, 0},
};
static const hk_field late_fields[] = {
    {"north", HK_REF, offsetof(struct node, ref[0]), 0},
    {"east", HK_REF, offsetof(struct node, ref[1]), 0},
    {"south", HK_REF, offsetof(struct node, ref[2]), 0},
    {"west", HK_REF, offsetof(struct node, ref[3]), 0},
    {"weak", HK_WEAKREF, offsetof(struct node, weak), 0},
    {NULL, HK_END, 0, 0},
};
static const hk_field array_fields[] = {
    {"items", HK_REF_ARRAY, offsetof(struct node, items),
     offsetof(struct node, item_count)},
    {NULL, HK_END, 0, 0},
};
static const hk_field embed_fields[] = {
    {"pair", HK_EMBED, offsetof(struct node, pair), (size_t)pair_fields},
    {"list", HK_SLIST, offsetof(struct node, list), (size_t)&cells},
    {NULL, HK_END, 0, 0},
};
static const hk_field foreign_fields[] = {
    {"other", HK_REF_INLINE, offsetof(struct node, ref), REFS},
    {NULL, HK_END, 0, 0},
};

_Noreturn void
give_up(const char *what)
{
    fprintf(stderr, "stress: %s: %s\n", what, hk_last_error());
    exit(1);
}

/* ---- callbacks ---------------------------------------------------------- */

static int
visit_refs(void *self, hk_visit_fn visit, void *arg)
{
    struct node *node = self;
    int result = 0;

    for (int i = 0; i < REFS && result == 0; i++)
        result = visit(node->ref[i], "ref", i, arg);
    return result;
}

static int
clear_refs(void *self)
{
    node_clear(self);
    return 0;
}

/* Of the layouts whose arrays and cells are plain memory. */
static void
dealloc(void *self)
{
    struct node *node = self;

    node_clear(node);
    free(node->items);
    free(node);
}

static void
foreign_retain(void *self)
{
    node_grab(self);
}

static void
foreign_release(void *self)
{
    node_drop(self);
}

/* ---- kinds -------------------------------------------------------------- */

static struct kind kinds[KINDS_MAX];
static int kind_count;

static void
describe_layout(hk_type_spec *spec, enum layout layout)
{
    static const hk_field *const fields[LAYOUTS] = {[INLINE] = inline_fields,
                                                    [LATE] = late_fields,
                                                    [ARRAY] = array_fields,
                                                    [EMBED] = embed_fields,
                                                    [FOREIGN] = foreign_fields};

    spec->fields = fields[layout];
    if (layout == LATE)
        spec->header_offset = offsetof(struct node, late);
    if (layout == ARRAY || layout == EMBED)
        spec->dealloc = dealloc;
    if (layout == CODE) {
        spec->traverse = visit_refs;
        spec->clear = clear_refs;
    }
    if (layout != FOREIGN)
        return;
    spec->flags = HK_TYPE_FOREIGN;
    spec->refcount_offset = offsetof(struct node, front.count);
    spec->refcount_width = sizeof(int64_t);
    spec->refcount_bias = 1;
    spec->retain = foreign_retain;
    spec->release = foreign_release;
}

struct kind *
kind_make(const char *name, enum layout layout)
{
    hk_type_spec spec = {.struct_size = sizeof spec,
                         .size = sizeof(struct node)};
    struct kind *kind = &kinds[kind_count];

    for (int i = 0; i < kind_count; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    if (kind_count == KINDS_MAX)
        give_up("too many kinds");
    snprintf(kind->name, sizeof kind->name, "%s", name);
    kind->layout = layout;
    spec.name = kind->name;
    describe_layout(&spec, layout);
    kind->type = hk_type_register(&spec);
    if (!kind->type)
        give_up(name);
    kind_count++;
    return kind;
}

const struct kind *
kind_at(int index)
{
    return index < kind_count ? &kinds[index] : NULL;
}

/* ---- counts ------------------------------------------------------------- */

static struct node *
foreign_new(const struct kind *kind)
{
    struct node *node = calloc(1, sizeof *node);

    if (!node || hk_adopt(node, kind->type) != 0)
        give_up("hk_adopt");
    return node;
}

struct node *
node_new(const struct kind *kind)
{
    struct node *node =
        kind->layout == FOREIGN ? foreign_new(kind) : hk_new(kind->type);

    if (!node)
        give_up("hk_new");
    node->kind = kind;
    return node;
}

static hk_object *
header(struct node *node)
{
    return node->kind->layout == LATE ? &node->late : &node->front.header;
}

void
node_grab(struct node *node)
{
    if (node->kind->layout == FOREIGN)
        __atomic_add_fetch(&node->front.count, 1, __ATOMIC_RELAXED);
    else
        hk_incref(header(node));
}

uint64_t
node_references(struct node *node)
{
    if (node->kind->layout == FOREIGN)
        return (
            uint64_t)(__atomic_load_n(&node->front.count, __ATOMIC_RELAXED) +
                      1);
    return hk_refcount(header(node));
}

void
node_drop(struct node *node)
{
    if (node->kind->layout != FOREIGN) {
        hk_decref(header(node));
        return;
    }
    if (__atomic_sub_fetch(&node->front.count, 1, __ATOMIC_ACQ_REL) >= 0)
        return;
    if (hk_forget(node) != 0)
        give_up("hk_forget");
    node_clear(node);
    free(node);
}

/* A foreign object has no holds; a plain reference does as well. */
void
node_hold(struct node *node, hk_token *token, const char *name)
{
    if (node->kind->layout == FOREIGN)
        node_grab(node);
    else
        hk_hold(node, token, name);
}

void
node_put(struct node *node, hk_token *token)
{
    if (node->kind->layout == FOREIGN)
        node_drop(node);
    else
        hk_put(node, token);
}

/* ---- links -------------------------------------------------------------- */

static int
cell_count(const struct node *node)
{
    int count = 0;

    for (const struct cell *c = node->list; c; c = c->next)
        count++;
    return count;
}

int
node_links(const struct node *node)
{
    if (node->kind->layout == ARRAY)
        return (int)node->item_count;
    if (node->kind->layout == EMBED)
        return 2 + cell_count(node);
    return REFS;
}

static struct node **
embed_link(struct node *node, int i)
{
    struct cell *cell = node->list;

    if (i < 2)
        return i ? &node->pair.right : &node->pair.left;
    for (; i > 2; i--)
        cell = cell->next;
    return &cell->node;
}

struct node **
node_link(struct node *node, int i)
{
    if (node->kind->layout == ARRAY)
        return &node->items[i];
    if (node->kind->layout == EMBED)
        return embed_link(node, i);
    return &node->ref[i];
}

/* Grows by one, as a careful program does: never a length without memory. */
static void
push_item(struct node *node, struct node *to)
{
    struct node **old = node->items;
    struct node **items = malloc((node->item_count + 1) * sizeof *items);

    if (!items)
        give_up("malloc");
    if (old)
        memcpy(items, old, node->item_count * sizeof *items);
    items[node->item_count] = to;
    node->items = items;
    node->item_count++;
    free(old);
}

static void
push_cell(struct node *node, struct node *to)
{
    struct cell *cell = malloc(sizeof *cell);

    if (!cell)
        give_up("malloc");
    cell->node = to;
    cell->next = node->list;
    node->list = cell;
}

bool
node_add(struct node *from, struct node *to)
{
    int fixed = from->kind->layout == ARRAY ? 0 : node_links(from);

    for (int i = 0; i < fixed; i++) {
        struct node **link = node_link(from, i);

        if (!*link) {
            *link = to;
            return true;
        }
    }
    if (from->kind->layout == ARRAY)
        push_item(from, to);
    else if (from->kind->layout == EMBED)
        push_cell(from, to);
    else
        return false;
    return true;
}

/* The last one takes its place; the memory shrinks with it. */
static void
pop_item(struct node *node, int i)
{
    struct node **items;

    node->items[i] = node->items[node->item_count - 1];
    node->item_count--;
    if (node->item_count == 0) {
        free(node->items);
        node->items = NULL;
        return;
    }
    items = realloc(node->items, node->item_count * sizeof *items);
    if (items)
        node->items = items;
}

static void
pop_cell(struct node *node, int i)
{
    struct cell **place = &node->list, *cell;

    for (; i > 2; i--)
        place = &(*place)->next;
    cell = *place;
    *place = cell->next;
    free(cell);
}

struct node *
node_remove(struct node *node, int i)
{
    struct node *to = *node_link(node, i);

    if (node->kind->layout == ARRAY)
        pop_item(node, i);
    else if (node->kind->layout == EMBED && i >= 2)
        pop_cell(node, i);
    else
        *node_link(node, i) = NULL;
    return to;
}

void
node_clear(struct node *node)
{
    for (int i = node_links(node) - 1; i >= 0; i--) {
        struct node *to = node_remove(node, i);

        if (to)
            node_drop(to);
    }
}

/* Its links that are not among the found ones yet get a reference more.  Those
   that live for ever stay out of it. */
static int
reach(struct node *node, struct node **found, int count)
{
    for (int l = 0; l < node_links(node); l++) {
        struct node *child = *node_link(node, l);
        int seen = 0;

        while (seen < count && found[seen] != child)
            seen++;
        if (!child || seen < count || child->kind->lasting)
            continue;
        if (count == REACHED_MAX)
            give_up("too many objects in one piece");
        node_grab(child);
        found[count++] = child;
    }
    return count;
}

void
node_take_apart(struct node *first)
{
    struct node *found[REACHED_MAX];
    int count = 1;

    found[0] = first;
    for (int i = 0; i < count; i++)
        count = reach(found[i], found, count);
    for (int i = 0; i < count; i++)
        node_clear(found[i]);
    for (int i = 0; i < count; i++)
        node_drop(found[i]);
}
