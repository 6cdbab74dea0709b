/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * quarantine.c -- a ring of the last deaths.
 *
 * An object that died keeps a word of 0 and OBJECT_DEAD for as long as its
 * memory is held back, so that hk_incref and hk_decref see a count of 0, and
 * who reports that finds the stacks here, by address.
 *
 * Called by   refcount.c when an object dies; the host inside free().
 * Threads     any, no locks.  A death that is read while it is overwritten is
 *             not found.
 * Memory      static, 24 KiB, untouched without the agent.
 * Fails       what died too long ago is not found.
 * Invariants  a death's object is stored last; 0 while the rest changes.
 */
#include "lib/quarantine.h"

#include <stddef.h>

#include "lib/host.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/type.h"
#include "lib/weak.h"

struct death {
    const void *object;
    uint32_t origin, last;
    uint16_t type;
};
static struct death deaths[QUARANTINE_DEATHS];
static uint32_t next;

static void
remember(const void *object, const hk_type *type, struct mistake_past past)
{
    uint32_t i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
    struct death *d = &deaths[i % QUARANTINE_DEATHS];

    __atomic_store_n(&d->object, NULL, __ATOMIC_SEQ_CST);
    __atomic_store_n(&d->origin, past.origin, __ATOMIC_RELEASE);
    __atomic_store_n(&d->last, past.last, __ATOMIC_RELEASE);
    __atomic_store_n(&d->type, type->id, __ATOMIC_RELEASE);
    __atomic_store_n(&d->object, object, __ATOMIC_RELEASE);
}

/* The newest first: mostly one asks for what died just now. */
const hk_type *
quarantine_find(const void *object, struct mistake_past *past)
{
    uint32_t from = __atomic_load_n(&next, __ATOMIC_ACQUIRE);
    const struct death *d;
    uint16_t type;

    for (uint32_t i = 1; i <= QUARANTINE_DEATHS; i++) {
        d = &deaths[(from - i) % QUARANTINE_DEATHS];
        if (__atomic_load_n(&d->object, __ATOMIC_ACQUIRE) != object)
            continue;
        past->origin = __atomic_load_n(&d->origin, __ATOMIC_ACQUIRE);
        past->last = __atomic_load_n(&d->last, __ATOMIC_ACQUIRE);
        type = __atomic_load_n(&d->type, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&d->object, __ATOMIC_RELAXED) == object)
            return type_get(type);
    }
    *past = (struct mistake_past){0, 0};
    return NULL;
}

void
quarantine_dies(hk_object *header, const hk_type *type, uint32_t slot)
{
    void *self = object_self(type, header);
    uint32_t block = host_block_adopt(self);
    const struct record *r = slot ? registry_record(slot) : NULL;
    struct mistake_past past;

    past.origin =
        r ? __atomic_load_n(&r->created_stack, __ATOMIC_RELAXED) : block;
    past.last = host_stack();
    __atomic_fetch_or(&header->bits, OBJECT_DEAD, __ATOMIC_RELAXED);
    remember(self, type, past);
}

/* ---- its memory --------------------------------------------------------- */

/* The tracked object whose header begins the block, or NULL.  Any block that
   is watched has room for a header. */
static const hk_type *
tracked_at(void *ptr)
{
    const hk_object *header = ptr;
    uint32_t slot = __atomic_load_n(&header->slot, __ATOMIC_RELAXED);
    const struct record *r;
    const hk_type *type;

    if (!slot || slot >= registry_limit())
        return NULL;
    r = registry_record(slot);
    type = registry_type(slot);
    if (!r || !type || type->spec.header_offset
        || __atomic_load_n(&r->object, __ATOMIC_ACQUIRE) != ptr)
        return NULL;
    switch (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE)) {
    case RECORD_TRACKED:
    case RECORD_PARKED:
        return type;
    default:
        return NULL;
    }
}

/* Nobody runs its finalizer or the callbacks of its weak references. */
static int
freed_alive(void *ptr, const hk_type *type)
{
    hk_object *header = type_header(type, ptr);
    uint32_t slot = __atomic_load_n(&header->slot, __ATOMIC_RELAXED);

    mistake(HK_ERROR_FREED, ptr, type, slot, "freed while it was tracked");
    quarantine_dies(header, type, slot);
    if (__atomic_load_n(&header->bits, __ATOMIC_RELAXED) & OBJECT_WEAK)
        weak_clear(ptr, NULL);
    object_leave(header, type);
    type_count_destroyed(type_get(type->id));
    return QUARANTINE_RAW | QUARANTINE_HOLD;
}

int
quarantine_block_freed(void *ptr)
{
    uint32_t slot = type_lookup_needed() ? registry_find(ptr) : 0;
    const hk_type *type = slot ? registry_type(slot) : NULL;
    struct mistake_past past;

    if (type && type_is_foreign(type)) {
        registry_forget_freed(ptr);
        return QUARANTINE_RAW;
    }
    if (!type)
        type = tracked_at(ptr);
    if (type)
        return freed_alive(ptr, type);
    return quarantine_find(ptr, &past) ? QUARANTINE_HOLD : 0;
}

void
quarantine_bury(void *ptr)
{
    struct mistake_past past;
    const hk_type *type = quarantine_find(ptr, &past);
    hk_object *header;

    if (!type)
        return;
    header = type_header(type, ptr);
    __atomic_store_n(&header->word, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->slot, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->type, type->id, __ATOMIC_RELAXED);
    __atomic_store_n(&header->bits, (uint16_t)OBJECT_DEAD, __ATOMIC_RELEASE);
}

void
quarantine_freed_again(const void *ptr)
{
    struct mistake_past past;
    const hk_type *type = quarantine_find(ptr, &past);

    mistake_after(HK_ERROR_DEAD, ptr, type, past, "freed again");
}
