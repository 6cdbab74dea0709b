/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * stress_pools.c -- live objects that are linked at random.
 *
 * A node with links is in exactly one slot: of the shared pool, whose slots
 * are guarded by mutex stripes, or of one thread.  Who has the slot alone
 * touches the links.  A node leaves its slots without links, so no cycle is
 * ever left behind, however many there are between the slots.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdlib.h>

#include "stress.h"

enum { SLOTS = 512, STRIPES = 16, WEAKS = 64 };

static pthread_mutex_t stripes[STRIPES];
static struct node *slots[SLOTS];

static pthread_mutex_t weak_lock = PTHREAD_MUTEX_INITIALIZER;
static hk_weak *weaks[WEAKS];

static const struct kind *pool_kinds[LAYOUTS];
static int pool_kind_count;

void
pools_make(bool tables)
{
    static const char *const names[LAYOUTS] = {"pool inline",  "pool late",
                                               "pool array",   "pool embed",
                                               "pool foreign", "pool code"};

    pool_kind_count = tables ? CODE : LAYOUTS;
    for (int k = 0; k < pool_kind_count; k++)
        pool_kinds[k] = kind_make(names[k], (enum layout)k);
    for (int s = 0; s < STRIPES; s++)
        pthread_mutex_init(&stripes[s], NULL);
}

/* ---- two slots, of one's own or shared ---------------------------------- */

struct two {
    struct node **a, **b;
    int stripe_a, stripe_b; /* -1: none */
};

static void
choose(struct worker *w, struct node ***slot, int *stripe)
{
    int i = chance(&w->random, SLOTS + 4 * PRIVATE_SLOTS);

    *slot = i < SLOTS ? &slots[i] : &w->slots[i % PRIVATE_SLOTS];
    *stripe = i < SLOTS ? i % STRIPES : -1;
}

static void
lock_two(struct worker *w, struct two *t)
{
    int low, high;

    choose(w, &t->a, &t->stripe_a);
    choose(w, &t->b, &t->stripe_b);
    low = t->stripe_a < t->stripe_b ? t->stripe_a : t->stripe_b;
    high = t->stripe_a < t->stripe_b ? t->stripe_b : t->stripe_a;
    if (low >= 0)
        pthread_mutex_lock(&stripes[low]);
    if (high >= 0 && high != low)
        pthread_mutex_lock(&stripes[high]);
}

static void
unlock_two(const struct two *t)
{
    if (t->stripe_a >= 0)
        pthread_mutex_unlock(&stripes[t->stripe_a]);
    if (t->stripe_b >= 0 && t->stripe_b != t->stripe_a)
        pthread_mutex_unlock(&stripes[t->stripe_b]);
}

/* ---- operations --------------------------------------------------------- */

static void
empty(struct node **slot)
{
    struct node *node = *slot;

    if (!node)
        return;
    node_clear(node);
    if (node->kind->layout != FOREIGN)
        hk_clearref(slot);
    else {
        *slot = NULL;
        node_drop(node);
    }
}

static void
create(struct worker *w, struct two *t)
{
    empty(t->a);
    *t->a = node_new(pool_kinds[chance(&w->random, pool_kind_count)]);
}

static void
drop(struct worker *w, struct two *t)
{
    (void)w;
    empty(t->a);
}

static void
connect(struct worker *w, struct two *t)
{
    struct node *from = *t->a, *to = *t->b;
    int links = from && to ? node_links(from) : 0;

    if (!from || !to || links > 12)
        return;
    if (links && chance(&w->random, 2)) {
        hk_setref(node_link(from, chance(&w->random, links)), to);
        return;
    }
    node_grab(to);
    if (!node_add(from, to))
        node_drop(to);
}

static void
disconnect(struct worker *w, struct two *t)
{
    struct node *from = *t->a, *child;
    int links = from ? node_links(from) : 0;

    if (!links)
        return;
    child = node_remove(from, chance(&w->random, links));
    chance_yield(&w->random);
    if (child)
        node_drop(child);
}

static void
clear(struct worker *w, struct two *t)
{
    struct node *from = *t->a;
    int links = from ? node_links(from) : 0;

    if (links)
        hk_clearref(node_link(from, chance(&w->random, links)));
}

