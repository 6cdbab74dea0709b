/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * gc_walk.c -- asking for objects, and asking about one.
 *
 * Source      gcmodule.c: gc_get_objects, gc_get_referrers, gc_get_referents,
 *             gc_is_tracked, gc_is_finalized.
 * Called by   the program.
 * Threads     inside gc_enter().
 * Memory      get_referents: a list in malloc()'s memory while it works.
 * Fails       -1, errno, a sentence.
 * Invariants  code of the program runs between two records, never inside a
 *             traverse.
 */
#include <errno.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/gc.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/slots.h"
#include "lib/type.h"

/* What no collection is about to end, and is not frozen. */
static int
is_visible(const struct record *r, int generation)
{
    int its = registry_generation(r);

    return registry_is_tracked(r)
           && (generation < 0 ? its <= 2 : its == generation);
}

struct wanted {
    void *const *objs;
    size_t count;
};

static int
is_wanted(void *child, const char *label, ptrdiff_t index, void *arg)
{
    const struct wanted *w = arg;

    (void)label;
    (void)index;
    for (size_t i = 0; i < w->count; i++)
        if (w->objs[i] == child)
            return child != NULL;
    return 0;
}

/* Those of a generation, and of these the ones that refer to what is wanted;
   NULL: any. */
static int
walk(const char *caller, int generation, struct wanted *wanted,
     hk_object_fn fn, void *arg)
{
    uint32_t limit;
    int result = 0;

    if (gc_enter(caller))
        return -1;
    limit = registry_limit();
    for (uint32_t slot = 1; slot < limit && !result; slot++) {
        const struct record *r = registry_record(slot);
        const hk_type *type = registry_type(slot);

        if (is_visible(r, generation)
            && (!wanted
                || type_traverse(type, registry_object(r), is_wanted,
                                 wanted)))
            result = fn(registry_object(r), type, arg);
    }
    gc_leave();
    return result;
}

int
hk_gc_get_objects(int generation, hk_object_fn fn, void *arg)
{
    if (generation < -1 || generation > 2 || !fn) {
        error_set(EINVAL, "hk_gc_get_objects: %s",
                  fn ? "generation is none of -1, 0, 1, 2" : "no function");
        return -1;
    }
    return walk("hk_gc_get_objects", generation, NULL, fn, arg);
}

int
hk_gc_get_referrers(void *const *objs, size_t count, hk_object_fn fn,
                    void *arg)
{
    struct wanted w = {objs, count};

    if (!fn || (count && !objs)) {
        error_set(EINVAL, "hk_gc_get_referrers: no %s",
                  fn ? "objects" : "function");
        return -1;
    }
    return walk("hk_gc_get_referrers", -1, &w, fn, arg);
}

struct list {
    void **items;
    size_t count, room;
};

static int
append(void *child, const char *label, ptrdiff_t index, void *arg)
{
    struct list *l = arg;
    size_t room = l->room ? 2 * l->room : 64;
    void **grown;

    (void)label;
    (void)index;
    if (!child)
        return 0;
    if (l->count == l->room) {
        grown = realloc(l->items, room * sizeof(*grown));
        if (!grown)
            return ENOMEM;
        l->items = grown;
        l->room = room;
    }
    l->items[l->count++] = child;
    return 0;
}

static int
list_referents(void *const *objs, size_t count, struct list *l)
{
    int code = 0;

    for (size_t i = 0; i < count && !code; i++) {
        hk_type *type = objs[i] ? object_type(objs[i]) : NULL;

        if (type && type->is_container)
            code = type_traverse(type, objs[i], append, l);
    }
    return code;
}

/* Code of the program may drop what is still to be shown.  Of a foreign object
   without retain it has to take care itself. */
static int
can_hold(void *object)
{
    const hk_type *type = object_type(object);

    return type && (!type_is_foreign(type) || type->spec.retain);
}

int
hk_gc_get_referents(void *const *objs, size_t count, hk_object_fn fn,
                    void *arg)
{
    struct list l = {NULL, 0, 0};
    int result = 0;

    if (!fn || (count && !objs)) {
        error_set(EINVAL, "hk_gc_get_referents: no %s",
                  fn ? "objects" : "function");
        return -1;
    }
    if (gc_enter("hk_gc_get_referents"))
        return -1;
    if (list_referents(objs, count, &l)) {
        error_set(ENOMEM, "hk_gc_get_referents: no memory");
        result = -1;
    }
    for (size_t i = 0; i < l.count; i++)
        if (can_hold(l.items[i]))
            object_retain(l.items[i]);
    for (size_t i = 0; i < l.count && !result; i++)
        result = fn(l.items[i], object_type(l.items[i]), arg);
    for (size_t i = 0; i < l.count; i++)
        if (can_hold(l.items[i]))
            object_release(l.items[i]);
    free(l.items);
    gc_leave();
    return result;
}

const hk_type *
hk_type_of(void *obj)
{
    return obj ? object_type(obj) : NULL;
}

int
hk_gc_is_tracked(void *obj)
{
    uint32_t slot = obj ? object_slot(obj) : 0;
    const struct record *r = slot ? registry_record(slot) : NULL;

    return r && registry_is_tracked(r) && registry_object(r) == obj;
}

int
hk_gc_is_finalized(void *obj)
{
    hk_object *header = obj ? object_header(obj) : NULL;

    return header
           && (__atomic_load_n(&header->bits, __ATOMIC_RELAXED)
               & OBJECT_FINALIZED) != 0;
}
