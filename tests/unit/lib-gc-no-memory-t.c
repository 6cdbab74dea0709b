/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-no-memory -- a collection that finds no memory has done nothing: each
 * of its allocations fails once, and the same collection then succeeds.
 *
 * A world is made in which a collection has everything to do:
 *
 *      held ──▶ live ──▶ live        stays
 *      ring of nodes                 garbage: a finalizer, weak references,
 *                                    an hk_finalizer, each on every node
 *      two dense nodes               garbage: EDGES references to each other
 *      foreign ⇄ node                garbage, if the world has it
 *      legacy ⇄ node                 uncollectable, if the world has it
 */
#include "heapknot.h"
#include "lib/registry.h"
#include "tests/tap/tap.h"
#include "tests/unit/lib-oom.h"

#define EDGES 40000 /* more than a full collection has room for at first */
#define RING_MAX 400

struct node {
    hk_object head;
    void *next;
};
struct dense {
    hk_object head;
    size_t count;
    void **to;
};
struct foreign {
    long refs;
    void *peer;
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
static const hk_field dense_fields[] = {
    {"to", HK_REF_ARRAY, offsetof(struct dense, to),
     offsetof(struct dense, count)},
    {0}};
static const hk_field foreign_fields[] = {
    {"peer", HK_REF, offsetof(struct foreign, peer), 0}, {0}};

static hk_type *nodes, *finalized, *dense, *foreigners, *legacies;
static int finalized_count, weak_calls, finalizer_calls, legacy_calls;
static int foreign_ends, starts, stops, stops_of_nothing;

/* ---- types -------------------------------------------------------------- */

static void
finalize(void *self)
{
    (void)self;
    finalized_count++;
}

static void
legacy_del(void *self)
{
    (void)self;
    legacy_calls++;
}

static void
dense_dealloc(void *self)
{
    struct dense *d = self;

    for (size_t i = 0; i < d->count; i++)
        hk_xdecref(d->to[i]);
    free(d->to);
    free(d);
}

static void
foreign_retain(void *self)
{
    ((struct foreign *)self)->refs++;
}

static void
foreign_release(void *self)
{
    struct foreign *f = self;

    if (--f->refs)
        return;
    foreign_ends++;
    hk_forget(f);
    hk_clearref(&f->peer);
    free(f);
}

static hk_type *
make(const hk_type_spec *spec)
{
    hk_type_spec s = *spec;
    hk_type *type;

    s.struct_size = sizeof(s);
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

static void
make_types(void)
{
    nodes = make(&(hk_type_spec){.name = "node",
                                 .size = sizeof(struct node),
                                 .fields = node_fields});
    finalized = make(&(hk_type_spec){.name = "finalized",
                                     .size = sizeof(struct node),
                                     .fields = node_fields,
                                     .finalize = finalize});
    legacies = make(&(hk_type_spec){.name = "legacy",
                                    .size = sizeof(struct node),
                                    .fields = node_fields,
                                    .legacy_del = legacy_del});
    dense = make(&(hk_type_spec){.name = "dense",
                                 .size = sizeof(struct dense),
                                 .fields = dense_fields,
                                 .dealloc = dense_dealloc});
    foreigners = make(&(hk_type_spec){.name = "foreign",
                                      .size = sizeof(struct foreign),
                                      .fields = foreign_fields,
                                      .flags = HK_TYPE_FOREIGN,
                                      .refcount_width = sizeof(long),
                                      .retain = foreign_retain,
                                      .release = foreign_release});
}

/* ---- the world ---------------------------------------------------------- */

#define OBJECTS (RING_MAX + 16)

static struct world {
    int generation, ring, with_foreign, with_legacy;
    unsigned debug;
    void *all[OBJECTS]; /* held until drop_handles() */
    int count, live;    /* the first ones stay held */
    hk_weak *called[RING_MAX], *shared[RING_MAX];
    hk_finalizer finalizers[RING_MAX];
} w;

static void
count_weak(hk_weak *weak, void *arg)
{
    (void)weak;
    (void)arg;
    weak_calls++;
}

static void
count_finalizer(void *arg)
{
    (void)arg;
    finalizer_calls++;
}

static void *
add(void *object)
{
    if (!object)
        bail_out(hk_last_error());
    w.all[w.count++] = object;
    return object;
}

static void
make_live(void)
{
    struct node *first = add(hk_new(nodes)), *second = add(hk_new(finalized));

    hk_setref(&first->next, second);
    w.live = w.count;
}

static void
make_ring(void)
{
    struct node *first = NULL, *before = NULL, *n;

    for (int i = 0; i < w.ring; i++) {
        n = add(hk_new(finalized));
        w.called[i] = hk_weak_new(n, count_weak, NULL);
        w.shared[i] = hk_weak_new(n, NULL, NULL);
        w.finalizers[i] = hk_finalizer_add(n, count_finalizer, NULL, 0);
        if (before)
            hk_setref(&before->next, n);
        else
            first = n;
        before = n;
    }
    hk_setref(&before->next, first);
}

static void
make_dense(void)
{
    struct dense *two[2];

    for (int i = 0; i < 2; i++) {
        two[i] = add(hk_new(dense));
        two[i]->to = calloc(EDGES, sizeof(void *));
        two[i]->count = EDGES;
    }
    for (int i = 0; i < 2 * EDGES; i++)
        two[i % 2]->to[i / 2] = hk_newref(two[(i / 2) % 2]);
}

static void
make_pair(struct node *a)
{
    struct node *b = add(hk_new(nodes));

    hk_setref(&a->next, b);
    hk_setref(&b->next, a);
}

static void
make_foreign(void)
{
    struct foreign *f = calloc(1, sizeof(*f));
    struct node *n = add(hk_new(nodes));

    f->refs = 1;
    if (hk_adopt(f, foreigners))
        bail_out(hk_last_error());
    hk_setref(&f->peer, n);
    n->next = f; /* the one reference */
}

static void
make_world(void)
{
    hk_gc_set_debug(0);
    w.count = 0;
    make_live();
    make_ring();
    make_dense();
    if (w.with_foreign)
        make_foreign();
    if (w.with_legacy)
        make_pair(add(hk_new(legacies)));
    for (int g = 0; g < w.generation; g++)
        hk_gc_collect(g);
    for (int i = w.live; i < w.count; i++)
        hk_decref(w.all[i]);
    hk_gc_set_debug(w.debug);
    finalized_count = weak_calls = finalizer_calls = foreign_ends = 0;
    legacy_calls = starts = stops = stops_of_nothing = 0;
}

/* ---- what a failure must not change ------------------------------------- */

struct view {
    uint64_t words[OBJECTS], created, destroyed, tracked;
    uint8_t generations[OBJECTS], states[OBJECTS];
    uint32_t serials[OBJECTS];
    hk_gc_stats stats[3];
    int counts[3], ran;
    size_t garbage, frozen;
    long blocks, scratch;
};

static void
look(struct view *v)
{
    const hk_object *head;
    const struct record *r;

    memset(v, 0, sizeof(*v));
    for (int i = 0; i < w.count; i++) {
        head = w.all[i];
        r = registry_record(head->slot);
        v->words[i] = head->word;
        v->generations[i] = r->generation;
        v->states[i] = r->state;
        v->serials[i] = r->serial;
    }
    hk_type_counts(finalized, &v->created, &v->destroyed, &v->tracked);
    hk_gc_get_stats(v->stats);
    hk_gc_get_count(v->counts);
    v->ran = finalized_count + weak_calls + finalizer_calls + legacy_calls
             + foreign_ends;
    v->garbage = hk_gc_garbage_count();
    v->frozen = hk_gc_get_freeze_count();
    v->blocks = blocks;
    v->scratch = scratch_bytes;
}

static int
weak_alive(void)
{
    int alive = 0;
    void *object;

    for (int i = 0; i < w.ring; i++) {
        object = hk_weak_lock(w.shared[i]);
        alive += object && hk_finalizer_alive(w.finalizers[i]);
        hk_xdecref(object);
        object = hk_weak_lock(w.called[i]);
        alive += object != NULL;
        hk_xdecref(object);
    }
    return alive;
}

/* What differs, in a word; NULL: nothing. */
static const char *
difference(const struct view *a, const struct view *b)
{
    return memcmp(a->words, b->words, sizeof(a->words))       ? "counts"
           : memcmp(a->generations, b->generations,
                    sizeof(a->generations))                   ? "generations"
           : memcmp(a->states, b->states, sizeof(a->states))  ? "states"
           : memcmp(a->serials, b->serials,
                    sizeof(a->serials))                       ? "serials"
           : memcmp(a->stats, b->stats, sizeof(a->stats))     ? "statistics"
           : memcmp(a->counts, b->counts, sizeof(a->counts))  ? "gc.count"
           : a->ran != b->ran                                 ? "code ran"
           : a->garbage != b->garbage || a->frozen != b->frozen
               ? "garbage"
           : a->blocks != b->blocks || a->scratch != b->scratch
               ? "memory"
           : memcmp(a, b, sizeof(*a)) ? "something"
                                      : NULL;
}

/* ---- one allocation after the other ------------------------------------- */

typedef ptrdiff_t (*operation)(void);

static ptrdiff_t
collect(void)
{
    return hk_gc_collect(w.generation);
}

static ptrdiff_t
poll(void)
{
    return hk_gc_poll();
}

static hk_gc_result found;

static ptrdiff_t
scan(void)
{
    found = (hk_gc_result){.struct_size = sizeof(found)};
    return hk_gc_scan(w.generation, &found);
}

/* As often as it fails; its result when it does not, failures in *times. */
static ptrdiff_t
until_it_works(operation fn, int for_ever, int *times, const char **wrong)
{
    static struct view before, after;
    ptrdiff_t n = -1;
    int failed = 1;

    *wrong = NULL;
    for (*times = 0; failed && !*wrong; *times += failed != 0) {
        look(&before);
        errno = 0;
        failing(*times + 1, for_ever);
        n = fn();
        failed = failing(0, 0);
        if (!failed)
            break;
        if (n != -1 || errno != ENOMEM)
            *wrong = "no ENOMEM";
        else if (!strstr(hk_last_error(), "no memory"))
            *wrong = "no sentence";
        look(&after);
        if (!*wrong)
            *wrong = difference(&before, &after);
        if (!*wrong && weak_alive() != 2 * w.ring)
            *wrong = "weak references";
    }
    return n;
}

static void
note(int phase, const hk_gc_info *info, void *arg)
{
    (void)arg;
    starts += phase == HK_GC_START;
    stops += phase == HK_GC_STOP;
    stops_of_nothing += phase == HK_GC_STOP && !info->collected
                        && !info->uncollectable;
}

/* ---- what a success must do --------------------------------------------- */

static int64_t
unreachable(void)
{
    return w.ring + 2 + 2 * w.with_foreign + 2 * w.with_legacy;
}

static void
check_end(const char *name, uint64_t destroyed_before)
{
    int dead = w.debug & HK_GC_SAVEALL ? 0 : w.ring;
    uint64_t destroyed;

    hk_type_counts(finalized, NULL, &destroyed, NULL);
    is_int(dead, (int64_t)(destroyed - destroyed_before), "%s: dead", name);
    is_int(w.ring, finalized_count, "%s: finalized once", name);
    is_int(w.ring, weak_calls, "%s: weak callbacks once", name);
    is_int(w.ring, finalizer_calls, "%s: hk_finalizers once", name);
    is_int(0, weak_alive(), "%s: weak references dead", name);
    is_int(0, legacy_calls, "%s: legacy_del not called", name);
    is_int(dead ? w.with_foreign : 0, foreign_ends, "%s: foreign ones", name);
}

static void
end_world(void)
{
    void *object;

    hk_gc_set_debug(0);
    while ((object = hk_gc_garbage_take(0)) != NULL) {
        const char *type = hk_type_name(hk_type_of(object));

        if (!strcmp(type, "legacy") || !strcmp(type, "node")
            || !strcmp(type, "finalized"))
            hk_clearref(&((struct node *)object)->next);
        if (strcmp(type, "foreign") != 0)
            hk_decref(object);
        else
            foreign_release(object);
    }
    for (int i = 0; i < w.ring; i++) {
        hk_weak_free(w.called[i]);
        hk_weak_free(w.shared[i]);
    }
    for (int i = 0; i < w.live; i++)
        hk_decref(w.all[i]);
    hk_gc_collect(2);
}

/* kept: in the garbage afterwards. */
static void
try_world(const char *name, operation fn, int64_t kept, int for_ever)
{
    hk_gc_stats before[3], after[3];
    const char *wrong;
    uint64_t destroyed;
    ptrdiff_t n;
    int times;

    make_world();
    hk_gc_get_stats(before);
    hk_type_counts(finalized, NULL, &destroyed, NULL);
    n = until_it_works(fn, for_ever, &times, &wrong);
    ok(!wrong, "%s: nothing changes when memory is short%s%s", name,
       wrong ? ": " : "", wrong ? wrong : "");
    ok(times >= 10, "%s: %d allocations failed", name, times);
    is_int(unreachable(), n, "%s: then it finds all", name);
    is_int(starts, stops, "%s: each start has a stop", name);
    is_int(times, stops_of_nothing, "%s: of nothing, when it failed", name);
    hk_gc_get_stats(after);
    is_int(1, (int64_t)(after[w.generation].collections
                        - before[w.generation].collections),
           "%s: one collection is counted", name);
    is_int(kept, (int64_t)hk_gc_garbage_count(), "%s: the garbage", name);
    check_end(name, destroyed);
    end_world();
    is_int(0, scratch_bytes, "%s: all memory is back", name);
}

/* Larger than what the garbage has room for already. */
static int
next_ring(void)
{
    static int ring = 10;

    ring *= 2;
    return ring <= RING_MAX ? ring : RING_MAX;
}

static void
generations(int generation)
{
    char name[60];

    for (int mode = ONCE; mode <= FOR_EVER; mode++) {
        snprintf(name, sizeof(name), "generation %d%s", generation,
                 mode == ONCE ? "" : ", no more memory");
        w.generation = generation;
        w.ring = 5;
        w.debug = 0;
        w.with_foreign = w.with_legacy = 0;
        try_world(name, collect, 0, mode);
        w.with_foreign = w.with_legacy = 1;
        snprintf(name, sizeof(name), "generation %d, legacy%s", generation,
                 mode == ONCE ? "" : ", no more memory");
        try_world(name, collect, 1, mode);
    }
}

static void
save_all(int generation)
{
    char name[60];

    snprintf(name, sizeof(name), "generation %d, SAVEALL", generation);
    w.generation = generation;
    w.ring = next_ring();
    w.debug = HK_GC_SAVEALL;
    w.with_foreign = 0;
    w.with_legacy = generation == 1;
    try_world(name, collect, unreachable(), ONCE);
}

static void
scans(int generation)
{
    static struct view before, after;
    const char *wrong;
    int times;

    w.generation = generation;
    w.ring = 5;
    w.debug = 0;
    w.with_foreign = w.with_legacy = 1;
    make_world();
    look(&before);
    is_int(0, until_it_works(scan, ONCE, &times, &wrong), "a scan of %d",
           generation);
    look(&after);
    ok(!wrong && times >= 6, "fails %d times, %s", times,
       wrong ? wrong : "and changes nothing");
    is_int(unreachable(), (int64_t)found.unreachable, "then finds all");
    is_int(2, (int64_t)found.uncollectable, "also the legacy ones");
    for (int i = 0; i < w.count; i++)
        before.words[i] = after.words[i]; /* weak locks moved the stamps */
    wrong = difference(&before, &after);
    ok(!wrong, "and changes nothing%s%s", wrong ? ": " : "",
       wrong ? wrong : "");
    hk_gc_collect(2);
    end_world();
}

static void
polls(void)
{
    w.generation = 0;
    w.ring = 5;
    w.debug = 0;
    w.with_foreign = w.with_legacy = 0;
    hk_gc_set_threshold(1, 1000, 1000);
    try_world("a poll", poll, 0, ONCE);
}

int
main(void)
{
    make_types();
    hk_gc_add_callback(note, NULL);
    for (int generation = 0; generation < 3; generation++)
        generations(generation);
    for (int generation = 0; generation < 3; generation++)
        save_all(generation);
    for (int generation = 0; generation < 3; generation++)
        scans(generation);
    polls();
    return done_testing();
}
