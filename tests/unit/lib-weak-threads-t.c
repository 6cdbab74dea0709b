/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-weak-threads -- weak references from several threads, and across fork.
 *
 * An object says in its memory that it is alive, and its dealloc takes that
 * back and counts the death; the memory itself stays until the end of a round,
 * so a lock that comes too late is seen for what it is.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/lib-weak.h"

#define THREADS 8
#define OBJECTS 64
#define SPREAD  300
#define RACES   150
#define TURN    32 /* locks before others get the processor */
#define ALIVE   4711
#define DEAD    42

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 40
#define FORKS  5
#else
#define ROUNDS 300
#define FORKS  25
#endif

static hk_type *mortals, *nodes;
static struct node *objects[OBJECTS];
static hk_weak *weak[OBJECTS];
static pthread_barrier_t line;
static int64_t deaths, late, undead, locked[OBJECTS];

static void
add(int64_t *counter, int64_t by)
{
    __atomic_fetch_add(counter, by, __ATOMIC_RELAXED);
}

static void
note_death(void *self)
{
    struct node *n = self;

    if (__atomic_exchange_n(&n->number, DEAD, __ATOMIC_RELAXED) != ALIVE)
        add(&undead, 1);
    add(&deaths, 1);
}

static void
rest(void)
{
    pthread_barrier_wait(&line);
}

static void
count_atomic(hk_weak *w, void *arg)
{
    (void)w;
    add(arg, 1);
}

/* ---- locks against the last decrement ----------------------------------- */

/* Until it is dead. */
static void
lock_one(int i)
{
    struct node *n;
    int turn = 0;

    while ((n = hk_weak_lock(weak[i])) != NULL) {
        add(&locked[i], 1);
        if (__atomic_load_n(&n->number, __ATOMIC_RELAXED) != ALIVE)
            add(&late, 1);
        hk_decref(n);
        if (++turn % TURN == 0)
            sched_yield();
    }
    if (hk_weak_lock(weak[i]))
        add(&undead, 1);
}

/* The first of them has the strong references.  It drops each when the others
   are at it. */
static void *
race(void *arg)
{
    int me = *(int *)arg;

    for (int round = 0; round < RACES; round++) {
        rest();
        for (int i = 0; i < OBJECTS; i++) {
            while (me == 0 && !__atomic_load_n(&locked[i], __ATOMIC_RELAXED))
                sched_yield();
            if (me == 0)
                hk_decref(objects[i]);
            lock_one(i);
        }
        rest();
    }
    return NULL;
}

static void
start_round(int64_t *called)
{
    for (int i = 0; i < OBJECTS; i++) {
        objects[i] = hk_new(mortals);
        objects[i]->number = ALIVE;
        locked[i] = 0;
        weak[i] = hk_weak_new(objects[i], i % 2 ? count_atomic : NULL, called);
    }
}

static void
end_round(void)
{
    for (int i = 0; i < OBJECTS; i++) {
        late += hk_weak_lock(weak[i]) != NULL;
        hk_weak_free(weak[i]);
        free(objects[i]);
    }
}

static void
start(pthread_t *threads, int *ids, int count, void *(*fn)(void *))
{
    for (int i = 0; i < count; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, fn, &ids[i]);
    }
}

static void
join(const pthread_t *threads, int count)
{
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void
lock_against_death(void)
{
    pthread_t threads[THREADS];
    int ids[THREADS];
    int64_t called = 0;

    pthread_barrier_init(&line, NULL, THREADS + 1);
    start(threads, ids, THREADS, race);
    for (int round = 0; round < RACES; round++) {
        start_round(&called);
        rest();
        rest();
        end_round();
    }
    join(threads, THREADS);
    pthread_barrier_destroy(&line);
    is_int(0, late, "no lock gives a dead object");
    is_int(0, undead, "who is dead stays dead");
    is_int((int64_t)RACES * OBJECTS, deaths, "each object died once");
    is_int((int64_t)RACES * OBJECTS / 2, called, "each callback ran once");
}

/* ---- freed by another thread -------------------------------------------- */

static void *
free_there(void *arg)
{
    hk_weak_free(arg);
    return NULL;
}

static void
free_from_thread(hk_weak *w, void *arg)
{
    pthread_t thread;

    calls++;
    pthread_create(&thread, NULL, free_there, arg ? arg : w);
    pthread_join(thread, NULL);
}

static void
freed_by_another_thread(void)
{
    struct node *n = hk_new(nodes);
    hk_weak *older = hk_weak_new(n, count_call, NULL);
    hk_weak *newer = hk_weak_new(n, free_from_thread, older);

    calls = 0;
    hk_decref(n);
    is_int(1, calls, "freed by another thread while it is pending");
    hk_weak_free(newer);
    n = hk_new(nodes);
    hk_weak_new(n, free_from_thread, NULL);
    hk_decref(n);
    is_int(2, calls, "freed by another thread while it runs");
}

static int64_t raced_calls;

static void *
free_all(void *arg)
{
    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        rest();
        for (int i = 0; i < OBJECTS; i++)
            hk_weak_free(weak[i]);
        rest();
    }
    return NULL;
}

