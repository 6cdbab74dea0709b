/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-edges2 -- what lib-edges does with one thread, with several: a last
 * reference that two want, threads that must count as users of the library,
 * forks at bad moments.  Threads meet at barriers; what would hang is ended by
 * alarm().
 */
#include <pthread.h>
#include <sys/wait.h>

#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

#define HANG_SECONDS 60
#define OLD 3000

/* ---- hk_try_incref against the last hk_decref --------------------------- */

#define TRIES 20000

struct entry {
    hk_object head;
    int is_alive, ends;
};

static struct entry entries[TRIES + 1];
static struct entry *table;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static int stop, taken_dead, mistakes;

static void
count_mistake(const hk_error *error, void *arg)
{
    (void)error;
    (void)arg;
    __atomic_fetch_add(&mistakes, 1, __ATOMIC_RELAXED);
}

/* The memory stays; the entry leaves the table. */
static void
entry_end(void *self)
{
    struct entry *e = self;

    pthread_mutex_lock(&table_lock);
    if (table == e)
        table = NULL;
    pthread_mutex_unlock(&table_lock);
    __atomic_store_n(&e->is_alive, 0, __ATOMIC_RELAXED);
    e->ends++;
}

static struct entry *
take(void)
{
    struct entry *e;

    pthread_mutex_lock(&table_lock);
    e = table && hk_try_incref(table) ? table : NULL;
    pthread_mutex_unlock(&table_lock);
    return e;
}

static void *
take_again_and_again(void *arg)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        struct entry *e = take();

        for (int i = 0; e && i < 100; i++)
            taken_dead += !__atomic_load_n(&e->is_alive, __ATOMIC_RELAXED);
        hk_xdecref(e);
    }
    return arg;
}

static struct entry *
enter(int i, hk_type *type)
{
    struct entry *e = &entries[i];

    hk_init(e, type);
    e->is_alive = 1;
    return e;
}

static void
try_incref(void)
{
    hk_type *type = knot_type("Entry", (hk_type_spec){
                                           .size = sizeof(struct entry),
                                           .flags = HK_TYPE_LEAF,
                                           .dealloc = entry_end});
    struct entry *e = enter(TRIES, type);
    int wrong = 0;
    pthread_t thread;

    hk_try_incref(e); /* after hk_decref has read a count of 1 */
    hk_decref_last_(e);
    is_int(1, e->is_alive, "taken amid the last decref, an object lives");
    is_int(1, (int64_t)hk_refcount(e), "... with one reference");
    hk_decref(e);
    is_int(1, e->ends, "... and dies with that");
    hk_set_error_fn(count_mistake, NULL);
    pthread_create(&thread, NULL, take_again_and_again, NULL);
    for (int i = 0; i < TRIES; i++) {
        e = enter(i, type);
        pthread_mutex_lock(&table_lock);
        table = e;
        pthread_mutex_unlock(&table_lock);
        hk_decref(e);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    hk_set_error_fn(NULL, NULL);
    for (int i = 0; i < TRIES; i++)
        wrong += entries[i].ends != 1;
    is_int(0, wrong, "taken by another thread, each ends once");
    is_int(0, taken_dead + mistakes, "... none while it is held");
}

/* ---- who uses the library ----------------------------------------------- */

static pthread_barrier_t meet;
static struct knot *object;

static void
use_weak(void)
{
    hk_weak_free(hk_weak_new(object, NULL, NULL));
}

static void
use_track(void)
{
    hk_untrack(object);
    hk_track(object);
}

static void
use_last_decref(void)
{
    struct knot *child = object->ref[0];

    object->ref[0] = NULL;
    hk_decref(child);
}

static void
use_two(void)
{
    hk_decref(knot_new(plain, 1));
}

static void *
worker(void *arg)
{
    void (**use)(void) = arg;

    (*use)();
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
    return NULL;
}

static void
refused_with_workers(void)
{
    static void (*uses[])(void) = {use_weak, use_track, use_last_decref};
    static const char *names[] = {"made a weak reference", "tracked",
                                  "dropped a last reference"};
    pthread_t thread;

    object = knot_new(plain, 1);
    object->ref[0] = knot_new(plain, 2);
    for (int i = 0; i < 3; i++) {
        pthread_create(&thread, NULL, worker, &uses[i]);
        pthread_barrier_wait(&meet);
        errno = 0;
        is_int(-1, hk_gc_collect(2), "refused: a thread %s", names[i]);
        is_int(EPERM, errno, "... with EPERM");
        pthread_barrier_wait(&meet);
        pthread_join(thread, NULL);
        is_int(0, hk_gc_collect(2), "... not when it has ended");
    }
    hk_decref(object);
}

/* A destructor of the program's own runs in each of the four rounds; it uses
   the library in the last, when no other is asked again. */
static pthread_key_t key;

static void
use_at_end(void *value)
{
    static int round;

    if (++round < 4)
        pthread_setspecific(key, value);
    else
        use_two();
}

static void *
end_late(void *arg)
{
    pthread_setspecific(key, &key);
    use_two();
    return arg;
}

static void
use_in_destructor(void)
{
    pthread_t thread;

    if (UNDER_TSAN) {
        skip(1, "ThreadSanitizer has ended the thread by then");
        return;
    }
    use_two(); /* the library's key is there, so its turn comes before ours */
    pthread_key_create(&key, use_at_end);
    pthread_create(&thread, NULL, end_late, NULL);
    pthread_join(thread, NULL);
    is_int(0, hk_gc_collect(2), "a thread that used it in its last destructor "
                                "has ended");
    pthread_key_delete(key);
}

/* ---- the program's lock ------------------------------------------------- */

static pthread_mutex_t worlds[2]; /* the second one is a forked child's */
static int world;

static void
lock(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&worlds[world]);
}

