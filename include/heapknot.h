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
 * one sentence for hk_last_error().
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

/* Kinds of hk_field. */
enum {
    HK_END = 0,    /* ends a table */
    HK_REF,        /* T *field: a strong reference */
    HK_WEAK,       /* T *field: not counted, not an edge */
    HK_REF_INLINE, /* T *field[count]: an array in the struct */
    HK_REF_ARRAY,  /* T **field: array of as many strong references as the
                      size_t at offset `count` of the struct says */
    HK_EMBED,      /* a struct by value; count is the address of its own
                      hk_field table, cast to size_t */
    HK_SLIST       /* T *field: first of a list of plain nodes (not objects)
                      whose hk_slist_spec is at the address in count */
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
    HK_TYPE_FOREIGN = 2    /* objects are adopted and have a count of their
                              own: refcount_offset, _width, _bias */
};

/*
 * What a type is.  Zero what you do not need; struct_size first.
 *
 * traverse runs in a copy of the process when the agent scans: it must not
 * take locks, allocate, or change anything.  A table in fields does the same
 * without code.  Mirrors tp_traverse, tp_clear, tp_finalize, tp_del,
 * tp_dealloc.
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
} hk_type_spec;

/*
 * Registers a type for the life of the process; the spec is copied, its
 * strings and callbacks must stay.  NULL with EINVAL for a spec that makes no
 * sense, ENOSPC after 65,535 types, ENOMEM.  Registering an equal spec again
 * returns the same type; another one of the same name is refused (EEXIST).
 */
hk_type *hk_type_register(const hk_type_spec *spec);
const char *hk_type_name(const hk_type *type);

/* Counts of a type since start: objects created, destroyed, tracked now. */
void hk_type_counts(const hk_type *type, uint64_t *created,
                    uint64_t *destroyed, uint64_t *tracked);

/* The sentence for this thread's last error; never NULL. */
const char *hk_last_error(void);

/*
 * A new zeroed object with one reference, tracked at once unless it is a
 * leaf.  NULL with ENOMEM.  Mirrors PyType_GenericAlloc.  The memory is from
 * malloc.  hk_new_extra adds bytes behind the struct.
 */
void *hk_new(hk_type *type);
void *hk_new_extra(hk_type *type, size_t extra_bytes);

/*
 * Makes an object, with one reference, of memory that the caller owns; not
 * tracked.  mem is the struct; its other members are left alone.  Mirrors
 * PyObject_Init.  The type needs a dealloc unless mem is from malloc.
 */
void hk_init(void *mem, hk_type *type);

/*
 * Makes the collector see an object, or no more.  Track when all fields that
 * traverse visits are valid; untrack before they are not.  Both may be
 * repeated.  Mirrors PyObject_GC_Track and _UnTrack.  An object is untracked
 * by itself before its dealloc.
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

/* Names a moment in the recording.  No-op without the agent. */
void hk_mark(const char *name);
/* Takes a timeline snapshot now.  No-op without the agent. */
void hk_snapshot(void);
/* 1 under the agent. */
int hk_agent_present(void);

/* ---- reference counts ---------------------------------------------------
 *
 * relaxed increment; release decrement with an acquire before the object
 * dies, as in CPython's free-threaded build and C++'s shared_ptr.  (A load, not
 * a fence, so that ThreadSanitizer sees it.)
 */
#define HK_BIT_WATCHED 1u /* the agent wants to see its releases */

#define HK_WORD_ONE UINT64_C(0x0000000100000001)

void hk_decref_watched_(void *obj);
void hk_dealloc_(void *obj);
void hk_count_error_(void *obj, int what);

static inline uint64_t
hk_refcount(const void *obj)
{
    const hk_object *o = (const hk_object *)obj;
    return (uint32_t)__atomic_load_n(&o->word, __ATOMIC_RELAXED);
}

/* Mirrors Py_INCREF. */
static inline void
hk_incref(void *obj)
{
    hk_object *o = (hk_object *)obj;
    uint64_t old = __atomic_fetch_add(&o->word, HK_WORD_ONE, __ATOMIC_RELAXED);

    if (__builtin_expect((uint32_t)old == 0 || (uint32_t)old >> 31, 0))
        hk_count_error_(obj, (uint32_t)old == 0 ? 1 : 2);
}

/* Mirrors Py_DECREF: the last one runs the type's dealloc on this thread. */
static inline void
hk_decref(void *obj)
{
    hk_object *o = (hk_object *)obj;
    uint64_t old;

    if (__builtin_expect(
            __atomic_load_n(&o->bits, __ATOMIC_RELAXED) & HK_BIT_WATCHED, 0)) {
        hk_decref_watched_(obj);
        return;
    }
    old = __atomic_fetch_sub(&o->word, 1, __ATOMIC_RELEASE);
    if (__builtin_expect((uint32_t)old <= 1, 0)) {
        if ((uint32_t)old == 0)
            hk_count_error_(obj, 0);
        else {
            (void)__atomic_load_n(&o->word, __ATOMIC_ACQUIRE);
            hk_dealloc_(obj);
        }
    }
}

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

#ifdef __cplusplus
}
#endif

#endif
