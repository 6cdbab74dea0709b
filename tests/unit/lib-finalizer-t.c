/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-finalizer -- finalizers.  The cases named as in CPython's
 * test_weakref.FinalizeTestCase ask what those ask.
 *
 * What happens at exit is seen by running it in a child process, whose
 * standard output is compared.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/lib-weak.h"

#define MANY 3000

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 300
#define FORKS  5
#else
#define ROUNDS 3000
#define FORKS  50
#endif

static hk_type *nodes;

static void
say(void *arg)
{
    tell(arg);
}

static hk_finalizer
add(void *obj, const char *word, unsigned flags)
{
    return hk_finalizer_add(obj, say, (void *)word, flags);
}

/* ---- FinalizeTestCase --------------------------------------------------- */

static void
is_over(hk_finalizer f, const char *when)
{
    ok(!hk_finalizer_alive(f) && !hk_finalizer_call(f) &&
           !hk_finalizer_detach(f) && !hk_finalizer_peek(f),
       "%s: over, for every question", when);
}

static void
test_finalize(void)
{
    struct node *n = hk_new(nodes);
    hk_finalizer f = add(n, "ran", 0);

    begin();
    ok(f && hk_finalizer_alive(f), "test_finalize: alive");
    ok(hk_finalizer_peek(f) == n, "peek gives the object");
    is_int(2, (int64_t)hk_refcount(n), "with a reference");
    hk_decref(n);
    is_int(1, hk_finalizer_call(f), "called");
    is_str("ran ", story, "at once");
    is_over(f, "after the call");
    f = add(n, "detached", 0);
    is_int(1, hk_finalizer_detach(f), "detached");
    is_over(f, "after that");
    f = add(n, "died", 0);
    is_str("ran ", story, "nothing more");
    hk_decref(n);
    is_str("ran died ", story, "run when the object died");
    is_over(f, "after the death");
    is_str("ran died ", story, "and not again");
}

static void
test_arg_errors(void)
{
    struct node *n = hk_new(nodes);

    errno = 0;
    ok(!hk_finalizer_add(NULL, say, NULL, 0) && errno == EINVAL,
       "test_arg_errors: no object: %s", hk_last_error());
    errno = 0;
    ok(!hk_finalizer_add(n, NULL, NULL, 0) && errno == EINVAL,
       "no function: %s", hk_last_error());
    errno = 0;
    ok(!hk_finalizer_add(n, say, NULL, 8) && errno == EINVAL, "flags: %s",
       hk_last_error());
    is_over(0, "0 is no finalizer");
    is_over(UINT64_MAX, "nor is any number");
    is_over(1, "without a generation");
    is_int(0, (int64_t)hk_weak_count(n), "nothing is left");
    hk_decref(n);
}

static void
test_order(void)
{
    struct node *n = hk_new(nodes);
    hk_finalizer f[6];
    char names[6][4];

    begin();
    for (int i = 1; i <= 5; i++) {
        snprintf(names[i], sizeof(names[i]), "f%d", i);
        f[i] = add(n, names[i], 0);
    }
    ok(hk_finalizer_detach(f[5]), "test_order: detach the newest");
    hk_finalizer_call(f[5]);
    tell("A");
    hk_finalizer_call(f[3]);
    tell("B");
    hk_finalizer_call(f[3]);
    tell("C");
    hk_decref(n);
    ok(!hk_finalizer_alive(f[2]), "over");
    tell("D");
    hk_finalizer_call(f[2]);
    is_str("A f3 B C f4 f2 f1 D ", story, "newest first, each once");
}

static void
test_all_freed(void)
{
    struct node *n = hk_new(nodes);
    hk_weak *w = hk_weak_new(n, count_call, NULL);

    begin();
    add(n, "called", 0);
    is_int(2, (int64_t)hk_weak_count(n), "test_all_freed: a weak reference");
    hk_decref(n);
    ok(calls == 1 && !hk_weak_lock(w), "does not keep the object");
    is_str("called ", story, "finalized");
    hk_weak_free(w);
}

