/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refs_match.c -- see refs_match.h.
 *
 * Which drop belongs to which increment nobody knows: objects do not say.  So
 * they are paired, first what is near: from the leaves up, for each frame, what
 * the functions that it calls, and those that they call, took and dropped.  A
 * function that drops what it took is even then, whatever others do; further
 * up is the loop that calls everything, where nearness means nothing.  What is
 * left is paired over the whole tree.
 *
 * Both times equal numbers come first, since they are hardly by chance.  Then
 * the fewest places shall be left: births go first, being dropped at every
 * orderly end, then what was taken least often.
 */
#include "reporter/refs_match.h"

#include <stdlib.h>

#include "reporter/refs.h"

#define NEAR 2 /* frames */

/* The part of a node's own balance that has no partner yet. */
struct open {
    uint32_t node, depth;
    uint64_t amount;
    uint8_t is_drop, is_birth, is_far;
};

struct work {
    struct ref_tree *tree;
    struct open *open; /* a stack: those below a node are on top */
    size_t count;
};

/* Near ones first, of these the taken ones; the smallest first. */
static int
compare_amounts(const void *va, const void *vb)
{
    const struct open *a = va, *b = vb;

    if (a->is_far != b->is_far)
        return a->is_far - b->is_far;
    if (a->is_drop != b->is_drop)
        return a->is_drop - b->is_drop;
    if (a->amount != b->amount)
        return a->amount > b->amount ? 1 : -1;
    if (a->is_birth != b->is_birth)
        return b->is_birth - a->is_birth;
    return (a->node > b->node) - (a->node < b->node);
}

/* The same with all births before the rest. */
static int
compare_order(const void *va, const void *vb)
{
    const struct open *a = va, *b = vb;

    if (a->is_birth != b->is_birth)
        return b->is_birth - a->is_birth;
    return compare_amounts(va, vb);
}

static void
pair_equal(struct open *taken, size_t takers, struct open *dropped,
           size_t droppers)
{
    size_t i = 0, k = 0;

    while (i < takers && k < droppers) {
        if (taken[i].amount == dropped[k].amount)
            taken[i++].amount = dropped[k++].amount = 0;
        else if (taken[i].amount < dropped[k].amount)
            i++;
        else
            k++;
    }
}

static void
pair_in_order(struct open *taken, size_t takers, struct open *dropped,
              size_t droppers)
{
    size_t i = 0, k = 0;

    qsort(taken, takers, sizeof *taken, compare_order);
    while (i < takers && k < droppers) {
        uint64_t n = taken[i].amount < dropped[k].amount ? taken[i].amount
                                                         : dropped[k].amount;

        taken[i].amount -= n;
        dropped[k].amount -= n;
        i += taken[i].amount == 0;
        k += dropped[k].amount == 0;
    }
}

/* Those from `from` on; what is paired goes. */
static void
settle(struct work *w, size_t from, uint32_t deepest)
{
    struct open *o = w->open + from;
    size_t n = w->count - from, near = 0, takers = 0, kept = 0;

    for (size_t i = 0; i < n; i++) {
        o[i].is_far = o[i].depth > deepest;
        near += !o[i].is_far;
        takers += !o[i].is_far && !o[i].is_drop;
    }
    if (!takers || takers == near)
        return;
    qsort(o, n, sizeof *o, compare_amounts);
    pair_equal(o, takers, o + takers, near - takers);
    pair_in_order(o, takers, o + takers, near - takers);
    for (size_t i = 0; i < n; i++)
        if (o[i].amount)
            o[kept++] = o[i];
    w->count = from + kept;
}

static void
match(struct work *w, uint32_t node, uint32_t depth)
{
    const struct ref_node *n = &w->tree->nodes[node];
    size_t from = w->count;
    int is_drop;

    for (uint32_t i = n->first; i; i = w->tree->nodes[i].next)
        match(w, i, depth + 1);
    if (n->has_own) {
        struct open *o = &w->open[w->count++];

        *o = (struct open){.node = node, .depth = depth};
        o->amount =
            refs_balance(n->own_increments, n->own_decrements, &is_drop);
        o->is_drop = is_drop != 0;
        o->is_birth = !is_drop && n->is_birth;
    }
    settle(w, from, node ? depth + NEAR : UINT32_MAX);
}

static const struct ref_node *sorting;

static int
compare_taken(const void *va, const void *vb)
{
    const struct ref_node *a = &sorting[*(const uint32_t *)va];
    const struct ref_node *b = &sorting[*(const uint32_t *)vb];

    if (a->is_birth != b->is_birth)
        return a->is_birth - b->is_birth;
    return a->left != b->left ? (a->left < b->left ? 1 : -1)
                              : (a > b) - (a < b);
}

static void
list_taken(struct work *w)
{
    struct ref_tree *t = w->tree;

    for (size_t i = 0; i < w->count; i++)
        if (!w->open[i].is_drop) {
            t->nodes[w->open[i].node].left = w->open[i].amount;
            t->taken[t->taken_count++] = w->open[i].node;
        }
    sorting = t->nodes;
    if (t->taken_count)
        qsort(t->taken, t->taken_count, sizeof *t->taken, compare_taken);
}

int
refs_match(struct ref_tree *tree)
{
    struct work w = {tree, calloc(tree->count, sizeof *w.open), 0};

    tree->taken = calloc(tree->count, sizeof *tree->taken);
    if (w.open && tree->taken) {
        match(&w, 0, 0);
        list_taken(&w);
    }
    free(w.open);
    return w.open && tree->taken ? 0 : -1;
}
