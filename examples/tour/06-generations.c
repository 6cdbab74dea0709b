/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 06-generations.c -- watching generations and their counts.
 *
 * Most objects die young.  So the collector looks at the young ones often and
 * at the old ones seldom: an object starts in generation 0, and moves on each
 * time that a collection of its generation leaves it alive.  Three counts say
 * when the next collection is due: of objects made less those that died, of
 * collections of generation 0, of collections of generation 1.
 *
 * Automatic collection happens in hk_gc_poll() only, so the program chooses the
 * place: the turn of an event loop, where no field is half changed.
 *
 * What to see: the counts before and after; one object on its way from 0 to 2;
 * then the rhythm of automatic collections while objects pile up: three of
 * generation 0 to one of generation 1, three of those to one of generation 2,
 * until generation 2 is so large that what is new is less than a quarter of it:
 * then full collections wait, which keeps the whole work linear.
 *
 * In Python: gc.get_count(), gc.get_objects(generation=0), gc.callbacks.
 */
#include "tour.h"

enum { OBJECTS = 1200 };

struct node {
    hk_object head;
    struct node *next;
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};

static const hk_type_spec node_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "node",
    .size = sizeof(struct node),
    .fields = node_fields,
};

static void
show_counts(const char *when)
{
    int count[3];

    hk_gc_get_count(count);
    printf("%-20s (%d, %d, %d)\n", when, count[0], count[1], count[2]);
}

static int
is_it(void *obj, const hk_type *type, void *arg)
{
    (void)type;
    return obj == arg;
}

static int
generation_of(void *obj)
{
    for (int generation = 0; generation < 3; generation++)
        if (hk_gc_get_objects(generation, is_it, obj) == 1)
            return generation;
    return -1;
}

static void
collect(int generation, void *obj)
{
    char text[32];

    hk_gc_collect(generation);
    snprintf(text, sizeof(text), "collected %d", generation);
    show_counts(text);
    printf("    the object is in generation %d\n", generation_of(obj));
}

/* One digit for each collection, one line up to each full one. */
static void
note(int phase, const hk_gc_info *info, void *arg)
{
    (void)arg;
    if (phase == HK_GC_STOP)
        printf("%d%s", info->generation, info->generation == 2 ? "\n" : "");
}

int
main(void)
{
    hk_type *type = must(hk_type_register(&node_spec));
    struct node *list, *node;

    list = must(hk_new(type));
    show_counts("one object");
    for (int generation = 0; generation < 3; generation++)
        collect(generation, list);

    hk_gc_set_threshold(10, 2, 2);
    hk_gc_add_callback(note, NULL);
    printf("automatic:\n");
    for (int i = 0; i < OBJECTS; i++) {
        node = must(hk_new(type));
        hk_moveref(&node->next, &list);
        hk_moveref(&list, &node);
        hk_gc_poll();
    }
    printf("\n");
    hk_gc_remove_callback(note, NULL);
    hk_clearref(&list);
    printf("alive at the end: %d\n", alive(type));
    return 0;
}
