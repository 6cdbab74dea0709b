/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cycles.c -- drops an exact number of cycles while other threads work.
 *
 *      cycles [--seed=N] [--shapes=K] [--instances=N] [--threads=T]
 *             [--seconds=S]
 *
 * Of the shapes below the seed chooses K, and how many instances of each, up
 * to N.  Each is built, linked, and the last reference from outside dropped.
 * The truth is printed, one line a strongly connected component:
 *
 *      shape NAME instances N objects-per-instance M held H
 *
 * where held is what would go with one instance, and is not on its cycle.  Then
 * "ready", and the program waits for --seconds, or without it until stdin ends.
 *
 *      self       a ⟲                          ring5    a→b→c→d→e→a
 *      pair       a⇄b                          figure8  b⇄a⇄c
 *      clique4    each of four to each other   chain    a→b→c→a, b→x→y→z
 *      nested     a→b→c→d→a, b→ a ring of six: a cycle that only another one
 *                 reaches, which makes two lines
 *
 * Meanwhile T threads create, link, move, unlink and drop, all correctly; and
 * the same shapes exist alive, held by globals and by the stack.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "heapknot.h"

enum { LINKS = 3, OBJECTS_MAX = 10, SLOTS = 48, THREADS_MAX = 32 };

struct node {
    hk_object header;
    struct node *link[LINKS];
    char payload[24];
};

static const hk_field node_fields[] = {
    {"link", HK_REF_INLINE, offsetof(struct node, link), LINKS},
    {NULL, HK_END, 0, 0},
};
static hk_type *node_type;

struct edge {
    signed char from, to;
};

