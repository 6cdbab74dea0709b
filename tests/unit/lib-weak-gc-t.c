/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-weak-gc -- weak references whose targets, or owners, are collected.  The
 * cases named as in CPython's test_weakref.py ask what that one asks.
 */
#include "tests/unit/lib-weak.h"

static hk_type *nodes, *others;
static hk_weak *from_del;

static void
ring(struct node *a, struct node *b)
{
    a->one = hk_newref(b);
    b->one = hk_newref(a);
}

static void
drop(struct node *a, struct node *b)
{
    hk_decref(a);
    hk_decref(b);
}

static void
test_callback_in_cycle(void)
{
    struct node *a = hk_new(nodes), *b = hk_new(nodes);

    begin();
    ring(a, b);
    a->weak = hk_weak_new(b, count_call, a);
    drop(a, b);
    is_int(2, (int64_t)hk_gc_collect(2), "test_callback_in_cycle: two");
    is_int(0, calls, "a callback in trash never runs");
}

static void
test_callback_reachable_one_way(void)
{
    struct node *a = hk_new(nodes), *b = hk_new(nodes);

    begin();
    b->one = hk_newref(b);
    b->two = hk_newref(a);
    b->weak = hk_weak_new(a, count_call, b);
    drop(a, b);
    is_int(2, (int64_t)hk_gc_collect(2), "test_callback_reachable_one_way");
    is_int(0, calls, "not called");
}

static void
test_callback_different_classes(void)
{
    struct node *a = hk_new(others), *b = hk_new(nodes), *c = hk_new(others);

    begin();
    b->one = hk_newref(b);
    b->two = hk_newref(a);
    a->one = hk_newref(c);
    b->weak = hk_weak_new(a, count_call, b);
    a->weak = hk_weak_new(b, count_call, a);
    drop(a, b);
    hk_decref(c);
    is_int(3, (int64_t)hk_gc_collect(2), "test_callback_different_classes");
    is_int(0, calls, "not called, whoever comes first");
}

static void
test_callback_in_cycle_resurrection(void)
{
    struct node *a = hk_new(nodes), *b = hk_new(nodes);
    hk_weak *w = hk_weak_new(a, tell_arg, (void *)"outside");

    begin();
    ring(a, b);
    a->weak = hk_weak_new(b, tell_arg, (void *)"a");
    b->weak = hk_weak_new(a, tell_arg, (void *)"b");
    drop(a, b);
    is_str("", story, "test_callback_in_cycle_resurrection: not yet");
    is_int(2, (int64_t)hk_gc_collect(2), "collected");
    is_str("outside ", story, "the one that is not trash is called");
    ok(!hk_weak_lock(w), "dead");
    hk_weak_free(w);
}

static void
test_callbacks_on_callback(void)
{
    struct node *c = hk_new(nodes), *d = hk_new(nodes), *bound = hk_new(nodes);
    hk_weak *external;

    begin();
    ring(c, d);
    c->two = hk_newref(bound);
    bound->one = hk_newref(c);
    c->weak = hk_weak_new(d, tell_arg, (void *)"c");
    d->weak = hk_weak_new(bound, tell_arg, (void *)"d");
    external = hk_weak_new(bound, tell_arg, (void *)"safe");
    drop(c, d);
    hk_decref(bound);
    ok(lives(external), "test_callbacks_on_callback: alive");
    is_int(3, (int64_t)hk_gc_collect(2), "three collected");
    is_str("safe ", story, "the external one alone is called");
    hk_weak_free(external);
}

static void
test_gc_during_ref_creation(void)
{
    struct node *target = hk_new(nodes), *a = hk_new(nodes);
    hk_weak *w, *v;
    int old[3];

    begin();
    hk_gc_get_threshold(old);
    hk_gc_set_threshold(1, 1, 1);
    a->one = hk_newref(a);
    a->weak = hk_weak_new(target, count_call, NULL);
    hk_decref(a);
    w = hk_weak_new(target, collect_inside, NULL);
    hk_gc_poll();
    v = hk_weak_new(target, NULL, NULL);
    hk_gc_collect(2);
    is_int(2, (int64_t)hk_weak_count(target),
           "test_gc_during_ref_creation: that of the trash is gone");
    hk_gc_set_threshold(old[0], old[1], old[2]);
    hk_decref(target);
    is_int(1, calls, "one called");
    hk_weak_free(w);
    hk_weak_free(v);
}

