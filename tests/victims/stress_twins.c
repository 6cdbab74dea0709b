/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * stress_twins.c -- live cycles that one moving reference keeps.
 *
 * A twin is a shape that is not garbage: its first object has one reference
 * from outside, in a global slot, a named hold, a field of a live object or on
 * a stack.  Threads move it from one holder to the next, and edges to the first
 * object from one member to another: nothing is reached by them alone.  What a
 * twin must not do is be reported.  Whoever reads one member before an edge
 * moves and the other one after it finds each reference to the first object
 * explained by an edge, which is what garbage looks like.  Twins differ in what
 * gives that away:
 *
 *      ANY      everything that there is; stamps move, objects are renewed
 *      STAYS    the holder stays, edges move by plain stores, mostly to and fro
 *               between two places: no count and no stamp ever changes
 *      BY_HAND  the holder changes, too, by plain stores
 *      ADOPTED  foreign objects, whose counts have no stamp
 *
 * Now and then one of the first sort is dropped, and got back through a weak
 * reference at once.  In between it is garbage; how long that took is measured.
 *
 * Locks: that of a twin, then that of a holder.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdlib.h>

#include "stress.h"

enum {
    TWINS = 96,
    HOLDERS = 8,
    HANDLED = 6,      /* operations at a time */
    MEMBER_LINKS = 8, /* of arrays and lists */
    SMALL = 7,        /* objects of a twin that is not of sort ANY */
    RENEWED = 4000    /* one in so many operations */
};

enum place { SLOT, FIELD, HOLD };
enum sort { ANY, STAYS, BY_HAND, ADOPTED, SORTS };

static struct twin {
    pthread_mutex_t lock;
    enum sort sort;
    enum place place;
    struct node *slot; /* the reference, if it is here */
    struct node *root; /* borrowed */
    hk_token token;
    int holder;
} twins[TWINS];

/* Live objects; arrays that grow and shrink. */
static struct {
    pthread_mutex_t lock;
    struct node *node;
} holders[HOLDERS];

static struct node **crowd;
static int crowd_count;

static uint64_t weakly_ns; /* atomic */

/* ---- from and to holders ------------------------------------------------ */

static void
store_in_holder(struct twin *t, struct node *root, uint64_t *random)
{
    t->holder = chance(random, HOLDERS);
    pthread_mutex_lock(&holders[t->holder].lock);
    node_add(holders[t->holder].node, root);
    pthread_mutex_unlock(&holders[t->holder].lock);
}

static struct node *
take_from_holder(struct twin *t)
{
    struct node *holder = holders[t->holder].node, *root = NULL;

    pthread_mutex_lock(&holders[t->holder].lock);
    for (int i = node_links(holder) - 1; i >= 0 && !root; i--)
        if (*node_link(holder, i) == t->root)
            root = node_remove(holder, i);
    pthread_mutex_unlock(&holders[t->holder].lock);
    return root;
}

static void
hold(struct twin *t, struct node *root, uint64_t *random)
{
    node_hold(root, &t->token, "twin");
    chance_yield(random);
    node_drop(root);
}

static bool
is_by_hand(const struct twin *t)
{
    return t->sort == STAYS || t->sort == BY_HAND;
}

static enum place
choose_place(const struct twin *t, uint64_t *random)
{
    if (t->sort == STAYS)
        return SLOT;
    return (enum place)chance(random, is_by_hand(t) ? 2 : 3);
}

/* The caller's reference goes into a holder. */
static void
store(struct twin *t, struct node *root, uint64_t *random)
{
    t->root = root;
    t->place = choose_place(t, random);
    if (t->place == HOLD)
        hold(t, root, random);
    else if (t->place == FIELD)
        store_in_holder(t, root, random);
    else if (is_by_hand(t) || chance(random, 2))
        t->slot = root;
    else
        hk_moveref(&t->slot, &root);
}

