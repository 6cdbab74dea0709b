/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refcount.c -- what the inline count operations leave to others: watched
 * decrements, the death of an object, and counts that cannot be.
 *
 * Called by   hk_incref and hk_decref.
 * Threads     any.  An object dies on the thread that drops its last reference.
 * Memory      none; the objects whose death is put off are chained through
 *             their own headers.
 * Fails       count errors are undone as far as can be, and said.
 * Invariants  at most DEPTH_MAX deaths are nested on a thread: a deeper one
 *             waits in the thread's chain until the outermost is over, as
 *             in CPython's trashcan.  So a list of any length dies
 *             in bounded stack.
 */
#include <stdio.h>
#include <stdlib.h>

#include "heapknot.h"
#include "lib/fields.h"
#include "lib/host.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/type.h"

#define DEPTH_MAX 50
#define COUNT_LIMIT UINT32_C(0x80000000)
#define COUNT_IMMORTAL UINT32_C(0xc0000000)
#define COUNT_SLACK UINT32_C(0x20000000)

static __thread struct {
    hk_object *waiting; /* linked through word */
    uint32_t depth;
    uint32_t stamp;
} dying __attribute__((tls_model("initial-exec")));

/* ---- releases under the agent ------------------------------------------- */

/* While we hold a reference, so the record is still this object's.  (Another
   thread that untracks it now costs a wrong stack, no more.) */
static void
note_release(hk_object *o)
{
    uint32_t slot = __atomic_load_n(&o->slot, __ATOMIC_ACQUIRE);
    uint32_t stack = slot ? host_stack() : 0;
    struct record *r = stack ? registry_record(slot) : NULL;

    if (r)
        __atomic_store_n(&r->release_stack, stack, __ATOMIC_RELAXED);
}

void
hk_decref_watched_(void *obj)
{
    hk_object *o = obj;
    uint64_t old;

    if (hk_refcount(o) > 1)
        note_release(o);
    old = __atomic_fetch_sub(&o->word, 1, __ATOMIC_RELEASE);
    if ((uint32_t)old > 1)
        return;
    if ((uint32_t)old == 0) {
        hk_count_error_(obj, 0);
        return;
    }
    (void)__atomic_load_n(&o->word, __ATOMIC_ACQUIRE);
    hk_dealloc_(obj);
}

/* ---- death -------------------------------------------------------------- */

static hk_type *
type_of(const hk_object *o)
{
    return type_get(o->type);
}

/* Runs fn with a reference lent to the object; 1 if fn gave it new ones. */
static int
survives(hk_object *o, void *self, void (*fn)(void *))
{
    uint64_t old;

    __atomic_fetch_add(&o->word, HK_WORD_ONE, __ATOMIC_RELAXED);
    fn(self);
    old = __atomic_fetch_sub(&o->word, 1, __ATOMIC_ACQ_REL);
    return (uint32_t)old > 1;
}

/* Mirrors PyObject_CallFinalizerFromDealloc, then tp_del. */
static int
finalize(hk_object *o, void *self, const hk_type_spec *spec)
{
    unsigned bits = __atomic_load_n(&o->bits, __ATOMIC_RELAXED);

    if (bits & OBJECT_PARKED) {
        bits = __atomic_and_fetch(&o->bits, (uint16_t)~OBJECT_PARKED,
                                  __ATOMIC_RELAXED);
        registry_unpark(__atomic_load_n(&o->slot, __ATOMIC_RELAXED));
    }
    if (spec->finalize && !(bits & OBJECT_FINALIZED)) {
        __atomic_or_fetch(&o->bits, OBJECT_FINALIZED, __ATOMIC_RELAXED);
        if (survives(o, self, spec->finalize))
            return 1;
    }
    return spec->legacy_del && survives(o, self, spec->legacy_del);
}

