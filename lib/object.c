/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * object.c -- making objects, and telling the registry of them.
 *
 * Called by   the program; refcount.c when an object dies.
 * Threads     any.
 * Memory      objects are the program's: calloc(), or what it brings.
 * Fails       hk_new: ENOMEM.  An object that finds no room in the registry
 *             lives on untracked, and the host counts that.
 * Invariants  hk_object.slot names a record of this object or is 0.  An object
 *             whose header is not its first member has a record from birth to
 *             death, PARKED while it is not tracked, and stands in the side
 *             table: its address does not tell where the header is.
 */
#include "lib/object.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/foreign.h"
#include "lib/host.h"
#include "lib/registry.h"
#include "lib/type.h"

static inline hk_object *
header_at(const hk_type *type, void *self)
{
    return (hk_object *)((char *)self + type->spec.header_offset);
}

void *
object_self(const hk_type *type, hk_object *header)
{
    return (char *)header - type->spec.header_offset;
}

hk_object *
object_header(void *object)
{
    const hk_type *type;
    uint32_t slot;

    if (!type_lookup_needed())
        return object;
    slot = registry_find(object);
    if (!slot)
        return object;
    type = registry_type(slot);
    if (!type || type->spec.flags & HK_TYPE_FOREIGN)
        return NULL;
    return header_at(type, object);
}

static inline int
is_leaf(const hk_type *type)
{
    return (type->spec.flags & HK_TYPE_LEAF) != 0;
}

/* Enters an object that cannot be found by its address alone. */
static int
enter_parked(hk_object *header, void *self, const hk_type *type)
{
    uint32_t slot = registry_add_parked(self, type, host_stack());

    if (!slot)
        return ENOMEM;
    __atomic_store_n(&header->slot, slot, __ATOMIC_RELEASE);
    if (foreign_insert(self, slot) == 0)
        return 0;
    __atomic_store_n(&header->slot, 0, __ATOMIC_RELEASE);
    registry_remove(slot);
    return ENOMEM;
}

static int
prepare(void *self, hk_type *type)
{
    hk_object *header = header_at(type, self);
    unsigned bits = host_is_agent() && !is_leaf(type) ? HK_BIT_WATCHED : 0;

    __atomic_store_n(&header->word, HK_WORD_ONE, __ATOMIC_RELAXED);
    __atomic_store_n(&header->slot, 0, __ATOMIC_RELAXED);
    header->type = type->id;
    __atomic_store_n(&header->bits, (uint16_t)bits, __ATOMIC_RELAXED);
    if (type->spec.header_offset && enter_parked(header, self, type))
        return ENOMEM;
    __atomic_fetch_add(&type->created, 1, __ATOMIC_RELAXED);
    return 0;
}

/* A container.  Two threads may come at once: the first to store its slot
   wins. */
static void
track(hk_object *header, void *self, hk_type *type)
{
    uint32_t slot = __atomic_load_n(&header->slot, __ATOMIC_ACQUIRE);
    uint32_t fresh;

    if (slot) {
        if (type->spec.header_offset)
            registry_unpark(slot);
        return;
    }
    fresh = registry_add(self, type, host_stack());
    if (fresh
        && !__atomic_compare_exchange_n(&header->slot, &slot, fresh, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        registry_remove(fresh);
}

static void
untrack(hk_object *header)
{
    uint32_t slot = __atomic_exchange_n(&header->slot, 0, __ATOMIC_ACQ_REL);

    if (slot)
        registry_remove(slot);
}

void
object_leave(hk_object *header, const hk_type *type)
{
    if (type->spec.header_offset)
        foreign_remove(object_self(type, header));
    untrack(header);
}

static int
makes_objects(const hk_type *type, const char *caller)
{
    if (type && !(type->spec.flags & HK_TYPE_FOREIGN))
        return 1;
    error_set(EINVAL, "%s: %s", caller,
              type ? "objects of a foreign type are adopted" : "no type");
    return 0;
}

void *
hk_new_extra(hk_type *type, size_t extra_bytes)
{
    void *self;

    if (!makes_objects(type, "hk_new"))
        return NULL;
    self = extra_bytes <= PTRDIFF_MAX - type->spec.size
               ? calloc(1, type->spec.size + extra_bytes)
               : NULL;
    if (!self || prepare(self, type)) {
        free(self);
        error_set(ENOMEM, "hk_new: no memory for a %s", type->spec.name);
        return NULL;
    }
    if (!is_leaf(type))
        track(header_at(type, self), self, type);
    return self;
}

void *
hk_new(hk_type *type)
{
    return hk_new_extra(type, 0);
}

void
hk_init(void *mem, hk_type *type)
{
    if (!mem || !makes_objects(type, "hk_init"))
        host_complain(mem ? hk_last_error() : "hk_init: no memory given");
    else if (prepare(mem, type))
        host_complain("hk_init: no memory to register an object");
}

static hk_type *
type_of(const hk_object *header)
{
    return header ? type_get(header->type) : NULL;
}

void
hk_track(void *obj)
{
    hk_object *header = obj ? object_header(obj) : NULL;
    hk_type *type = type_of(header);

    if (type && !is_leaf(type))
        track(header, obj, type);
}

void
hk_untrack(void *obj)
{
    hk_object *header = obj ? object_header(obj) : NULL;
    const hk_type *type = type_of(header);
    uint32_t slot;

    if (type && type->spec.header_offset) {
        slot = __atomic_load_n(&header->slot, __ATOMIC_ACQUIRE);
        if (slot)
            registry_park(slot);
    } else if (type)
        untrack(header);
}

void
hk_mark(const char *name)
{
    if (name)
        host_mark(name);
}

void
hk_snapshot(void)
{
    host_mark(NULL);
}

int
hk_agent_present(void)
{
    return host_is_agent();
}
