/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * heapknot.h -- reference-counted objects that can be looked into.
 *
 * A program describes its types once, creates its objects here (or adopts
 * objects that have a reference count of their own), and gets counts by type.
 * Under the agent (`heapknot run -- program`) the same objects are scanned in
 * the background for unreachable reference cycles, with the stacks of their
 * creation and of the last release.  Without the agent a count operation is
 * one inline atomic.
 *
 * The model is CPython's: where a function mirrors one of its C API or of its
 * gc module, the comment names it.
 *
 * WHICH POINTER.  An object is named by the address of its struct: that is
 * what hk_new returns, what fields hold and what callbacks get.  Where the
 * header is not the first member (header_offset > 0), the count functions
 * (hk_incref ... hk_refcount) take the address of the header, since they
 * cannot know the type.
 *
 * THREADS.  Every function may be called from any thread, unless it says
 * otherwise.  As in CPython, changing the fields of one object from two
 * threads at once is the program's business.
 *
 * ERRORS.  Functions that can fail return NULL or -1, set errno, and leave
 * one sentence for hk_last_error().  Mistakes that show only later, such as a
 * reference dropped too often, are reported as hk_error (see there).
 *
 * WHERE TO READ ON.  Types, mistakes, objects, counts, slots, weak references,
 * finalizers, the collector, holds, the recording: in this order below; a man
 * page for each (heapknot.3 lists them), docs/companion.md for a tour,
 * docs/porting.md for a program that counts references already.
 */
#ifndef HEAPKNOT_H
#define HEAPKNOT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HK_VERSION "0.1.0"

/*
 * The header of an object: 16 bytes, 8-byte aligned, version 1, frozen.
 * word: increment stamp in the high 32 bits, reference count in the low 32.
 * Every increment adds to both, so an equal word means that nothing happened.
 * Do not touch the members; bits and slot belong to the library.
 */
typedef struct hk_object {
    uint64_t word; /* accessed with __atomic builtins only */
    uint32_t slot; /* record in the registry; 0: not tracked */
    uint16_t type;
    uint16_t bits;
} hk_object;

typedef struct hk_type hk_type;

/*
 * Called by a traverse function for each strong reference that self holds.
 * label names the field in reports and must live as long as the program;
 * index is the place in an array, or -1.  A result other than 0 must be
 * returned at once.  child may be NULL (ignored).  Mirrors visitproc.
 */
typedef int (*hk_visit_fn)(void *child, const char *label, ptrdiff_t index,
                           void *arg);

/*
 * Kinds of hk_field.  From the table come traverse, clear and the default
 * dealloc.  A struct that begins with another one (inheritance) names the
 * table of that one in a row of kind HK_EMBED.
 */
enum {
    HK_END = 0,    /* ends a table */
    HK_REF,        /* T *field: a strong reference */
    HK_WEAK,       /* T *field: a plain pointer, not counted, not an edge */
    HK_REF_INLINE, /* T *field[count]: an array in the struct */
    HK_REF_ARRAY,  /* T **field: array of as many strong references as the
                      size_t at offset `count` of the struct says */
    HK_EMBED,      /* a struct by value; count is the address of its own
                      hk_field table, cast to size_t */
    HK_SLIST,      /* T *field: first of a list of plain nodes (not objects)
                      whose hk_slist_spec is at the address in count */
    HK_WEAKREF     /* hk_weak *field: owned by this object, freed when it is
                      cleared; silent if the collector ends both */
};

/* For HK_SLIST: where in a node the next pointer and the reference are. */
typedef struct hk_slist_spec {
    size_t next_offset, ref_offset;
} hk_slist_spec;

/* One row of a type's field table, ended by a row of kind HK_END. */
typedef struct hk_field {
    const char *label;
    int kind;
    size_t offset;
    size_t count;
} hk_field;

/* Flags of a type. */
enum {
    HK_TYPE_LEAF = 1,      /* holds no references: counted, never tracked */
    HK_TYPE_FOREIGN = 2,   /* objects are adopted and have a count of their
                              own: refcount_offset, _width, _bias */
    HK_TYPE_NONATOMIC = 4, /* objects stay on one thread: plain counts, a
                              third of the time */
    HK_TYPE_IMMUTABLE = 8  /* its references never change: the collector does
                              not clear it and breaks a cycle elsewhere, as
                              with CPython's tuple */
};

