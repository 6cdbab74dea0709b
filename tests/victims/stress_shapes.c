/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * stress_shapes.c -- graphs with known cycles.
 *
 * Each shape has types of its own, one for each cycle in it and one for what
 * hangs off, so that a group of a report tells by its types what it should be.
 * Which objects are on a cycle is computed here from the edges alone, by
 * reachability of each from each.
 *
 *      self     a -> a                  pair     a <-> b
 *      ringN    N = 3 to 20             eight    two rings share an object
 *      clique   5, each to each         chain    ring of 4, chain of 5 off it
 *      nested   ring of 4 -> ring of 6  linked   ring of 3, x, y, ring of 5
 *      dlist    doubly linked, 6        tree     7, with parent pointers
 *      doubled  ring, one edge twice    arrays   ring through arrays
 *      lists    ring through structs    mixed    ring of all layouts, weak
 *               and lists                        references beside
 *      leaning  ring -> live objects    denseN   strongly connected, random
 *      diamond  a ring leads to two, these to a fourth, one to an object, too
 *      adopted  ring of foreign ones    three    three rings in a row
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

enum { SHAPES_MAX = 64, DENSE = 6, COMMONS = 3, WEAKS_MAX = 65536 };

static struct shape shapes[SHAPES_MAX];
static int shape_count;
static struct node *commons[COMMONS]; /* a live ring */

int chance_rest = 64;

void
chance_yield(uint64_t *state)
{
    int what = chance(state, chance_rest);

    if (what == 0)
        usleep((useconds_t)chance(state, 300));
    else if (what < 8)
        sched_yield();
}

uint64_t
chance_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- drawing ------------------------------------------------------------ */

static struct shape *
begin(const char *name, int number, int objects, int layout)
{
    struct shape *s = &shapes[shape_count++];

    if (number)
        snprintf(s->name, sizeof s->name, "%s%d", name, number);
    else
        snprintf(s->name, sizeof s->name, "%s", name);
    s->objects = objects;
    s->layout = layout;
    return s;
}

static void
edge(struct shape *s, int from, int to)
{
    if (s->edge_count == EDGES_MAX)
        give_up("too many edges");
    s->edges[s->edge_count].from = (unsigned char)from;
    s->edges[s->edge_count].to = (unsigned char)to;
    s->edge_count++;
}

/* Of count objects from first on. */
static void
ring(struct shape *s, int first, int count)
{
    for (int i = 0; i < count; i++)
        edge(s, first + i, first + (i + 1) % count);
}

static void
path(struct shape *s, int first, int count)
{
    for (int i = 1; i < count; i++)
        edge(s, first + i - 1, first + i);
}

static void
draw_rings(int layout)
{
    struct shape *s;

    s = begin("self", 0, 1, layout);
    ring(s, 0, 1);
    s = begin("pair", 0, 2, (layout + 1) % LAYOUTS);
    ring(s, 0, 2);
    for (int n = 3; n <= 20; n++)
        ring(begin("ring", n, n, (layout + n) % LAYOUTS), 0, n);
    s = begin("eight", 0, 6, (layout + 2) % LAYOUTS);
    ring(s, 0, 3);
    edge(s, 0, 3);
    path(s, 3, 3);
    edge(s, 5, 0);
    s = begin("doubled", 0, 4, (layout + 3) % LAYOUTS);
    ring(s, 0, 4);
    edge(s, 2, 3);
    s = begin("arrays", 0, 5, ARRAY);
    for (int step = 1; step <= 3; step++)
        for (int i = 0; i < 5; i++)
            edge(s, i, (i + step) % 5);
    ring(s, 0, 5);
    s = begin("lists", 0, 4, EMBED);
    for (int step = 0; step < 4; step++)
        for (int i = 0; i < 4; i++)
            edge(s, i, (i + step) % 4);
    ring(begin("adopted", 0, 4, FOREIGN), 0, 4);
}

static void
draw_chains(int layout)
{
    struct shape *s = begin("chain", 0, 9, layout);

    ring(s, 0, 4);
    edge(s, 1, 4);
    path(s, 4, 5);
    s = begin("nested", 0, 10, (layout + 1) % LAYOUTS);
    ring(s, 0, 4);
    edge(s, 1, 4);
    ring(s, 4, 6);
    s = begin("linked", 0, 10, (layout + 2) % LAYOUTS);
    ring(s, 0, 3);
    edge(s, 2, 3);
    path(s, 3, 3);
    ring(s, 5, 5);
    s = begin("three", 0, 12, (layout + 3) % LAYOUTS);
    for (int i = 0; i < 3; i++)
        ring(s, 4 * i, 4);
    edge(s, 0, 4);
    edge(s, 7, 8);
    s = begin("diamond", 0, 9, (layout + 5) % LAYOUTS);
    for (int i = 0; i < 4; i++)
        ring(s, 2 * i, 2);
    edge(s, 0, 2);
    edge(s, 1, 4);
    edge(s, 2, 6);
    edge(s, 4, 6);
    edge(s, 5, 8);
    s = begin("leaning", 0, 3, (layout + 4) % LAYOUTS);
    ring(s, 0, 3);
    s->leaning = true;
}

