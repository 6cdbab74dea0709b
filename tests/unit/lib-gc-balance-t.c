/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-balance -- eight threads with a lock of their own, each doing all that
 * the library offers, collections included; what was made has ended when they
 * are over.  Then without a lock, and in a forked child.
 *
 * The lock is held where an object is tracked or untracked or may end, and
 * where a field is touched.  New objects, counts, holds, weak references and
 * finalizers go without.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapknot.h"
#include "tests/tap/tap.h"

#define THREADS 8
#define SHARED 16
#define RING 5

#if defined(__SANITIZE_THREAD__)
#define ROUNDS 400
#else
#define ROUNDS 3000
#endif

struct node {
    hk_object head;
    struct node *next;
    void *other;
};

static const hk_field fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0},
    {"other", HK_REF, offsetof(struct node, other), 0},
    {0}};

static hk_type *plain, *finalized;
static struct node *shared[SHARED];  /* live till the end */
static struct node *targets[SHARED]; /* come and go, under the lock */
static int errors, mistakes;
static int64_t finalized_count, weak_made, weak_called, added, ran;
static int64_t scans, collections;

static void
bump(int64_t *count)
{
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

static void
expect(int held)
{
    if (!held)
        __atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
}

/* ---- the lock ----------------------------------------------------------- */

static pthread_mutex_t mutex; /* recursive: callbacks take it too */

static void
lock(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex);
}

static void
unlock(void *arg)
{
    (void)arg;
    pthread_mutex_unlock(&mutex);
}

static void
make_lock(void)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &attr);
}

/* ---- types, callbacks --------------------------------------------------- */

static void
finalize(void *self)
{
    (void)self;
    bump(&finalized_count);
}

static hk_type *
make(const char *name, void (*fn)(void *))
{
    hk_type_spec s = {.struct_size = sizeof(s),
                      .name = name,
                      .size = sizeof(struct node),
                      .fields = fields,
                      .finalize = fn};
    hk_type *type = hk_type_register(&s);

    if (!type)
        bail_out(hk_last_error());
    return type;
}

static void
on_error(const hk_error *error, void *arg)
{
    (void)arg;
    if (__atomic_fetch_add(&mistakes, 1, __ATOMIC_RELAXED) == 0)
        fprintf(stderr, "# %s\n", error->sentence);
}

/* Called a second time it would be freed a second time. */
static void
on_death(hk_weak *weak, void *arg)
{
    int *calls = arg;

    expect(++*calls == 1);
    expect(!hk_weak_lock(weak));
    bump(&weak_called);
    hk_weak_free(weak);
    free(calls);
}

static void
watch(struct node *n)
{
    int *called = calloc(1, sizeof(*called));

    expect(hk_weak_new(n, on_death, called) != NULL);
    bump(&weak_made);
}

static void
on_finalizer(void *arg)
{
    bump(arg);
}

/* ---- what a thread does ------------------------------------------------- */

static uint32_t
dice(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (uint32_t)(*x >> 32);
}

/* Nobody knows it before it is in a field, so without the lock. */
static struct node *
new_node(uint64_t *x)
{
    struct node *n = hk_new(dice(x) % 2 ? plain : finalized);

    expect(n != NULL);
    return n;
}

/* Linked under the lock; a ring, or a list that dies at once. */
static void
chain(uint64_t *x)
{
    struct node *n[RING];

    for (int i = 0; i < RING; i++)
        n[i] = new_node(x);
    watch(n[dice(x) % RING]);
    expect(hk_finalizer_add(n[1], on_finalizer, &ran, 0) != 0);
    bump(&added);
    lock(NULL);
    for (int i = 0; i + 1 < RING; i++)
        hk_setref(&n[i]->next, n[i + 1]);
    if (dice(x) % 2)
        hk_setref(&n[RING - 1]->next, n[0]);
    for (int i = 0; i < RING; i++)
        hk_decref(n[i]);
    unlock(NULL);
}

/* The old one dies, or becomes garbage, while others lock it. */
static void
replace(uint64_t *x)
{
    struct node **place = &targets[dice(x) % SHARED], *n = new_node(x);

    watch(n);
    lock(NULL);
    if (dice(x) % 2)
        hk_setref(&n->next, n);
    hk_setref(place, n);
    hk_decref(n);
    unlock(NULL);
}