static void
unlock(void *arg)
{
    (void)arg;
    pthread_mutex_unlock(&worlds[world]);
}

static void
make_locks(void)
{
    pthread_mutexattr_t kind;

    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&worlds[0], &kind);
    pthread_mutex_init(&worlds[1], &kind);
    pthread_barrier_init(&meet, NULL, 2);
}

static int64_t
poll_new_garbage(void)
{
    int64_t found = 0;

    for (int i = 0; i < OLD; i++) {
        knot_loop(plain, i);
        found += hk_gc_poll();
    }
    return found;
}

static void
count_with_threads(void)
{
    static struct knot *old[OLD];
    static void (*use)(void) = use_two;
    pthread_t thread;

    hk_gc_set_lock(lock, unlock, NULL);
    pthread_create(&thread, NULL, worker, &use);
    pthread_barrier_wait(&meet);
    for (int i = 0; i < OLD; i++)
        old[i] = knot_new(plain, i);
    hk_gc_collect(2);
    for (int i = 0; i < OLD; i++)
        hk_decref(old[i]);
    ok(poll_new_garbage() > 0, "with two threads, old ones that die do not "
                               "put collections off for long");
    pthread_barrier_wait(&meet);
    pthread_join(thread, NULL);
    hk_gc_set_lock(NULL, NULL, NULL);
    hk_gc_collect(2);
}

/* ---- forks -------------------------------------------------------------- */

static pthread_t collector;

static int
status_of(pid_t child)
{
    int status = -1;

    if (child < 0 || waitpid(child, &status, 0) != child)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* 0, or the first that is wrong; for a forked child. */
static int
can_collect(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)};

    knot_loop(plain, 1);
    if (hk_gc_scan(2, &r))
        return 1;
    if (r.unreachable != 1)
        return 2;
    return hk_gc_collect(2) == 1 ? 0 : 3;
}

static void
wait_for_fork(int phase, const hk_gc_info *info, void *arg)
{
    (void)info;
    (void)arg;
    if (phase != HK_GC_START || !pthread_equal(pthread_self(), collector))
        return;
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
}

static void *
collect_once(void *arg)
{
    collector = pthread_self();
    hk_gc_collect(2);
    return arg;
}

static void
fork_amid_collection(void)
{
    pthread_t thread;
    pid_t child;

    hk_gc_set_lock(lock, unlock, NULL);
    hk_gc_add_callback(wait_for_fork, NULL);
    pthread_create(&thread, NULL, collect_once, NULL);
    pthread_barrier_wait(&meet);
    child = fork();
    if (child == 0) {
        world = 1;
        alarm(HANG_SECONDS);
        _exit(can_collect());
    }
    pthread_barrier_wait(&meet);
    pthread_join(thread, NULL);
    is_int(0, status_of(child), "a child forked amid a thread's collection "
                                "collects");
    hk_gc_remove_callback(wait_for_fork, NULL);
    hk_gc_set_lock(NULL, NULL, NULL);
}

static pid_t forked = -1;

static void
fork_once(struct knot *self)
{
    (void)self;
    forked = fork();
}

static void
fork_in_finalizer(void)
{
    ptrdiff_t found;

    knot_loop(final, 1)->action = fork_once;
    found = hk_gc_collect(2);
    if (forked == 0)
        _exit(found == 1 ? can_collect() : 4);
    is_int(0, status_of(forked), "a child forked by a finalizer ends that "
                                 "collection and goes on");
}

/* A handler that is there before the library is used comes first: it may wait
   for a thread that is amid a call. */
static int is_watching;
static hk_weak *watched;
static hk_finalizer finalizer;

static void
wait_for_user(void)
{
    if (!is_watching)
        return;
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet);
}

static void *
use_amid_fork(void *arg)
{
    pthread_barrier_wait(&meet);
    hk_xdecref(hk_weak_lock(watched));
    hk_xdecref(hk_finalizer_peek(finalizer));
    pthread_barrier_wait(&meet);
    pthread_barrier_wait(&meet); /* there is a child */
    return arg;
}

static void
finalized(void *arg)
{
    (void)arg;
}

static void
fork_handlers(void)
{
    struct knot *k = knot_new(plain, 1);
    pthread_t thread;
    pid_t child;

    watched = knot_weak(k, NULL, NULL);
    finalizer = hk_finalizer_add(k, finalized, NULL, 0);
    is_watching = 1;
    alarm(HANG_SECONDS);
    pthread_create(&thread, NULL, use_amid_fork, NULL);
    child = fork();
    if (child == 0) {
        alarm(HANG_SECONDS);
        _exit(!knot_weak_is_alive(watched));
    }
    is_watching = 0;
    pthread_barrier_wait(&meet);
    pthread_join(thread, NULL);
    is_int(0, status_of(child), "a program's handler of forks may wait for a "
                                "thread that is in the library");
    alarm(0);
    hk_weak_free(watched);
    hk_decref(k);
}

int
main(void)
{
    pthread_atfork(wait_for_user, NULL, NULL);
    make_locks();
    knot_types();
    hk_gc_disable();
    fork_handlers();
    refused_with_workers();
    use_in_destructor();
    try_incref();
    fork_in_finalizer();
    fork_amid_collection();
    hk_gc_enable();
    count_with_threads();
    return done_testing();
}
