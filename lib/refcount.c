/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refcount.c -- what the inline count operations leave to others: watched
 * decrements, traced increments, the death of an object, and counts that cannot
 * be.
 *
 * Called by   hk_incref and hk_decref; collect.c, by dropping references.
 * Threads     any.  An object dies on the thread that drops its last reference.
 * Memory      none; the objects whose death is put off are chained through
 *             their headers and records.
 * Fails       count errors are undone as far as can be, and said.
 * Invariants  at most DEPTH_MAX deaths are nested on a thread: a deeper one
 *             waits in the thread's chain until the outermost is over, as
 *             in CPython's trashcan.  So a list of any length dies
 *             in bounded stack.
 */
#include <stdlib.h>

#include "heapknot.h"
#include "lib/host.h"
#include "lib/mistake.h"
#include "lib/object.h"
#include "lib/quarantine.h"
#include "lib/registry.h"
#include "lib/shard.h"
#include "lib/slots.h"
#include "lib/type.h"
#include "lib/weak.h"

#define DEPTH_MAX 50
#define COUNT_LIMIT UINT32_C(0x80000000)
#define COUNT_IMMORTAL UINT32_C(0xc0000000)
#define COUNT_SLACK UINT32_C(0x20000000)

static __thread struct {
    uint32_t waiting; /* a slot; the next one is in its object's word */
    uint32_t depth;
    uint32_t stamp;
    hk_object *bare; /* the first that found no record */
} dying __attribute__((tls_model("initial-exec")));

static hk_type *
type_of(const hk_object *o)
{
    return type_get(o->type);
}

static unsigned
bits_of(const hk_object *o)
{
    return __atomic_load_n(&o->bits, __ATOMIC_RELAXED);
}

static void
set_bit(hk_object *o, unsigned bit)
{
    __atomic_or_fetch(&o->bits, (uint16_t)bit, __ATOMIC_RELAXED);
}

/* ---- operations that are not inline -------------------------------------- */

void
object_trace(hk_object *o, int by)
{
    if (bits_of(o) & HK_BIT_TRACED && !host_ref_counted(o, by))
        __atomic_and_fetch(&o->bits, (uint16_t)~HK_BIT_TRACED,
                           __ATOMIC_RELAXED);
}

void
hk_incref_traced_(void *obj)
{
    hk_object *o = obj;
    uint64_t old;

    if (bits_of(o) & HK_BIT_NONATOMIC) {
        old = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
        __atomic_store_n(&o->word, old + HK_WORD_ONE, __ATOMIC_RELAXED);
    } else
        old = __atomic_fetch_add(&o->word, HK_WORD_ONE, __ATOMIC_RELAXED);
    if ((uint32_t)old)
        object_trace(o, 1);
    if ((uint32_t)old - 1 >= COUNT_LIMIT - 1)
        hk_count_error_(o, (uint32_t)old ? HK_ERROR_SATURATED
                                         : HK_ERROR_DEAD);
}

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

static void
decref_plain(hk_object *o)
{
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);

    if ((uint32_t)word <= 1)
        hk_decref_last_(o);
    else
        __atomic_store_n(&o->word, word - 1, __ATOMIC_RELAXED);
}

void
hk_decref_special_(void *obj)
{
    hk_object *o = obj;
    unsigned bits;

    if (!o) {
        hk_count_error_(NULL, HK_ERROR_NULL);
        return;
    }
    bits = bits_of(o);
    if (bits & HK_BIT_WATCHED && hk_refcount(o) > 1)
        note_release(o);
    if (bits & HK_BIT_TRACED && hk_refcount(o))
        object_trace(o, -1);
    if (bits & HK_BIT_NONATOMIC)
        decref_plain(o);
    else if (hk_refcount(o) <= 1)
        hk_decref_last_(o);
    else if ((uint32_t)__atomic_fetch_sub(&o->word, 1, __ATOMIC_RELEASE) <= 1)
        hk_decref_raced_(o);
}