static struct node *
take(struct twin *t)
{
    struct node *root = t->root;

    if (t->place == HOLD) {
        node_grab(root);
        node_put(root, &t->token);
    } else if (t->place == FIELD)
        root = take_from_holder(t);
    else if (is_by_hand(t))
        t->slot = NULL;
    else {
        root = NULL;
        hk_moveref(&root, &t->slot);
    }
    if (!root)
        give_up("a twin is not where it was");
    return root;
}

/* ---- what happens to a twin in our hands -------------------------------- */

/* Garbage for as long as two calls take, or not at all.  (With no edge to it,
   it would die.) */
static struct node *
get_back(struct node *root, uint64_t *random)
{
    struct node *again;
    uint64_t start, took, longest;
    hk_weak *weak;

    if (root->kind->layout == FOREIGN || node_references(root) < 2)
        return root;
    weak = hk_weak_new(root, NULL, NULL);
    if (chance(random, 2)) {
        again = hk_weak_lock(weak);
        node_drop(root);
    } else {
        start = chance_now_ns();
        node_drop(root);
        again = hk_weak_lock(weak);
        took = chance_now_ns() - start;
        longest = __atomic_load_n(&weakly_ns, __ATOMIC_RELAXED);
        while (took > longest &&
               !__atomic_compare_exchange_n(&weakly_ns, &longest, took, 0,
                                            __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            ;
    }
    hk_weak_free(weak);
    if (!again)
        give_up("a twin died");
    return again;
}

static struct node *
walk(struct node *root, uint64_t *random)
{
    struct node *at = root;

    for (int steps = chance(random, 8); steps > 0; steps--) {
        int links = node_links(at);
        struct node *next =
            links ? *node_link(at, chance(random, links)) : NULL;

        if (next && !next->kind->lasting)
            at = next;
    }
    return at;
}

/* One edge to the root more, or one less. */
static void
change_edges(struct node *root, uint64_t *random)
{
    struct node *at = walk(root, random);
    int links = node_links(at), i = links ? chance(random, links) : 0;

    if (links && *node_link(at, i) == root) {
        hk_clearref(node_link(at, i));
        return;
    }
    node_grab(root);
    if (links > MEMBER_LINKS || !node_add(at, root))
        node_drop(root);
}

static int
find_link(struct node *from, const struct node *to)
{
    for (int i = node_links(from) - 1; i >= 0; i--)
        if (*node_link(from, i) == to)
            return i;
    return -1;
}

/* Out of one member and then into another; what has no room leaves it. */
static void
carry(struct node *from, int link, struct node *to, uint64_t *random)
{
    struct node *root = node_remove(from, link);

    if (chance(random, 8) == 0)
        chance_yield(random);
    if (node_links(to) > MEMBER_LINKS || !node_add(to, root))
        node_add(from, root);
}

/* An edge to the root moves from one member to another. */
static void
move_edge(struct node *root, bool by_hand, uint64_t *random)
{
    struct node *from, *to = walk(root, random);
    int how = chance(random, by_hand ? 2 : 3), link, room;

    for (int tries = 0; tries < 8; tries++) {
        from = walk(root, random);
        link = find_link(from, root);
        if (link >= 0)
            break;
    }
    if (link < 0)
        return;
    room = find_link(to, NULL);
    if (how == 0 || room < 0)
        carry(from, link, to, random);
    else if (how == 1) { /* in two places for a nanosecond */
        *node_link(to, room) = root;
        *node_link(from, link) = NULL;
    } else
        hk_moveref(node_link(to, room), node_link(from, link));
}

/* Properly taken apart, and another one made. */
static struct node *
renew(struct node *root, uint64_t *random)
{
    node_take_apart(root);
    return shape_build(shape_at(chance(random, shapes_count())), random);
}

static struct node *
handle_any(struct node *root, uint64_t *random)
{
    int what = chance(random, 16);

    if (chance(random, RENEWED) == 0)
        return renew(root, random);
    if (what < 2)
        return get_back(root, random);
    if (what < 5)
        change_edges(root, random);
    else
        move_edge(root, false, random);
    return root;
}

static struct node *
handle(const struct twin *t, struct node *root, uint64_t *random)
{
    for (int times = chance(random, HANDLED); times > 0; times--) {
        if (t->sort == ANY)
            root = handle_any(root, random);
        else if (t->sort == ADOPTED && chance(random, 4) == 0)
            change_edges(root, random);
        else
            move_edge(root, is_by_hand(t), random);
        chance_yield(random);
    }
    return root;
}

void
twin_step(struct worker *worker)
{
    struct twin *t = &twins[chance(&worker->random, TWINS)];
    struct node *root;

    if (pthread_mutex_trylock(&t->lock) != 0)
        return;
    root = t->sort == STAYS ? t->root : take(t);
    root = handle(t, root, &worker->random);
    if (t->sort != STAYS)
        store(t, root, &worker->random);
    pthread_mutex_unlock(&t->lock);
}

/* ---- beginning and end -------------------------------------------------- */

static bool
suits(const struct shape *shape, enum sort sort)
{
    if (sort == ANY)
        return true;
    return shape->objects <= SMALL &&
           (sort != ADOPTED || shape->live[0]->layout == FOREIGN);
}

static const struct shape *
choose_shape(enum sort sort, uint64_t *random)
{
    const struct shape *shape;

    do
        shape = shape_at(chance(random, shapes_count()));
    while (!suits(shape, sort));
    return shape;
}

static void
make_holders(void)
{
    for (int h = 0; h < HOLDERS; h++) {
        pthread_mutex_init(&holders[h].lock, NULL);
        holders[h].node =
            node_new(h % 2 ? kind_make("holder of an array", ARRAY)
                           : kind_make("holder of a list", EMBED));
    }
}

/* First the first member of each twin, then the second ones, and so on; the
   crowd stands between, and what is lost. */
static void
make_members(const struct shape **of, struct node *nodes[][OBJECTS_MAX],
             int lost, uint64_t *random)
{
    const struct kind *kind = kind_make("crowd", INLINE);

    for (int i = 0; i < OBJECTS_MAX; i++) {
        for (int t = 0; t < TWINS; t++)
            if (i < of[t]->objects)
                nodes[t][i] = node_new(of[t]->live[i]);
        for (int c = 0; c < crowd_count / SMALL && i < SMALL; c++)
            crowd[i * (crowd_count / SMALL) + c] = node_new(kind);
        for (int l = 0; l < lost / SMALL && i < SMALL; l++)
            shape_plant(shape_at(0), random);
    }
}

void
twins_make(uint64_t *random, int size_of_crowd, int lost)
{
    static struct node *nodes[TWINS][OBJECTS_MAX];
    const struct shape *of[TWINS];

    crowd_count = size_of_crowd / SMALL * SMALL;
    crowd = calloc((size_t)crowd_count + 1, sizeof *crowd);
    if (!crowd)
        give_up("calloc");
    make_holders();
    for (int t = 0; t < TWINS; t++) {
        pthread_mutex_init(&twins[t].lock, NULL);
        twins[t].sort = (enum sort)(t % SORTS);
        of[t] = choose_shape(twins[t].sort, random);
    }
    make_members(of, nodes, lost, random);
    for (int t = 0; t < TWINS; t++) {
        store(&twins[t], shape_finish(of[t], nodes[t], random), random);
        if (twins[t].sort == STAYS)
            shape_narrow(of[t], nodes[t]);
    }
}

uint64_t
twins_weakly_ns(void)
{
    return weakly_ns;
}

void
twins_end(void)
{
    for (int t = 0; t < TWINS; t++)
        node_take_apart(take(&twins[t]));
    for (int h = 0; h < HOLDERS; h++)
        node_drop(holders[h].node);
    for (int c = 0; c < crowd_count; c++)
        node_drop(crowd[c]);
    free(crowd);
}
