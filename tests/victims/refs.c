/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refs.c -- takes and drops references in ways whose balance is known.
 *
 *      refs table      300 sessions in a table, of which 100 were cloned and
 *                      the clone forgotten; 500 that died; 50 nodes
 *      refs threads    four threads share one session and keep one reference
 *                      each; each makes 100 nodes and drops 60
 *      refs forked     a child drops 10 of 40 sessions; both end
 *      refs foreign    objects that count by themselves
 *      refs raw        memory of objects used again without their end
 *      refs crowd N    N sessions with two references each
 *      refs signals    a handler takes and drops, wherever it interrupts
 *
 * Prints "done".  Without the agent it does the same.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapknot.h"

#define NOINLINE __attribute__((noinline, noclone))
enum { LIVE = 300, CLONED = 100, DEAD = 500, NODES = 50, THREADS = 4 };

struct session {
    hk_object header;
    struct session *peer;
};
struct node { /* its header is not the first member */
    long id;
    hk_object header;
    struct node *next;
};
struct other {
    long refs;
    void *peer;
};

static const hk_field session_fields[] = {
    {"peer", HK_REF, offsetof(struct session, peer), 0},
    {NULL, HK_END, 0, 0},
};
static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0},
    {NULL, HK_END, 0, 0},
};
static const hk_field other_fields[] = {
    {"peer", HK_REF, offsetof(struct other, peer), 0},
    {NULL, HK_END, 0, 0},
};
static hk_type *session_type, *node_type, *other_type, *token_type;
static struct session *table[LIVE];

static void
keep_memory(void *self)
{
    (void)self;
}

static void
register_types(void)
{
    hk_type_spec s = {.struct_size = sizeof s, .name = "session"};

    s.size = sizeof(struct session);
    s.fields = session_fields;
    session_type = hk_type_register(&s);
    s.name = "node";
    s.size = sizeof(struct node);
    s.header_offset = offsetof(struct node, header);
    s.fields = node_fields;
    node_type = hk_type_register(&s);
    s.name = "other";
    s.size = sizeof(struct other);
    s.header_offset = 0;
    s.fields = other_fields;
    s.flags = HK_TYPE_FOREIGN;
    s.refcount_width = sizeof(long);
    other_type = hk_type_register(&s);
    s = (hk_type_spec){.struct_size = sizeof s, .name = "token"};
    s.size = sizeof(hk_object);
    s.flags = HK_TYPE_LEAF;
    s.dealloc = keep_memory;
    token_type = hk_type_register(&s);
    if (!session_type || !node_type || !other_type || !token_type)
        exit(2);
}

/* The compiler shall neither make a jump of the last call nor one function of
   two that do the same. */
#define STAY() __asm__ volatile("" : : "i"(__LINE__) : "memory")

static NOINLINE void
churn(size_t bytes)
{
    void *p = malloc(bytes);

    __asm__ volatile("" : "+r"(p) : : "memory");
    free(p);
}

static NOINLINE struct session *
make_session(void)
{
    struct session *s = hk_new(session_type);

    STAY();
    return s;
}

static NOINLINE struct node *
make_node(void)
{
    struct node *n = hk_new(node_type);

    STAY();
    return n;
}

static NOINLINE void
take_for_table(struct session *s)
{
    hk_incref(s);
    STAY();
}

static NOINLINE void
drop_from_table(struct session *s)
{
    hk_decref(s);
    STAY();
}

static NOINLINE void
session_clone(struct session *s)
{
    hk_incref(s);
    STAY();
}

static NOINLINE void
end_clone(struct session *s)
{
    hk_decref(s);
    STAY();
}

/* Even: takes two and drops two, one of them through a slot. */
static NOINLINE void
use_session(struct session *s)
{
    void *slot = NULL;

    hk_setref(&slot, s);
    hk_incref(s);
    hk_decref(s);
    hk_clearref(&slot);
    STAY();
}

static NOINLINE void
drop_birth(void *header)
{
    hk_decref(header);
    STAY();
}