static void
test_subclass_refs_with_cycle(void)
{
    struct node *n = hk_new(nodes);

    begin();
    n->one = hk_newref(n);
    n->weak = hk_weak_new(n, count_call, NULL);
    hk_decref(n);
    is_int(1, (int64_t)hk_gc_collect(2), "test_subclass_refs_with_cycle");
    is_int(0, calls, "a reference that its own target owns is silent");
    n = hk_new(nodes);
    n->weak = hk_weak_new(n, count_call, NULL);
    hk_decref(n);
    is_int(1, calls, "but not when that dies by count");
}

static struct node *risen;

static void
rise(void *self)
{
    risen = hk_newref(self);
    tell(lives(from_del) ? "alive" : "dead");
}

static void
resurrection(void)
{
    hk_type *type = make("riser", rise, NULL);
    struct node *n = hk_new(type);

    begin();
    from_del = hk_weak_new(n, count_call, NULL);
    hk_decref(n);
    is_str("alive ", story, "by count the finalizer comes first");
    ok(lives(from_del), "who rises keeps its weak references");
    is_int(0, calls, "not called");
    hk_decref(risen);
    is_int(1, calls, "the second death is the end");
    hk_weak_free(from_del);
    begin();
    n = hk_new(type);
    from_del = hk_weak_new(n, count_call, NULL);
    n->one = n;
    is_int(0, (int64_t)hk_gc_collect(2), "collected, and risen");
    is_str("dead ", story, "by the collector the finalizer comes last");
    ok(!hk_weak_lock(from_del) && calls == 1, "dead and called nevertheless");
    hk_weak_free(from_del);
    from_del = hk_weak_new(risen, count_call, NULL);
    ok(lives(from_del), "a new one to the risen object");
    hk_weak_free(from_del);
    hk_clearref(&n->one);
    hk_decref(risen);
}

static void
tell_own(void *self)
{
    tell(lives(((struct node *)self)->weak) ? "alive" : "dead");
}

/* bpo-38006. */
static void
trash_with_live_target(void)
{
    struct node *target = hk_new(nodes);
    struct node *n = hk_new(make("looker", tell_own, NULL));

    begin();
    n->one = n;
    n->weak = hk_weak_new(target, count_call, NULL);
    is_int(1, (int64_t)hk_gc_collect(2), "trash refers to what lives");
    is_str("dead ", story, "its weak reference is dead for its finalizer");
    is_int(0, (int64_t)hk_weak_count(target), "and gone");
    hk_decref(target);
    is_int(0, calls, "not called");
}

static void
shared_with_trash(void)
{
    struct node *target = hk_new(nodes), *n = hk_new(nodes);
    hk_weak *mine = hk_weak_new(target, NULL, NULL);

    begin();
    n->one = hk_newref(n);
    n->weak = hk_weak_new(target, NULL, NULL);
    ok(n->weak == mine, "shared with an object that becomes trash");
    hk_decref(n);
    is_int(1, (int64_t)hk_gc_collect(2), "which is collected");
    ok(lives(mine), "ours is as good as before");
    hk_weak_free(mine);
    hk_decref(target);
}

int
main(void)
{
    nodes = make("node", NULL, NULL);
    others = make("other", NULL, NULL);
    test_callback_in_cycle();
    test_callback_reachable_one_way();
    test_callback_different_classes();
    test_callback_in_cycle_resurrection();
    test_callbacks_on_callback();
    test_gc_during_ref_creation();
    test_subclass_refs_with_cycle();
    resurrection();
    trash_with_live_target();
    shared_with_trash();
    return done_testing();
}
