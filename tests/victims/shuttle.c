/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * shuttle.c -- edges that are never where one has just looked.
 *
 *      shuttle [--pairs=N] [--lost=N]
 *
 * --pairs live pairs a -> b, each held by a global slot.  A thread moves the
 * only edge to each a between a field of a and one of b by plain stores, out of
 * the one and then into the other: no count and no stamp ever changes.  Whoever
 * reads the two fields one after the other often sees the edge twice, and then
 * all references to a explained by edges.  The --lost objects that refer to
 * themselves, made between the a's and the b's, are the only garbage.  Goes on
 * until stdin ends; then prints "moves N".
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "heapknot.h"

struct node {
    hk_object header;
    struct node *link[2];
};

static const hk_field fields[] = {
    {"link", HK_REF_INLINE, offsetof(struct node, link), 2},
    {NULL, HK_END, 0, 0},
};

static struct {
    int pairs, lost;
} options = {200, 20000};

static struct node **a, **b;
static bool stopping; /* __atomic */

static void
move(struct node **from, struct node **to)
{
    struct node *node = *from;

    __atomic_store_n(from, NULL, __ATOMIC_RELEASE);
    __atomic_store_n(to, node, __ATOMIC_RELEASE);
}

static void *
shuttle(void *arg)
{
    uint64_t *moves = arg;

    for (; !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
         *moves += (uint64_t)options.pairs)
        for (int i = 0; i < options.pairs; i++)
            if (a[i]->link[1])
                move(&a[i]->link[1], &b[i]->link[0]);
            else
                move(&b[i]->link[0], &a[i]->link[1]);
    return NULL;
}

static void *
checked(void *memory)
{
    if (memory)
        return memory;
    fputs("shuttle: out of memory\n", stderr);
    exit(1);
}

static hk_type *
make_type(const char *name)
{
    hk_type_spec spec = {.struct_size = sizeof spec,
                         .name = name,
                         .size = sizeof(struct node),
                         .fields = fields};

    return checked(hk_type_register(&spec));
}

static void
make_all(void)
{
    hk_type *live = make_type("live"), *lost = make_type("lost");

    a = checked(calloc((size_t)options.pairs, sizeof *a));
    b = checked(calloc((size_t)options.pairs, sizeof *b));
    for (int i = 0; i < options.pairs; i++)
        a[i] = checked(hk_new(live));
    for (int i = 0; i < options.lost; i++) {
        struct node *node = checked(hk_new(lost));

        node->link[0] = node;
    }
    for (int i = 0; i < options.pairs; i++) {
        b[i] = checked(hk_new(live));
        a[i]->link[0] = b[i];
        hk_setref(&b[i]->link[0], a[i]);
    }
}

static bool
parse_option(const char *arg)
{
    return sscanf(arg, "--pairs=%d", &options.pairs) == 1 ||
           sscanf(arg, "--lost=%d", &options.lost) == 1;
}

int
main(int argc, char **argv)
{
    pthread_t thread;
    uint64_t moves = 0;
    char byte;

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i]) || options.pairs < 1) {
            fprintf(stderr, "shuttle: %s makes no sense\n", argv[i]);
            return 2;
        }
    make_all();
    if (pthread_create(&thread, NULL, shuttle, &moves) != 0)
        return 1;
    while (read(0, &byte, 1) > 0)
        ;
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    printf("moves %ju\n", (uintmax_t)moves);
    return 0;
}
