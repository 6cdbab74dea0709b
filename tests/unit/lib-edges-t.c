/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-edges -- programs that are odd but allowed, and that a review found to
 * go wrong: children that leave their parent as they die, callbacks that drop
 * what is being looked at, ends that begin with hk_untrack.  Threads and forks
 * are in lib-edges2, foreign objects and mistakes in lib-edges3.
 */
#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

#define KIDS 64
#define NODES 6

/* ---- objects whose header is further in --------------------------------- */

struct deep {
    long id;
    int count, kind; /* where a header at the front has slot and type */
    hk_object head;
    struct deep *next;
};

static const hk_field deep_fields[] = {
    {"next", HK_REF, offsetof(struct deep, next), 0}, {0}};

static int count_seen;

/* Begins as CPython's do, with untrack. */
static void
deep_end(void *self)
{
    struct deep *d = self;

    hk_untrack(d);
    count_seen = d->count;
    hk_clearref(&d->next);
    free(d);
}

static void
untrack_in_dealloc(void)
{
    hk_type *type = knot_type("Deep", (hk_type_spec){
                                          .size = sizeof(struct deep),
                                          .header_offset =
                                              offsetof(struct deep, head),
                                          .fields = deep_fields,
                                          .dealloc = deep_end});
    struct knot *innocent = knot_new(plain, 1);
    struct deep *d = hk_new(type);
    int count = (int)innocent->head.slot;

    d->count = count;
    d->kind = 1;
    hk_decref(&d->head);
    is_int(count, count_seen, "untrack in a dealloc leaves the fields alone");
    ok(hk_gc_is_tracked(innocent), "nor does it untrack another object");
    is_int(0, knot_live(type), "its type is empty");
    hk_decref(innocent);
}

static void
field_on_header(void)
{
    static const hk_field first[] = {{"next", HK_REF, 0, 0}, {0}};
    static const hk_field across[] = {
        {"next", HK_REF_INLINE, offsetof(struct deep, id), 3}, {0}};
    hk_type_spec spec = {.struct_size = sizeof(spec),
                         .name = "OnHeader",
                         .size = sizeof(struct deep),
                         .fields = first};

    errno = 0;
    ok(!hk_type_register(&spec), "a field on the header is refused");
    is_int(EINVAL, errno, "... with EINVAL");
    spec.header_offset = offsetof(struct deep, head);
    spec.fields = across;
    ok(!hk_type_register(&spec), "an array that reaches into it too");
    spec.fields = first;
    spec.name = "BeforeHeader";
    ok(hk_type_register(&spec) != NULL, "one before the header is not");
}

static void
counts_of_no_type(void)
{
    uint64_t created = 1, destroyed = 1, tracked = 1;

    hk_type_counts(NULL, &created, &destroyed, &tracked);
    ok(!created && !destroyed && !tracked, "no type has no objects");
}

/* ---- the dead in a chain ------------------------------------------------ */

#define CHAIN 60 /* over 50 deaths are not nested, but put off */

static int chain_ends, chain_mistakes, chain_kind;

/* The mistake: a reference to what was ended just now, and only waits. */
static void
chain_end(void *self)
{
    struct knot *k = self, *next = k->ref[0];
    int before = ++chain_ends;

    k->ref[0] = NULL;
    if (next) {
        hk_decref(next);
        if (before == 50)
            hk_incref(next);
    }
    free(k);
}

static void
count_mistake(const hk_error *error, void *arg)
{
    (void)arg;
    chain_mistakes++;
    chain_kind = error->kind;
}

static void
incref_of_the_waiting(void)
{
    hk_type *type = knot_type("Chain", (hk_type_spec){.dealloc = chain_end});
    struct knot *innocent = knot_new(type, 1), *head = NULL;

    hk_set_error_fn(count_mistake, NULL);
    for (int i = 0; i < CHAIN; i++) {
        struct knot *k = knot_new(type, 2);

        k->ref[0] = head;
        head = k;
    }
    hk_decref(head);
    hk_set_error_fn(NULL, NULL);
    is_int(CHAIN, chain_ends, "a reference to the waiting dead loses none");
    is_int(1, (int64_t)hk_refcount(innocent), "... and ends no other object");
    is_int(1, chain_mistakes, "... it is reported");
    is_int(HK_ERROR_DEAD, chain_kind, "... as what it is");
    hk_decref(innocent);
    is_int(0, knot_live(type), "... and all are dead in the end");
}

/* ---- children that leave an array --------------------------------------- */

struct kid;

struct bag {
    hk_object head;
    size_t count;
    struct kid **kids;
    struct bag *self;
};