/* The target may be ending elsewhere just now. */
static void
lock_weak(uint64_t *x)
{
    struct node *n;
    hk_weak *weak;
    void *got;

    lock(NULL);
    n = targets[dice(x) % SHARED];
    weak = n ? hk_weak_new(n, NULL, NULL) : NULL;
    unlock(NULL);
    for (int i = 0; weak && i < 10; i++) {
        got = hk_weak_lock(weak);
        expect(!got || (got == n && hk_refcount(got) > 0));
        if (!got)
            break;
        lock(NULL);
        hk_decref(got);
        unlock(NULL);
    }
    hk_weak_free(weak);
}

/* Its end is far away: counts need no lock. */
static void
count(struct node *n)
{
    hk_token token;

    for (int i = 0; i < 20; i++)
        hk_incref(n);
    for (int i = 0; i < 20; i++)
        hk_decref(n);
    hk_hold(n, &token, "a test");
    hk_put(n, &token);
    expect(token == 0 && hk_refcount(n) > 0);
}

static void
link_shared(uint64_t *x)
{
    lock(NULL);
    hk_setref(&shared[dice(x) % SHARED]->other, shared[dice(x) % SHARED]);
    hk_setref(&shared[dice(x) % SHARED]->next, targets[dice(x) % SHARED]);
    unlock(NULL);
}

static void
hide_and_show(uint64_t *x)
{
    struct node *n = shared[dice(x) % SHARED];

    lock(NULL);
    hk_untrack(n);
    expect(!hk_gc_is_tracked(n));
    hk_track(n);
    expect(hk_gc_is_tracked(n));
    unlock(NULL);
}

/* All lock for themselves. */
static void
collect(uint64_t *x)
{
    hk_gc_result result = {.struct_size = sizeof(result)};

    switch (dice(x) % 8) {
    case 0:
        expect(hk_gc_collect((int)(dice(x) % 3)) >= 0);
        bump(&collections);
        break;
    case 1:
        expect(hk_gc_scan((int)(dice(x) % 3), &result) == 0);
        expect(result.unreachable <= result.objects);
        bump(&scans);
        break;
    default:
        expect(hk_gc_poll() >= 0);
    }
}

static void *
thread(void *arg)
{
    int me = *(int *)arg;
    uint64_t x = 88172645463325252u + (uint64_t)me * 7919;

    for (int i = 0; i < ROUNDS; i++) {
        chain(&x);
        replace(&x);
        lock_weak(&x);
        count(shared[dice(&x) % SHARED]);
        link_shared(&x);
        hide_and_show(&x);
        collect(&x);
    }
    return NULL;
}

/* ---- the cases ---------------------------------------------------------- */

static void
ring_of(int n)
{
    struct node *first = hk_new(plain), *last = first;

    for (int i = 1; i < n; i++) {
        last->next = hk_new(plain);
        last = last->next;
    }
    last->next = first;
}

/* A child has one thread: it needs no lock, and may collect. */
static int
in_child(void)
{
    hk_gc_result result = {.struct_size = sizeof(result)};
    struct node *n;
    hk_weak *weak;

    hk_gc_set_lock(NULL, NULL, NULL);
    if (hk_gc_collect(2) < 0)
        return 2;
    ring_of(7);
    if (hk_gc_scan(2, &result) || result.unreachable != 7)
        return 3;
    if (hk_gc_collect(2) != 7 || hk_gc_collect(2) != 0)
        return 4;
    n = hk_new(finalized);
    weak = hk_weak_new(n, NULL, NULL);
    if (hk_weak_lock(weak) != n || hk_weak_count(n) != 1)
        return 5;
    hk_decref(n);
    hk_decref(n);
    if (hk_weak_lock(weak))
        return 6;
    hk_weak_free(weak);
    for (int i = 0; i < SHARED; i++)
        hk_clearref(&targets[i]);
    return mistakes || errors ? 7 : 0;
}

/* It ends without an exit status of its own: what the other threads had in hand
   is lost in the child, which under valgrind would make it fail. */
static void
tell_and_end(int fd, char result)
{
    if (write(fd, &result, 1) == 1)
        kill(getpid(), SIGKILL);
    _exit(1);
}

static int
result_of(pid_t pid, int fd)
{
    char result = -1;
    int status;

    if (read(fd, &result, 1) != 1)
        result = -2;
    return waitpid(pid, &status, 0) == pid ? result : -3;
}

