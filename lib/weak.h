/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * weak.h -- weak references, as the death of an object and the collector use
 * them.
 *
 * An object that has, or had, a weak reference carries OBJECT_WEAK in its
 * header's bits (object.h); whoever ends an object without it need not call
 * anything here.
 */
#ifndef HK_LIB_WEAK_H
#define HK_LIB_WEAK_H

#include "heapknot.h"

/*
 * The object dies by count, after its finalizers and before its dealloc: all
 * weak references to it are dead when this begins to run their callbacks,
 * newest first.  Mirrors PyObject_ClearWeakRefs.
 */
void weak_object_dies(void *self);

/*
 * The collector's way, in three steps (handle_weakrefs in gcmodule.c).  No
 * memory is needed: what is pending is chained through the references.
 *
 * weak_silence   this weak reference belongs to garbage: it is dead from now
 *                on, and its callback never runs.  NULL is allowed.
 * weak_clear     all references to the garbage object self die; those with a
 *                callback that is not silent join `pending`, newest first,
 *                behind what is there.  pending NULL: none of them is ever
 *                called (references that a finalizer or legacy_del made).
 * weak_run       runs what is pending and not freed meanwhile, in order.
 */
struct weak_pending {
    hk_weak *first, *last;
};
void weak_silence(hk_weak *weak);
void weak_clear(void *self, struct weak_pending *pending);
void weak_run(struct weak_pending *pending);


/* Around a fork: nobody else is amid anything in the child. */
void weak_before_fork(void);
void weak_after_fork(void);

/* hk_weak_lock() for who holds a lock: then, without it, comes weak_locked()
   with what that returned. */
void *weak_lock_quietly(hk_weak *weak, int *saturated);
void weak_locked(void *obj, int saturated);

#endif