static int
drop_place(void **place, const char *label, ptrdiff_t index, void *arg)
{
    void *child = *place;
    hk_object *header;

    (void)label;
    (void)index;
    (void)arg;
    if (!child)
        return 0;
    *place = NULL;
    header = object_header(child);
    if (header)
        hk_decref(header);
    else
        host_complain("a reference to a foreign object cannot be dropped: "
                      "its owner's type needs a dealloc");
    return 0;
}

static void
die(hk_object *o)
{
    hk_type *type = type_of(o);
    void *self = object_self(type, o);

    if ((type->spec.finalize || type->spec.legacy_del)
        && finalize(o, self, &type->spec))
        return;
    object_leave(o, type);
    __atomic_fetch_add(&type->destroyed, 1, __ATOMIC_RELAXED);
    if (type->spec.dealloc) {
        type->spec.dealloc(self);
        return;
    }
    fields_walk(type->spec.fields, self, drop_place, NULL);
    free(self);
}

/* A dead object that waits must not be looked into, so its record is parked;
   finalize() brings it back. */
static void
put_off(hk_object *o)
{
    uint32_t slot = __atomic_load_n(&o->slot, __ATOMIC_RELAXED);

    if (slot && registry_park(slot))
        __atomic_or_fetch(&o->bits, OBJECT_PARKED, __ATOMIC_RELAXED);
    __atomic_store_n(&o->word, (uint64_t)(uintptr_t)dying.waiting,
                     __ATOMIC_RELAXED);
    dying.waiting = o;
}

/* The link took the place of the stamp; the new one is unlike any that the
   object can have had, so its word never seems unchanged. */
static hk_object *
next_waiting(void)
{
    hk_object *o = dying.waiting;
    uint64_t stamp = COUNT_LIMIT | ++dying.stamp;

    dying.waiting = (hk_object *)(uintptr_t)__atomic_load_n(&o->word,
                                                            __ATOMIC_RELAXED);
    __atomic_store_n(&o->word, stamp << 32, __ATOMIC_RELAXED);
    return o;
}

void
hk_dealloc_(void *obj)
{
    if (!type_of(obj)) {
        host_complain("an object that is none, or was freed, lost its last "
                      "reference");
        return;
    }
    if (dying.depth >= DEPTH_MAX) {
        put_off(obj);
        return;
    }
    dying.depth++;
    die(obj);
    if (dying.depth == 1)
        while (dying.waiting)
            die(next_waiting());
    dying.depth--;
}

/* ---- counts that cannot be ---------------------------------------------- */

static void
complain(const hk_object *o, const char *what)
{
    const hk_type *type = type_of(o);
    char text[200];

    snprintf(text, sizeof(text), "%s: %s at %p", what,
             type ? type->spec.name : "object of no known type",
             type ? object_self(type, (hk_object *)o) : (const void *)o);
    host_complain(text);
}

/* Said once, when the count first passes the limit; afterwards it is kept
   near the middle of the upper half, from where it cannot come back. */
static void
saturate(hk_object *o)
{
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
    uint64_t fixed;
    int first;

    do {
        uint32_t count = (uint32_t)word;

        if (count - (COUNT_IMMORTAL - COUNT_SLACK) < 2 * COUNT_SLACK)
            return;
        first = count < COUNT_IMMORTAL - COUNT_SLACK;
        fixed = (word & ~UINT64_C(0xffffffff)) | COUNT_IMMORTAL;
    } while (!__atomic_compare_exchange_n(&o->word, &word, fixed, 1,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    if (first)
        complain(o, "reference count overflow, never freed from now on");
}

void
hk_count_error_(void *obj, int what)
{
    hk_object *o = obj;

    switch (what) {
    case 0:
        __atomic_fetch_add(&o->word, 1, __ATOMIC_RELAXED);
        complain(o, "released more often than referenced");
        break;
    case 1:
        __atomic_fetch_sub(&o->word, 1, __ATOMIC_RELAXED);
        complain(o, "referenced after its death");
        break;
    default:
        saturate(o);
        break;
    }
}
