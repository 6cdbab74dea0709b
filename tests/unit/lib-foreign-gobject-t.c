/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-foreign-gobject -- GObjects that hold one another, found by a scan and
 * ended by a collection.  GLib counts their references and says itself, by
 * g_object_weak_ref(), which are finalized.
 */
#include "tests/tap/tap.h"

#ifdef HAVE_GOBJECT
#include <glib-object.h>

#include "heapknot.h"

typedef struct {
    GObject parent;
    GObject *peer;
    GPtrArray *children; /* owns its elements */
} Knot;

typedef struct {
    GObjectClass parent;
} KnotClass;

GType knot_get_type(void);
G_DEFINE_TYPE(Knot, knot, G_TYPE_OBJECT)

static hk_type *type;

/* GObject's own way of taking an object apart.  It may run again. */
static void
knot_dispose(GObject *self)
{
    Knot *knot = (Knot *)self;

    g_clear_object(&knot->peer);
    g_ptr_array_set_size(knot->children, 0);
    G_OBJECT_CLASS(knot_parent_class)->dispose(self);
}

static void
knot_finalize(GObject *self)
{
    hk_forget(self);
    g_ptr_array_free(((Knot *)self)->children, TRUE);
    G_OBJECT_CLASS(knot_parent_class)->finalize(self);
}

static void
knot_class_init(KnotClass *class)
{
    G_OBJECT_CLASS(class)->dispose = knot_dispose;
    G_OBJECT_CLASS(class)->finalize = knot_finalize;
}

static void
knot_init(Knot *knot)
{
    knot->children = g_ptr_array_new_with_free_func(g_object_unref);
}

static int
traverse(void *self, hk_visit_fn visit, void *arg)
{
    const Knot *knot = self;
    int result = visit(knot->peer, "peer", -1, arg);

    for (guint i = 0; i < knot->children->len && result == 0; i++)
        result = visit(g_ptr_array_index(knot->children, i), "children",
                       (ptrdiff_t)i, arg);
    return result;
}

static int
clear(void *self)
{
    Knot *knot = self;

    g_clear_object(&knot->peer);
    g_ptr_array_set_size(knot->children, 0);
    return 0;
}

static void
retain(void *self)
{
    g_object_ref(self);
}

static void
release(void *self)
{
    g_object_unref(self);
}

static void
make_type(void)
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = "Knot";
    s.size = sizeof(Knot);
    s.flags = HK_TYPE_FOREIGN;
    s.traverse = traverse;
    s.clear = clear;
    s.refcount_offset = G_STRUCT_OFFSET(GObject, ref_count);
    s.refcount_width = sizeof(((GObject *)NULL)->ref_count);
    s.retain = retain;
    s.release = release;
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
}

static int finalized;

static void
on_finalized(gpointer data, GObject *where_it_was)
{
    (void)data;
    (void)where_it_was;
    finalized++;
}

static Knot *
make_knot(void)
{
    Knot *knot = g_object_new(knot_get_type(), NULL);

    g_object_weak_ref(G_OBJECT(knot), on_finalized, NULL);
    if (hk_adopt(knot, type) != 0)
        bail_out(hk_last_error());
    return knot;
}

/* The caller owns a. */
static Knot *
make_pair(void)
{
    Knot *a = make_knot(), *b = make_knot();

    b->peer = g_object_ref(G_OBJECT(a));
    a->peer = G_OBJECT(b);
    return a;
}

static void
add_child(Knot *parent, Knot *child)
{
    g_ptr_array_add(parent->children, child);
    child->peer = g_object_ref(G_OBJECT(parent));
}

static int
unreachable(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)};

    return hk_gc_scan(2, &r) == 0 ? (int)r.unreachable : -1;
}

static int
tracked(void)
{
    uint64_t count;

    hk_type_counts(type, NULL, NULL, &count);
    return (int)count;
}

static void
counting(void)
{
    Knot *a = make_knot();

    a->peer = G_OBJECT(make_knot());
    g_object_unref(a);
    is_int(2, finalized, "without a cycle GLib alone ends two");
    is_int(0, tracked(), "and they are forgotten");
}

static void
pair(void)
{
    Knot *held = make_pair(), *slot = NULL;

    finalized = 0;
    ok(hk_type_check(held) == 0, "the type tells the truth");
    g_object_unref(make_pair());
    is_int(0, finalized, "a pair outlives its owner");
    is_int(2, unreachable(), "a scan finds it, and not the held one");
    is_int(0, finalized, "and touches nothing");
    is_int(2, (int64_t)hk_gc_collect(2), "collect");
    is_int(2, finalized, "GLib has finalized two");
    is_int(2, tracked(), "the held ones are left");
    hk_setref(&slot, held);
    g_object_unref(held);
    is_int(0, unreachable(), "a slot holds a GObject");
    hk_clearref(&slot);
    is_int(2, (int64_t)hk_gc_collect(2), "and no more");
    is_int(4, finalized, "finalized");
}

/* A parent with its children, each of which knows it. */
static void
family(void)
{
    Knot *parent = make_knot();

    finalized = 0;
    for (int i = 0; i < 5; i++)
        add_child(parent, make_knot());
    is_int(6, (int64_t)parent->parent.ref_count, "six references to a parent");
    is_int(0, unreachable(), "it is held");
    g_object_unref(parent);
    is_int(6, unreachable(), "it is not");
    is_int(6, (int64_t)hk_gc_collect(2), "collect");
    is_int(6, finalized, "the whole family");
    is_int(0, tracked(), "none is left");
    is_int(0, (int64_t)hk_gc_collect(2), "nothing to do any more");
}

int
main(void)
{
    make_type();
    counting();
    pair();
    family();
    return done_testing();
}
#else
int
main(void)
{
    skip(1, "built without GLib: apt-get install libglib2.0-dev");
    return done_testing();
}
#endif
