/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-chain -- a list of ten million nodes ends, by its count and as a ring by
 * the collector, on a thread with 256 KiB of stack: an end that calls itself
 * for the next node would need gigabytes.
 */
#include <pthread.h>

#include "heapknot.h"
#include "tests/tap/tap.h"

#define STACK (256u << 10)
#define LONG 10000000
#define SHORTER 1000000 /* where ten million would take seconds more */
#define SMALL 50000     /* with HK_TESTS_SMALL: under valgrind and the like */
#define EVERY 1000      /* node with a finalizer and weak references */

struct node {
    hk_object head;
    struct node *next;
};
struct late {
    struct late *next;
    uint64_t more[2];
    hk_object head;
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
static const hk_field late_fields[] = {
    {"next", HK_REF, offsetof(struct late, next), 0}, {0}};

static hk_type *plain, *finalized, *nonatomic, *late, *own_end;
static int64_t finalizers, callbacks;

/* ---- types -------------------------------------------------------------- */

static void
count_finalizer(void *self)
{
    (void)self;
    finalizers++;
}

static void
count_callback(hk_weak *weak, void *arg)
{
    (void)arg;
    callbacks++;
    hk_weak_free(weak);
}

static void
end_node(void *self)
{
    struct node *n = self;

    hk_xdecref(n->next);
    free(n);
}

static hk_type *
make(const char *name, unsigned flags, void (*finalize)(void *),
     void (*dealloc)(void *))
{
    hk_type_spec s = {.struct_size = sizeof(s),
                      .name = name,
                      .size = sizeof(struct node),
                      .flags = flags,
                      .fields = node_fields,
                      .finalize = finalize,
                      .dealloc = dealloc};
    hk_type *type = hk_type_register(&s);

    if (!type)
        bail_out(hk_last_error());
    return type;
}

static void
make_types(void)
{
    hk_type_spec s = {.struct_size = sizeof(s),
                      .name = "late",
                      .size = sizeof(struct late),
                      .header_offset = offsetof(struct late, head),
                      .fields = late_fields};

    plain = make("plain", 0, NULL, NULL);
    finalized = make("finalized", 0, count_finalizer, NULL);
    nonatomic = make("nonatomic", HK_TYPE_NONATOMIC, NULL, NULL);
    own_end = make("own end", 0, NULL, end_node);
    late = hk_type_register(&s);
    if (!late)
        bail_out(hk_last_error());
}

/* ---- lists -------------------------------------------------------------- */

static void *
must(void *object)
{
    if (!object)
        bail_out("no memory for the list");
    return object;
}

/* The last one, whose next is still NULL; each `every`-th has company. */
static struct node *
make_list(hk_type *type, int64_t n, int64_t every, struct node **first)
{
    struct node *last = NULL, *fresh;

    *first = NULL;
    for (int64_t i = 0; i < n; i++) {
        fresh = must(hk_new(every && i % every == 0 ? finalized : type));
        if (every && i % every == 0)
            must(hk_weak_new(fresh, count_callback, NULL));
        if (last)
            last->next = fresh;
        else
            *first = fresh;
        last = fresh;
    }
    return last;
}

/* Those of a type and their company; as the collector sees them, too. */
static int64_t
alive(const hk_type *type)
{
    uint64_t created, destroyed, tracked;
    int64_t n;

    hk_type_counts(type, &created, &destroyed, &tracked);
    n = (int64_t)(created - destroyed);
    if ((int64_t)tracked != n)
        bail_out("not all are tracked");
    return type == finalized ? n : n + alive(finalized);
}

static void
check_end(const char *name, const hk_type *type, int64_t company)
{
    is_int(0, alive(type), "%s: all are gone", name);
    is_int(company, finalizers, "%s: each finalizer ran once", name);
    is_int(company, callbacks, "%s: so did each weak callback", name);
}

static void
try_list(const char *name, hk_type *type, int64_t n, int64_t every)
{
    int64_t company = every ? (n + every - 1) / every : 0;
    struct node *first;

    finalizers = callbacks = 0;
    make_list(type, n, every, &first);
    is_int(n, alive(type), "%s: %" PRId64 " nodes", name, n);
    hk_decref(first);
    check_end(name, type, company);
}

static void
try_ring(const char *name, hk_type *type, int64_t n, int64_t every)
{
    int64_t company = every ? (n + every - 1) / every : 0;
    struct node *first, *last;

    finalizers = callbacks = 0;
    last = make_list(type, n, every, &first);
    last->next = first;
    is_int(n, hk_gc_collect(2),
           "%s, as a ring: the collector finds %" PRId64 " nodes", name, n);
    check_end(name, type, company);
}

/* The header is further in: another struct, and another way to count. */
static struct late *
make_late(int64_t n, struct late **first)
{
    struct late *last = NULL, *fresh;

    for (int64_t i = 0; i < n; i++) {
        fresh = must(hk_new(late));
        if (last)
            last->next = fresh;
        else
            *first = fresh;
        last = fresh;
    }
    return last;
}

static void
try_late(int64_t n, int64_t in_ring)
{
    struct late *first;

    make_late(n, &first);
    is_int(n, alive(late), "header further in: %" PRId64 " nodes", n);
    hk_decref(&first->head);
    is_int(0, alive(late), "header further in: all are gone");
    make_late(in_ring, &first)->next = first;
    is_int(in_ring, hk_gc_collect(2),
           "header further in, as a ring: the collector finds %" PRId64
           " nodes", in_ring);
    is_int(0, alive(late), "header further in, as a ring: all are gone");
}

static void *
run(void *arg)
{
    int is_small = getenv("HK_TESTS_SMALL") != NULL;
    int64_t most = is_small ? SMALL : LONG, many = is_small ? SMALL : SHORTER;

    (void)arg;
    hk_gc_disable();
    make_types();
    try_list("plain", plain, most, 0);
    try_ring("plain", plain, most, 0);
    try_list("with finalizers and weak references", plain, most, EVERY);
    try_ring("with finalizers and weak references", plain, many, EVERY);
    try_list("nonatomic", nonatomic, most, 0);
    try_ring("nonatomic", nonatomic, many, 0);
    try_list("dealloc of their own", own_end, many, 0);
    try_ring("dealloc of their own", own_end, many, 0);
    try_list("each with both", finalized, SMALL, 1);
    try_ring("each with both", finalized, SMALL, 1);
    try_late(many, SMALL);
    return NULL;
}

int
main(void)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    if (pthread_create(&thread, &attr, run, NULL))
        bail_out("no thread");
    pthread_join(thread, NULL);
    return done_testing();
}
