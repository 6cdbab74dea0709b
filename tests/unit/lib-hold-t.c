/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-hold -- named references, without the agent and in a host that says it
 * is one and hands out stacks.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "heapknot.h"
#include "lib/hold.h"
#include "lib/host.h"
#include "lib/mistake.h"
#include "lib/type.h"
#include "tests/tap/tap.h"
#include "tests/unit/lib-host.h"

struct node {
    hk_object head;
    struct node *next;
};
struct other {
    uint64_t refs;
    void *peer;
};
struct late {
    uint64_t first;
    hk_object head;
    struct node *next;
};
static hk_type *nodes, *others, *lates;

static void
retain(void *self)
{
    ((struct other *)self)->refs++;
}

static void
release(void *self)
{
    ((struct other *)self)->refs--;
}

static void
make_types(void)
{
    static const hk_field node_fields[] = {
        {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
    static const hk_field other_fields[] = {
        {"peer", HK_REF, offsetof(struct other, peer), 0}, {0}};
    static const hk_field late_fields[] = {
        {"next", HK_REF, offsetof(struct late, next), 0}, {0}};
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = "node";
    s.size = sizeof(struct node);
    s.fields = node_fields;
    nodes = hk_type_register(&s);
    s.name = "late";
    s.size = sizeof(struct late);
    s.header_offset = offsetof(struct late, head);
    s.fields = late_fields;
    lates = hk_type_register(&s);
    s.header_offset = 0;
    s.name = "other";
    s.size = sizeof(struct other);
    s.flags = HK_TYPE_FOREIGN;
    s.fields = other_fields;
    s.refcount_width = 8;
    s.retain = retain;
    s.release = release;
    others = hk_type_register(&s);
    if (!nodes || !others || !lates)
        bail_out(hk_last_error());
}

/* ---- what was told ------------------------------------------------------ */

static int calls, kind;

static void
note(const hk_error *error, void *arg)
{
    (void)arg;
    calls++;
    kind = error->kind;
}

static void
is_told(int times, int what, const char *when)
{
    is_int(times, calls, "%s: mistakes", when);
    if (times)
        is_int(what, kind, "%s: the kind", when);
    calls = 0;
}

/* ---- alone and under the agent ------------------------------------------ */

static void
one(void)
{
    struct node *n = hk_new(nodes);
    hk_token t = 0;

    hk_hold(n, &t, "queue");
    is_int(2, (int64_t)hk_refcount(n), "a hold is a reference");
    ok(t != 0, "with a token");
    hk_put(n, &t);
    is_int(1, (int64_t)hk_refcount(n), "a put drops it");
    is_int(0, t, "and zeroes the token");
    is_told(0, 0, "so far");
    hk_put(n, &t);
    is_told(1, HK_ERROR_PUT_TWICE, "put twice");
    is_int(1, (int64_t)hk_refcount(n), "which drops nothing");
    hk_root(n, "table");
    is_int(2, (int64_t)hk_refcount(n), "a root is a reference");
    hk_decref(n);
    hk_hold(n, &t, "last");
    hk_decref(n);
    is_int(1, (int64_t)hk_refcount(n), "the hold alone keeps it");
    hk_put(n, &t);
    is_told(0, 0, "the end by a put");
}

static void
nothing(void)
{
    struct node *n = hk_new(nodes);
    hk_token t = 7;

    hk_hold(NULL, &t, "x");
    is_told(1, HK_ERROR_NULL, "hk_hold(NULL)");
    hk_hold(n, NULL, "x");
    is_told(1, HK_ERROR_NULL, "hk_hold without a token");
    is_int(1, (int64_t)hk_refcount(n), "takes no reference");
    hk_put(NULL, &t);
    is_told(1, HK_ERROR_NULL, "hk_put(NULL)");
    hk_put(n, NULL);
    is_told(1, HK_ERROR_NULL, "hk_put without a token");
    hk_root(NULL, "x");
    is_told(1, HK_ERROR_NULL, "hk_root(NULL)");
    hk_decref(n);
}

static void
other_objects(void)
{
    struct late *l = hk_new(lates);
    struct other o = {1, NULL};
    hk_token t, u;

    hk_hold(l, &t, "late");
    is_int(2, (int64_t)hk_refcount(&l->head), "by the struct's address");
    hk_adopt(&o, others);
    hk_hold(&o, &u, "foreign");
    is_int(2, (int64_t)o.refs, "a foreign object is retained");
    hk_put(&o, &u);
    is_int(1, (int64_t)o.refs, "and released");
    hk_put(l, &t);
    is_int(1, (int64_t)hk_refcount(&l->head), "and the other, too");
    hk_forget(&o);
    hk_decref(&l->head);
    is_told(0, 0, "other objects");
}

static void
alone(void)
{
    struct node *n = hk_new(nodes);
    hk_token t = 0, copy;

    hk_hold(n, &t, "queue");
    is_int(UINT32_MAX, t, "alone: the token says nothing");
    copy = t;
    hk_put(n, &t);
    ok(!hold_any() && hold_live() == 0, "and nothing is written down");
    (void)copy;
    hk_decref(n);
}

/* ---- under the agent ---------------------------------------------------- */

static const struct hold_group *
group(const char *name, uint32_t stack)
{
    const struct hold_group *g;

    for (uint32_t i = 0; i < HOLD_GROUPS; i++) {
        g = hold_group(i);
        if (g && g->stack == stack && strcmp(g->name, name) == 0)
            return g;
    }
    return NULL;
}

static uint32_t
oldest(const char *name, uint32_t stack)
{
    static uint32_t ms[HOLD_GROUPS];

    hold_oldest(ms);
    for (uint32_t i = 0; i < HOLD_GROUPS; i++)
        if (hold_group(i) && hold_group(i) == group(name, stack))
            return ms[i];
    return 0;
}

static void
group_is(const char *name, uint32_t stack, int64_t live, int64_t ever)
{
    const struct hold_group *g = group(name, stack);

    ok(g != NULL, "%s at %u is a group", name, stack);
    is_int(live, g ? (int64_t)g->live : -1, "%s at %u: live", name, stack);
    is_int(ever, g ? (int64_t)g->ever : -1, "%s at %u: ever", name, stack);
}

static void
grouped(void)
{
    struct node *n = hk_new(nodes), *m = hk_new(nodes);
    uint64_t before = hold_live();
    hk_token t[4];

    host_stack_now = 41;
    host_ms_now = 500;
    hk_hold(n, &t[0], "queue");
    host_ms_now = 700;
    hk_hold(m, &t[1], "queue");
    hk_hold(n, &t[2], "timer");
    host_stack_now = 42;
    hk_hold(n, &t[3], "queue");
    group_is("queue", 41, 2, 2);
    group_is("timer", 41, 1, 1);
    group_is("queue", 42, 1, 1);
    is_int(nodes->id, group("queue", 41)->type, "its type");
    is_int(4, (int64_t)(hold_live() - before), "four in all");
    is_int(500, oldest("queue", 41), "the oldest of two");
    hk_put(n, &t[0]);
    is_int(700, oldest("queue", 41), "it was put: the other one");
    group_is("queue", 41, 1, 2);
    for (int i = 2; i < 4; i++)
        hk_put(n, &t[i]);
    hk_put(m, &t[1]);
    is_int(UINT32_MAX, oldest("queue", 41), "none is left");
    group_is("queue", 41, 0, 2);
    host_stack_now = 43;
    hk_root(n, "table");
    group_is("table", 43, 1, 1);
    ok(group("table", 43)->is_root, "a root is one");
    is_int((int64_t)before, (int64_t)hold_live(), "and no hold to be put");
    hk_decref(n);
    hk_decref(n);
    hk_decref(m);
    is_told(0, 0, "groups");
}

static const struct mistake_record *
last_mistake(void)
{
    return mistake_get(mistake_count() - 1);
}

static void
stacks_are(uint32_t here, uint32_t held, uint32_t put, const char *what)
{
    const struct mistake_record *m = last_mistake();

    is_int(HK_ERROR_PUT_TWICE, m->kind, "%s: kept", what);
    is_int(here, m->here, "%s: where", what);
    is_int(held, m->past.origin, "%s: where it was held", what);
    is_int(put, m->past.last, "%s: where it was put", what);
    is_int(nodes->id, m->type, "%s: its type", what);
}

/* Enough puts for the record to be another hold's. */
static void
many_puts(struct node *n)
{
    hk_token t;

    for (int i = 0; i < 5000; i++) {
        hk_hold(n, &t, "many");
        hk_put(n, &t);
    }
}

static void
twice(void)
{
    struct node *n = hk_new(nodes);
    hk_token t, copy, far;

    host_stack_now = 51;
    hk_hold(n, &t, "queue");
    copy = far = t;
    host_stack_now = 52;
    hk_put(n, &t);
    host_stack_now = 53;
    hk_put(n, &t);
    stacks_are(53, 51, 52, "the same token");
    host_stack_now = 54;
    hk_put(n, &copy);
    stacks_are(54, 51, 52, "a copy of it");
    is_int(0, copy, "which is zeroed, too");
    is_told(2, HK_ERROR_PUT_TWICE, "twice");
    is_int(1, (int64_t)hk_refcount(n), "nothing was dropped");
    many_puts(n);
    is_told(0, 0, "many puts");
    host_stack_now = 55;
    hk_put(n, &far);
    is_told(1, HK_ERROR_PUT_TWICE, "much later it is still a mistake");
    is_int(1, (int64_t)hk_refcount(n), "and drops nothing");
    is_int(0, last_mistake()->past.origin, "but the stacks are gone");
    hk_decref(n);
}

/* A put after the death of the object by another way. */
static void
without_memory(void)
{
    struct node *n = hk_new(nodes);
    hk_token t[10000];
    uint64_t lost = hold_lost();

    host_no_memory = 1;
    for (int i = 0; i < 10000; i++)
        hk_hold(n, &t[i], "no room");
    host_no_memory = 0;
    is_int(10001, (int64_t)hk_refcount(n), "without memory: references");
    ok(hold_lost() > lost, "and a count of what has no record");
    ok(t[9999] == UINT32_MAX, "and no token");
    for (int i = 0; i < 10000; i++)
        hk_put(n, &t[i]);
    is_int(1, (int64_t)hk_refcount(n), "all dropped");
    is_told(0, 0, "without memory");
    hk_decref(n);
}

/* ---- threads ------------------------------------------------------------ */

#define THREADS 4
#define ROUNDS 20000

static struct node *shared;
static hk_token contested[ROUNDS];

static void *
puts_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++)
        hk_put(shared, &contested[i]);
    return NULL;
}

