/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refs.c -- see refs.h: the trees.  Sums are unsigned and may wrap: a damaged
 * recording has any numbers.
 */
#include "reporter/refs.h"

#include <stdlib.h>
#include <string.h>

#include "reporter/refs_match.h"

uint64_t
refs_balance(uint64_t increments, uint64_t decrements, int *is_negative)
{
    *is_negative = increments < decrements;
    return *is_negative ? decrements - increments : increments - decrements;
}

static int
same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int
same_frame(const struct frame *a, const struct frame *b)
{
    return a->at.line == b->at.line
        && same_text(a->at.function, b->at.function)
        && same_text(a->at.file, b->at.file)
        && same_text(a->at.module, b->at.module);
}

/* A new node, the last of its parent's; 0: no memory. */
static uint32_t
add_node(struct ref_tree *t, uint32_t parent)
{
    struct ref_node *n;

    if (t->count == t->room) {
        uint32_t room = t->room ? t->room * 2 : 64;

        n = room > t->room ? realloc(t->nodes, room * sizeof *n) : NULL;
        if (!n)
            return 0;
        t->nodes = n;
        t->room = room;
    }
    n = &t->nodes[t->count];
    memset(n, 0, sizeof *n);
    n->parent = parent;
    if (t->count) {
        n->next = t->nodes[parent].first;
        t->nodes[parent].first = t->count;
    }
    return t->count++;
}

/* The frame's own words may be inside of it: they move along. */
static void
set_frame(struct ref_node *n, const struct frame *f)
{
    n->frame = *f;
    if (f->at.function == f->unnamed)
        n->frame.at.function = n->frame.unnamed;
}

static uint32_t
find_child(const struct ref_tree *t, uint32_t parent, const struct frame *f)
{
    uint32_t i = t->nodes[parent].first;

    while (i && !same_frame(&t->nodes[i].frame, f))
        i = t->nodes[i].next;
    return i;
}

static uint32_t
child(struct ref_tree *t, uint32_t parent, const struct frame *f)
{
    uint32_t i = find_child(t, parent, f);

    if (!i && (i = add_node(t, parent)))
        set_frame(&t->nodes[i], f);
    return i;
}

/* 0, or -1: no memory. */
static int
add_row(const struct view *view, const struct hkr_balance *row, int is_birth,
        struct frames *frames, struct ref_tree *t)
{
    static const struct frame unknown = {.at = {.function = "unknown stack"}};
    const struct recording *rec = view->rec;
    uint32_t at = 0;
    size_t left;

    frames_of(&view->names, rec->stacks[row->stack].node, frames);
    left = frames_without_start(frames);
    if (!left && !(at = child(t, 0, &unknown)))
        return -1;
    while (left--) {
        at = child(t, at, &frames->items[left]);
        if (!at)
            return -1;
    }
    t->nodes[at].own_increments += row->increments;
    t->nodes[at].own_decrements += row->decrements;
    t->nodes[at].is_birth |= is_birth;
    t->increments += row->increments;
    t->decrements += row->decrements;
    return 0;
}

/* Recursions in this file are as deep as stacks: FRAMES_MAX.  Afterwards the
   numbers are those of what is not hidden. */
static void
hide_matched(struct ref_tree *t, uint32_t node)
{
    struct ref_node *n = &t->nodes[node], *c;

    n->has_own = n->own_increments != n->own_decrements;
    if (n->has_own) {
        n->increments = n->own_increments;
        n->decrements = n->own_decrements;
    } else if (n->own_increments) {
        t->matched_paths++;
        t->matched_pairs += n->own_increments;
    }
    for (uint32_t i = n->first; i; i = c->next) {
        c = &t->nodes[i];
        hide_matched(t, i);
        if (!c->is_hidden) {
            n->increments += c->increments;
            n->decrements += c->decrements;
        }
    }
    n->is_hidden = node && n->increments == n->decrements;
    if (n->is_hidden && n->increments)
        t->matched_pairs += n->increments;
}

static uint64_t
count_paths(const struct ref_tree *t, uint32_t node)
{
    uint64_t sum = (uint64_t)t->nodes[node].has_own;

    for (uint32_t i = t->nodes[node].first; i; i = t->nodes[i].next)
        sum += count_paths(t, i);
    return sum;
}

static uint64_t
count_hidden_paths(const struct ref_tree *t, uint32_t node)
{
    uint64_t sum = 0;

    if (t->nodes[node].is_hidden)
        return count_paths(t, node);
    for (uint32_t i = t->nodes[node].first; i; i = t->nodes[i].next)
        sum += count_hidden_paths(t, i);
    return sum;
}

/* ---- order -------------------------------------------------------------- */

static const struct ref_node *sorting;

static int
compare_nodes(const void *va, const void *vb)
{
    uint32_t a = *(const uint32_t *)va, b = *(const uint32_t *)vb;
    int na, nb;
    uint64_t x = refs_balance(sorting[a].increments, sorting[a].decrements,
                              &na);
    uint64_t y = refs_balance(sorting[b].increments, sorting[b].decrements,
                              &nb);

    if (x != y)
        return x < y ? 1 : -1;
    return na != nb ? na - nb : (a > b) - (a < b);
}

/* The children of each node, the largest balance first. */
static void
sort_children(struct ref_tree *t, uint32_t *room)
{
    sorting = t->nodes;
    for (uint32_t i = 0; i < t->count; i++) {
        uint32_t *place = &t->nodes[i].first;
        size_t n = 0;

        for (uint32_t c = *place; c; c = t->nodes[c].next)
            room[n++] = c;
        if (n > 1)
            qsort(room, n, sizeof *room, compare_nodes);
        for (size_t k = 0; k < n; k++) {
            *place = room[k];
            place = &t->nodes[room[k]].next;
        }
        *place = 0;
    }
}

