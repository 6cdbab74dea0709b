/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * finalizer.c -- functions that run when an object has died, or before.
 *
 * A finalizer is an entry in a slab and a weak reference to the object whose
 * callback ends the entry.  Whoever takes a living entry, under the mutex,
 * alone runs its function, after the mutex is released: the death of the
 * object, hk_finalizer_call, or the exit of the process.
 *
 * Called by   the program; weak.c when an object dies; exit().
 * Threads     any.  One mutex, which comes before those of weak.c.
 * Memory      malloc()'s: 56 bytes a finalizer in segments that stay, and
 *             a weak reference.
 * Fails       hk_finalizer_add: EINVAL, ENOMEM.
 * Invariants  an id is a generation and an index; an entry gets a new
 *             generation when it is taken, and is not used again after the
 *             last one, so an id never comes back.  An entry is ALIVE if and
 *             only if its weak reference is set.  Those with
 *             HK_FINALIZER_ATEXIT that are ALIVE stand in a list, in the
 *             order in which they were added.
 */
#include "lib/finalizer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "heapknot.h"
#include "lib/error.h"
#include "lib/object.h"
#include "lib/weak.h"

#define FIRST_BITS                                             \
    6 /* log2 of the entries of segment 0; the next have twice \
         as many as the one before */
#define SEGMENTS 24