static const struct shape {
    const char *name;
    int objects;           /* all of one instance */
    int cycle, held;       /* on the cycle, and on none */
    int inner;             /* objects of the second cycle, or 0 */
    struct edge edges[16]; /* ended by from == to == -1, or by the end */
} shapes[] = {
    {"self", 1, 1, 0, 0, {{0, 0}, {-1, -1}}},
    {"pair", 2, 2, 0, 0, {{0, 1}, {1, 0}, {-1, -1}}},
    {"ring5", 5, 5, 0, 0, {{0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 0}, {-1, -1}}},
    {"figure8", 3, 3, 0, 0, {{0, 1}, {1, 0}, {0, 2}, {2, 0}, {-1, -1}}},
    {"clique4",
     4,
     4,
     0,
     0,
     {{0, 1}, {0, 2}, {0, 3}, {1, 0}, {1, 2}, {1, 3}, {2, 0}, {2, 1}, {2, 3},
      {3, 0}, {3, 1}, {3, 2}, {-1, -1}}},
    {"chain",
     6,
     3,
     3,
     0,
     {{0, 1}, {1, 2}, {2, 0}, {1, 3}, {3, 4}, {4, 5}, {-1, -1}}},
    {"nested",
     10,
     4,
     0,
     6,
     {{0, 1}, {1, 2}, {2, 3}, {3, 0}, {1, 4}, {4, 5}, {5, 6}, {6, 7}, {7, 8},
      {8, 9}, {9, 4}, {-1, -1}}},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static struct {
    int seed, shapes, instances, threads, seconds;
} options = {1, SHAPES, 20, 3, -1};

static bool stopping; /* __atomic */

static unsigned
draw(uint64_t *state, unsigned below)
{
    *state = *state * UINT64_C(6364136223846793005) +
             UINT64_C(1442695040888963407);
    return (unsigned)(*state >> 33) % below;
}

static void
out_of_memory(void)
{
    fprintf(stderr, "cycles: %s\n", hk_last_error());
    exit(1);
}

static struct node *
node_new(void)
{
    struct node *node = hk_new(node_type);

    if (!node)
        out_of_memory();
    return node;
}

/* ---- shapes ------------------------------------------------------------- */

static void
link_nodes(struct node *from, struct node *to)
{
    int i = 0;

    while (from->link[i])
        i++;
    from->link[i] = hk_newref(to);
}

/* The caller gets a reference to each object. */
static void
build(const struct shape *shape, struct node **nodes)
{
    for (int i = 0; i < shape->objects; i++)
        nodes[i] = node_new();
    for (const struct edge *e = shape->edges; e->from >= 0; e++)
        link_nodes(nodes[e->from], nodes[e->to]);
}

static void
drop_all(struct node **nodes, int count)
{
    for (int i = 0; i < count; i++)
        hk_decref(nodes[i]);
}

/* Gives the one reference that keeps the whole instance alive. */
static struct node *
build_held(const struct shape *shape)
{
    struct node *nodes[OBJECTS_MAX];

    build(shape, nodes);
    drop_all(nodes + 1, shape->objects - 1);
    return nodes[0];
}

static void
clear_links(struct node *node)
{
    for (int i = 0; i < LINKS; i++) {
        struct node *child = node->link[i];

        node->link[i] = NULL;
        hk_xdecref(child);
    }
}

/* Takes a held instance apart, correctly: collects it, then cuts every link. */
static void
take_apart(struct node *first)
{
    struct node *found[OBJECTS_MAX];
    int count = 0;

    found[count++] = first;
    for (int i = 0; i < count; i++)
        for (int l = 0; l < LINKS; l++) {
            struct node *child = found[i]->link[l];
            int seen = 0;

            while (seen < count && found[seen] != child)
                seen++;
            if (child && seen == count)
                found[count++] = hk_newref(child);
        }
    for (int i = 0; i < count; i++)
        clear_links(found[i]);
    drop_all(found, count);
}

/* ---- the threads that work on live objects ------------------------------ */

/*
 * Every object with links is held by exactly one slot of one thread, which
 * alone changes its links; an object leaves its slot without links.  So no
 * mutator ever leaves a cycle behind.
 */
struct mutator {
    pthread_t thread;
    uint64_t random;
    struct node *slots[SLOTS];
    uint64_t operations;
};

static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *exchange[8];

static void
empty_slot(struct mutator *mutator, unsigned slot)
{
    struct node *node = mutator->slots[slot];

    if (!node)
        return;
    clear_links(node);
    mutator->slots[slot] = NULL;
    hk_decref(node);
}

static void
create(struct mutator *mutator, unsigned a, unsigned b)
{
    (void)b;
    empty_slot(mutator, a);
    mutator->slots[a] = node_new();
}

static void
connect(struct mutator *mutator, unsigned a, unsigned b)
{
    struct node *from = mutator->slots[a], *to = mutator->slots[b], *old;
    unsigned link = draw(&mutator->random, LINKS);

    if (!from || !to)
        return;
    old = from->link[link];
    from->link[link] = hk_newref(to);
    hk_xdecref(old);
}

/* A reference moves from one object to another, its count unchanged. */
static void
move(struct mutator *mutator, unsigned a, unsigned b)
{
    struct node *from = mutator->slots[a], *to = mutator->slots[b];
    unsigned l = draw(&mutator->random, LINKS);
    struct node *child;

    if (!from || !to || from == to || to->link[l])
        return;
    child = from->link[l];
    if (draw(&mutator->random, 2)) {
        from->link[l] = NULL;
        to->link[l] = child;
    } else {
        to->link[l] = child;
        from->link[l] = NULL;
    }
}

static void
disconnect(struct mutator *mutator, unsigned a, unsigned b)
{
    (void)b;
    if (mutator->slots[a])
        clear_links(mutator->slots[a]);
}

static void
drop(struct mutator *mutator, unsigned a, unsigned b)
{
    (void)b;
    empty_slot(mutator, a);
}

/* An object changes hands with another thread, links and all. */
static void
trade(struct mutator *mutator, unsigned a, unsigned b)
{
    struct node *given = mutator->slots[a];

    pthread_mutex_lock(&exchange_lock);
    mutator->slots[a] = exchange[b % 8];
    exchange[b % 8] = given;
    pthread_mutex_unlock(&exchange_lock);
}

/* A live cycle that only this stack holds, for a moment. */
static void
juggle(struct mutator *mutator, unsigned a, unsigned b)
{
    struct node *held = build_held(&shapes[(a + b) % SHAPES]);

    if (draw(&mutator->random, 16) == 0)
        usleep(200);
    take_apart(held);
}

static void *
mutate(void *arg)
{
    static void (*const operations[])(struct mutator *, unsigned, unsigned) = {
        create, create, connect, connect,    connect, move,
        move,   move,   drop,    disconnect, trade,   juggle,
    };
    struct mutator *mutator = arg;

    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        unsigned which =
            draw(&mutator->random, sizeof operations / sizeof operations[0]);
        unsigned a = draw(&mutator->random, SLOTS);
        unsigned b = draw(&mutator->random, SLOTS);

        operations[which](mutator, a, b);
        if (++mutator->operations % 64 == 0)
            usleep(50);
    }
    return NULL;
}

static void
finish(struct mutator *mutators)
{
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int t = 0; t < options.threads; t++)
        pthread_join(mutators[t].thread, NULL);
    for (int t = 0; t < options.threads; t++)
        for (unsigned s = 0; s < SLOTS; s++)
            empty_slot(&mutators[t], s);
    for (int i = 0; i < 8; i++) {
        mutators[0].slots[0] = exchange[i];
        empty_slot(&mutators[0], 0);
    }
}

