/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 04-weak.c -- weak references and hk_finalizer instead.
 *
 * A child should know its parent, not own it.  A weak reference says so: it is
 * not counted, closes no cycle, and turns into NULL when its target dies.  To
 * use the target, lock it: that gives a strong reference for as long as you
 * look, or NULL.
 *
 * What has to be done when an object is gone (remove a file, close a socket)
 * need not be a method of the object.  An hk_finalizer is a function and an
 * argument that never see it, so it does not matter whether the object died
 * alone or in a cycle, and nobody can be saved or met half dead.
 *
 * What to see: a tree with weak references upwards dies by counting alone; the
 * child that outlives it gets NULL; a finalizer runs once, whoever asks first.
 *
 * In Python: weakref.ref(parent), weakref.finalize(obj, os.remove, path).
 */
#include "tour.h"

struct node {
    hk_object head;
    const char *name;
    hk_weak *parent;
    struct node *child;
};

/* An HK_WEAKREF is owned: it is freed together with its node. */
static const hk_field node_fields[] = {
    {"parent", HK_WEAKREF, offsetof(struct node, parent), 0},
    {"child", HK_REF, offsetof(struct node, child), 0},
    {0}};

static const hk_type_spec node_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "node",
    .size = sizeof(struct node),
    .fields = node_fields,
};

static hk_type *node_type;

static struct node *
make_node(const char *name, struct node *parent)
{
    struct node *node = must(hk_new(node_type));

    node->name = name;
    if (parent) {
        node->parent = must(hk_weak_new(parent, NULL, NULL));
        hk_setref(&parent->child, node);
    }
    return node;
}

/* The HK_AUTO reference goes at the end of the scope. */
static void
print_parent(struct node *node)
{
    HK_AUTO struct node *parent = hk_weak_lock(node->parent);

    printf("%s's parent: %s\n", node->name, parent ? parent->name : "gone");
}

static void
parent_is_gone(hk_weak *weak, void *arg)
{
    printf("    (told that %s died)\n", (const char *)arg);
    hk_weak_free(weak);
}

static void
remove_file(void *arg)
{
    printf("    (%s is removed)\n", (const char *)arg);
}

int
main(void)
{
    struct node *root, *leaf;
    hk_finalizer by_death, by_hand;

    node_type = must(hk_type_register(&node_spec));
    root = make_node("root", NULL);
    leaf = make_node("leaf", root);
    must(hk_weak_new(root, parent_is_gone, "root"));
    print_parent(leaf);
    printf("references to root: %d strong, %d weak\n", (int)hk_refcount(root),
           (int)hk_weak_count(root));

    by_death = hk_finalizer_add(root, remove_file, "root.tmp", 0);
    by_hand = hk_finalizer_add(root, remove_file, "root.lock", 0);
    printf("root.lock, early: %s\n", yes_no(hk_finalizer_call(by_hand)));
    printf("root.lock, again: %s\n", yes_no(hk_finalizer_call(by_hand)));

    printf("the last reference to root goes\n");
    hk_decref(root);
    print_parent(leaf);
    printf("root.tmp still to be removed: %s\n",
           yes_no(hk_finalizer_alive(by_death)));
    hk_decref(leaf);
    printf("alive: %d, and for the collector: %d\n", alive(node_type),
           (int)hk_gc_collect(2));
    return 0;
}