/*
 * What a type is.  Zero what you do not need; struct_size first.
 *
 * traverse calls visit for each strong reference, as a table in fields does
 * without code; with both, the table comes first.  It also runs in a copy of
 * the process when the agent scans: it must not take locks, allocate or
 * change anything.
 *
 * clear drops the references that take part in cycles and leaves the object
 * valid; after the table's, if there are both.  Only the collector calls it,
 * and the default dealloc.
 *
 * finalize runs once in the life of an object (of a leaf, which the collector
 * does not know, at each death), before anything of it is cleared; it may store
 * new references, and the object lives on.  legacy_del runs at each death by
 * count, after weak references have died; the collector never breaks a cycle
 * that has one, but keeps it in its garbage.
 *
 * retain and release add and drop a reference of a foreign object in its own
 * way.  Without them its cycles are found, not collected.  The collector has
 * emptied the table's fields before the last release.
 *
 * describe writes a line about the object, as snprintf does; the list of what
 * could not be collected shows it.
 *
 * Mirrors tp_traverse, tp_clear, tp_finalize, tp_del, tp_dealloc, tp_repr.
 */
typedef struct hk_type_spec {
    size_t struct_size; /* sizeof(hk_type_spec) */
    const char *name;
    size_t size;          /* bytes of an object */
    size_t header_offset; /* of its hk_object, a multiple of 8 */
    unsigned flags;
    const hk_field *fields;
    int (*traverse)(void *self, hk_visit_fn visit, void *arg);
    int (*clear)(void *self);
    void (*finalize)(void *self);
    void (*legacy_del)(void *self);
    void (*dealloc)(void *self); /* drop references, free memory; NULL: drop
                                    those in fields, then free().  In a deep
                                    chain it may run after the one that dropped
                                    the last reference has returned */
    int (*describe)(const void *self, char *buf, size_t len);
    size_t (*extra_size)(const void *self); /* bytes beyond size */
    size_t refcount_offset, refcount_width; /* foreign: 4 or 8 bytes wide */
    intptr_t refcount_bias; /* references = stored value + bias */
    void (*retain)(void *self);  /* foreign: one reference more */
    void (*release)(void *self); /* foreign: one less, and its end at 0 */
} hk_type_spec;

/* ---- types -------------------------------------------------------------- */

/*
 * Registers a type for the life of the process; the spec is copied, its
 * strings, tables and callbacks must stay.  NULL with EINVAL for a spec that
 * makes no sense, ENOSPC after 65,535 types, ENOMEM.  Registering an equal spec
 * again returns the same type; another one of the same name is refused with
 * EEXIST.
 * Any thread; a microsecond.  Mirrors PyType_Ready.
 */
hk_type *hk_type_register(const hk_type_spec *spec);
/* The type's name, or "(no type)" for NULL. */
const char *hk_type_name(const hk_type *type);

/* The type of an object, foreign or not; NULL for NULL.  Of an address that is
   no object anything may come.  Mirrors Py_TYPE. */
const hk_type *hk_type_of(void *obj);

/* Counts of a type since start: objects created, destroyed, tracked now.  Any
   argument but type may be NULL.  Exact when no other thread is at work. */
void hk_type_counts(const hk_type *type, uint64_t *created,
                    uint64_t *destroyed, uint64_t *tracked);

/*
 * Does the type of obj tell the truth about it?  0, or -1 with ENOMEM, or with
 * EINVAL and a sentence: traverse gives other edges the second time, names an
 * address that is no object, more edges to an object than that has references,
 * or changes a count.  For tests; while no other thread changes obj's
 * references.  Traverses obj twice.
 */
int hk_type_check(void *obj);

/* ---- mistakes ------------------------------------------------------------
 *
 * What a program does wrong with its objects.  Each is undone as far as can be,
 * the program goes on, and a line on stderr says it (twenty of them); under
 * the agent the recording also keeps where it happened, where the object was
 * made and where it last was released or died.  With HK_ABORT_ON_ERROR=1 in
 * the environment the first one aborts.
 */