/* The one drops targets while the other frees their references. */
static void
free_against_death(void)
{
    pthread_t thread;
    int64_t second = 0;
    hk_weak *others[OBJECTS];

    pthread_barrier_init(&line, NULL, 2);
    pthread_create(&thread, NULL, free_all, NULL);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < OBJECTS; i++) {
            objects[i] = hk_new(nodes);
            others[i] = hk_weak_new(objects[i], count_atomic, &second);
            weak[i] = hk_weak_new(objects[i], count_atomic, &raced_calls);
        }
        rest();
        for (int i = 0; i < OBJECTS; i++)
            hk_decref(objects[OBJECTS - 1 - i]);
        rest();
        for (int i = 0; i < OBJECTS; i++)
            hk_weak_free(others[i]);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&line);
    is_int((int64_t)ROUNDS * OBJECTS, second, "those not freed are called");
    ok(raced_calls <= (int64_t)ROUNDS * OBJECTS, "the others at most once");
}

/* ---- making and sharing ------------------------------------------------- */

static struct node *common;
static int64_t not_shared;

static void *
make_and_free(void *arg)
{
    hk_weak *mine[16];

    (void)arg;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 16; i++)
            mine[i] =
                hk_weak_new(common, i % 4 ? NULL : count_atomic, &not_shared);
        for (int i = 2; i < 16; i++)
            if (i % 4 && mine[i] != mine[1])
                add(&not_shared, 1);
        for (int i = 0; i < 16; i++)
            hk_weak_free(mine[i]);
    }
    return NULL;
}

static void
made_at_once(void)
{
    pthread_t threads[THREADS];
    int ids[THREADS];

    common = hk_new(nodes);
    start(threads, ids, THREADS, make_and_free);
    join(threads, THREADS);
    is_int(0, (int64_t)hk_weak_count(common), "all were unlinked");
    is_int(1, (int64_t)hk_refcount(common), "no reference is left");
    hk_decref(common);
    is_int(0, not_shared, "one without a callback, whoever asks");
}

/* ---- fork --------------------------------------------------------------- */

static int stop;
static struct node *everywhere[SPREAD];
static hk_weak *everyone[SPREAD];

/* Enough objects to meet every stripe. */
static void
spread(void)
{
    for (int i = 0; i < SPREAD; i++) {
        everywhere[i] = hk_new(nodes);
        everyone[i] = hk_weak_new(everywhere[i], NULL, NULL);
    }
}

static void
lock_all(void)
{
    for (int i = 0; i < SPREAD; i++)
        hk_xdecref(hk_weak_lock(everyone[i]));
}

static void
end_all(void)
{
    for (int i = 0; i < SPREAD; i++) {
        hk_decref(everywhere[i]);
        hk_weak_free(everyone[i]);
    }
}

static void *
use_until_stop(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        lock_all();
    return NULL;
}

/* The child of a fork uses every stripe; what another thread held would be
   held for ever, and the alarm would end it. */
static void
fork_while_used(void)
{
    pthread_t threads[3];
    int ids[3], status, bad = 0;
    pid_t child;

#if defined(__SANITIZE_ADDRESS__)
    skip(1, "the sanitizer's malloc() does not survive a fork");
    return;
#endif
    spread();
    start(threads, ids, 3, use_until_stop);
    for (int i = 0; i < FORKS; i++) {
        child = fork();
        if (child == 0) {
            alarm(60);
            lock_all();
            end_all();
            _exit(0);
        }
        bad += waitpid(child, &status, 0) != child || !WIFEXITED(status);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    join(threads, 3);
    is_int(0, bad, "forked children find nothing locked");
    end_all();
}

int
main(void)
{
    mortals = make("mortal", NULL, note_death);
    nodes = make("node", NULL, NULL);
    lock_against_death();
    freed_by_another_thread();
    free_against_death();
    made_at_once();
    fork_while_used();
    return done_testing();
}