int
object_try_incref(hk_object *o, int *saturated)
{
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);

    do {
        if ((uint32_t)word == 0)
            return 0;
    } while (!__atomic_compare_exchange_n(&o->word, &word, word + HK_WORD_ONE,
                                          1, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    *saturated = (uint32_t)word >= COUNT_LIMIT;
    return 1;
}

int
hk_try_incref(void *obj)
{
    int saturated = 0, locked = 0;

    if (obj)
        locked = object_try_incref(obj, &saturated);
    else
        hk_count_error_(NULL, HK_ERROR_NULL);
    if (locked)
        object_trace(obj, 1);
    if (saturated)
        hk_count_error_(obj, HK_ERROR_SATURATED);
    return locked;
}

/* ---- death -------------------------------------------------------------- */

/* Runs fn with a reference lent to the object, tracked anew; 1 if fn gave it
   new ones. */
static int
survives(hk_object *o, void *self, void (*fn)(void *))
{
    uint32_t slot = __atomic_load_n(&o->slot, __ATOMIC_RELAXED);
    uint64_t old;

    if (slot)
        registry_renew(slot);
    __atomic_fetch_add(&o->word, HK_WORD_ONE, __ATOMIC_RELAXED);
    fn(self);
    old = __atomic_fetch_sub(&o->word, 1, __ATOMIC_ACQ_REL);
    return (uint32_t)old > 1;
}

static void
park(hk_object *o)
{
    uint32_t slot = __atomic_load_n(&o->slot, __ATOMIC_RELAXED);

    if (slot && registry_park(slot))
        set_bit(o, OBJECT_PARKED);
}

static void
unpark(hk_object *o)
{
    if (!(bits_of(o) & OBJECT_PARKED))
        return;
    __atomic_and_fetch(&o->bits, (uint16_t)~OBJECT_PARKED, __ATOMIC_RELAXED);
    registry_unpark(__atomic_load_n(&o->slot, __ATOMIC_RELAXED));
}

/* At most once, but each time for a leaf, as CPython does with what its
   collector does not know.  Mirrors PyObject_CallFinalizerFromDealloc. */
static int
finalize(hk_object *o, void *self, const hk_type *type)
{
    if (!type->spec.finalize || bits_of(o) & OBJECT_FINALIZED)
        return 0;
    if (type->is_container)
        set_bit(o, OBJECT_FINALIZED);
    return survives(o, self, type->spec.finalize);
}

/* Everything that may run code of the program before its dealloc, in the
   order of subtype_dealloc; 1 if the object lives on. */
static int
last_words(hk_object *o, void *self, const hk_type *type)
{
    unpark(o);
    if (finalize(o, self, type))
        return 1;
    park(o);
    if (bits_of(o) & OBJECT_WEAK)
        weak_object_dies(self);
    if (!type->spec.legacy_del)
        return 0;
    unpark(o);
    if (survives(o, self, type->spec.legacy_del))
        return 1;
    park(o);
    if (bits_of(o) & OBJECT_WEAK)
        weak_clear(self, NULL);
    return 0;
}

static void
count_death(hk_type *type)
{
    struct shard *s = shard_self;

    type_count_destroyed(type);
    if (type->is_container && s)
        shard_note_free(s);
    else if (type->is_container)
        shard_count_freed();
}

/* The registry's part in the usual death, and the counts'. */
static inline int
leave_usual(hk_object *o, hk_type *type)
{
    uint32_t slot = __atomic_load_n(&o->slot, __ATOMIC_RELAXED);
    struct shard *s = shard_self;

    if (!s || !slot || bits_of(o) & OBJECT_PARKED)
        return 0;
    registry_leave(s, slot);
    shard_note_free(s);
    shard_add(&s->counts[type->id].destroyed, 1);
    return 1;
}

static inline int
has_refs(const hk_object *o, const hk_type *type)
{
    const char *self = (const char *)o;

    for (int i = 0; i < type->ref_count; i++)
        if (*(void *const *)(const void *)(self + type->refs[i]))
            return 1;
    return 0;
}

static void
die_simple(hk_object *o, hk_type *type)
{
    char *self = (char *)o;

    if (!leave_usual(o, type)) {
        object_leave(o, type);
        count_death(type);
    }
    for (int i = 0; i < type->ref_count; i++) {
        void **place = (void **)(void *)(self + type->refs[i]);

        if (*place)
            slots_drop(place);
    }
    free(self);
}

static void
die(hk_object *o)
{
    hk_type *type = type_of(o);
    void *self;

    if (type->is_simple && !(bits_of(o) & OBJECT_WEAK)) {
        die_simple(o, type);
        return;
    }
    self = object_self(type, o);
    if (last_words(o, self, type))
        return;
    set_bit(o, OBJECT_DEAD);
    if (host_has_stacks && host_is_agent())
        quarantine_dies(o, type, __atomic_load_n(&o->slot, __ATOMIC_RELAXED));
    object_leave(o, type);
    count_death(type);
    if (type->spec.dealloc) {
        type->spec.dealloc(self);
        return;
    }
    slots_drop_all(type, self);
    free(self);
}

/*
 * A dead object that waits must not be looked into, so its record is parked;
 * last_words() brings it back.  The chain goes through the records: word keeps
 * a count of 0, which a weak reference may read, and the next slot where the
 * stamp was.  An object that finds no memory for a record is in a chain of its
 * own: the address of the next one is where the stamp and the slot were, and
 * who reads a slot checks what it names.
 */
static void
put_off_bare(hk_object *o)
{
    uint64_t next = (uintptr_t)dying.bare;

    __atomic_store_n(&o->slot, (uint32_t)next, __ATOMIC_RELAXED);
    __atomic_store_n(&o->word, next & ~UINT64_C(0xffffffff),
                     __ATOMIC_RELAXED);
    dying.bare = o;
}

/* 0: it need not wait, since it holds no references. */
static int
put_off(hk_object *o, const hk_type *type)
{
    uint32_t slot = __atomic_load_n(&o->slot, __ATOMIC_RELAXED);

    if (!type->is_container)
        return 0;
    if (!slot) {
        slot = registry_add(object_self(type, o), type, 0, RECORD_PARKED);
        if (!slot) {
            put_off_bare(o);
            return 1;
        }
        __atomic_store_n(&o->slot, slot, __ATOMIC_RELAXED);
        set_bit(o, OBJECT_LENT_RECORD);
    }
    park(o);
    __atomic_store_n(&o->word, (uint64_t)dying.waiting << 32,
                     __ATOMIC_RELAXED);
    dying.waiting = slot;
    return 1;
}

/* The new stamp is unlike any that the object can have had, so its word never
   seems unchanged. */
static hk_object *
next_bare(void)
{
    hk_object *o = dying.bare;
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
    uint64_t stamp = COUNT_LIMIT | ++dying.stamp;

    dying.bare = (hk_object *)(uintptr_t)(
        word | __atomic_load_n(&o->slot, __ATOMIC_RELAXED));
    __atomic_store_n(&o->slot, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&o->word, stamp << 32, __ATOMIC_RELAXED);
    return o;
}

static hk_object *
next_waiting(void)
{
    uint32_t slot = dying.waiting;
    uint64_t stamp = COUNT_LIMIT | ++dying.stamp;
    const hk_type *type = registry_type(slot);
    hk_object *o = type_header(type, registry_at(slot)->object);

    dying.waiting = (uint32_t)(__atomic_load_n(&o->word, __ATOMIC_RELAXED)
                               >> 32);
    __atomic_store_n(&o->word, stamp << 32, __ATOMIC_RELAXED);
    if (bits_of(o) & OBJECT_LENT_RECORD) {
        __atomic_and_fetch(&o->bits, (uint16_t)~OBJECT_LENT_RECORD,
                           __ATOMIC_RELAXED);
        __atomic_store_n(&o->slot, 0, __ATOMIC_RELAXED);
        registry_remove(slot);
    }
    return o;
}

/* The count is 0. */
static void
end(hk_object *o)
{
    const hk_type *type = type_of(o);

    shard_mine(); /* this thread uses the library */
    if (!type) {
        mistake(HK_ERROR_NO_TYPE, o, NULL, 0,
                "what is no object, or was freed, lost its last reference");
        return;
    }
    if (dying.depth >= DEPTH_MAX && put_off(o, type))
        return;
    dying.depth++;
    die(o);
    if (dying.depth == 1)
        while (dying.bare || dying.waiting)
            die(dying.bare ? next_bare() : next_waiting());
    dying.depth--;
}

/* Somebody without a reference may try to get one: through a weak reference, or
   by hk_try_incref while the type's own dealloc keeps the memory. */
static int
may_be_locked(const hk_object *o, const hk_type *type)
{
    return bits_of(o) & OBJECT_WEAK
           || !(type && (type->is_simple || bits_of(o) & HK_BIT_NONATOMIC));
}

/* Nobody else has a reference.  What drops no others in turn needs no
   ceremony. */
void
hk_decref_last_(void *obj)
{
    hk_object *o = obj;
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_ACQUIRE);
    hk_type *type = type_of(o);

    if (type && type->is_simple && (uint32_t)word == 1
        && !(bits_of(o) & OBJECT_WEAK) && !has_refs(o, type)
        && leave_usual(o, type)) {
        __atomic_store_n(&o->word, word - 1, __ATOMIC_RELAXED);
        free(o);
        return;
    }
    if ((uint32_t)word == 0) {
        hk_count_error_(o, HK_ERROR_UNDERFLOW);
        return;
    }
    if (may_be_locked(o, type)) {
        word = __atomic_fetch_sub(&o->word, 1, __ATOMIC_ACQ_REL);
        if ((uint32_t)word != 1)
            return;
    } else
        __atomic_store_n(&o->word, word - 1, __ATOMIC_RELAXED);
    end(o);
}