static void
draw_nets(uint64_t *random, int layout)
{
    struct shape *s = begin("clique", 0, 5, layout);

    for (int i = 0; i < 25; i++)
        if (i / 5 != i % 5)
            edge(s, i / 5, i % 5);
    s = begin("dlist", 0, 6, (layout + 1) % LAYOUTS);
    path(s, 0, 6);
    for (int i = 1; i < 6; i++)
        edge(s, i, i - 1);
    s = begin("tree", 0, 7, (layout + 2) % LAYOUTS);
    for (int i = 1; i < 7; i++) {
        edge(s, (i - 1) / 2, i);
        edge(s, i, (i - 1) / 2);
    }
    s = begin("mixed", 0, 2 * LAYOUTS, -1);
    ring(s, 0, 2 * LAYOUTS);
    edge(s, 0, LAYOUTS);
    s->weakly = true;
    for (int d = 1; d <= DENSE; d++) {
        int n = 6 + chance(random, OBJECTS_MAX - 5);

        s = begin("dense", d, n, (layout + d) % LAYOUTS);
        ring(s, 0, n);
        for (int i = 0; i < 3 * n; i++)
            edge(s, i % n, chance(random, n));
    }
}

/* ---- the truth ---------------------------------------------------------- */

static void
find_components(struct shape *s)
{
    bool reach[OBJECTS_MAX][OBJECTS_MAX] = {{false}};
    int n = s->objects;

    for (int e = 0; e < s->edge_count; e++)
        reach[s->edges[e].from][s->edges[e].to] = true;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                if (reach[i][k] && reach[k][j])
                    reach[i][j] = true;
    for (int i = 0; i < n; i++) {
        int first = 0;

        s->component[i] = -1;
        if (!reach[i][i])
            continue;
        while (!reach[i][first] || !reach[first][i])
            first++;
        s->component[i] = first < i ? s->component[first] : s->components++;
    }
}

/* Marks what is reached from object i without going through the component. */
static void
spread(const struct shape *s, int i, int without, bool *marks)
{
    if (marks[i] || s->component[i] == without)
        return;
    marks[i] = true;
    for (int e = 0; e < s->edge_count; e++)
        if (s->edges[e].from == i)
            spread(s, s->edges[e].to, without, marks);
}

/* How many other objects only the component keeps.  Every shape is reached
   from its first object. */
static int
count_held(const struct shape *s, int component)
{
    bool marks[OBJECTS_MAX] = {false};
    int held = 0;

    spread(s, 0, component, marks);
    for (int i = 0; i < s->objects; i++)
        held += !marks[i] && s->component[i] != component;
    return held;
}

/* Of one cycle, of what hangs off, or of a layout. */
static void
name_kind(const struct shape *s, int i, int layout, char *name)
{
    char part[16] = "";

    if (s->layout < 0)
        snprintf(part, sizeof part, ":%d", layout);
    else if (s->component[i] < 0)
        snprintf(part, sizeof part, "-off");
    else if (s->component[i] > 0)
        snprintf(part, sizeof part, "-%d", s->component[i] + 1);
    snprintf(name, NAME_BYTES, "%.16s%s", s->name, part);
}

static void
name_kinds(struct shape *s, bool tables)
{
    char name[NAME_BYTES], live[NAME_BYTES];

    for (int i = 0; i < s->objects; i++) {
        int layout = s->layout >= 0 ? s->layout : i % LAYOUTS;

        if (tables && layout == CODE)
            layout = INLINE;
        name_kind(s, i, layout, name);
        snprintf(live, sizeof live, "live %.26s", name);
        s->dead[i] = kind_make(name, (enum layout)layout);
        s->live[i] = kind_make(live, (enum layout)layout);
    }
}

void
shapes_make(uint64_t seed, bool tables)
{
    uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    struct kind *common = kind_make("common", INLINE);

    common->lasting = true;
    draw_rings((int)(seed % LAYOUTS));
    draw_chains((int)(seed / 2 % LAYOUTS));
    draw_nets(&random, (int)(seed / 3 % LAYOUTS));
    for (int s = 0; s < shape_count; s++) {
        find_components(&shapes[s]);
        name_kinds(&shapes[s], tables);
    }
    for (int i = 0; i < COMMONS; i++)
        commons[i] = node_new(common);
    for (int i = 0; i < COMMONS; i++) {
        node_grab(commons[(i + 1) % COMMONS]);
        node_add(commons[i], commons[(i + 1) % COMMONS]);
    }
    hk_root(commons[0], "the live ring that garbage refers to");
    for (int i = 0; i < COMMONS; i++)
        node_drop(commons[i]);
}

int
shapes_count(void)
{
    return shape_count;
}

struct shape *
shape_at(int index)
{
    return &shapes[index];
}

