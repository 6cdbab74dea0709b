/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 03-finalizers.c -- finalizers in cycles, and why not.
 *
 * A finalizer wants to see its object whole, and what that refers to.  In a
 * cycle there is no order in which everyone's wish can be granted.  CPython has
 * had two answers, and both are here:
 *
 * finalize (tp_finalize, __del__ since 3.4) runs on all objects of a cycle
 * while they are all whole; then the cycle is cleared.  Once in a life, so an
 * object that its finalizer saves will not be asked a second time.
 *
 * legacy_del (tp_del, __del__ before 3.4) wants its object dead for good.  The
 * collector cannot promise that in a cycle, so it leaves the cycle alone and
 * puts it into the garbage, for the program to take apart.
 *
 * What to see: the first pair goes, the second one stays; somebody has to know
 * which field to clear; a saved object lives, finalized.  That is why the next
 * lesson does without.
 *
 * In Python: gc.garbage, gc.is_finalized, PEP 442.
 */
#include "tour.h"

struct node {
    hk_object head;
    struct node *peer;
};

static const hk_field node_fields[] = {
    {"peer", HK_REF, offsetof(struct node, peer), 0}, {0}};

static int finalized, deleted;
static struct node *saved;

static void
count_finalized(void *self)
{
    const struct node *node = self;

    finalized += node->peer != NULL; /* the neighbour is still there */
}

static void
count_deleted(void *self)
{
    (void)self;
    deleted++;
}

static void
save(void *self)
{
    saved = hk_newref(self);
}

static hk_type *
make_type(const char *name, void (*finalize)(void *), void (*del)(void *))
{
    hk_type_spec spec = {
        .struct_size = sizeof(spec),
        .name = name,
        .size = sizeof(struct node),
        .fields = node_fields,
        .finalize = finalize,
        .legacy_del = del,
    };

    return must(hk_type_register(&spec));
}

/* Two objects that refer to each other and that nobody holds. */
static void
drop_pair(hk_type *type)
{
    struct node *a = must(hk_new(type)), *b = must(hk_new(type));

    hk_moveref(&a->peer, &b); /* a has the reference that we had */
    hk_setref(&a->peer->peer, a);
    hk_decref(a);
}

/* What the garbage holds is ours to open, one field at a time. */
static void
take_apart_garbage(void)
{
    while (hk_gc_garbage_count()) {
        struct node *node = hk_gc_garbage_take(0);

        hk_clearref(&node->peer);
        hk_decref(node);
    }
}

int
main(void)
{
    hk_type *modern = make_type("modern", count_finalized, NULL);
    hk_type *legacy = make_type("legacy", NULL, count_deleted);
    hk_type *saver = make_type("saver", save, NULL);
    struct node *node;

    drop_pair(modern);
    printf("finalize:   collect found %d, ", (int)hk_gc_collect(2));
    printf("finalized %d, alive %d\n", finalized, alive(modern));

    drop_pair(legacy);
    printf("legacy_del: collect found %d, ", (int)hk_gc_collect(2));
    printf("deleted %d, alive %d, in the garbage %d\n", deleted, alive(legacy),
           (int)hk_gc_garbage_count());
    take_apart_garbage();
    printf("by hand:    deleted %d, alive %d\n", deleted, alive(legacy));

    node = must(hk_new(saver));
    hk_setref(&node->peer, node); /* a cycle of one */
    hk_decref(node);
    printf("a saver:    collect found %d, ", (int)hk_gc_collect(2));
    printf("saved %s, finalized %s\n", yes_no(saved != NULL),
           yes_no(hk_gc_is_finalized(saved)));
    node = saved;
    saved = NULL;
    hk_decref(node);
    printf("again:      collect found %d, ", (int)hk_gc_collect(2));
    printf("saved %s, alive %d\n", yes_no(saved != NULL), alive(saver));
    return 0;
}