/* ---- the planted truth -------------------------------------------------- */

/* Which shapes, in the order of the table, and how many of each. */
static void
choose(uint64_t *random, int *counts)
{
    int chosen = 0;

    memset(counts, 0, SHAPES * sizeof *counts);
    while (chosen < options.shapes) {
        unsigned s = draw(random, SHAPES);

        if (counts[s])
            continue;
        counts[s] = 1 + (int)draw(random, (unsigned)options.instances);
        chosen++;
    }
}

/* From here on nobody reaches the instance. */
static void
plant_one(const struct shape *shape)
{
    struct node *nodes[OBJECTS_MAX];

    build(shape, nodes);
    drop_all(nodes, shape->objects);
}

static void
plant(uint64_t *random, const int *counts)
{
    int left[SHAPES], total = 0;

    memcpy(left, counts, sizeof left);
    for (int s = 0; s < SHAPES; s++)
        total += left[s];
    while (total > 0) {
        unsigned s = draw(random, SHAPES);

        if (!left[s])
            continue;
        plant_one(&shapes[s]);
        left[s]--;
        if (total-- % 8 == 0)
            usleep(500);
    }
}

static void
print_truth(const int *counts)
{
    for (int s = 0; s < SHAPES; s++) {
        const struct shape *shape = &shapes[s];

        if (!counts[s])
            continue;
        printf("shape %s instances %d objects-per-instance %d held %d\n",
               shape->name, counts[s], shape->cycle,
               shape->held + shape->inner);
        if (shape->inner)
            printf("shape %s-inner instances %d objects-per-instance %d "
                   "held 0\n",
                   shape->name, counts[s], shape->inner);
    }
    printf("ready\n");
    fflush(stdout);
}

/* ---- main --------------------------------------------------------------- */

static void
wait_for_the_end(void)
{
    char byte;

    if (options.seconds >= 0)
        nanosleep(&(struct timespec){.tv_sec = options.seconds}, NULL);
    else
        while (read(0, &byte, 1) > 0)
            ;
}

static bool
parse_option(const char *arg)
{
    const struct {
        const char *name;
        int *value;
        int low, high;
    } table[] = {
        {"--seed=", &options.seed, 0, INT32_MAX},
        {"--shapes=", &options.shapes, 0, SHAPES},
        {"--instances=", &options.instances, 1, 1000000},
        {"--threads=", &options.threads, 1, THREADS_MAX},
        {"--seconds=", &options.seconds, 0, 1000000},
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t length = strlen(table[i].name);

        if (strncmp(arg, table[i].name, length) != 0)
            continue;
        *table[i].value = atoi(arg + length);
        return *table[i].value >= table[i].low &&
               *table[i].value <= table[i].high;
    }
    return false;
}

static struct node *held_by_global[SHAPES];

static void
run(struct mutator *mutators)
{
    uint64_t random = (uint64_t)options.seed * 7919 + 17;
    struct node *held_by_stack[SHAPES];
    int counts[SHAPES];

    for (int s = 0; s < SHAPES; s++) {
        held_by_global[s] = build_held(&shapes[s]);
        held_by_stack[s] = build_held(&shapes[s]);
    }
    for (int t = 0; t < options.threads; t++) {
        mutators[t].random = random + (uint64_t)t * 104729;
        if (pthread_create(&mutators[t].thread, NULL, mutate,
                           &mutators[t]) != 0)
            out_of_memory();
    }
    choose(&random, counts);
    plant(&random, counts);
    print_truth(counts);
    wait_for_the_end();
    finish(mutators);
    for (int s = 0; s < SHAPES; s++) {
        take_apart(held_by_global[s]);
        take_apart(held_by_stack[s]);
    }
}

/* What is alive in the end is what was planted. */
static void
print_rest(void)
{
    uint64_t created, destroyed, tracked;

    hk_type_counts(node_type, &created, &destroyed, &tracked);
    printf("left %llu\n", (unsigned long long)(created - destroyed));
}

int
main(int argc, char **argv)
{
    static const hk_type_spec spec = {.struct_size = sizeof(hk_type_spec),
                                      .name = "node",
                                      .size = sizeof(struct node),
                                      .fields = node_fields};
    static struct mutator mutators[THREADS_MAX];

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i])) {
            fprintf(stderr, "cycles: cannot use %s\n", argv[i]);
            return 2;
        }
    node_type = hk_type_register(&spec);
    if (!node_type)
        out_of_memory();
    run(mutators);
    print_rest();
    return 0;
}