static void *
holds_and_puts(void *arg)
{
    hk_token t;

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        hk_hold(shared, &t, "thread");
        hk_put(shared, &t);
    }
    return NULL;
}

static void
run(void *(*fn)(void *))
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, fn, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void
threads(void)
{
    uint64_t before = hold_live(), mistakes;

    hk_set_error_fn(NULL, NULL);
    shared = hk_new(nodes);
    host_stack_now = 61;
    run(holds_and_puts);
    is_int(1, (int64_t)hk_refcount(shared), "threads: all put");
    group_is("thread", 61, 0, THREADS * ROUNDS);
    for (int i = 0; i < ROUNDS; i++)
        hk_hold(shared, &contested[i], "contested");
    mistakes = mistake_total();
    run(puts_all);
    is_int(1, (int64_t)hk_refcount(shared), "each was put once");
    is_int((THREADS - 1) * ROUNDS, (int64_t)(mistake_total() - mistakes),
           "and the others were told");
    is_int((int64_t)before, (int64_t)hold_live(), "none is left");
    hk_decref(shared);
}

int
main(void)
{
    host_agent = 0;
    make_types();
    hk_set_error_fn(note, NULL);
    alone();
    one();
    nothing();
    other_objects();
    host_agent = 1;
    one();
    nothing();
    other_objects();
    grouped();
    twice();
    without_memory();
    threads();
    return done_testing();
}