enum {
    HK_ERROR_UNDERFLOW = 1,  /* released more often than referenced */
    HK_ERROR_DEAD,           /* referenced after its death */
    HK_ERROR_SATURATED,      /* over 2^31 references: never freed now */
    HK_ERROR_NULL,           /* NULL where an object is due */
    HK_ERROR_NO_TYPE,        /* not an object, or its type cannot do this */
    HK_ERROR_TRACKED_TWICE,
    HK_ERROR_ADOPTED_TWICE,
    HK_ERROR_FREED,          /* by free(), while it was tracked */
    HK_ERROR_PUT_TWICE,
    HK_ERROR_TOO_MANY_EDGES, /* more than it has references */
    HK_ERROR_UNRAISABLE      /* hk_unraisable() */
};

typedef struct hk_error {
    size_t struct_size;
    int kind;             /* HK_ERROR_* */
    const char *sentence; /* valid during the call */
    const void *object;   /* maybe dead; never follow it */
    const char *type;     /* its name, or NULL */
} hk_error;
typedef void (*hk_error_fn)(const hk_error *error, void *arg);

/* The sentence for this thread's last error; never NULL. */
const char *hk_last_error(void);

/* Calls fn instead of writing to stderr; NULL: as before. */
void hk_set_error_fn(hk_error_fn fn, void *arg);
/* For a finalizer or callback that failed and has nobody to tell.  Mirrors
   PyErr_WriteUnraisable. */
void hk_unraisable(void *obj, const char *sentence);

/* ---- objects ------------------------------------------------------------ */

/*
 * A new zeroed object with one reference, tracked at once unless it is a
 * leaf.  NULL with ENOMEM.  Mirrors PyType_GenericAlloc.  The memory is from
 * malloc.  hk_new_extra adds bytes behind the struct (PyVarObject).
 * Cost: a malloc and some twenty stores; the stack too under the agent.
 */
void *hk_new(hk_type *type);
void *hk_new_extra(hk_type *type, size_t extra_bytes);

/*
 * Makes an object, with one reference, of memory that the caller owns; not
 * tracked.  mem is the struct; its other members are left alone.  Mirrors
 * PyObject_Init.  The type needs a dealloc unless mem is from malloc.  A
 * mistake is reported (HK_ERROR_NULL, HK_ERROR_NO_TYPE), mem not touched.
 */
void hk_init(void *mem, hk_type *type);

/*
 * Makes the collector see an object, or no more.  Track when all fields that
 * traverse visits are valid; untrack before they are not.  Tracking what is
 * tracked is a mistake (HK_ERROR_TRACKED_TWICE), which changes nothing;
 * hk_untrack may be repeated.  Mirrors PyObject_GC_Track and _UnTrack.  An
 * object is untracked by itself before its dealloc.
 */
void hk_track(void *obj);
void hk_untrack(void *obj);

/*
 * Tracks an object of a foreign type: it keeps its own reference count, which
 * the library only reads.  -1 with EINVAL, EEXIST (adopted before) or ENOMEM.
 * hk_forget before it is freed; -1 with ENOENT if it was not adopted.  Under
 * the agent a free() or realloc() of the object forgets it too, and counts it.
 */
int hk_adopt(void *ptr, hk_type *type);
int hk_forget(void *ptr);

/* ---- reference counts ---------------------------------------------------
 *
 * relaxed increment; release decrement with an acquire before the object
 * dies, as in CPython's free-threaded build and C++'s shared_ptr.  (A load, not
 * a fence, so that ThreadSanitizer sees it.)  Any thread; a few nanoseconds.
 * A count that cannot be (a release too many, a reference to the dead, a count
 * over 2^31, NULL) is undone as far as can be, and reported.
 */
#define HK_BIT_WATCHED 1u   /* the agent wants to see its releases */
#define HK_BIT_NONATOMIC 2u /* HK_TYPE_NONATOMIC */
#define HK_BIT_TRACED 128u  /* the agent keeps its increments, too (refs=) */
#define HK_BIT_IGNORED 256u /* hk_ignore() */

#define HK_WORD_ONE UINT64_C(0x0000000100000001)

