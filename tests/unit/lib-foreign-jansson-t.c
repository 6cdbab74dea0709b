/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-foreign-jansson -- circular values of jansson, found by a scan and ended
 * by a collection.  jansson is as Debian built it; what it frees it says
 * through its allocation functions, so the truth is its own.
 */
#include <jansson.h>

#include "heapknot.h"
#include "tests/tap/tap.h"

static hk_type *object_type, *array_type;
static int freed; /* adopted ones */

static void
free_and_forget(void *memory)
{
    if (memory && hk_forget(memory) == 0)
        freed++;
    free(memory);
}

static int
traverse_object(void *self, hk_visit_fn visit, void *arg)
{
    void *place = json_object_iter(self);
    int result = 0;

    while (place && result == 0) {
        result = visit(json_object_iter_value(place), "member", -1, arg);
        place = json_object_iter_next(self, place);
    }
    return result;
}

static int
traverse_array(void *self, hk_visit_fn visit, void *arg)
{
    size_t count = json_array_size(self);
    int result = 0;

    for (size_t i = 0; i < count && result == 0; i++)
        result = visit(json_array_get(self, i), "items", (ptrdiff_t)i, arg);
    return result;
}

static int
clear_object(void *self)
{
    return json_object_clear(self);
}

static int
clear_array(void *self)
{
    return json_array_clear(self);
}

static void
retain(void *self)
{
    json_incref(self);
}

static void
release(void *self)
{
    json_decref(self);
}

static hk_type *
make_type(const char *name, int (*traverse)(void *, hk_visit_fn, void *),
          int (*clear)(void *))
{
    hk_type_spec s = {0};
    hk_type *type;

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = sizeof(json_t);
    s.flags = HK_TYPE_FOREIGN;
    s.traverse = traverse;
    s.clear = clear;
    s.refcount_offset = offsetof(json_t, refcount);
    s.refcount_width = sizeof(((json_t *)NULL)->refcount);
    s.retain = retain;
    s.release = release;
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

static json_t *
adopt(json_t *value, hk_type *type)
{
    if (!value || hk_adopt(value, type) != 0)
        bail_out(hk_last_error());
    return value;
}

static json_t *
object(void)
{
    return adopt(json_object(), object_type);
}

static json_t *
array(void)
{
    return adopt(json_array(), array_type);
}

/* a["b"] = b, b["a"] = a */
static json_t *
make_pair(void)
{
    json_t *a = object(), *b = object();

    json_object_set_new(a, "b", b);
    json_object_set(b, "a", a);
    return a;
}

/* An object with an array that holds it twice, and an empty one. */
static json_t *
make_array(void)
{
    json_t *owner = object(), *items = array();

    json_array_append(items, owner);
    json_array_append_new(items, json_string("between"));
    json_array_append(items, owner);
    json_array_append_new(items, array());
    json_object_set_new(owner, "items", items);
    return owner;
}

static json_t *
make_ring(void)
{
    json_t *a = array(), *b = array(), *c = object();

    json_array_append_new(a, b);
    json_array_append_new(b, c);
    json_object_set(c, "next", a);
    return a;
}

static int
unreachable(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)};

    return hk_gc_scan(2, &r) == 0 ? (int)r.unreachable : -1;
}

static int
tracked(void)
{
    uint64_t objects, arrays;

    hk_type_counts(object_type, NULL, NULL, &objects);
    hk_type_counts(array_type, NULL, NULL, &arrays);
    return (int)(objects + arrays);
}

static const struct {
    const char *name;
    json_t *(*make)(void);
    int objects;
} kinds[] = {
    {"pair", make_pair, 2}, {"array", make_array, 3}, {"ring", make_ring, 3}};

static void
circular(int i)
{
    int size = kinds[i].objects;
    const char *name = kinds[i].name;
    json_t *held = kinds[i].make();

    freed = 0;
    ok(hk_type_check(held) == 0, "%s: the type tells the truth", name);
    is_int(0, unreachable(), "%s: held", name);
    json_decref(kinds[i].make());
    is_int(0, freed, "%s: outlives its owner", name);
    is_int(size, unreachable(), "%s: a scan finds it", name);
    is_int(size, (int64_t)hk_gc_collect(2), "%s: collect", name);
    is_int(size, freed, "%s: jansson has freed it", name);
    is_int(size, tracked(), "%s: the held one is left", name);
    ok(hk_type_check(held) == 0, "%s: and whole", name);
    json_decref(held);
    is_int(size, (int64_t)hk_gc_collect(2), "%s: until it is dropped", name);
    is_int(0, tracked(), "%s: none is left", name);
}

static void
counting(void)
{
    json_t *tree = object();

    json_object_set_new(tree, "rows", array());
    json_decref(tree);
    is_int(2, freed, "without a cycle jansson alone frees two");
    is_int(0, tracked(), "and they are forgotten");
}

int
main(void)
{
    json_set_alloc_funcs(malloc, free_and_forget);
    object_type = make_type("json object", traverse_object, clear_object);
    array_type = make_type("json array", traverse_array, clear_array);
    counting();
    for (int i = 0; i < 3; i++)
        circular(i);
    return done_testing();
}