static int
compare_leaves(const void *va, const void *vb)
{
    const struct ref_node *a = &sorting[*(const uint32_t *)va];
    const struct ref_node *b = &sorting[*(const uint32_t *)vb];
    int ignored;
    uint64_t x = refs_balance(a->own_increments, a->own_decrements, &ignored);
    uint64_t y = refs_balance(b->own_increments, b->own_decrements, &ignored);

    return x != y ? (x < y ? 1 : -1) : (a > b) - (a < b);
}

static int
is_visible(const struct ref_tree *t, uint32_t node)
{
    while (node && !t->nodes[node].is_hidden)
        node = t->nodes[node].parent;
    return node == 0;
}

size_t
refs_show(struct ref_tree *t, size_t most)
{
    uint32_t *leaves = calloc(t->count + 1, sizeof *leaves);
    size_t n = 0, shown;

    for (uint32_t i = 0; leaves && i < t->count; i++)
        if (t->nodes[i].has_own && is_visible(t, i))
            leaves[n++] = i;
    sorting = t->nodes;
    if (n)
        qsort(leaves, n, sizeof *leaves, compare_leaves);
    shown = most && n > most ? most : n;
    for (size_t k = 0; k < shown; k++)
        for (uint32_t i = leaves[k]; i; i = t->nodes[i].parent)
            t->nodes[i].is_shown = 1;
    free(leaves);
    return n - shown;
}

uint32_t
refs_folded(const struct ref_tree *t, uint32_t node)
{
    const struct ref_node *n = &t->nodes[node];
    uint32_t only = 0;

    if (n->has_own)
        return 0;
    for (uint32_t i = n->first; i; i = t->nodes[i].next)
        if (!t->nodes[i].is_hidden && only++)
            return 0;
    for (uint32_t i = n->first; i; i = t->nodes[i].next)
        if (!t->nodes[i].is_hidden)
            return t->nodes[i].is_shown ? i : 0;
    return 0;
}

/* ---- all types ---------------------------------------------------------- */

/* Of each node of the trie: were blocks allocated there?  An object is born
   where its memory was.  NULL: no memory. */
static uint8_t *
find_births(const struct recording *rec)
{
    uint8_t *born = calloc(rec->node_count, 1);

    for (uint32_t i = 1; born && i < rec->stack_count; i++)
        born[rec->stacks[i].node] |= rec->stacks[i].allocations != 0;
    if (born)
        born[0] = 0;
    return born;
}

static struct ref_tree *
tree_of(struct refs *refs, uint32_t type)
{
    struct ref_tree *t;

    for (size_t i = 0; i < refs->count; i++)
        if (refs->trees[i].type == type)
            return &refs->trees[i];
    t = realloc(refs->trees, (refs->count + 1) * sizeof *t);
    if (!t)
        return NULL;
    refs->trees = t;
    t += refs->count++;
    memset(t, 0, sizeof *t);
    t->type = type;
    add_node(t, 0);
    return t->nodes ? t : NULL;
}

static int
read_rows(const struct view *view, const char *type, const uint8_t *born,
          struct refs *out)
{
    const struct recording *rec = view->rec;
    struct frames frames = {0};
    int failed = 0;

    for (uint32_t i = 1; !failed && i < rec->balance_count; i++) {
        const struct hkr_balance *row = &rec->balances[i];
        struct ref_tree *t;

        if (!row->type || (type && strcmp(recording_type_name(rec, row->type),
                                          type)))
            continue;
        t = tree_of(out, row->type);
        failed = !t
            || ((row->increments || row->decrements)
                && add_row(view, row, born[rec->stacks[row->stack].node],
                           &frames, t));
    }
    frames_free(&frames);
    return failed ? -1 : 0;
}

static int
finish(const struct view *view, struct ref_tree *t)
{
    uint32_t *room = calloc(t->count, sizeof *room);

    if (!room)
        return -1;
    t->live = counts_live_objects(&view->now.types[t->type]);
    hide_matched(t, 0);
    t->matched_paths += count_hidden_paths(t, 0);
    sort_children(t, room);
    free(room);
    return refs_match(t);
}

static int
compare_trees(const void *va, const void *vb)
{
    const struct ref_tree *a = va, *b = vb;
    uint64_t x = a->increments - a->decrements;
    uint64_t y = b->increments - b->decrements;

    if (x != y)
        return x < y ? 1 : -1;
    return (a->type > b->type) - (a->type < b->type);
}

int
refs_make(const struct view *view, const char *type, struct refs *out)
{
    uint8_t *born = find_births(view->rec);
    int failed;

    *out = (struct refs){0};
    failed = !born || read_rows(view, type, born, out);
    free(born);
    for (size_t i = 0; !failed && i < out->count; i++)
        failed = finish(view, &out->trees[i]);
    if (failed) {
        refs_free(out);
        return -1;
    }
    if (out->count)
        qsort(out->trees, out->count, sizeof *out->trees, compare_trees);
    return 0;
}

void
refs_free(struct refs *refs)
{
    for (size_t i = 0; i < refs->count; i++) {
        free(refs->trees[i].nodes);
        free(refs->trees[i].taken);
    }
    free(refs->trees);
    *refs = (struct refs){0};
}