static NOINLINE void
fill_table(void)
{
    for (int i = 0; i < LIVE; i++) {
        table[i] = make_session();
        take_for_table(table[i]);
        use_session(table[i]);
        if (i < CLONED)
            session_clone(table[i]);
        drop_birth(table[i]);
    }
}

static NOINLINE void
live_and_die(void)
{
    for (int i = 0; i < DEAD; i++) {
        struct session *s = make_session();

        take_for_table(s);
        use_session(s);
        session_clone(s);
        end_clone(s);
        drop_birth(s);
        drop_from_table(s);
    }
}

static void
run_table(void)
{
    live_and_die();
    fill_table();
    for (int i = 0; i < NODES; i++)
        make_node();
    STAY();
}

/* ---- threads ------------------------------------------------------------- */

static NOINLINE void
share(struct session *s)
{
    hk_incref(s);
    STAY();
}

static NOINLINE void
stop_sharing(struct session *s)
{
    hk_decref(s);
    STAY();
}

static void *
work(void *arg)
{
    struct node *mine[100];

    for (int i = 0; i < 1000; i++) {
        share(arg);
        if (i)
            stop_sharing(arg);
    }
    for (int i = 0; i < 100; i++)
        mine[i] = make_node();
    for (int i = 0; i < 60; i++)
        drop_birth(&mine[i]->header);
    STAY();
    return NULL;
}

static void
run_threads(void)
{
    pthread_t threads[THREADS];
    struct session *s = make_session();

    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, s);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    STAY();
}

/* ---- the others ---------------------------------------------------------- */

static void
run_forked(void)
{
    pid_t child;

    for (int i = 0; i < 40; i++)
        table[i] = make_session();
    child = fork();
    if (child == 0) {
        for (int i = 0; i < 10; i++)
            drop_birth(table[i]);
        for (int i = 0; i < 2000; i++) /* the agent follows who is busy */
            churn(100 + (size_t)i);
        exit(0);
    }
    waitpid(child, NULL, 0);
    take_for_table(table[0]);
}

static void
run_foreign(void)
{
    static struct other others[3];

    for (int i = 0; i < 3; i++) {
        others[i].refs = 1;
        hk_adopt(&others[i], other_type);
    }
    take_for_table(make_session());
}

static void
run_raw(void)
{
    static hk_object token;

    for (int i = 0; i < 10; i++) {
        hk_init(&token, token_type);
        hk_incref(&token);
    }
}

static void
run_crowd(int count)
{
    struct session **crowd = calloc((size_t)count, sizeof *crowd);

    for (int i = 0; i < count; i++) {
        crowd[i] = make_session();
        take_for_table(crowd[i]);
    }
    for (int i = 0; i < count; i += 2) {
        drop_birth(crowd[i]);
        drop_from_table(crowd[i]);
    }
    STAY();
}

static struct session *interrupted;
static volatile sig_atomic_t alarms;

static void
on_alarm(int number)
{
    (void)number;
    alarms++;
    share(interrupted);
    stop_sharing(interrupted);
}

static void
run_signals(void)
{
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};

    interrupted = make_session();
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    while (alarms < 500) {
        use_session(interrupted);
        churn(40);
    }
    setitimer(ITIMER_REAL, &never, NULL);
    if (hk_refcount(interrupted) != 1)
        exit(3);
}

int
main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";

    register_types();
    if (strcmp(kind, "table") == 0)
        run_table();
    else if (strcmp(kind, "threads") == 0)
        run_threads();
    else if (strcmp(kind, "forked") == 0)
        run_forked();
    else if (strcmp(kind, "foreign") == 0)
        run_foreign();
    else if (strcmp(kind, "raw") == 0)
        run_raw();
    else if (strcmp(kind, "crowd") == 0 && argc > 2)
        run_crowd(atoi(argv[2]));
    else if (strcmp(kind, "signals") == 0)
        run_signals();
    else
        return 2;
    puts("done");
    return 0;
}