/* ---- at exit ------------------------------------------------------------ */

static struct node *lasting;

static void
print(void *arg)
{
    const char *word = arg;

    if (write(STDOUT_FILENO, word, strlen(word)) < 0)
        _exit(2);
}

static void
error(void *arg)
{
    hk_finalizer_add(lasting, print, (void *)"g1\n", HK_FINALIZER_ATEXIT);
    print(arg);
}

static void
atexit_of_cpython(void)
{
    lasting = hk_new(nodes);
    hk_finalizer_add(lasting, print, (void *)"f1 foobar\n",
                     HK_FINALIZER_ATEXIT);
    hk_finalizer_add(lasting, print, (void *)"f2\n", 0);
    hk_finalizer_add(lasting, error, (void *)"f3 error\n", HK_FINALIZER_ATEXIT);
    hk_finalizer_add(lasting, print, (void *)"f4 foobar\n",
                     HK_FINALIZER_ATEXIT);
}

static hk_finalizer left_over;

/* Runs after the finalizers, since it was registered before. */
static void
after_the_end(void)
{
    hk_finalizer f;

    print((void *)(hk_finalizer_alive(left_over) ? "alive\n" : "over\n"));
    f = hk_finalizer_add(lasting, print, (void *)"too late, called\n",
                         HK_FINALIZER_ATEXIT);
    print((void *)(hk_finalizer_call(f) ? "called\n" : "not called\n"));
    hk_finalizer_add(lasting, print, (void *)"too late, died\n",
                     HK_FINALIZER_ATEXIT);
    hk_decref(lasting);
}

static void
detach_older(void *arg)
{
    print(arg);
    hk_finalizer_detach(left_over);
}

static void
shutdown_order(void)
{
    struct node *n;

    atexit(after_the_end);
    lasting = hk_new(nodes);
    n = hk_new(nodes);
    hk_finalizer_add(lasting, print, (void *)"died\n", 0);
    left_over = hk_finalizer_add(lasting, print, (void *)"detached\n",
                                 HK_FINALIZER_ATEXIT);
    hk_finalizer_add(n, print, (void *)"first\n", HK_FINALIZER_ATEXIT);
    hk_finalizer_add(lasting, detach_older, (void *)"last\n",
                     HK_FINALIZER_ATEXIT);
    hk_decref(n);
}

