/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * weak.c -- weak references: from an object to them, and safely back.
 *
 * A target is what the library knows of an object that has weak references:
 * the list of those with a callback, newest first, and the one without, which
 * all who ask for such a one share.  Targets stand in a hash table by the
 * address of their object, cut into stripes with a mutex each.  A reference
 * keeps the number of its stripe, so it can be locked without a look at an
 * object that may be gone.  The object's end takes the target out under the
 * same mutex before its memory goes: whoever holds the mutex and still sees a
 * target may touch the object's header.
 *
 * The life of a reference:
 *
 *      ALIVE ──▶ PENDING ──▶ RUNNING ──▶ DEAD
 *        └───────────┴────────────────────▲        (no callback to run)
 *
 * PENDING and RUNNING ones belong to the thread that runs the callbacks: who
 * frees one then only marks it FREED, and that thread gives the memory back.
 *
 * Called by   the program; the end of an object, the collector, finalizer.c.
 * Threads     any.  A mutex is held for a few loads and stores; callbacks and
 *             malloc() are called without one, growing moves one stripe.
 * Memory      malloc()'s, 48 bytes a reference and 48 an object that has some.
 * Fails       hk_weak_new: EINVAL, ENOMEM.  A table that cannot grow only
 *             becomes slower.
 * Invariants  a reference is ALIVE if and only if it has a target.  A target
 *             has at least one reference.  The header of a target's object
 *             has OBJECT_WEAK.
 */
#include "lib/weak.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/error.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/shard.h"
#include "lib/type.h"

/* A fork holds all of them, and ThreadSanitizer counts to 64 mutexes a
   thread: there must be room for the program's. */
#define STRIPES       32
#define FIRST_BUCKETS 8

enum { ALIVE, PENDING, RUNNING, DEAD, FREED };

struct target {
    struct target *next; /* in its bucket */
    void *object;
    hk_object *header;
    hk_weak *newest; /* those with a callback */
    hk_weak *shared; /* the one without, or NULL */
    size_t count;
};

struct hk_weak {
    struct target *target;
    hk_weak *older; /* or the next one that is pending */
    hk_weak *newer;
    hk_weak_fn fn;
    void *arg;
    uint32_t owners; /* each will call hk_weak_free */
    uint8_t stripe, state, silent;
};

