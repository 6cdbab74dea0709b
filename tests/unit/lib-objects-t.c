/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-objects -- birth, counts, tracking and death of objects.
 */
#include <pthread.h>

#include "heapknot.h"
#include "lib/registry.h"
#include "lib/type.h"
#include "tests/tap/tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHAIN 1000000
#else
#define CHAIN 10000000
#endif

/* ---- what the types below write down ------------------------------------ */

static char story[300];

static void
tell(const char *what, const char *who)
{
    size_t used = strlen(story);

    snprintf(story + used, sizeof(story) - used, "%s(%s) ", what, who);
}

struct node {
    hk_object head;
    struct node *next;
    const char *name;
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};

static void
node_dealloc(void *self)
{
    struct node *n = self;

    tell("dealloc", n->name);
    hk_xdecref(n->next);
    free(n);
}

static void
node_finalize(void *self)
{
    tell("finalize", ((struct node *)self)->name);
}

static hk_type *
make(const char *name, const hk_field *fields, size_t size, size_t header,
     unsigned flags, void (*dealloc)(void *), void (*finalize)(void *))
{
    hk_type_spec s = {0};
    hk_type *type;

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = size;
    s.header_offset = header;
    s.flags = flags;
    s.fields = fields;
    s.dealloc = dealloc;
    s.finalize = finalize;
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

static void
counts_are(const hk_type *type, int64_t created, int64_t destroyed,
           int64_t tracked, const char *when)
{
    uint64_t c, d, t;

    hk_type_counts(type, &c, &d, &t);
    is_int(created, (int64_t)c, "%s: created", when);
    is_int(destroyed, (int64_t)d, "%s: destroyed", when);
    is_int(tracked, (int64_t)t, "%s: tracked", when);
}

/* ---- counts ------------------------------------------------------------- */

static void
counts(void)
{
    hk_type *type = make("counted", node_fields, sizeof(struct node), 0, 0,
                         NULL, NULL);
    struct node *n = hk_new(type);
    uint64_t word = n->head.word;

    ok(!n->next && !n->name, "a new object is zeroed");
    is_int(1, (int64_t)hk_refcount(n), "one reference");
    counts_are(type, 1, 0, 1, "born");
    hk_incref(n);
    ok(hk_newref(n) == n, "newref returns it");
    is_int(3, (int64_t)hk_refcount(n), "two more");
    hk_decref(n);
    hk_decref(n);
    is_int(1, (int64_t)hk_refcount(n), "and back");
    ok(n->head.word != word, "but the word is another");
    hk_xincref(NULL);
    hk_xdecref(NULL);
    hk_untrack(n);
    counts_are(type, 1, 0, 0, "untracked");
    is_int(0, n->head.slot, "no slot");
    hk_untrack(n);
    hk_track(n);
    hk_track(n);
    counts_are(type, 1, 0, 1, "tracked again");
    ok(registry_record(n->head.slot)->object == n, "its record names it");
    is_int(RECORD_TRACKED, registry_record(n->head.slot)->state, "tracked");
    hk_decref(n);
    counts_are(type, 1, 1, 0, "dead");
}

static void
leaves_and_extra(void)
{
    hk_type *type = make("leaf", NULL, sizeof(struct node), 0, HK_TYPE_LEAF,
                         NULL, NULL);
    char *n = hk_new_extra(type, 100);
    int zero = 1;

    for (size_t i = sizeof(hk_object); i < sizeof(struct node) + 100; i++)
        zero &= n[i] == 0;
    ok(zero, "the extra bytes are zeroed");
    counts_are(type, 1, 0, 0, "a leaf is not tracked");
    hk_track(n);
    counts_are(type, 1, 0, 0, "even when asked");
    hk_decref(n);
    counts_are(type, 1, 1, 0, "a dead leaf");
    ok(!hk_new_extra(type, SIZE_MAX - 8), "too many extra bytes: NULL");
    ok(!hk_new(NULL), "no type: NULL");
}

/* ---- death -------------------------------------------------------------- */

static void
order(void)
{
    hk_type *type = make("told", node_fields, sizeof(struct node), 0, 0,
                         node_dealloc, node_finalize);
    struct node *a = hk_new(type), *b = hk_new(type), *c = hk_new(type);

    a->name = "a";
    b->name = "b";
    c->name = "c";
    a->next = b;
    b->next = hk_newref(c);
    hk_decref(a);
    is_str("finalize(a) dealloc(a) finalize(b) dealloc(b) ", story,
           "finalize, dealloc, then what it held; c is held elsewhere");
    is_int(1, (int64_t)hk_refcount(c), "c has one left");
    story[0] = '\0';
    hk_decref(c);
    is_str("finalize(c) dealloc(c) ", story, "c");
    counts_are(type, 3, 3, 0, "all");
}

static struct node *saved;

static void
save_self(void *self)
{
    tell("finalize", ((struct node *)self)->name);
    hk_incref(self);
    saved = self;
}

static void
resurrection(void)
{
    hk_type *type = make("risen", node_fields, sizeof(struct node), 0, 0, NULL,
                         save_self);
    struct node *n = hk_new(type);

    n->name = "n";
    story[0] = '\0';
    hk_decref(n);
    ok(saved == n, "saved by its finalizer");
    is_int(1, (int64_t)hk_refcount(n), "with the reference it took");
    counts_are(type, 1, 0, 1, "risen");
    hk_decref(n);
    is_str("finalize(n) ", story, "finalized once only");
    counts_are(type, 1, 1, 0, "dead at last");
}

struct point {
    struct node *deep;
};
struct plain {
    struct plain *next;
    struct node *held;
};
struct holder {
    hk_object head;
    struct node *one, *weak, *row[2];
    size_t many_count;
    struct node **many;
    struct point inner;
    struct plain *list;
};

static const hk_field point_fields[] = {
    {"deep", HK_REF, offsetof(struct point, deep), 0}, {0}};
static const hk_slist_spec list_spec = {offsetof(struct plain, next),
                                        offsetof(struct plain, held)};
static const hk_field holder_fields[] = {
    {"one", HK_REF, offsetof(struct holder, one), 0},
    {"weak", HK_WEAK, offsetof(struct holder, weak), 0},
    {"row", HK_REF_INLINE, offsetof(struct holder, row), 2},
    {"many", HK_REF_ARRAY, offsetof(struct holder, many),
     offsetof(struct holder, many_count)},
    {"inner", HK_EMBED, offsetof(struct holder, inner), (size_t)point_fields},
    {"list", HK_SLIST, offsetof(struct holder, list), (size_t)&list_spec},
    {0}};

static void
default_dealloc(int times)
{
    hk_type *type = make("held", node_fields, sizeof(struct node), 0, 0, NULL,
                         NULL);
    hk_type *holders = make("holder", holder_fields, sizeof(struct holder), 0,
                            0, NULL, NULL);
    struct node *n = hk_new(type), *many[3] = {n, NULL, n};
    struct plain second = {NULL, n}, first = {&second, n};
    struct holder *h = hk_new(holders);

    *h = (struct holder){h->head, n, n, {n, n}, 3, many, {n}, &first};
    for (int i = 0; i < 8; i++)
        hk_incref(n);
    hk_decref(h);
    is_int(1, (int64_t)hk_refcount(n), "each strong reference was dropped");
    ok(!many[0] && !first.held && !second.held, "and cleared first");
    counts_are(holders, times, times, 0, "the holder");
    hk_decref(n);
}

/* ---- the header elsewhere, memory of one's own -------------------------- */

struct late {
    struct late *next;
    hk_object head;
    long value;
};

static const hk_field late_fields[] = {
    {"next", HK_REF, offsetof(struct late, next), 0}, {0}};

static void
late_header(void)
{
    hk_type *type = make("late", late_fields, sizeof(struct late),
                         offsetof(struct late, head), 0, NULL, NULL);
    hk_type *leaf = make("late leaf", NULL, sizeof(struct late),
                         offsetof(struct late, head), HK_TYPE_LEAF, NULL, NULL);
    struct late *a = hk_new(type), *b = hk_new(leaf);

    counts_are(type, 1, 0, 1, "header in the middle");
    ok(registry_record(a->head.slot)->object == a, "the record has the struct");
    a->next = b;
    hk_incref(&b->head);
    hk_untrack(a);
    counts_are(type, 1, 0, 0, "untracked by its struct");
    hk_track(a);
    hk_track(b);
    counts_are(type, 1, 0, 1, "tracked by its struct");
    counts_are(leaf, 1, 0, 0, "a leaf never");
    hk_decref(&a->head);
    counts_are(type, 1, 1, 0, "dead");
    is_int(1, (int64_t)hk_refcount(&b->head), "its reference was dropped");
    hk_decref(&b->head);
    counts_are(leaf, 1, 1, 0, "and the leaf");
    is_int(0, registry_find(b), "nothing left in the side table");
}

static int arena_frees;

static void
arena_dealloc(void *self)
{
    (void)self;
    arena_frees++;
}

static void
own_memory(void)
{
    hk_type *type = make("arena", node_fields, sizeof(struct node), 0, 0,
                         arena_dealloc, NULL);
    struct node n;

    memset(&n, 0x5a, sizeof(n));
    n.next = NULL;
    hk_init(&n, type);
    is_int(1, (int64_t)hk_refcount(&n), "hk_init: one reference");
    ok(!n.next && n.name != NULL, "other members are left alone");
    counts_are(type, 1, 0, 0, "not tracked yet");
    hk_track(&n);
    counts_are(type, 1, 0, 1, "tracked");
    hk_decref(&n);
    counts_are(type, 1, 1, 0, "given back");
    is_int(1, arena_frees, "by its dealloc");
}

/* ---- deep chains -------------------------------------------------------- */

static int finalized;

static void
count_finalize(void *self)
{
    (void)self;
    finalized++;
}

static void
plain_dealloc(void *self)
{
    hk_xdecref(((struct node *)self)->next);
    free(self);
}

static struct node *
chain(hk_type *type, int length)
{
    struct node *first = NULL, *n;

    for (int i = 0; i < length; i++) {
        n = hk_new(type);
        if (!n)
            bail_out("no memory for a chain");
        n->next = first;
        first = n;
    }
    return first;
}

static void *
drop_here(void *obj)
{
    hk_decref(obj);
    return NULL;
}

/* On a stack of 128 KiB. */
static void
drop_in_small_stack(void *obj)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 << 10);
    pthread_create(&thread, &attr, drop_here, obj);
    pthread_join(thread, NULL);
}