/* What fn and the exit after it print. */
static const char *
output_of_child(void (*fn)(void))
{
    static char text[400];
    size_t used = 0;
    ssize_t got;
    int ends[2], status;
    pid_t child;

    fflush(NULL);
    if (pipe(ends))
        bail_out("no pipe");
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        fn();
        exit(0);
    }
    close(ends[1]);
    while (used < sizeof(text) - 1 &&
           (got = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(ends[0]);
    if (waitpid(child, &status, 0) != child || status != 0)
        diag("the child ended with status %#x", (unsigned)status);
    return text;
}

static void
test_atexit(void)
{
    is_str("f4 foobar\nf3 error\ng1\nf1 foobar\n",
           output_of_child(atexit_of_cpython), "test_atexit");
    is_str("first\nlast\nover\nnot called\ndied\n",
           output_of_child(shutdown_order),
           "after that none that belongs to the exit runs");
}

/* ---- with types' finalizers, the collector, weak references ------------- */

static void
say_type(void *self)
{
    (void)self;
    tell("type");
}

static void
order_with_the_type(void)
{
    hk_type *type = make("finalized", say_type, NULL);
    struct node *n = hk_new(type);
    hk_weak *w;

    begin();
    w = hk_weak_new(n, tell_arg, (void *)"weak");
    add(n, "finalizer", 0);
    hk_decref(n);
    is_str("type finalizer weak ", story, "by count the type comes first");
    hk_weak_free(w);
    begin();
    n = hk_new(type);
    n->one = n;
    add(n, "finalizer", 0);
    is_int(1, (int64_t)hk_gc_collect(2), "in a cycle");
    is_str("finalizer type ", story, "by the collector the other way round");
}

static hk_finalizer other;

static void
end_other(void *arg)
{
    tell(arg);
    tell(hk_finalizer_detach(other) ? "detached" : "over");
}

static void
call_other(void *arg)
{
    tell(arg);
    tell(hk_finalizer_call(other) ? "called" : "over");
}

static void
ended_by_another(void)
{
    struct node *n = hk_new(nodes);

    begin();
    other = add(n, "older", 0);
    hk_finalizer_add(n, end_other, (void *)"a", 0);
    hk_decref(n);
    is_str("a detached ", story, "detached while it is due");
    n = hk_new(nodes);
    story[0] = '\0';
    other = add(n, "older", 0);
    hk_finalizer_add(n, call_other, (void *)"b", 0);
    hk_decref(n);
    is_str("b older called ", story, "called while it is due: once");
    n = hk_new(nodes);
    story[0] = '\0';
    other = hk_finalizer_add(n, call_other, (void *)"c", 0);
    hk_finalizer_call(other);
    hk_decref(n);
    is_str("c over ", story, "it cannot call itself");
}

/* ---- numbers ------------------------------------------------------------ */

static int64_t ran;

static void
count(void *arg)
{
    __atomic_fetch_add(arg ? (int64_t *)arg : &ran, 1, __ATOMIC_RELAXED);
}

static int
compare(const void *a, const void *b)
{
    hk_finalizer x = *(const hk_finalizer *)a, y = *(const hk_finalizer *)b;

    return x < y ? -1 : x > y;
}

static void
numbers(void)
{
    struct node *n = hk_new(nodes);
    hk_finalizer *f = calloc(2 * MANY, sizeof(*f));
    int64_t wrong = 0;

    ran = 0;
    for (int i = 0; i < MANY; i++)
        f[i] = hk_finalizer_add(n, count, NULL, i % 2);
    for (int i = 0; i < MANY; i += 3)
        wrong += !hk_finalizer_detach(f[i]);
    for (int i = MANY; i < 2 * MANY; i++) {
        f[i] = hk_finalizer_add(n, count, NULL, 0);
        if (i % 3)
            wrong += !hk_finalizer_call(f[i]);
    }
    is_int(MANY / 3 * 2, ran, "called");
    hk_decref(n);
    is_int(MANY / 3 * 5, ran, "the others by the death");
    for (int i = 0; i < 2 * MANY; i++)
        wrong += hk_finalizer_alive(f[i]);
    is_int(0, wrong, "no call failed, none is left");
    qsort(f, 2 * MANY, sizeof(*f), compare);
    for (int i = 1; i < 2 * MANY; i++)
        wrong += f[i] == f[i - 1];
    ok(!wrong && f[0], "no number comes twice");
    free(f);
}

static void
out_of_memory(void)
{
    struct node *n = hk_new(nodes);
    int refused = 0, failures = 0;

    ran = 0;
    for (int i = 0; i < MANY; i++) {
        callocs_left = i % 4;
        errno = 0;
        if (!hk_finalizer_add(n, count, NULL, 0)) {
            refused++;
            failures += errno != ENOMEM;
        }
        callocs_left = -1;
    }
    ok(refused > 0, "no memory: %s", hk_last_error());
    is_int(0, failures, "always ENOMEM");
    is_int(MANY - refused, (int64_t)hk_weak_count(n), "nothing is left of it");
    hk_decref(n);
    is_int(MANY - refused, ran, "the others run");
}

/* There is memory for the weak reference, but not for more entries. */
static void
entries_used_again(void)
{
    struct node *n = hk_new(nodes);
    int64_t refused = 0;

    for (int i = 0; i < 10 * MANY; i++) {
        callocs_left = 2;
        refused += !hk_finalizer_detach(hk_finalizer_add(n, count, NULL, 0));
        callocs_left = -1;
    }
    is_int(0, refused, "entries are used again");
    hk_decref(n);
}

/* ---- threads ------------------------------------------------------------ */

static pthread_barrier_t line;
static hk_finalizer raced;
static int64_t times, peeked, ended_wrongly;

/* Another one at once, maybe in the same entry, which nobody may end. */
static void
add_next(struct node *n)
{
    int64_t mine = 0;
    hk_finalizer f = hk_finalizer_add(n, count, &mine, 0);

    if (!hk_finalizer_alive(f) || !hk_finalizer_detach(f) || mine)
        __atomic_fetch_add(&ended_wrongly, 1, __ATOMIC_RELAXED);
}

static void *
call_in_thread(void *arg)
{
    struct node *own = hk_new(nodes);
    void *obj;

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&line);
        obj = hk_finalizer_peek(raced);
        __atomic_fetch_add(&peeked, obj != NULL, __ATOMIC_RELAXED);
        hk_xdecref(obj);
        if (i % 3 && hk_finalizer_call(raced))
            add_next(own);
        pthread_barrier_wait(&line);
    }
    hk_decref(own);
    return NULL;
}