static struct stripe {
    pthread_mutex_t lock;
    size_t targets, buckets; /* a power of two; 0: those in first */
    struct target **table;
    struct target *first[FIRST_BUCKETS];
} __attribute__((aligned(64)))
stripes[STRIPES] = {[0 ... STRIPES - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};

/* ---- fork --------------------------------------------------------------- */

/* Nothing of a program without weak references. */
static int in_use, fork_holds;

void
weak_before_fork(void)
{
    fork_holds = __atomic_load_n(&in_use, __ATOMIC_ACQUIRE);
    if (!fork_holds)
        return;
    for (int i = 0; i < STRIPES; i++)
        pthread_mutex_lock(&stripes[i].lock);
}

void
weak_after_fork(void)
{
    if (!fork_holds)
        return;
    for (int i = STRIPES; i-- > 0;)
        pthread_mutex_unlock(&stripes[i].lock);
}

/* ---- the table ---------------------------------------------------------- */

static uint64_t
hash_address(const void *object)
{
    return ((uintptr_t)object >> 3) * UINT64_C(0x9e3779b97f4a7c15);
}

/* From the high bits; buckets take lower ones. */
static struct stripe *
stripe_of(const void *object)
{
    return &stripes[(hash_address(object) >> 56) % STRIPES];
}

static struct stripe *
lock_stripe(struct stripe *s)
{
    pthread_mutex_lock(&s->lock);
    return s;
}

static struct target **
bucket_in(struct target **table, size_t buckets, const void *object)
{
    return &table[(hash_address(object) >> 24) & (buckets - 1)];
}

/* The place that names the object's target, or the end of its bucket. */
static struct target **
find_locked(struct stripe *s, const void *object)
{
    struct target **place = s->buckets
                                ? bucket_in(s->table, s->buckets, object)
                                : bucket_in(s->first, FIRST_BUCKETS, object);

    while (*place && (*place)->object != object)
        place = &(*place)->next;
    return place;
}

static void
move_locked(struct target **from, size_t count, struct target **to,
            size_t buckets)
{
    struct target *t, *next, **place;

    for (size_t i = 0; i < count; i++)
        for (t = from[i]; t; t = next) {
            next = t->next;
            place = bucket_in(to, buckets, t->object);
            t->next = *place;
            *place = t;
        }
}

/* The buckets that the stripe should have, if it has too few, else 0. */
static size_t
buckets_wanted_locked(const struct stripe *s)
{
    size_t have = s->buckets ? s->buckets : FIRST_BUCKETS;

    return s->targets > have ? 2 * have : 0;
}

/* Room is made without the mutex; by then it may not be needed any more. */
static void
grow(struct stripe *s, size_t buckets)
{
    struct target **fresh = calloc(buckets, sizeof(*fresh)), **old = fresh;

    if (!fresh)
        return;
    lock_stripe(s);
    if (buckets_wanted_locked(s) == buckets) {
        old = s->table;
        if (old)
            move_locked(old, s->buckets, fresh, buckets);
        else
            move_locked(s->first, FIRST_BUCKETS, fresh, buckets);
        s->table = fresh;
        s->buckets = buckets;
    }
    pthread_mutex_unlock(&s->lock);
    free(old);
}

/* ---- references and their target ---------------------------------------- */

/* The object has no references any more; the caller frees the target. */
static struct target *
remove_locked(struct stripe *s, struct target **place)
{
    struct target *t = *place;

    *place = t->next;
    s->targets--;
    return t;
}

static void
link_locked(struct target *t, hk_weak *w)
{
    w->target = t;
    t->count++;
    if (!w->fn) {
        t->shared = w;
        return;
    }
    w->older = t->newest;
    if (t->newest)
        t->newest->newer = w;
    t->newest = w;
}

/* Returns the target if that was its last reference. */
static struct target *
unlink_locked(struct stripe *s, hk_weak *w)
{
    struct target *t = w->target;

    w->target = NULL;
    if (t->shared == w)
        t->shared = NULL;
    if (t->newest == w)
        t->newest = w->older;
    if (w->newer)
        w->newer->older = w->older;
    if (w->older)
        w->older->newer = w->newer;
    w->older = w->newer = NULL;
    return --t->count ? NULL : remove_locked(s, find_locked(s, t->object));
}

static void
append(struct weak_pending *pending, hk_weak *w)
{
    w->older = NULL;
    if (pending->last)
        pending->last->older = w;
    else
        pending->first = w;
    pending->last = w;
}

static void
clear_locked(struct target *t, struct weak_pending *pending)
{
    hk_weak *w, *older;

    if (t->shared) {
        t->shared->target = NULL;
        t->shared->state = DEAD;
    }
    for (w = t->newest; w; w = older) {
        older = w->older;
        w->target = NULL;
        w->newer = NULL;
        w->state = pending ? PENDING : DEAD;
        if (pending)
            append(pending, w);
    }
}

/* ---- making one --------------------------------------------------------- */

static int
is_dying(const hk_object *header)
{
    return !hk_refcount(header) ||
           __atomic_load_n(&header->bits, __ATOMIC_RELAXED) & OBJECT_DEAD;
}

static hk_object *
header_of_live(void *obj)
{
    hk_object *header = obj ? object_header(obj) : NULL;
    const char *why = NULL;

    if (!obj)
        why = "no object";
    else if (!header)
        why = "foreign objects have no weak references";
    else if (!type_get(header->type))
        why = "not an object";
    else if (is_dying(header))
        why = "the object is dead";
    if (!why)
        return header;
    error_set(EINVAL, "hk_weak_new: %s", why);
    return NULL;
}

/* One more owner of the reference without a callback, if there is one. */
static hk_weak *
share(struct stripe *s, void *obj)
{
    struct target *t = *find_locked(lock_stripe(s), obj);
    hk_weak *w = t ? t->shared : NULL;

    if (w)
        w->owners++;
    pthread_mutex_unlock(&s->lock);
    return w;
}

/* A target without the object's mark is what is left of an object whose end
   the library did not see.  Its references are dead, without a call. */
static struct target *
bury_stale_locked(struct stripe *s, struct target **place, hk_object *header)
{
    unsigned bits =
        __atomic_fetch_or(&header->bits, OBJECT_WEAK, __ATOMIC_RELAXED);

    if (bits & OBJECT_WEAK || !*place)
        return NULL;
    clear_locked(*place, NULL);
    return remove_locked(s, place);
}

/* Uses *w and *t, which are zeroed, and NULLs what it has used; another thread
   may have brought either first.  The caller frees the rest, and *stale. */
static hk_weak *
insert_locked(struct stripe *s, struct target **t, hk_weak **w,
              struct target **stale)
{
    struct target **place = find_locked(s, (*t)->object);
    hk_weak *made = *w;

    *stale = bury_stale_locked(s, place, (*t)->header);
    if (*stale)
        place = find_locked(s, (*t)->object);
    if (*place && !made->fn && (*place)->shared) {
        (*place)->shared->owners++;
        return (*place)->shared;
    }
    if (!*place) {
        *place = *t;
        s->targets++;
        *t = NULL;
    }
    link_locked(*place, made);
    *w = NULL;
    return made;
}

static hk_weak *
insert(struct stripe *s, struct target *t, hk_weak *w)
{
    struct target *stale;
    size_t wanted;
    hk_weak *made;

    lock_stripe(s);
    made = insert_locked(s, &t, &w, &stale);
    wanted = buckets_wanted_locked(s);
    pthread_mutex_unlock(&s->lock);
    free(stale);
    free(t);
    free(w);
    if (wanted)
        grow(s, wanted);
    return made;
}

hk_weak *
hk_weak_new(void *obj, hk_weak_fn fn, void *arg)
{
    hk_object *header = header_of_live(obj);
    struct stripe *s = stripe_of(obj);
    struct target *t;
    hk_weak *w;

    if (!header)
        return NULL;
    if (fn)
        registry_show_order();
    shard_mine(); /* this thread uses the library */
    __atomic_store_n(&in_use, 1, __ATOMIC_RELEASE);
    w = !fn && __atomic_load_n(&header->bits, __ATOMIC_RELAXED) & OBJECT_WEAK
            ? share(s, obj)
            : NULL;
    if (w)
        return w;
    t = calloc(1, sizeof(*t));
    w = calloc(1, sizeof(*w));
    if (!t || !w) {
        free(t);
        free(w);
        error_set(ENOMEM, "hk_weak_new: no memory");
        return NULL;
    }
    *t = (struct target){.object = obj, .header = header};
    *w = (hk_weak){.fn = fn,
                   .arg = arg,
                   .owners = 1,
                   .state = ALIVE,
                   .stripe = (uint8_t)(s - stripes)};
    return insert(s, t, w);
}

/* ---- using and ending one ----------------------------------------------- */

void *
weak_lock_quietly(hk_weak *weak, int *saturated)
{
    struct stripe *s;
    void *obj = NULL;

    if (!weak)
        return NULL;
    shard_mine(); /* this thread uses the library */
    s = lock_stripe(&stripes[weak->stripe]);
    if (weak->target && object_try_incref(weak->target->header, saturated))
        obj = weak->target->object;
    pthread_mutex_unlock(&s->lock);
    return obj;
}

void
weak_locked(void *obj, int saturated)
{
    hk_object *header = obj ? object_header(obj) : NULL;

    if (!header)
        return;
    object_trace(header, 1);
    if (saturated)
        hk_count_error_(header, HK_ERROR_SATURATED);
}

void *
hk_weak_lock(hk_weak *weak)
{
    int saturated = 0;
    void *obj = weak_lock_quietly(weak, &saturated);

    weak_locked(obj, saturated);
    return obj;
}

void
hk_weak_free(hk_weak *weak)
{
    struct target *last = NULL;
    struct stripe *s;
    int mine = 0;

    if (!weak)
        return;
    s = lock_stripe(&stripes[weak->stripe]);
    if (--weak->owners == 0) {
        if (weak->state == ALIVE)
            last = unlink_locked(s, weak);
        mine = weak->state == ALIVE || weak->state == DEAD;
        weak->state = FREED;
    }
    pthread_mutex_unlock(&s->lock);
    free(last);
    if (mine)
        free(weak);
}

size_t
hk_weak_count(void *obj)
{
    hk_object *header = obj ? object_header(obj) : NULL;
    struct target *t;
    struct stripe *s;
    size_t count;

    if (!header ||
        !(__atomic_load_n(&header->bits, __ATOMIC_RELAXED) & OBJECT_WEAK))
        return 0;
    s = lock_stripe(stripe_of(obj));
    t = *find_locked(s, obj);
    count = t ? t->count : 0;
    pthread_mutex_unlock(&s->lock);
    return count;
}

/* ---- the end of an object ----------------------------------------------- */

/* A shared one that somebody else owns too may belong to a live object.  It
   has no callback, and dies with its target anyway. */
void
weak_silence(hk_weak *weak)
{
    struct target *last = NULL;
    struct stripe *s;

    if (!weak)
        return;
    s = lock_stripe(&stripes[weak->stripe]);
    if (weak->owners == 1) {
        weak->silent = 1;
        if (weak->state == ALIVE) {
            last = unlink_locked(s, weak);
            weak->state = DEAD;
        }
    }
    pthread_mutex_unlock(&s->lock);
    free(last);
}

void
weak_clear(void *self, struct weak_pending *pending)
{
    struct stripe *s = lock_stripe(stripe_of(self));
    struct target **place = find_locked(s, self);
    struct target *t = *place ? remove_locked(s, place) : NULL;

    if (t)
        clear_locked(t, pending);
    pthread_mutex_unlock(&s->lock);
    free(t);
}

/* From PENDING to RUNNING; 0 if there is nothing to call, and then it is
   over. */
static int
begin(hk_weak *w)
{
    struct stripe *s = lock_stripe(&stripes[w->stripe]);
    int freed = w->state == FREED, silent = w->silent;

    if (!freed)
        w->state = silent ? DEAD : RUNNING;
    pthread_mutex_unlock(&s->lock);
    if (freed)
        free(w);
    return !freed && !silent;
}

/* The owner may have freed it meanwhile, in the callback or elsewhere; it may
   do so as soon as the mutex is released. */
static void
end(hk_weak *w)
{
    struct stripe *s = lock_stripe(&stripes[w->stripe]);
    int freed = w->state == FREED;

    w->state = freed ? FREED : DEAD;
    pthread_mutex_unlock(&s->lock);
    if (freed)
        free(w);
}

void
weak_run(struct weak_pending *pending)
{
    hk_weak *w = pending->first, *next;
    int saved = errno;
    char sentence[160];

    if (!w)
        return;
    snprintf(sentence, sizeof(sentence), "%s", hk_last_error());
    for (; w; w = next) {
        next = w->older;
        if (begin(w)) {
            w->fn(w, w->arg);
            end(w);
        }
    }
    pending->first = pending->last = NULL;
    error_set(saved, "%s", sentence);
}

void
weak_object_dies(void *self)
{
    struct weak_pending pending = {NULL, NULL};

    weak_clear(self, &pending);
    weak_run(&pending);
}