struct kid {
    hk_object head;
    struct bag *bag;
};

static const hk_field bag_fields[] = {
    {"kids", HK_REF_ARRAY, offsetof(struct bag, kids),
     offsetof(struct bag, count)},
    {"self", HK_REF, offsetof(struct bag, self), 0},
    {0}};

/* Its slot is NULL; the last one takes the place, and the array moves. */
static void
kid_end(void *self)
{
    struct kid *k = self;
    struct bag *b = k->bag;
    struct kid **old = b->kids;
    size_t i = 0;

    while (i < b->count && old[i])
        i++;
    if (i < b->count) {
        old[i] = old[--b->count];
        b->kids = b->count ? malloc(b->count * sizeof(*old)) : NULL;
        if (b->kids)
            memcpy(b->kids, old, b->count * sizeof(*old));
        free(old);
    }
    free(k);
}

static struct bag *
full_bag(hk_type *bags, hk_type *kids)
{
    struct bag *b = hk_new(bags);

    b->kids = calloc(KIDS, sizeof(*b->kids));
    for (b->count = 0; b->count < KIDS; b->count++) {
        b->kids[b->count] = hk_new(kids);
        b->kids[b->count]->bag = b;
    }
    return b;
}

static void
leave_array(void)
{
    hk_type *bags = knot_type("Bag", (hk_type_spec){.size = sizeof(struct bag),
                                                    .fields = bag_fields});
    hk_type *kids = knot_type("Kid", (hk_type_spec){.size = sizeof(struct kid),
                                                    .flags = HK_TYPE_LEAF,
                                                    .dealloc = kid_end});
    struct bag *b = full_bag(bags, kids);

    hk_decref(b);
    is_int(0, knot_live(kids), "by count, all leave the array as they die");
    is_int(0, knot_live(bags), "... and it dies");
    b = full_bag(bags, kids);
    hk_setref(&b->self, b);
    hk_decref(b);
    is_int(1, hk_gc_collect(2), "the collector finds it in a cycle");
    is_int(0, knot_live(kids), "... all leave the array as they die");
    is_int(0, knot_live(bags), "... and it dies");
}

/* ---- children that leave a list ----------------------------------------- */

struct list {
    hk_object head;
    struct link *first;
    struct list *self;
};

struct link {
    struct link *next;
    struct item *item;
};

struct item {
    hk_object head;
    struct list *list;
};

static const hk_slist_spec links = {offsetof(struct link, next),
                                    offsetof(struct link, item)};
static hk_field list_fields[] = {
    {"items", HK_SLIST, offsetof(struct list, first), 0},
    {"self", HK_REF, offsetof(struct list, self), 0},
    {0}};

static struct link nodes[NODES];
static struct item *trap; /* found by who follows a node that was taken out */

static struct link *
take_out(struct link **place)
{
    struct link *node = *place;

    *place = node->next;
    node->next = NULL;
    return node;
}

/* Takes the empty nodes out, and the first of the others with its item. */
static void
item_end(void *self)
{
    struct item *i = self, *other;
    struct link **place = &i->list->first;

    while (*place)
        if (!(*place)->item)
            take_out(place)->item = trap;
        else
            place = &(*place)->next;
    if (i->list->first) {
        struct link *node = take_out(&i->list->first);

        other = node->item;
        node->item = trap;
        hk_decref(other);
    }
    free(i);
}

static struct list *
full_list(hk_type *lists, hk_type *items)
{
    struct list *l = hk_new(lists);

    for (int i = 0; i < NODES; i++) {
        nodes[i].item = hk_new(items);
        nodes[i].item->list = l;
        nodes[i].next = l->first;
        l->first = &nodes[i];
    }
    return l;
}

static void
leave_list(void)
{
    hk_type *lists, *items, *traps;
    struct list *l;

    list_fields[0].count = (size_t)&links;
    lists = knot_type("List", (hk_type_spec){.size = sizeof(struct list),
                                             .fields = list_fields});
    items = knot_type("Item", (hk_type_spec){.size = sizeof(struct item),
                                             .flags = HK_TYPE_LEAF,
                                             .dealloc = item_end});
    traps = knot_type("Trap", (hk_type_spec){.size = sizeof(struct item),
                                             .flags = HK_TYPE_LEAF});
    trap = hk_new(traps);
    hk_incref(trap);
    l = full_list(lists, items);
    hk_decref(l);
    is_int(0, knot_live(items), "by count, a list ends with its items");
    is_int(2, (int64_t)hk_refcount(trap), "... no node was followed that had "
                                          "left");
    l = full_list(lists, items);
    hk_setref(&l->self, l);
    hk_decref(l);
    is_int(1, hk_gc_collect(2), "the collector finds it in a cycle");
    is_int(0, knot_live(items), "... it ends with its items");
    is_int(2, (int64_t)hk_refcount(trap), "... no node was followed that had "
                                          "left");
    is_int(0, knot_live(lists), "both lists are dead");
}