static void
deep(void)
{
    hk_type *type = make("link", node_fields, sizeof(struct node), 0, 0, NULL,
                         NULL);
    hk_type *own = make("own link", node_fields, sizeof(struct node), 0, 0,
                        plain_dealloc, NULL);
    hk_type *fin = make("fin link", node_fields, sizeof(struct node), 0, 0,
                        NULL, count_finalize);

    drop_in_small_stack(chain(type, CHAIN));
    counts_are(type, CHAIN, CHAIN, 0, "a long chain");
    drop_in_small_stack(chain(own, 100000));
    counts_are(own, 100000, 100000, 0, "with a dealloc of its own");
    drop_in_small_stack(chain(fin, 100000));
    counts_are(fin, 100000, 100000, 0, "with a finalizer");
    is_int(100000, finalized, "each was finalized");
}

static void
deep_resurrection(void)
{
    hk_type *link = make("r link", node_fields, sizeof(struct node), 0, 0,
                         NULL, NULL);
    hk_type *risen = make("risen", node_fields, sizeof(struct node), 0, 0,
                          NULL, save_self);
    struct node *last = hk_new(risen), *first = chain(link, 200), *n = first;

    last->name = "last";
    while (n->next)
        n = n->next;
    n->next = last;
    saved = NULL;
    hk_decref(first);
    ok(saved == last, "the last of a deep chain rises");
    is_int(1, (int64_t)hk_refcount(last), "with one reference");
    counts_are(link, 200, 200, 0, "the others are dead");
    counts_are(risen, 2, 1, 1, "it is tracked as before");
    hk_decref(last);
    counts_are(risen, 2, 2, 0, "and dies in the end");
}

int
main(void)
{
    counts();
    leaves_and_extra();
    order();
    resurrection();
    default_dealloc(1);
    own_memory();
    deep();
    deep_resurrection();
    late_header(); /* from here on, addresses are looked up */
    default_dealloc(2);
    ok(!hk_agent_present(), "no agent here");
    hk_mark("nowhere");
    hk_snapshot();
    return done_testing();
}
