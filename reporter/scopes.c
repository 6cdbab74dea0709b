/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scopes.c -- see scopes.h.
 *
 * Ranges of functions nest: one that was inlined lies within the one that
 * holds it.  Sorted by where they begin, outer before inner, each range knows
 * the next one around it, so the innermost range at an address is found by
 * one binary search and a few steps outwards.
 */
#include "reporter/scopes.h"

#include <dwarf.h>
#include <stdlib.h>

#define DEPTH_MAX 256 /* of the tree: bounds recursion in damaged files */

struct range {
    Dwarf_Addr low, high;
    uint32_t scope;
    uint32_t around; /* index of the enclosing range + 1; 0: none */
};

struct scopes {
    struct scope *list; /* from 1 */
    struct range *ranges;
    size_t count, size;
    size_t range_count, range_size;
    int failed;
};

static void *
grow(void *array, size_t *size, size_t entry)
{
    size_t more = *size ? *size * 2 : 64;
    void *p = realloc(array, more * entry);

    if (p)
        *size = more;
    return p;
}

static uint32_t
add_scope(struct scopes *s, const Dwarf_Die *die, uint32_t parent)
{
    if (s->count + 1 >= s->size) {
        struct scope *list = grow(s->list, &s->size, sizeof *list);

        if (!list) {
            s->failed = 1;
            return 0;
        }
        s->list = list;
    }
    s->count++;
    s->list[s->count].die = *die;
    s->list[s->count].parent = parent;
    return (uint32_t)s->count;
}

static void
add_range(struct scopes *s, Dwarf_Addr low, Dwarf_Addr high, uint32_t scope)
{
    if (s->range_count == s->range_size) {
        struct range *p = grow(s->ranges, &s->range_size, sizeof *p);

        if (!p) {
            s->failed = 1;
            return;
        }
        s->ranges = p;
    }
    s->ranges[s->range_count++] = (struct range){ low, high, scope, 0 };
}

/* Functions that the linker dropped keep ranges that begin at 0. */
static void
add_ranges(struct scopes *s, Dwarf_Die *die, uint32_t scope)
{
    Dwarf_Addr base, low, high;
    ptrdiff_t at = 0;

    while ((at = dwarf_ranges(die, at, &base, &low, &high)) > 0) {
        if (low && high > low)
            add_range(s, low, high, scope);
    }
}

/* Methods and lambdas stand inside of types, functions inside of namespaces:
   everything with children is entered. */
static void
walk(struct scopes *s, Dwarf_Die *parent, uint32_t inside, int depth)
{
    Dwarf_Die die;

    if (depth > DEPTH_MAX || dwarf_child(parent, &die) != 0)
        return;
    do {
        uint32_t scope = inside;
        int tag = dwarf_tag(&die);

        if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine) {
            if (dwarf_hasattr(&die, DW_AT_low_pc)
                || dwarf_hasattr(&die, DW_AT_ranges)) {
                scope = add_scope(
                    s, &die, tag == DW_TAG_inlined_subroutine ? inside : 0);
                add_ranges(s, &die, scope);
            }
        }
        if (dwarf_haschildren(&die))
            walk(s, &die, scope, depth + 1);
    } while (!s->failed && dwarf_siblingof(&die, &die) == 0);
}

static int
compare(const void *a, const void *b)
{
    const struct range *x = a, *y = b;

    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    if (x->high != y->high)
        return x->high > y->high ? -1 : 1;
    return x->scope < y->scope ? -1 : x->scope > y->scope;
}

static void
nest(struct scopes *s)
{
    uint32_t around = 0;

    if (s->range_count)
        qsort(s->ranges, s->range_count, sizeof *s->ranges, compare);
    for (size_t i = 0; i < s->range_count; i++) {
        while (around && s->ranges[around - 1].high <= s->ranges[i].low)
            around = s->ranges[around - 1].around;
        s->ranges[i].around = around;
        around = (uint32_t)i + 1;
    }
}

struct scopes *
scopes_build(Dwarf_Die *unit)
{
    struct scopes *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    walk(s, unit, 0, 0);
    if (s->failed) {
        scopes_free(s);
        return NULL;
    }
    nest(s);
    return s;
}

const struct scope *
scopes_find(const struct scopes *s, Dwarf_Addr address)
{
    size_t low = 0, high = s->range_count;
    uint32_t at;

    while (low < high) { /* the first range that begins after address */
        size_t middle = low + (high - low) / 2;

        if (s->ranges[middle].low <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (at = (uint32_t)low; at; at = s->ranges[at - 1].around) {
        if (address < s->ranges[at - 1].high)
            return &s->list[s->ranges[at - 1].scope];
    }
    return NULL;
}

const struct scope *
scopes_parent(const struct scopes *s, const struct scope *scope)
{
    return scope->parent ? &s->list[scope->parent] : NULL;
}

void
scopes_free(struct scopes *s)
{
    if (!s)
        return;
    free(s->list);
    free(s->ranges);
    free(s);
}