/* ---- the collector ------------------------------------------------------ */

static void
set_saveall(struct knot *self)
{
    (void)self;
    hk_gc_set_debug(HK_GC_SAVEALL);
}

static void
saveall_in_finalizer(void)
{
    for (int i = 0; i < 10; i++)
        knot_loop(final, i)->action = set_saveall;
    is_int(10, hk_gc_collect(2), "SAVEALL set by a finalizer");
    is_int(0, (int64_t)hk_gc_garbage_count(), "... keeps nothing this time");
    is_int(0, knot_live(final), "... all are dead");
    knot_loop(plain, 11);
    hk_gc_collect(2);
    is_int(1, (int64_t)hk_gc_garbage_count(), "... from the next one on");
    hk_gc_set_debug(0);
    hk_clearref(&((struct knot *)hk_gc_garbage_get(0))->ref[0]);
    knot_empty_garbage();
    is_int(0, knot_live(plain), "... which can be emptied");
}

static struct knot shown[3];
static int shown_ends, shown_count, shown_after_end;

/* Memory that stays, so that the dead can be told. */
static void
shown_end(void *self)
{
    struct knot *k = self;

    shown_ends++;
    k->is_marked = 1;
    hk_clearref(&k->ref[0]);
    hk_clearref(&k->ref[1]);
}

static int
drop_both(void *object, const hk_type *type, void *arg)
{
    struct knot *root = arg;

    (void)type;
    shown_count++;
    shown_after_end += ((struct knot *)object)->is_marked;
    hk_clearref(&root->ref[0]);
    hk_clearref(&root->ref[1]);
    return 0;
}

static void
drop_in_referents(void)
{
    hk_type *type = knot_type("Shown", (hk_type_spec){.dealloc = shown_end});
    void *root = &shown[0];

    for (int i = 0; i < 3; i++) {
        hk_init(&shown[i], type);
        hk_track(&shown[i]);
    }
    shown[0].ref[0] = &shown[1];
    shown[0].ref[1] = &shown[2];
    is_int(0, hk_gc_get_referents(&root, 1, drop_both, root),
           "a callback drops what it is shown, and what comes next");
    is_int(2, shown_count, "... both are shown");
    is_int(0, shown_after_end, "... neither after its end");
    is_int(2, shown_ends, "... and end then");
    hk_decref(root);
}

/* The lock is named amid a collection: that one takes none, and gives none. */
static int locks, unlocks;

static void
lock(void *arg)
{
    (void)arg;
    locks++;
}

static void
unlock(void *arg)
{
    (void)arg;
    unlocks++;
}

static void
name_lock(int phase, const hk_gc_info *info, void *arg)
{
    (void)info;
    (void)arg;
    if (phase == HK_GC_START)
        hk_gc_set_lock(lock, unlock, NULL);
}

static void
lock_set_in_callback(void)
{
    hk_gc_add_callback(name_lock, NULL);
    hk_gc_collect(2);
    hk_gc_remove_callback(name_lock, NULL);
    ok(locks == 0 && unlocks == 0, "a lock named amid a collection");
    hk_gc_collect(2);
    hk_gc_set_lock(NULL, NULL, NULL);
    ok(locks == 1 && unlocks == 1, "... is for the next one");
}

/* ---- hk_type_check ------------------------------------------------------ */

static int traverses;

static int
forgets_label(void *self, hk_visit_fn visit, void *arg)
{
    return visit(((struct knot *)self)->ref[0], traverses++ ? NULL : "next",
                 -1, arg);
}

static void
label_missing_later(void)
{
    hk_type *type = knot_type("Forgetful",
                              (hk_type_spec){.traverse = forgets_label});
    struct knot *k = knot_new(type, 1), *child = knot_new(plain, 2);

    k->ref[0] = child;
    errno = 0;
    is_int(-1, hk_type_check(k), "no label in the second traverse is a lie");
    is_int(EINVAL, errno, "... with EINVAL");
    hk_decref(k);
    hk_decref(child);
}

int
main(void)
{
    knot_types();
    hk_gc_disable();
    untrack_in_dealloc();
    field_on_header();
    counts_of_no_type();
    incref_of_the_waiting();
    leave_array();
    leave_list();
    saveall_in_finalizer();
    drop_in_referents();
    lock_set_in_callback();
    label_missing_later();
    return done_testing();
}