/* With the types of its members, each once. */
static void
print_cycle(const struct shape *s, int component)
{
    const struct kind *of[OBJECTS_MAX];
    int kinds = 0, objects = 0, held = count_held(s, component);

    for (int i = 0; i < s->objects; i++) {
        int seen = 0;

        if (s->component[i] != component)
            continue;
        objects++;
        while (seen < kinds && of[seen] != s->dead[i])
            seen++;
        if (seen == kinds)
            of[kinds++] = s->dead[i];
    }
    printf("cycle ");
    for (int k = 0; k < kinds; k++)
        printf("%s%s", k ? "," : "", of[k]->name);
    printf(" instances %ju objects %d bytes %zu held %d held-bytes %zu\n",
           (uintmax_t)s->planted, objects, objects * sizeof(struct node), held,
           held * sizeof(struct node));
}

void
shapes_print(void)
{
    for (int s = 0; s < shape_count; s++)
        for (int c = 0; c < shapes[s].components && shapes[s].planted; c++)
            print_cycle(&shapes[s], c);
}

uint64_t
shapes_planted(void)
{
    uint64_t objects = 0;

    for (int s = 0; s < shape_count; s++)
        objects += shapes[s].planted * (uint64_t)shapes[s].objects;
    return objects;
}

/* ---- instances ---------------------------------------------------------- */

static pthread_mutex_t weaks_lock = PTHREAD_MUTEX_INITIALIZER;
static hk_weak *weaks[WEAKS_MAX];
static int weak_count;

static void
keep_weak(hk_weak *weak)
{
    pthread_mutex_lock(&weaks_lock);
    if (weak_count == WEAKS_MAX)
        give_up("too many weak references");
    weaks[weak_count++] = weak;
    pthread_mutex_unlock(&weaks_lock);
}

void
shapes_free_weaks(void)
{
    while (weak_count > 0)
        hk_weak_free(weaks[--weak_count]);
}

/* One in a field of a member, one outside. */
static void
add_weaks(struct node **nodes, int count, bool garbage)
{
    for (int i = 0; i < count; i++) {
        struct node *to = nodes[(i + 1) % count];
        enum layout layout = nodes[i]->kind->layout;

        if (to->kind->layout == FOREIGN)
            continue;
        if (layout == INLINE || layout == LATE)
            nodes[i]->weak = hk_weak_new(to, NULL, NULL);
        else if (garbage)
            keep_weak(hk_weak_new(to, NULL, NULL));
    }
}

/* On a live object; false if there is no room for the link. */
static bool
lean(struct node *node)
{
    node_grab(commons[1]);
    if (node_add(node, commons[1]))
        return true;
    node_drop(commons[1]);
    return false;
}

static void
connect(const struct shape *s, struct node **nodes, uint64_t *random)
{
    for (int e = 0; e < s->edge_count; e++) {
        node_grab(nodes[s->edges[e].to]);
        if (!node_add(nodes[s->edges[e].from], nodes[s->edges[e].to]))
            give_up("no room for an edge");
        chance_yield(random);
    }
    if (s->weakly)
        add_weaks(nodes, s->objects, nodes[0]->kind == s->dead[0]);
    if (s->leaning)
        lean(nodes[0]);
}

/* The caller gets a reference to each object. */
static void
make(int count, const struct kind *const *of, struct node **nodes,
     uint64_t *random)
{
    for (int i = 0; i < count; i++) {
        nodes[i] = node_new(of[i]);
        chance_yield(random);
    }
}

static void
shuffle(struct node **nodes, int count, uint64_t *random)
{
    for (int i = count - 1; i > 0; i--) {
        int j = chance(random, i + 1);
        struct node *node = nodes[i];

        nodes[i] = nodes[j];
        nodes[j] = node;
    }
}

void
shape_plant(struct shape *shape, uint64_t *random)
{
    struct node *nodes[OBJECTS_MAX];

    make(shape->objects, shape->dead, nodes, random);
    connect(shape, nodes, random);
    shuffle(nodes, shape->objects, random);
    for (int i = 0; i < shape->objects; i++) {
        node_drop(nodes[i]);
        chance_yield(random);
    }
    __atomic_add_fetch(&shape->planted, 1, __ATOMIC_RELAXED);
}

struct node *
shape_finish(const struct shape *shape, struct node **nodes, uint64_t *random)
{
    connect(shape, nodes, random);
    for (int i = 1; i < shape->objects; i++) {
        node_drop(nodes[i]);
        chance_yield(random);
    }
    return nodes[0];
}

void
shape_narrow(const struct shape *shape, struct node **nodes)
{
    for (int i = 0; i < shape->objects; i++) {
        enum layout layout = nodes[i]->kind->layout;

        if (layout == ARRAY || layout == EMBED)
            continue;
        while (lean(nodes[i]))
            ;
    }
    for (int i = node_links(nodes[0]) - 1; i >= 0; i--)
        if (*node_link(nodes[0], i) == commons[1]) {
            hk_clearref(node_link(nodes[0], i));
            break;
        }
}

struct node *
shape_build(const struct shape *shape, uint64_t *random)
{
    struct node *nodes[OBJECTS_MAX];

    make(shape->objects, shape->live, nodes, random);
    return shape_finish(shape, nodes, random);
}
