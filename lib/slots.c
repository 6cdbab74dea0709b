/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * slots.c -- pointer fields that own a reference.
 *
 * Called by   the program; refcount.c and collect.c to empty an object.
 * Threads     any; a slot belongs to one thread at a time.
 * Memory      none.
 * Fails       mistakes are reported.
 * Invariants  a slot never holds a reference that was dropped: it is emptied,
 *             or has its new value, before code of the program can run.
 */
#include "lib/slots.h"

#include "lib/fields.h"
#include "lib/mistake.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/type.h"

/* A slot may be any kind of pointer. */
typedef void *__attribute__((may_alias)) pointer;

static void
complain(void *obj, const hk_type *type, const char *what)
{
    mistake(HK_ERROR_NO_TYPE, obj, type, registry_find(obj),
            "a reference to a foreign object cannot be %s: its type has no "
            "retain and release", what);
}

void
object_retain(void *obj)
{
    hk_object *header = object_header(obj);
    const hk_type *type;

    if (header) {
        hk_incref(header);
        return;
    }
    type = registry_type(registry_find(obj));
    if (type && type->spec.retain)
        type->spec.retain(obj);
    else
        complain(obj, type, "added");
}

void
object_release(void *obj)
{
    hk_object *header = object_header(obj);
    const hk_type *type;

    if (header) {
        hk_decref(header);
        return;
    }
    type = registry_type(registry_find(obj));
    if (type && type->spec.release)
        type->spec.release(obj);
    else
        complain(obj, type, "dropped");
}

void
slots_drop(void **place)
{
    void *child = *place;

    *place = NULL;
    object_release(child);
}

static int
drop_place(void **place, const char *label, ptrdiff_t index, void *arg)
{
    (void)label;
    (void)index;
    (void)arg;
    if (*place)
        slots_drop(place);
    return 0;
}

static void
drop_weakref(hk_weak **place)
{
    hk_weak *weak = *place;

    *place = NULL;
    hk_weak_free(weak);
}

void
slots_drop_all(const hk_type *type, void *self)
{
    if (type->has_weakrefs)
        fields_walk_weakrefs(type->spec.fields, self, drop_weakref);
    fields_drop(type->spec.fields, self, drop_place);
    if (type->spec.clear)
        type->spec.clear(self);
}

void
slots_clear(const hk_type *type, void *self)
{
    if (!(type->spec.flags & HK_TYPE_IMMUTABLE))
        slots_drop_all(type, self);
}

void
hk_setref(void *slot, void *obj)
{
    pointer *place = slot;
    void *old;

    if (!place) {
        mistake(HK_ERROR_NULL, obj, NULL, 0, "hk_setref of no slot");
        return;
    }
    if (obj)
        object_retain(obj);
    old = *place;
    *place = obj;
    if (old)
        object_release(old);
}

void
hk_clearref(void *slot)
{
    hk_setref(slot, NULL);
}

void
hk_moveref(void *to_slot, void *from_slot)
{
    pointer *to = to_slot, *from = from_slot;
    hk_object *header;
    void *moved, *old;

    if (!to || !from) {
        mistake(HK_ERROR_NULL, NULL, NULL, 0, "hk_moveref of no slot");
        return;
    }
    if (to == from)
        return;
    moved = *from;
    header = moved ? object_header(moved) : NULL;
    if (header)
        __atomic_fetch_add(&header->word, UINT64_C(1) << 32, __ATOMIC_RELAXED);
    old = *to;
    *to = moved;
    *from = NULL;
    if (old)
        object_release(old);
}