void hk_incref_traced_(void *obj);
void hk_decref_special_(void *obj);
void hk_decref_last_(void *obj);  /* one reference, which nobody shares */
void hk_decref_raced_(void *obj); /* none left, after all */
void hk_count_error_(void *obj, int what); /* HK_ERROR_*, of counts */

/* References to the object; 0 for NULL.  Mirrors Py_REFCNT. */
static inline uint64_t
hk_refcount(const void *obj)
{
    const hk_object *o = (const hk_object *)obj;

    return o ? (uint32_t)__atomic_load_n(&o->word, __ATOMIC_RELAXED) : 0;
}

/* One reference more.  Mirrors Py_INCREF. */
static inline void
hk_incref(void *obj)
{
    hk_object *o = (hk_object *)obj;
    uint64_t old;
    unsigned special;

    if (__builtin_expect(!o, 0)) {
        hk_count_error_(obj, HK_ERROR_NULL);
        return;
    }
    special = __atomic_load_n(&o->bits, __ATOMIC_RELAXED)
              & (HK_BIT_NONATOMIC | HK_BIT_TRACED);
    if (__builtin_expect(special, 0)) {
        if (special & HK_BIT_TRACED) {
            hk_incref_traced_(obj);
            return;
        }
        old = __atomic_load_n(&o->word, __ATOMIC_RELAXED);
        __atomic_store_n(&o->word, old + HK_WORD_ONE, __ATOMIC_RELAXED);
    } else
        old = __atomic_fetch_add(&o->word, HK_WORD_ONE, __ATOMIC_RELAXED);
    if (__builtin_expect((uint32_t)old - 1 >= UINT32_C(0x7fffffff), 0))
        hk_count_error_(obj, (uint32_t)old == 0 ? HK_ERROR_DEAD
                                                : HK_ERROR_SATURATED);
}

/* One less; the last one ends the object on this thread.  Mirrors Py_DECREF
   and _Py_Dealloc. */
static inline void
hk_decref(void *obj)
{
    hk_object *o = (hk_object *)obj;

    if (__builtin_expect(!o, 0)
        || __builtin_expect(__atomic_load_n(&o->bits, __ATOMIC_RELAXED)
                                & (HK_BIT_WATCHED | HK_BIT_NONATOMIC
                                   | HK_BIT_TRACED),
                            0)) {
        hk_decref_special_(obj);
        return;
    }
    if ((uint32_t)__atomic_load_n(&o->word, __ATOMIC_RELAXED) <= 1)
        hk_decref_last_(obj);
    else if (__builtin_expect(
                 (uint32_t)__atomic_fetch_sub(&o->word, 1, __ATOMIC_RELEASE)
                     <= 1,
                 0))
        hk_decref_raced_(obj);
}

/* The same; NULL is allowed.  Mirror Py_XINCREF, Py_XDECREF. */
static inline void
hk_xincref(void *obj)
{
    if (obj)
        hk_incref(obj);
}

static inline void
hk_xdecref(void *obj)
{
    if (obj)
        hk_decref(obj);
}

/* Mirrors Py_NewRef. */
static inline void *
hk_newref(void *obj)
{
    hk_incref(obj);
    return obj;
}

/*
 * A reference to an object that may be dying on another thread, but whose
 * memory stays (a table under the program's lock): 1, or 0 if it is dead.
 * Mirrors PyUnstable_TryIncRef.
 */
int hk_try_incref(void *obj);

/* ---- slots: pointer fields that own a reference --------------------------
 *
 * slot is the address of a pointer variable or field, obj names an object by
 * its struct (also one whose header is further in, or a foreign one that has
 * retain and release).  The old reference is dropped last, when the slot holds
 * the new value already, so code that its end runs finds the slot valid.  One
 * slot must not be changed by two threads at once.
 */

/* Stores a new reference to obj, or NULL.  Mirrors Py_XSETREF with a
   Py_XNewRef. */
void hk_setref(void *slot, void *obj);
/* Stores NULL.  Mirrors Py_CLEAR. */
void hk_clearref(void *slot);
/* Moves the reference; from_slot is NULL then.  A scan that sees half of it
   knows that something happened, since the object's stamp moves too. */
