/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * jansson-knot.c -- cycles among the objects of an unchanged library.
 *
 *      jansson-knot [--seconds=S] [--scale=N]
 *
 * jansson counts references in its public json_t, and its documentation says
 * that circular values are never freed.  This program uses the library as its
 * distribution built it: knot.c adopts its objects and arrays.  It builds
 * ordinary trees, shared subtrees and live rings, all correct; and it plants
 * an exact number of circular structures and drops every reference of its own
 * to them.  What it planted it prints; then it works on ordinary trees until
 * the time is over, so that scans find the same garbage twice.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "knot.h"

static const char *const keys[] = {"a",    "b",      "items", "next",
                                   "rows", "shared", NULL};

static bool stopping; /* __atomic */

/* ---- ordinary values, correctly used ------------------------------------ */

static void
build_and_free_tree(unsigned seed)
{
    json_t *tree = knot_object();
    json_t *rows = knot_array();

    for (unsigned i = 0; i < 8 + seed % 8; i++) {
        json_t *row = knot_object();

        json_object_set_new(row, "number", json_integer((json_int_t)seed));
        json_object_set_new(row, "text", json_string("ordinary"));
        json_array_append_new(rows, row);
    }
    json_object_set_new(tree, "rows", rows);
    json_object_set_new(tree, "nothing", json_null());
    json_decref(tree);
}

/* One subtree with two parents, which die one after the other. */
static void
build_and_free_shared(unsigned seed)
{
    json_t *left = knot_object();
    json_t *right = knot_object();
    json_t *shared = knot_array();

    json_array_append_new(shared, json_integer((json_int_t)seed));
    json_object_set(left, "shared", shared);
    json_object_set(right, "shared", shared);
    json_decref(shared);
    json_decref(left);
    json_decref(right);
}

/* A text becomes a tree through the parser, which knows nothing of us. */
static void
parse_and_free(void)
{
    static const char text[] = "{\"a\": [1, {\"b\": []}], \"c\": {\"d\": {}}}";
    json_t *tree = json_loads(text, 0, NULL);

    if (!tree)
        return;
    knot_adopt_tree(tree);
    json_decref(tree);
}

static void *
work(void *arg)
{
    struct timespec pause = {.tv_nsec = 200000};
    unsigned seed = *(unsigned *)arg;

    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        build_and_free_tree(seed);
        build_and_free_shared(seed);
        parse_and_free();
        seed++;
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- circular values ---------------------------------------------------- */

/* a["b"] = b, b["a"] = a; the caller gets the reference to a. */
static json_t *
make_pair(void)
{
    json_t *a = knot_object();
    json_t *b = knot_object();

    json_object_set(a, "b", b);
    json_object_set(b, "a", a);
    json_decref(b);
    return a;
}

/* An object that holds an array that holds the object, twice. */
static json_t *
make_array(void)
{
    json_t *owner = knot_object();
    json_t *items = knot_array();

    json_array_append(items, owner);
    json_array_append_new(items, json_string("between"));
    json_array_append(items, owner);
    json_object_set_new(owner, "items", items);
    return owner;
}

static json_t *
make_ring(void)
{
    json_t *first = knot_object();
    json_t *second = knot_object();
    json_t *third = knot_object();

    json_object_set(first, "next", second);
    json_object_set(second, "next", third);
    json_object_set(third, "next", first);
    json_decref(second);
    json_decref(third);
    return first;
}

static const struct {
    const char *name;
    json_t *(*make)(void);
    int instances, objects;
} kinds[] = {
    {"pair", make_pair, 40, 2},
    {"array", make_array, 25, 2},
    {"ring", make_ring, 15, 3},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Here the last reference from outside goes. */
static void
drop_circular(json_t *value)
{
    json_decref(value);
}

static void
plant(int scale)
{
    int instances = 0, objects = 0;

    for (int k = 0; k < KINDS; k++) {
        int count = kinds[k].instances * scale;

        for (int i = 0; i < count; i++)
            drop_circular(kinds[k].make());
        printf("planted %s instances %d objects %d\n", kinds[k].name, count,
               kinds[k].objects);
        instances += count;
        objects += count * kinds[k].objects;
    }
    printf("planted total instances %d objects %d\n", instances, objects);
}

/* Circular too, but held, and taken apart at the end: not to be reported. */
static json_t *held[KINDS];

static void
hold_live(void)
{
    for (int k = 0; k < KINDS; k++)
        held[k] = kinds[k].make();
    printf("held instances %d\n", (int)KINDS);
}

static void
drop_live(void)
{
    json_object_del(held[0], "b");
    json_object_del(held[1], "items");
    json_object_del(held[2], "next");
    for (int k = 0; k < KINDS; k++)
        json_decref(held[k]);
}

static bool
parse_option(const char *arg, const char *name, int *value)
{
    size_t length = strlen(name);
    char *end;

    if (strncmp(arg, name, length) != 0)
        return false;
    *value = (int)strtol(arg + length, &end, 10);
    return end > arg + length && !*end && *value >= 0;
}

int
main(int argc, char **argv)
{
    struct timespec time_left;
    unsigned seed = 1;
    pthread_t worker;
    int seconds = 1, scale = 1;

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i], "--seconds=", &seconds) &&
            !parse_option(argv[i], "--scale=", &scale)) {
            fprintf(stderr, "usage: jansson-knot [--seconds=S] [--scale=N]\n");
            return 2;
        }
    time_left = (struct timespec){.tv_sec = seconds};
    if (knot_start(keys) < 0 ||
        pthread_create(&worker, NULL, work, &seed) != 0) {
        fprintf(stderr, "jansson-knot: %s\n", hk_last_error());
        return 1;
    }
    hold_live();
    plant(scale);
    hk_mark("planted");
    fflush(stdout);
    nanosleep(&time_left, NULL);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    pthread_join(worker, NULL);
    drop_live();
    printf("adopted left %llu\n", (unsigned long long)knot_adopted());
    return 0;
}
