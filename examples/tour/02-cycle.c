/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 02-cycle.c -- a circular pair, and its collection.
 *
 * Counting has one blind spot.  Two objects that refer to each other keep each
 * other's count at one for ever, though nobody else can reach them.  The
 * collector finds such pairs: it takes the references that objects have among
 * themselves off their counts, and what is left at zero, and not reachable
 * from what is not, can only be held by itself.
 *
 * What to see: a pair in a line dies by counting alone; a circular one outlives
 * its last reference from outside; hk_gc_collect() finds exactly its members;
 * a pair that somebody still holds is not touched.
 *
 * In Python:
 *
 *      a.friend, b.friend = b, a
 *      del a, b                        # nothing happens
 *      gc.collect()                    # 2
 */
#include "tour.h"

struct person {
    hk_object head;
    struct person *friend;
};

static const hk_field person_fields[] = {
    {"friend", HK_REF, offsetof(struct person, friend), 0}, {0}};

static const hk_type_spec person_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "person",
    .size = sizeof(struct person),
    .fields = person_fields,
};

static hk_type *person_type;

/* a -> b, and b -> a if it is mutual.  The caller owns a. */
static struct person *
make_pair(int mutual)
{
    struct person *a = must(hk_new(person_type));
    struct person *b = must(hk_new(person_type));

    hk_setref(&a->friend, b);
    if (mutual)
        hk_setref(&b->friend, a);
    hk_decref(b); /* a holds it now */
    return a;
}

static void
show(const char *when)
{
    printf("%-44s %d alive\n", when, alive(person_type));
}

int
main(void)
{
    struct person *held;

    person_type = must(hk_type_register(&person_spec));

    hk_decref(make_pair(0));
    show("a pair in a line, let go:");

    hk_decref(make_pair(1));
    show("a circular pair, let go:");
    printf("hk_gc_collect(2) found %d\n", (int)hk_gc_collect(2));
    show("after it:");

    held = make_pair(1);
    printf("hk_gc_collect(2) found %d\n", (int)hk_gc_collect(2));
    show("a circular pair that is held:");

    hk_clearref(&held->friend); /* the other way: open the cycle yourself */
    hk_decref(held);
    show("opened by hand, then let go:");
    return 0;
}