void hk_moveref(void *to_slot, void *from_slot);

/* HK_AUTO struct node *n = hk_new(t); -- the reference is dropped at the end of
   the scope, by whatever way that is left but longjmp.  C's `with`. */
#define HK_AUTO __attribute__((cleanup(hk_clearref)))

/* ---- weak references ----------------------------------------------------
 *
 * A hk_weak is made and freed by its owner, and outlives its target.  When the
 * target dies by count, its finalizer comes first (it may resurrect: then the
 * references stay valid), then all references die, then their callbacks run,
 * newest first.  When the collector takes it, all references die and callbacks
 * run before any finalizer.  Each callback runs at most once, on the thread on
 * which the target dies, and never if its hk_weak was freed before, or belongs
 * to garbage (HK_WEAKREF).  It must not wait for another thread.
 */
typedef struct hk_weak hk_weak;
typedef void (*hk_weak_fn)(hk_weak *weak, void *arg);

/*
 * A weak reference to obj, which is no foreign object.  References without fn
 * are shared: the second one is the first, and both are to be freed.  NULL
 * with EINVAL or ENOMEM.  Any thread that holds a reference to obj; a
 * microsecond.  Mirrors PyWeakref_NewRef.
 */
hk_weak *hk_weak_new(void *obj, hk_weak_fn fn, void *arg);
/*
 * A new strong reference to the target, or NULL if it is dead or dying.  Any
 * thread, also at the moment of the last hk_decref on another; some 10 ns.
 * Not in a signal handler.  Mirrors PyWeakref_GetRef.
 */
void *hk_weak_lock(hk_weak *weak);
/* Ends a weak reference, dead or not; NULL is allowed.  Its own callback may
   do it.  Does not wait for one that runs on another thread. */
void hk_weak_free(hk_weak *weak);
/* Weak references to obj, shared ones once.  Mirrors
   weakref.getweakrefcount. */
size_t hk_weak_count(void *obj);

/*
 * A finalizer that is no part of a type: fn(arg) runs once, when obj has died,
 * or when hk_finalizer_call asks for it, or, with HK_FINALIZER_ATEXIT, when
 * the process exits before; then the newest first, and those that they add
 * next.  It cannot keep obj alive, so cycles with it are collected as usual:
 * arg must not own a reference to obj.  0 with EINVAL or ENOMEM.  The number
 * stays valid for ever, and is never used again.  Any thread; a microsecond.
 * Mirrors weakref.finalize.
 */
typedef uint64_t hk_finalizer;
#define HK_FINALIZER_ATEXIT 1u
hk_finalizer hk_finalizer_add(void *obj, void (*fn)(void *arg), void *arg,
                              unsigned flags);
/* Runs it now; 1 if this call did, 0 if it is over. */
int hk_finalizer_call(hk_finalizer f);
/* Ends it, not run; 1 if it was alive. */
int hk_finalizer_detach(hk_finalizer f);
/* 1 if it has still to run. */
int hk_finalizer_alive(hk_finalizer f);
/* A new reference to its object, or NULL.  Mirrors finalize.peek. */
void *hk_finalizer_peek(hk_finalizer f);

/* ---- the collector ------------------------------------------------------
 *
 * Mirrors CPython's gc module (3.11), name by name: three generations, an
 * object starts in 0 and moves on when it survives.  Two differences: automatic
 * collection happens in hk_gc_poll() only, never inside an allocation; and
 * hk_gc_scan() looks without touching.
 *
 * Whoever walks over objects here (collect, poll, scan, freeze, get_*) needs
 * all others to stand still.  In a program with one thread they do.  With
 * several, name the lock that they hold whenever they touch a field or may end
 * an object (the program's GIL) with hk_gc_set_lock; without it such a call is
 * refused with EPERM while more than one live thread has used the library (what
 * is inline, and hk_adopt and hk_forget, do not count as use).  hk_new, counts
 * that leave references and hk_weak_lock need no lock; the lists of callbacks
 * and garbage do.
 */

/* Automatic collection on (as at the start) or off; returns what it was.
   Mirror PyGC_Enable, PyGC_Disable, PyGC_IsEnabled. */