struct entry {
    hk_weak *weak; /* NULL: free */
    void (*fn)(void *arg);
    void *arg;
    struct entry *older, *newer; /* in the list; older alone: the next free */
    uint32_t index, generation;
    unsigned flags;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct entry *segments[SEGMENTS];
static uint32_t segment_count;
static struct entry *free_entries;
static struct entry *newest; /* of those that run at exit */
static int exit_watched, exit_over;

static void
lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void
unlock(void)
{
    pthread_mutex_unlock(&mutex);
}

void
finalizer_before_fork(void)
{
    lock();
}

void
finalizer_after_fork(void)
{
    unlock();
}

/* ---- the slab ----------------------------------------------------------- */

static uint32_t
segment_size(uint32_t segment)
{
    return UINT32_C(1) << (FIRST_BITS + segment);
}

/* Indexes count on from segment to segment: index + 64 has its highest bit
   where its segment says. */
static struct entry *
entry_at(uint32_t index)
{
    uint64_t place = (uint64_t)index + (UINT32_C(1) << FIRST_BITS);
    int bits = 63 - __builtin_clzll(place);
    uint32_t segment = (uint32_t)(bits - FIRST_BITS);

    return segment < segment_count
               ? &segments[segment][place - (UINT64_C(1) << bits)]
               : NULL;
}

static void
put_free_locked(struct entry *e)
{
    e->weak = NULL;
    e->newer = NULL;
    if (++e->generation == 0)
        return; /* worn out */
    e->older = free_entries;
    free_entries = e;
}

static void
add_segment_locked(struct entry *entries)
{
    uint32_t size = segment_size(segment_count);
    uint32_t first = size - segment_size(0);

    segments[segment_count++] = entries;
    for (uint32_t i = size; i-- > 0;) {
        entries[i].index = first + i;
        put_free_locked(&entries[i]);
    }
}

/* Room is made without the mutex; another thread may have been quicker. */
static struct entry *
take_free(void)
{
    struct entry *entries = NULL, *e;
    uint32_t segment;

    lock();
    while (!free_entries) {
        segment = segment_count;
        unlock();
        free(entries);
        entries = segment < SEGMENTS
                      ? calloc(segment_size(segment), sizeof(*entries))
                      : NULL;
        if (!entries)
            return NULL;
        lock();
        if (segment == segment_count) {
            add_segment_locked(entries);
            entries = NULL;
        }
    }
    e = free_entries;
    free_entries = e->older;
    e->older = NULL;
    unlock();
    free(entries);
    return e;
}

static void
give_back(struct entry *e)
{
    lock();
    put_free_locked(e);
    unlock();
}

/* ---- alive and over ----------------------------------------------------- */

/* What is left to do for an entry that is over. */
struct work {
    hk_weak *weak;
    void (*fn)(void *arg);
    void *arg;
};

static struct entry *
find_locked(hk_finalizer f)
{
    uint32_t index = (uint32_t)f - 1;
    struct entry *e = (uint32_t)f ? entry_at(index) : NULL;

    return e && e->weak && e->generation == f >> 32 ? e : NULL;
}

/* The entry is over.  After the exit, what belongs to it is not run. */
static struct work
take_locked(struct entry *e)
{
    struct work work = {e->weak, e->fn, e->arg};

    if (e->flags & HK_FINALIZER_ATEXIT) {
        if (e->older)
            e->older->newer = e->newer;
        if (e->newer)
            e->newer->older = e->older;
        else
            newest = e->older;
        if (exit_over)
            work.fn = NULL;
    }
    put_free_locked(e);
    return work;
}

/* Without the mutex. */
static int
finish(struct work work)
{
    hk_weak_free(work.weak);
    if (work.fn)
        work.fn(work.arg);
    return work.fn != NULL;
}

/* The callback of the weak reference.  If the entry was over already, when this
   call had begun, it may be another finalizer's by now; weak is not freed
   before this returns, so no other has the same. */
static void
object_died(hk_weak *weak, void *arg)
{
    struct entry *e = arg;
    struct work work = {NULL, NULL, NULL};

    lock();
    if (e->weak == weak)
        work = take_locked(e);
    unlock();
    finish(work);
}

/* ---- the exit ----------------------------------------------------------- */

void
finalizer_at_exit(void)
{
    struct work work;

    lock();
    while (newest) {
        work = take_locked(newest);
        unlock();
        finish(work);
        lock();
    }
    exit_over = 1;
    unlock();
}

/* atexit() allocates now and then, so not under the mutex. */
static int
watch_exit(void)
{
    int first;

    lock();
    first = !exit_watched;
    exit_watched = 1;
    unlock();
    if (!first || atexit(finalizer_at_exit) == 0)
        return 0;
    lock();
    exit_watched = 0;
    unlock();
    return -1;
}

/* ---- for the program ---------------------------------------------------- */

static hk_finalizer
start(struct entry *e, hk_weak *weak)
{
    hk_finalizer id;

    lock();
    e->weak = weak;
    if (e->flags & HK_FINALIZER_ATEXIT) {
        e->older = newest;
        if (newest)
            newest->newer = e;
        newest = e;
    }
    id = (uint64_t)e->generation << 32 | (e->index + 1);
    unlock();
    return id;
}

static hk_finalizer
refuse(int code, const char *why)
{
    error_set(code, "hk_finalizer_add: %s", why);
    return 0;
}

hk_finalizer
hk_finalizer_add(void *obj, void (*fn)(void *arg), void *arg, unsigned flags)
{
    struct entry *e;
    hk_weak *weak;

    if (!fn)
        return refuse(EINVAL, "no function");
    if (flags & ~HK_FINALIZER_ATEXIT)
        return refuse(EINVAL, "unknown flags");
    if (flags & HK_FINALIZER_ATEXIT && watch_exit())
        return refuse(ENOMEM, "no memory");
    e = take_free();
    if (!e)
        return refuse(ENOMEM, "no memory");
    e->fn = fn;
    e->arg = arg;
    e->flags = flags;
    weak = hk_weak_new(obj, object_died, e);
    if (!weak) {
        give_back(e);
        return 0;
    }
    return start(e, weak);
}

/* Nothing to do, if it is over. */
static struct work
take(hk_finalizer f)
{
    struct work work = {NULL, NULL, NULL};
    struct entry *e;

    lock();
    e = find_locked(f);
    if (e)
        work = take_locked(e);
    unlock();
    return work;
}

int
hk_finalizer_call(hk_finalizer f)
{
    return finish(take(f));
}

int
hk_finalizer_detach(hk_finalizer f)
{
    struct work work = take(f);

    hk_weak_free(work.weak);
    return work.weak != NULL;
}

int
hk_finalizer_alive(hk_finalizer f)
{
    int alive;

    lock();
    alive = find_locked(f) != NULL;
    unlock();
    return alive;
}

void *
hk_finalizer_peek(hk_finalizer f)
{
    struct entry *e;
    int saturated = 0;
    void *obj;

    lock();
    e = find_locked(f);
    obj = e ? weak_lock_quietly(e->weak, &saturated) : NULL;
    unlock();
    weak_locked(obj, saturated);
    return obj;
}
