/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * knot.c -- jansson's values, made visible to heapknot.
 *
 * All that it takes to look into a library that has never heard of us: where
 * its reference count is, how to walk from a value to those that it holds,
 * and a word before the memory goes.  Everything is jansson's public API:
 * json_t and its refcount, the iterators, json_set_alloc_funcs.
 */
#include <stdlib.h>
#include <string.h>

#include "knot.h"

static hk_type *object_type, *array_type;
static const char *const *known_keys;

/* A value that jansson is taking apart has the count 0, and its table is not
   to be walked any more. */
static int
is_alive(const json_t *value)
{
    return __atomic_load_n(&value->refcount, __ATOMIC_ACQUIRE) != 0;
}

/* A label outlives its object, so it cannot be the key in jansson's table. */
static const char *
label_of(const char *key)
{
    for (const char *const *known = known_keys; *known; known++)
        if (strcmp(*known, key) == 0)
            return *known;
    return "member";
}

/* The iterator is a pointer into the table: nothing is allocated. */
static int
traverse_object(void *self, hk_visit_fn visit, void *arg)
{
    json_t *object = self;
    void *place = is_alive(object) ? json_object_iter(object) : NULL;
    int result = 0;

    while (place && result == 0) {
        result = visit(json_object_iter_value(place),
                       label_of(json_object_iter_key(place)), -1, arg);
        place = json_object_iter_next(object, place);
    }
    return result;
}

static int
traverse_array(void *self, hk_visit_fn visit, void *arg)
{
    const json_t *array = self;
    size_t count = is_alive(array) ? json_array_size(array) : 0;
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        result = visit(json_array_get(array, i), "items", (ptrdiff_t)i, arg);
    return result;
}

/* jansson frees through here.  Most of it was never adopted. */
static void
free_and_forget(void *memory)
{
    if (memory)
        hk_forget(memory);
    free(memory);
}

int
knot_start(const char *const *keys)
{
    hk_type_spec spec = {
        .struct_size = sizeof spec,
        .name = "json object",
        .size = sizeof(json_t),
        .flags = HK_TYPE_FOREIGN,
        .traverse = traverse_object,
        .refcount_offset = offsetof(json_t, refcount),
        .refcount_width = sizeof((json_t *)NULL)->refcount,
    };

    known_keys = keys;
    json_set_alloc_funcs(malloc, free_and_forget);
    object_type = hk_type_register(&spec);
    spec.name = "json array";
    spec.traverse = traverse_array;
    array_type = hk_type_register(&spec);
    return object_type && array_type ? 0 : -1;
}

/* A value that cannot be adopted is still a good value. */
static json_t *
adopt(json_t *value, hk_type *type)
{
    if (value)
        hk_adopt(value, type);
    return value;
}

json_t *
knot_object(void)
{
    return adopt(json_object(), object_type);
}

json_t *
knot_array(void)
{
    return adopt(json_array(), array_type);
}

void
knot_adopt_tree(json_t *value)
{
    const char *key;
    json_t *child;
    size_t i;

    if (json_is_object(value)) {
        adopt(value, object_type);
        json_object_foreach (value, key, child)
            knot_adopt_tree(child);
    } else if (json_is_array(value)) {
        adopt(value, array_type);
        json_array_foreach (value, i, child)
            knot_adopt_tree(child);
    }
}

static uint64_t
tracked(const hk_type *type)
{
    uint64_t created, destroyed, now;

    hk_type_counts(type, &created, &destroyed, &now);
    return now;
}

uint64_t
knot_adopted(void)
{
    return tracked(object_type) + tracked(array_type);
}