int hk_gc_enable(void);
int hk_gc_disable(void);
int hk_gc_isenabled(void);

/*
 * Collects generation 0, 0 to 1, or all (2): finalizes and clears unreachable
 * cycles.  Returns the number of unreachable objects, also those that could
 * not be collected; 0 if called from inside a collection; -1 with EINVAL
 * (generation), EPERM (threads, no lock) or ENOMEM: then nothing was touched.
 * Finalizers and callbacks run on this thread with the lock held.  Works though
 * disabled.  Some 60 ns an object.  Mirrors gc.collect.
 */
ptrdiff_t hk_gc_collect(int generation);

/*
 * The place where automatic collection may run: call it where no field is half
 * changed and no lock is held (an event loop's turn).  Collects the oldest
 * generation that is due, if enabled; returns as hk_gc_collect, 0 if nothing
 * was due.  A few nanoseconds then.  Mirrors the eval breaker of 3.12.
 */
ptrdiff_t hk_gc_poll(void);

/* What a collection would find.  struct_size first. */
typedef struct hk_gc_result {
    size_t struct_size;
    size_t objects;       /* looked at */
    size_t references;    /* between them */
    size_t unreachable;   /* objects that nobody outside of them refers to */
    size_t uncollectable; /* of those: with, or reached from, a legacy_del */
} hk_gc_result;

/*
 * Looks for garbage and touches no object: no callback but traverse runs, no
 * count, mark or generation changes.  (The record of what was freed without its
 * end is dropped, and that reported.)  Fills what result has room for.  0, or
 * -1 as hk_gc_collect (EBUSY inside a collection).  New; the agent does it in
 * a copy of the process.
 */
int hk_gc_scan(int generation, hk_gc_result *result);

/* Thresholds of allocations less frees (700), of collections of generation 0
   (10), of generation 1 (10); a negative one stays as it is.  The first at 0
   stops automatic collection.  Mirror gc.set_threshold, gc.get_threshold. */
void hk_gc_set_threshold(int t0, int t1, int t2);
void hk_gc_get_threshold(int threshold[3]);
/* What is compared with them (more than, not equal).  Mirrors gc.get_count. */
void hk_gc_get_count(int count[3]);

typedef struct hk_gc_stats {
    uint64_t collections, collected, uncollectable;
} hk_gc_stats;
/* Of each generation since start.  Mirrors gc.get_stats. */
void hk_gc_get_stats(hk_gc_stats stats[3]);

/* Lines on stderr in CPython's words.  SAVEALL keeps what was found in the
   garbage instead of clearing it (weak references and finalizers do run).
   Mirror gc.set_debug, gc.get_debug; the values are CPython's. */
enum {
    HK_GC_STATS = 1,
    HK_GC_COLLECTABLE = 2,
    HK_GC_UNCOLLECTABLE = 4,
    HK_GC_SAVEALL = 32,
    HK_GC_LEAK = HK_GC_COLLECTABLE | HK_GC_UNCOLLECTABLE | HK_GC_SAVEALL
};
void hk_gc_set_debug(unsigned flags);
unsigned hk_gc_get_debug(void);

/* All tracked objects to the permanent generation, which no collection looks
   at, or from there to the oldest.  0, or -1 with EPERM.  Before fork: the
   child's collections then leave their pages shared.  Mirror gc.freeze,
   gc.unfreeze, gc.get_freeze_count. */
int hk_gc_freeze(void);
int hk_gc_unfreeze(void);
size_t hk_gc_get_freeze_count(void);

/* 1 if the collector sees obj.  Mirrors gc.is_tracked. */
int hk_gc_is_tracked(void *obj);
/* 1 if its finalize has run.  Mirrors gc.is_finalized. */
int hk_gc_is_finalized(void *obj);

/* Called for each object asked for.  It may take a reference of its own.  A
   result other than 0 ends the walk and is returned. */
typedef int (*hk_object_fn)(void *obj, const hk_type *type, void *arg);

/* The tracked objects of a generation, or of all three (-1); neither frozen
   ones nor those that a collection is about to end.  0, what fn returned, or -1
   with EINVAL or EPERM.  Mirrors gc.get_objects. */