/* Two threads call it while its object dies on a third. */
static void
called_while_dying(void)
{
    pthread_t threads[2];
    struct node *n;
    int64_t wrong = 0, leaked = 0;
    uint64_t created, destroyed;

    pthread_barrier_init(&line, NULL, 3);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, call_in_thread, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        n = hk_new(nodes);
        times = 0;
        raced = hk_finalizer_add(n, count, &times, HK_FINALIZER_ATEXIT);
        pthread_barrier_wait(&line);
        hk_decref(n);
        pthread_barrier_wait(&line);
        wrong += times != 1;
        leaked += hk_finalizer_alive(raced);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&line);
    diag("%" PRId64 " were alive when they were looked at", peeked);
    is_int(0, wrong, "called while dying: exactly once");
    is_int(0, leaked, "and it is over then");
    is_int(0, ended_wrongly, "no other is taken for it");
    hk_type_counts(nodes, &created, &destroyed, NULL);
    is_int((int64_t)created, (int64_t)destroyed, "each object died");
}

/* ---- fork --------------------------------------------------------------- */

static int stop;

static void *
use_until_stop(void *arg)
{
    hk_finalizer f;

    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        f = hk_finalizer_add(arg, count, NULL, 0);
        for (int i = 0; i < 100; i++)
            hk_xdecref(hk_finalizer_peek(f));
        hk_finalizer_detach(f);
    }
    return NULL;
}

/* What another thread held would be held for ever in the child, and the alarm
   would end it.  Comes first: the handlers of a fork are not there yet. */
static void
fork_while_used(void)
{
    struct node *n = hk_new(nodes);
    pthread_t threads[3];
    int status, bad = 0;
    pid_t child;

#if defined(__SANITIZE_ADDRESS__)
    hk_decref(n);
    skip(1, "the sanitizer's malloc() does not survive a fork");
    return;
#endif
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, use_until_stop, n);
    for (int i = 0; i < FORKS; i++) {
        child = fork();
        if (child == 0) {
            alarm(60);
            hk_finalizer_detach(hk_finalizer_add(n, count, NULL, 0));
            _exit(0);
        }
        bad += waitpid(child, &status, 0) != child || !WIFEXITED(status);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    is_int(0, bad, "forked children find nothing locked");
    hk_decref(n);
}

int
main(void)
{
    nodes = make("node", NULL, NULL);
    fork_while_used();
    test_finalize();
    test_arg_errors();
    test_order();
    test_all_freed();
    test_atexit();
    order_with_the_type();
    ended_by_another();
    out_of_memory();
    numbers();
    entries_used_again();
    called_while_dying();
    return done_testing();
}