static void
fork_amid(void)
{
    int fds[2], result = 0;
    pid_t pid;

    for (int i = 0; i < 5 && !result; i++) {
        if (pipe(fds))
            bail_out("no pipe");
        lock(NULL); /* so that no field is half changed in the child */
        pid = fork();
        if (pid == 0)
            tell_and_end(fds[1], (char)in_child());
        unlock(NULL);
        close(fds[1]);
        result = result_of(pid, fds[0]);
        close(fds[0]);
    }
    is_int(0, result, "a child forked amid them collects alone");
}

static void
run_threads(void)
{
    pthread_t ids[THREADS];
    int numbers[THREADS];

    for (int i = 0; i < SHARED; i++)
        shared[i] = hk_new(i % 2 ? plain : finalized);
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&ids[i], NULL, thread, &numbers[i]))
            bail_out("no thread");
    }
    fork_amid();
    for (int i = 0; i < THREADS; i++)
        pthread_join(ids[i], NULL);
}

static void
is_gone(hk_type *type)
{
    uint64_t created, destroyed, tracked;

    hk_type_counts(type, &created, &destroyed, &tracked);
    is_int((int64_t)created, (int64_t)destroyed, "%s: as many end as begin",
           hk_type_name(type));
    is_int(0, (int64_t)tracked, "%s: none is tracked", hk_type_name(type));
    ok(created > ROUNDS, "%s: there were many", hk_type_name(type));
}

static void
check_balance(void)
{
    uint64_t created;

    for (int i = 0; i < SHARED; i++) {
        hk_clearref(&shared[i]);
        hk_clearref(&targets[i]);
    }
    hk_gc_collect(2);
    is_int(0, hk_gc_collect(2), "nothing is left to collect");
    is_gone(plain);
    is_gone(finalized);
    hk_type_counts(finalized, &created, NULL, NULL);
    is_int((int64_t)created, finalized_count, "each was finalized once");
    is_int(weak_made, weak_called, "each weak callback ran once");
    is_int(added, ran, "and each finalizer");
    is_int(0, errors, "nothing unexpected");
    is_int(0, mistakes, "nothing to complain about");
    ok(collections > 10 && scans > 10, "there were collections and scans");
}

/* ---- without a lock ----------------------------------------------------- */

static pthread_barrier_t barrier;

static void *
stay(void *arg)
{
    struct node *n = hk_new(arg);

    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    hk_decref(n);
    return NULL;
}

static int
pass(void *obj, const hk_type *type, void *arg)
{
    (void)obj;
    (void)type;
    (void)arg;
    return 0;
}

static void
is_refused(int64_t result, const char *name)
{
    ok(result == -1 && errno == EPERM, "%s is refused", name);
    ok(strstr(hk_last_error(), name) && strstr(hk_last_error(), "2 threads"),
       "with a sentence: %s", hk_last_error());
    errno = 0;
}

static void
refused(void)
{
    hk_gc_result result = {.struct_size = sizeof(result)};

    is_refused(hk_gc_collect(2), "hk_gc_collect");
    is_refused(hk_gc_scan(2, &result), "hk_gc_scan");
    is_refused(hk_gc_freeze(), "hk_gc_freeze");
    is_refused(hk_gc_unfreeze(), "hk_gc_unfreeze");
    is_refused(hk_gc_get_objects(-1, pass, NULL), "hk_gc_get_objects");
    is_refused(hk_gc_get_referrers(NULL, 0, pass, NULL),
               "hk_gc_get_referrers");
    is_refused(hk_gc_get_referents(NULL, 0, pass, NULL),
               "hk_gc_get_referents");
    is_int(0, hk_gc_poll(), "hk_gc_poll: nothing is due");
    hk_gc_set_threshold(1, -1, -1);
    is_refused(hk_gc_poll(), "hk_gc_poll");
    hk_gc_set_threshold(700, -1, -1);
}

static void
without_lock(void)
{
    pthread_t id;

    hk_gc_set_lock(NULL, NULL, NULL);
    ring_of(9);
    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&id, NULL, stay, plain))
        bail_out("no thread");
    pthread_barrier_wait(&barrier);
    refused();
    pthread_barrier_wait(&barrier);
    pthread_join(id, NULL);
    is_int(9, hk_gc_collect(2), "alone again: it collects");
    is_gone(plain);
}

int
main(void)
{
    hk_set_error_fn(on_error, NULL);
    make_lock();
    hk_gc_set_lock(lock, unlock, NULL);
    plain = make("plain", NULL);
    finalized = make("finalized", finalize);
    run_threads();
    check_balance();
    without_lock();
    return done_testing();
}
