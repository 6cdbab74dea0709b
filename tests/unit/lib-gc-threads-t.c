/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-threads -- eight threads that make objects, tie and cut references,
 * lock weak references, track and untrack, collect and scan, all at once; two
 * more only look, as in CPython's test_free_threading/test_gc.py.  What needs
 * the others to stand still is under the program's lock (hk_gc_set_lock);
 * counts, weak references and making objects are not.  In the end everything
 * balances.  Meant to be run under ThreadSanitizer too (make check-tsan).
 */
#include <pthread.h>

#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

#define THREADS 8
#define LOOKERS 2
#define SHARED 8

#if defined(__SANITIZE_THREAD__)
#define ROUNDS 400
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ROUNDS 400
#endif
#endif
#ifndef ROUNDS
#define ROUNDS 3000
#endif

static pthread_mutex_t mutex;
static struct knot *shared[SHARED];
static hk_weak *weak[SHARED];
static int finalized, called, made, errors, stop;

static void
lock(void *arg)
{
    pthread_mutex_lock(arg);
}

static void
unlock(void *arg)
{
    pthread_mutex_unlock(arg);
}

static void
add(int *counter, int by)
{
    __atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

static void
count_end(void *self)
{
    (void)self;
    add(&finalized, 1);
}

static void
on_weak(hk_weak *w, void *arg)
{
    (void)arg;
    if (hk_weak_lock(w))
        add(&errors, 1);
    add(&called, 1);
}

static void
on_error(const hk_error *error, void *arg)
{
    (void)error;
    (void)arg;
    add(&errors, 1);
}

static uint32_t
dice(uint64_t *x, uint32_t sides)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (uint32_t)(*x >> 32) % sides;
}

/* ---- what a thread does ------------------------------------------------- */

static hk_type *counted;

/* Objects that nobody else knows need the lock only when their fields are
   changed: a collection looks at those. */
static void
make_cycle(uint64_t *x)
{
    struct knot *a = knot_new(counted, 1), *b = knot_new(counted, 2);
    hk_weak *w = dice(x, 2) ? knot_weak(a, on_weak, NULL) : NULL;

    add(&made, 2);
    lock(&mutex);
    knot_link(a, b);
    if (dice(x, 2))
        knot_link(b, a);
    if (dice(x, 4) == 0)
        knot_link(a, shared[dice(x, SHARED)]);
    hk_decref(b);
    if (w)
        hk_weak_free(w);
    hk_decref(a);
    unlock(&mutex);
}

static void
count_only(uint64_t *x)
{
    struct knot *k = shared[dice(x, SHARED)];

    for (int i = 0; i < 10; i++)
        hk_incref(k);
    for (int i = 0; i < 10; i++)
        hk_decref(k);
}

/* What a weak reference lends may be the last reference: then the object ends
   here, so the lock is held. */
static void
lock_weak(uint64_t *x)
{
    struct knot *k = hk_weak_lock(weak[dice(x, SHARED)]);

    if (!k)
        return;
    if (k->name < 100)
        add(&errors, 1);
    lock(&mutex);
    hk_decref(k);
    unlock(&mutex);
}

static void
replace_shared(uint64_t *x)
{
    uint32_t i = dice(x, SHARED);
    struct knot *k = shared[i];

    if (dice(x, 8))
        return;
    lock(&mutex);
    if (dice(x, 2)) {
        hk_untrack(k);
        hk_track(k);
    } else
        hk_setref(&k->ref[3], shared[(i + 1) % SHARED]);
    unlock(&mutex);
}

static void
collect(uint64_t *x)
{
    hk_gc_result r = {.struct_size = sizeof(r)};

    switch (dice(x, 40)) {
    case 0:
        if (hk_gc_collect((int)dice(x, 3)) < 0)
            add(&errors, 1);
        break;
    case 1:
        if (hk_gc_scan((int)dice(x, 3), &r))
            add(&errors, 1);
        break;
    case 2:
        if (hk_gc_poll() < 0)
            add(&errors, 1);
        break;
    }
}

static void *
mutate(void *arg)
{
    uint64_t x = 88172645463325252u + *(uint64_t *)arg * 7919;

    for (int i = 0; i < ROUNDS; i++) {
        make_cycle(&x);
        count_only(&x);
        lock_weak(&x);
        replace_shared(&x);
        collect(&x);
    }
    return NULL;
}

static int
look_at(void *obj, const hk_type *type, void *arg)
{
    (void)arg;
    if (!type || hk_refcount(obj) == 0)
        add(&errors, 1);
    return 0;
}

static void *
look(void *arg)
{
    void *objs[1] = {shared[0]};
    int turns = 0;

    (void)arg;
    do {
        if (hk_gc_get_objects(-1, look_at, NULL)
            || hk_gc_get_referrers(objs, 1, look_at, NULL)
            || hk_gc_get_referents(objs, 1, look_at, NULL))
            add(&errors, 1);
        turns++;
        sched_yield();
    } while (!__atomic_load_n(&stop, __ATOMIC_RELAXED));
    return turns ? NULL : arg;
}

/* ---- ------------------------------------------------------------------- */

static void
run(void)
{
    pthread_t threads[THREADS], lookers[LOOKERS];
    uint64_t numbers[THREADS];

    for (int i = 0; i < LOOKERS; i++)
        pthread_create(&lookers[i], NULL, look, NULL);
    for (uint64_t i = 0; i < THREADS; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, mutate, &numbers[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < LOOKERS; i++)
        pthread_join(lookers[i], NULL);
}

static void
start(void)
{
    pthread_mutexattr_t recursive;

    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &recursive);
    hk_gc_set_lock(lock, unlock, &mutex);
    hk_set_error_fn(on_error, NULL);
    hk_gc_set_threshold(100, 2, 2);
    for (int i = 0; i < SHARED; i++) {
        shared[i] = knot_new(counted, 100 + i);
        weak[i] = knot_weak(shared[i], NULL, NULL);
    }
}

static void
check_shared(void)
{
    int wrong = 0;

    for (int i = 0; i < SHARED; i++)
        hk_clearref(&shared[i]->ref[3]);
    hk_gc_collect(2);
    for (int i = 0; i < SHARED; i++) {
        wrong += hk_refcount(shared[i]) != 1;
        wrong += !knot_weak_is_alive(weak[i]);
        wrong += !hk_gc_is_tracked(shared[i]);
    }
    is_int(0, wrong, "shared objects are as they were");
}

int
main(void)
{
    hk_gc_stats stats[3];

    knot_types();
    counted = knot_type("Counted", (hk_type_spec){.finalize = count_end});
    start();
    run();
    is_int(0, errors, "test_get_objects, test_get_referrers, collections: "
                      "no call failed, nothing odd was seen");
    check_shared();
    is_int(SHARED, knot_live(counted), "they alone live");
    is_int(made, finalized, "each of the others was finalized once");
    hk_gc_get_stats(stats);
    ok(stats[0].collections + stats[1].collections + stats[2].collections > 10
           && stats[2].collected > 0,
       "there were collections, and they found cycles");
    for (int i = 0; i < SHARED; i++) {
        hk_decref(shared[i]);
        hk_weak_free(weak[i]);
    }
    is_int(0, knot_live(counted), "all are gone");
    return done_testing();
}