int hk_gc_get_objects(int generation, hk_object_fn fn, void *arg);
/* The tracked objects that have a reference to one of objs.  Looks at all.
   Mirrors gc.get_referrers. */
int hk_gc_get_referrers(void *const *objs, size_t count, hk_object_fn fn,
                        void *arg);
/* What each of objs refers to, in the order of traverse, repeated where it is
   repeated.  Mirrors gc.get_referents. */
int hk_gc_get_referents(void *const *objs, size_t count, hk_object_fn fn,
                        void *arg);

/* gc.garbage: objects that could not be collected, or all with SAVEALL.  The
   list owns a reference to each.  get: borrowed, NULL beyond the end; take:
   the list's reference is yours, and the next one takes its place. */
size_t hk_gc_garbage_count(void);
void *hk_gc_garbage_get(size_t index);
void *hk_gc_garbage_take(size_t index);

/* gc.callbacks: called before and after each collection. */
enum { HK_GC_START = 0, HK_GC_STOP = 1 };
typedef struct hk_gc_info {
    int generation;
    size_t collected, uncollectable; /* 0 at the start */
} hk_gc_info;
typedef void (*hk_gc_fn)(int phase, const hk_gc_info *info, void *arg);
/* 0, or -1 with ENOMEM; in the order in which they were added. */
int hk_gc_add_callback(hk_gc_fn fn, void *arg);
/* 0, or -1 with ENOENT. */
int hk_gc_remove_callback(hk_gc_fn fn, void *arg);

/* The lock under which objects stand still; NULL, NULL: none.  The collector
   calls lock(arg) and unlock(arg) around its work, finalizers included: make
   it recursive if these take it.  Set it before threads start. */
void hk_gc_set_lock(void (*lock)(void *arg), void (*unlock)(void *arg),
                    void *arg);

/* With 1, an orderly exit collects what is left, after the finalizers of
   HK_FINALIZER_ATEXIT; not if other threads still use the library and there is
   no lock, nor may the thread that exits hold a lock that is not recursive.
   Either way it says on stderr if there is garbage. */
void hk_gc_set_atexit(int on);

/* ---- holds: references with a name ---------------------------------------
 *
 * For references that live in no field: a queue, a thread, a timer.  Under the
 * agent each hold keeps its name and stack until it is put, and the report
 * lists those that never were.  Without it hk_hold is hk_incref and a store.
 */
typedef uint32_t hk_token; /* 0: holds nothing */

/* A new reference to obj, named; *token knows it.  name must stay. */
void hk_hold(void *obj, hk_token *token, const char *name);
/* Drops it and zeroes *token.  A second put is a mistake (HK_ERROR_PUT_TWICE)
   and drops nothing; through a copy of the token only the agent can tell. */
void hk_put(void *obj, hk_token *token);
/* A new reference for the life of the process: meant, no leak. */
void hk_root(void *obj, const char *name);

/* ---- the recording ------------------------------------------------------ */

/* Names a moment in the recording.  No-op without the agent. */
void hk_mark(const char *name);
/* Takes a timeline snapshot now.  No-op without the agent. */
void hk_snapshot(void);
/*
 * A note on an object, which reports show beside it; NULL takes it away.
 * The text is copied, 95 bytes of it, and forgotten when the object dies (a
 * foreign one: when it is forgotten or freed).  0; -1 with EINVAL for what is
 * no object, ENOSPC while 4,096 objects have a note, EAGAIN where waiting for
 * another call would do harm (a signal handler).  0 without the agent.  Any
 * thread that has a reference; a microsecond.  New: CPython has no
 * counterpart.
 */
int hk_annotate(void *obj, const char *text);
/*
 * This object is meant to be unreachable, or to leak: the agent's scans do not
 * report a cycle with it in it, only count it.  For the rest of its life; the
 * collector takes no notice.  0, or -1 with EINVAL for what is no object,
 * ENOTSUP for a foreign one.  Any thread that has a reference; a few
 * nanoseconds.  New: CPython has no counterpart.
 */
int hk_ignore(void *obj);
/* 1 under the agent. */
int hk_agent_present(void);

#ifdef __cplusplus
}
#endif

#endif
