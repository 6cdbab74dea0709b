/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * object.c -- making objects, and telling the registry of them.
 *
 * Called by   the program; refcount.c when an object dies.
 * Threads     any.
 * Memory      objects are the program's: malloc(), or what it brings.
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
#include <string.h>

#include "lib/error.h"
#include "lib/foreign.h"
#include "lib/host.h"
#include "lib/mistake.h"
#include "lib/registry.h"
#include "lib/shard.h"
#include "lib/type.h"

#define SMALL 512u /* bytes that are zeroed here */

void *
object_self(const hk_type *type, hk_object *header)
{
    return (char *)header - type->spec.header_offset;
}

/* Of an object that is not in the side table, which may be one whose header is
   further in and whose end has begun, or a foreign one that was forgotten. */
static int
begins_with_header(const hk_object *header)
{
    const hk_type *type = type_get(header->type);
    uint32_t slot = __atomic_load_n(&header->slot, __ATOMIC_RELAXED);
    const struct record *r = slot ? registry_record(slot) : NULL;

    return type && !type_is_foreign(type) && !type->spec.header_offset
           && (!slot || (r && registry_object(r) == header));
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
        return begins_with_header(object) ? object : NULL;
    type = registry_type(slot);
    if (!type || type_is_foreign(type))
        return NULL;
    return type_header(type, object);
}

uint32_t
object_slot(void *object)
{
    const hk_object *header = object_header(object);

    return header ? __atomic_load_n(&header->slot, __ATOMIC_ACQUIRE)
                  : registry_find(object);
}

hk_type *
object_type(void *object)
{
    const hk_object *header = object_header(object);

    return header ? type_get(header->type)
                  : registry_type(registry_find(object));
}

/* Enters an object that cannot be found by its address alone. */
static int
enter_parked(hk_object *header, void *self, const hk_type *type)
{
    uint32_t slot = registry_add(self, type, host_stack(), RECORD_PARKED);

    if (!slot)
        return ENOMEM;
    __atomic_store_n(&header->slot, slot, __ATOMIC_RELEASE);
    host_block_adopt(self);
    if (foreign_insert(self, slot) == 0)
        return 0;
    __atomic_store_n(&header->slot, 0, __ATOMIC_RELEASE);
    registry_remove(slot);
    return ENOMEM;
}

static inline void
fill_header(hk_object *header, const hk_type *type, uint32_t slot,
            unsigned bits)
{
    __atomic_store_n(&header->word, HK_WORD_ONE, __ATOMIC_RELAXED);
    __atomic_store_n(&header->slot, slot, __ATOMIC_RELAXED);
    header->type = type->id;
    __atomic_store_n(&header->bits, (uint16_t)bits, __ATOMIC_RELAXED);
}

static void
count_birth(hk_type *type)
{
    struct shard *s = shard_mine();

    type_count_created(type);
    if (type->is_container && s)
        shard_note_alloc(s);
    else if (type->is_container)
        shard_count_allocated();
}

static int
is_traced(hk_type *type)
{
    int answer = __atomic_load_n(&type->is_traced, __ATOMIC_RELAXED);

    if (!answer) {
        answer = host_traces(type->spec.name) ? 2 : 1;
        __atomic_store_n(&type->is_traced, answer, __ATOMIC_RELAXED);
    }
    return answer == 2;
}

/* Nobody else knows the object yet. */
static void
begin_trace(hk_object *header, hk_type *type)
{
    if (is_traced(type) && host_ref_born(header, type->id))
        __atomic_or_fetch(&header->bits, HK_BIT_TRACED, __ATOMIC_RELAXED);
}

static int
prepare(void *self, hk_type *type)
{
    hk_object *header = type_header(type, self);
    unsigned bits = type->new_bits;

    if (host_has_stacks && type->is_container && host_is_agent())
        bits |= HK_BIT_WATCHED;
    fill_header(header, type, 0, bits);
    if (type->spec.header_offset && enter_parked(header, self, type))
        return ENOMEM;
    count_birth(type);
    if (host_has_stacks && host_is_agent())
        begin_trace(header, type);
    return 0;
}

/* An object that keeps its record while it is not tracked. */
static int
retrack(uint32_t slot)
{
    if (!registry_unpark(slot))
        return 0;
    registry_renew(slot);
    return 1;
}

/* A container; 0 if it was tracked.  Two threads may come at once: the first
   to store its slot wins. */
