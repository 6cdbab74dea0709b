/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * gc.h -- what the files of the collector share.
 */
#ifndef HK_LIB_GC_H
#define HK_LIB_GC_H

#include <stddef.h>

#include "heapknot.h"

/* The collector's knobs, counts and lists; by whoever is inside gc_enter(). */
struct gc {
    int threshold[3]; /* __atomic, relaxed: hk_gc_poll looks from outside */
    int enabled;
    unsigned debug;
    int count[3];     /* [0] is kept by shards */
    hk_gc_stats stats[3];
    size_t long_lived_total;   /* survivors of the last full collection */
    size_t long_lived_pending; /* and of those of generation 1 since then */
    int is_collecting;
};

extern struct gc gc __attribute__((visibility("hidden")));

/*
 * Everybody else stands still until gc_leave(): 0, or -1 with EPERM and a
 * sentence that begins with the caller's name.  May be nested.
 */
int gc_enter(const char *caller);
void gc_leave(void);

/* In a forked child. */
void gc_after_fork(void);

/* Room for n more objects in the garbage; 0, or -1: no memory.  Afterwards
   gc_garbage_add() cannot fail; it takes a reference. */
int gc_garbage_reserve(size_t n);
void gc_garbage_add(void *object);

/* A line of debug output on stderr. */
void gc_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
