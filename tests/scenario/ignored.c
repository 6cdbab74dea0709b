/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ignored.c -- three lost pairs, of which the program says about one that it
 * is meant to be so, and about another what it is; and a live one with a note.
 * Waits until stdin ends.
 */
#include <stdio.h>
#include <sys/epoll.h>

#include "heapknot.h"

struct pair {
    hk_object header;
    struct pair *other;
};

static const hk_field fields[] = {
    {"other", HK_REF, offsetof(struct pair, other), 0}, {0}};
static struct pair *live;

/* Two that refer to each other; the caller has a reference to the first. */
static struct pair *
make(hk_type *type)
{
    struct pair *a = hk_new(type), *b = hk_new(type);

    hk_setref(&a->other, b);
    hk_setref(&b->other, a);
    hk_decref(b);
    return a;
}

int
main(void)
{
    hk_type_spec spec = {.struct_size = sizeof spec, .name = "pair",
                         .size = sizeof(struct pair), .fields = fields};
    hk_type *type = hk_type_register(&spec);
    struct pair *meant = make(type), *plain = make(type), *noted;
    struct epoll_event event;

    live = make(type);
    spec.name = "noted";
    noted = make(hk_type_register(&spec));
    if (hk_annotate(live, "the first \"one\"") ||
        hk_annotate(noted, "request 42") || hk_ignore(meant->other))
        return 1;
    hk_decref(meant);
    hk_decref(noted);
    hk_decref(plain);
    epoll_wait(epoll_create1(0), &event, 1, 300);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    hk_clearref(&live->other->other);
    hk_decref(live);
    return 0;
}
