/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refset.c -- an array of strong references.
 *
 * The hub's lock protects it, but a scan reads it without one, in a copy of
 * the process made at any instant.  So the stores are ordered: an entry is
 * whole before count covers it, and count shrinks before a reference goes.
 */
#include <stdlib.h>
#include <string.h>

#include "knotd.h"

static void
set_count(struct refset *set, size_t count)
{
    __atomic_store_n(&set->count, count, __ATOMIC_RELEASE);
}

/* Never realloc: items must point to a whole array at every instant. */
static int
grow(struct refset *set)
{
    size_t capacity = set->capacity ? 2 * set->capacity : 4;
    void **items = malloc(capacity * sizeof *items);
    void **old = set->items;

    if (!items)
        return -1;
    if (old)
        memcpy(items, old, set->count * sizeof *items);
    __atomic_store_n(&set->items, items, __ATOMIC_RELEASE);
    set->capacity = capacity;
    free(old);
    return 0;
}

int
refset_add(struct refset *set, void *obj)
{
    if (set->count == set->capacity && grow(set) < 0)
        return -1;
    set->items[set->count] = hk_newref(obj);
    set_count(set, set->count + 1);
    return 0;
}

void *
refset_remove(struct refset *set, const void *obj)
{
    size_t last = set->count - 1;

    for (size_t i = 0; i < set->count; i++) {
        void *found = set->items[i];

        if (found != obj)
            continue;
        set_count(set, last);
        set->items[i] = set->items[last];
        return found;
    }
    return NULL;
}

bool
refset_has(const struct refset *set, const void *obj)
{
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i] == obj)
            return true;
    return false;
}

void
refset_clear(struct refset *set)
{
    while (set->count) {
        void *obj = set->items[set->count - 1];

        set_count(set, set->count - 1);
        hk_decref(obj);
    }
    free(set->items);
    memset(set, 0, sizeof *set);
}