static int
track(hk_object *header, void *self, hk_type *type)
{
    uint32_t slot = __atomic_load_n(&header->slot, __ATOMIC_ACQUIRE);
    uint32_t fresh;

    if (slot)
        return type->spec.header_offset && retrack(slot);
    host_block_adopt(self);
    fresh = registry_add(self, type, host_stack(), RECORD_PARKED);
    if (!fresh)
        return 1;
    if (__atomic_compare_exchange_n(&header->slot, &slot, fresh, 0,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return registry_unpark(fresh);
    registry_remove(fresh);
    return 0;
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
    unsigned bits = __atomic_load_n(&header->bits, __ATOMIC_RELAXED);

    if (bits & HK_BIT_TRACED)
        host_ref_died(header);
    if (bits & OBJECT_NOTED)
        host_note(object_self(type, header), NULL);
    if (type->spec.header_offset)
        foreign_remove(object_self(type, header));
    untrack(header);
}

static int
makes_objects(const hk_type *type, const char *caller)
{
    if (type && !type_is_foreign(type))
        return 1;
    error_set(EINVAL, "%s: %s", caller,
              type ? "objects of a foreign type are adopted" : "no type");
    return 0;
}

/* Everything that the usual object does not need. */
static void *
new_slow(hk_type *type, size_t extra_bytes)
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
    if (type->is_container)
        track(type_header(type, self), self, type);
    return self;
}

void *
hk_new_extra(hk_type *type, size_t extra_bytes)
{
    return new_slow(type, extra_bytes);
}

/* Two stores of 16 bytes that may overlap, or four: cheaper than a call. */
static inline void
zero_small(char *p, size_t n)
{
    if (n < 16 || n > 64) {
        memset(p, 0, n);
        return;
    }
    memset(p, 0, 16);
    memset(p + n - 16, 0, 16);
    if (n > 32) {
        memset(p + 16, 0, 16);
        memset(p + n - 32, 0, 16);
    }
}

/* A small object whose header comes first: malloc, since glibc's calloc does
   not use a thread's cache of blocks. */
void *
hk_new(hk_type *type)
{
    struct shard *s;
    hk_object *header;
    char *self;

    if (!type || !type->is_simple || type->spec.size > SMALL
        || !(s = shard_mine()) || !(self = malloc(type->spec.size)))
        return new_slow(type, 0);
    zero_small(self + sizeof(hk_object),
               type->spec.size - sizeof(hk_object));
    header = (hk_object *)(void *)self;
    fill_header(header, type, 0, type->new_bits);
    if (type->is_container) {
        if (__builtin_expect(!registry_enter(s, header, type), 0))
            shard_add(&s->counts[type->id].tracked, (uint64_t)-1);
        shard_note_alloc(s);
    }
    shard_add(&s->counts[type->id].created, 1);
    return self;
}

void
hk_init(void *mem, hk_type *type)
{
    if (!mem)
        mistake(HK_ERROR_NULL, NULL, type, 0, "hk_init of no memory");
    else if (!makes_objects(type, "hk_init"))
        mistake(HK_ERROR_NO_TYPE, mem, type, 0, "%s", hk_last_error());
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

    shard_mine(); /* this thread uses the library */
    if (!type)
        mistake(obj ? HK_ERROR_NO_TYPE : HK_ERROR_NULL, obj, NULL, 0,
                "hk_track of %s", obj ? "what is no object" : "NULL");
    else if (type->is_container && !track(header, obj, type))
        mistake(HK_ERROR_TRACKED_TWICE, obj, type,
                __atomic_load_n(&header->slot, __ATOMIC_RELAXED),
                "tracked twice");
}

void
hk_untrack(void *obj)
{
    hk_object *header = obj ? object_header(obj) : NULL;
    const hk_type *type = type_of(header);
    uint32_t slot;

    if (!type)
        return;
    slot = __atomic_load_n(&header->slot, __ATOMIC_ACQUIRE);
    if (slot)
        registry_park(slot); /* before the header lets go of it */
    if (!type->spec.header_offset)
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

/* ---- what the program says of an object ---------------------------------- */

int
hk_annotate(void *obj, const char *text)
{
    hk_object *header = obj ? object_header(obj) : NULL;
    int error;

    if (!obj || !object_type(obj)) {
        error_set(EINVAL, "hk_annotate: not an object");
        return -1;
    }
    if (!host_is_agent())
        return 0;
    if (header)
        __atomic_or_fetch(&header->bits, OBJECT_NOTED, __ATOMIC_RELAXED);
    error = host_note(obj, text);
    if (!error)
        return 0;
    error_set(error, "hk_annotate: %s", error == ENOSPC
                                            ? "too many objects have a note"
                                            : "the notes are being changed");
    return -1;
}

int
hk_ignore(void *obj)
{
    hk_object *header = obj ? object_header(obj) : NULL;

    if (!obj || !object_type(obj)) {
        error_set(EINVAL, "hk_ignore: not an object");
        return -1;
    }
    if (!header) {
        error_set(ENOTSUP, "hk_ignore: a foreign object has no header");
        return -1;
    }
    __atomic_or_fetch(&header->bits, HK_BIT_IGNORED, __ATOMIC_RELAXED);
    return 0;
}

int
hk_agent_present(void)
{
    return host_is_agent();
}