/* The count was over 1 a moment ago, and this decrement made it 0, or found it
   to be 0. */
void
hk_decref_raced_(void *obj)
{
    hk_object *o = obj;

    if (__atomic_load_n(&o->word, __ATOMIC_ACQUIRE) & UINT32_MAX) {
        __atomic_fetch_add(&o->word, 1, __ATOMIC_RELAXED);
        hk_count_error_(o, HK_ERROR_UNDERFLOW);
    } else
        end(o);
}

/* ---- counts that cannot be ---------------------------------------------- */

/* Said once, when the count first passes the limit; afterwards it is kept
   near the middle of the upper half, from where it cannot come back. */
static int
saturate(hk_object *o)
{
    uint64_t word = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
    uint64_t fixed;
    uint32_t count;

    do {
        count = (uint32_t)word;
        if (count - (COUNT_IMMORTAL - COUNT_SLACK) < 2 * COUNT_SLACK)
            return 0;
        fixed = (word & ~UINT64_C(0xffffffff)) | COUNT_IMMORTAL;
    } while (!__atomic_compare_exchange_n(&o->word, &word, fixed, 1,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return count < COUNT_IMMORTAL - COUNT_SLACK;
}

void
hk_count_error_(void *obj, int what)
{
    static const char *const sentences[] = {
        [HK_ERROR_UNDERFLOW] = "released more often than referenced",
        [HK_ERROR_DEAD] = "referenced after its death",
        [HK_ERROR_SATURATED] =
            "reference count overflow, never freed from now on",
        [HK_ERROR_NULL] = "a reference to NULL was added or dropped"};
    hk_object *o = obj;
    const hk_type *type = o ? type_of(o) : NULL;

    if (what == HK_ERROR_UNDERFLOW && bits_of(o) & OBJECT_DEAD) {
        mistake(HK_ERROR_DEAD, type ? object_self(type, o) : obj, type, 0,
                "released after its death");
        return;
    }
    if (what == HK_ERROR_DEAD) /* all of it: the dead may be chained */
        __atomic_fetch_sub(&o->word, HK_WORD_ONE, __ATOMIC_RELAXED);
    if (what != HK_ERROR_SATURATED || saturate(o))
        mistake(what, type ? object_self(type, o) : obj, type,
                o ? __atomic_load_n(&o->slot, __ATOMIC_RELAXED) : 0, "%s",
                sentences[what]);
}