/* By hand: out of one field, perhaps some time later into the other. */
static void
move(struct worker *w, struct two *t)
{
    struct node *from = *t->a, *to = *t->b, *child;
    int links = from ? node_links(from) : 0;

    if (!links || !to || node_links(to) > 12)
        return;
    child = node_remove(from, chance(&w->random, links));
    chance_yield(&w->random);
    if (child && !node_add(to, child))
        node_drop(child);
}

static void
moveref(struct worker *w, struct two *t)
{
    struct node *from = *t->a, *to = *t->b;
    int i = from ? node_links(from) : 0, j = to ? node_links(to) : 0;

    if (!i || !j)
        return;
    i = chance(&w->random, i);
    j = chance(&w->random, j);
    if (from != to || i != j)
        hk_moveref(node_link(to, j), node_link(from, i));
}

/* Nodes change their owners, links and all. */
static void
trade(struct worker *w, struct two *t)
{
    struct node *node = *t->a;

    (void)w;
    *t->a = *t->b;
    *t->b = node;
}

/* The copy of a reference on a stack, which may become the last one. */
static void
borrow(struct worker *w, struct two *t)
{
    struct node *node = *t->a;
    hk_token token = 0;
    bool held = chance(&w->random, 2);

    if (!node)
        return;
    if (held)
        node_hold(node, &token, "borrowed");
    else
        node_grab(node);
    unlock_two(t);
    chance_yield(&w->random);
    if (held)
        node_put(node, &token);
    else
        node_drop(node);
    t->stripe_a = t->stripe_b = -1;
}

/* Out of the collector's sight for a while. */
static void
hide(struct worker *w, struct two *t)
{
    struct node *node = *t->a;

    if (!node || node->kind->layout == FOREIGN)
        return;
    hk_untrack(node);
    chance_yield(&w->random);
    hk_track(node);
}

static void
on_death(hk_weak *weak, void *arg)
{
    (void)weak;
    __atomic_add_fetch((uint64_t *)arg, 1, __ATOMIC_RELAXED);
}

static uint64_t deaths; /* atomic */

static void
watch(struct worker *w, struct two *t)
{
    struct node *node = *t->a;
    hk_weak *weak, **place = &weaks[chance(&w->random, WEAKS)];

    if (!node || node->kind->layout == FOREIGN)
        return;
    weak = chance(&w->random, 2) ? hk_weak_new(node, on_death, &deaths)
                                 : hk_weak_new(node, NULL, NULL);
    if (!weak)
        give_up("hk_weak_new");
    pthread_mutex_lock(&weak_lock);
    hk_weak_free(*place);
    *place = weak;
    pthread_mutex_unlock(&weak_lock);
}

/* Through a weak reference; the node may be out of its slot meanwhile. */
static void
visit(struct worker *w, struct two *t)
{
    hk_weak **place = &weaks[chance(&w->random, WEAKS)];
    struct node *node;

    (void)t;
    pthread_mutex_lock(&weak_lock);
    node = *place ? hk_weak_lock(*place) : NULL;
    pthread_mutex_unlock(&weak_lock);
    chance_yield(&w->random);
    if (node)
        node_drop(node);
}

void
pool_step(struct worker *worker)
{
    static void (*const operations[])(struct worker *, struct two *) = {
        create,  create,     create, connect, connect, connect, connect,
        connect, disconnect, clear,  move,    move,    moveref, moveref,
        trade,   trade,      drop,   borrow,  watch,   visit,   hide,
    };
    int what =
        chance(&worker->random, (int)(sizeof operations / sizeof *operations));
    struct two two;

    lock_two(worker, &two);
    operations[what](worker, &two);
    unlock_two(&two);
}

/* ---- the end, when only one thread is left ------------------------------ */

void
private_end(struct worker *worker)
{
    for (int i = 0; i < PRIVATE_SLOTS; i++)
        empty(&worker->slots[i]);
}

void
pools_end(void)
{
    for (int i = 0; i < SLOTS; i++)
        empty(&slots[i]);
    for (int i = 0; i < WEAKS; i++)
        hk_weak_free(weaks[i]);
}
