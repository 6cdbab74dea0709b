/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * stress.h -- what the files of the stress program share.
 *
 *      stress_node.c     objects of six layouts, all with links
 *      stress_shapes.c   graphs with known cycles, and the truth about them
 *      stress_pools.c    live objects that are linked at random
 *      stress_twins.c    live cycles that one moving reference keeps
 *      stress.c          threads, options, the end
 *
 * A reference to a node is owned by whoever stores it; links own theirs.  A
 * node has no lock: who may touch its links is said where it is kept.
 */
#ifndef STRESS_H
#define STRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapknot.h"

enum { REFS = 4, OBJECTS_MAX = 24, EDGES_MAX = 160, NAME_BYTES = 32 };

/* How a node keeps its links. */
enum layout {
    INLINE,  /* HK_REF_INLINE, header first, an HK_WEAKREF */
    LATE,    /* HK_REF each, header in the middle, an HK_WEAKREF */
    ARRAY,   /* HK_REF_ARRAY that grows and shrinks */
    EMBED,   /* HK_EMBED, and HK_SLIST for more */
    FOREIGN, /* adopted, with a count of its own */
    CODE,    /* a traverse function, no table */
    LAYOUTS
};

struct kind {
    hk_type *type;
    enum layout layout;
    bool lasting; /* its objects are nobody's to take apart */
    char name[NAME_BYTES];
};

struct node;
struct pair {
    struct node *left, *right;
};
struct cell { /* of an HK_SLIST */
    struct cell *next;
    struct node *node;
};

struct node {
    union {
        hk_object header;
        int64_t count; /* of FOREIGN: references less one, atomic */
        unsigned char payload[sizeof(hk_object)];
    } front;
    const struct kind *kind;
    hk_object late;
    struct node *ref[REFS];
    struct node **items;
    size_t item_count;
    struct pair pair;
    struct cell *list;
    hk_weak *weak;
};

/* ---- stress_node.c ------------------------------------------------------ */

/* A kind of this name; it stays.  An equal name gives the same kind. */
struct kind *kind_make(const char *name, enum layout layout);
const struct kind *kind_at(int index); /* NULL beyond the last */

/* The caller gets the only reference. */
struct node *node_new(const struct kind *kind);
void node_grab(struct node *node);
void node_drop(struct node *node);
uint64_t node_references(struct node *node);
void node_hold(struct node *node, hk_token *token, const char *name);
void node_put(struct node *node, hk_token *token);

/* Links 0 to node_links() - 1; some may be NULL. */
int node_links(const struct node *node);
struct node **node_link(struct node *node, int i);
/* Takes over the caller's reference; false, and does not, if there is no
   room. */
bool node_add(struct node *from, struct node *to);
/* The caller gets the reference of link i, or NULL.  Links behind i may get
   other numbers. */
struct node *node_remove(struct node *node, int i);
void node_clear(struct node *node);
/* Drops the caller's references to first and cuts whatever is reached from it,
   which nobody else may hold: no cycle is left. */
void node_take_apart(struct node *first);
_Noreturn void give_up(const char *what);

/* ---- stress_shapes.c ---------------------------------------------------- */

struct shape {
    char name[NAME_BYTES];
    int objects, edge_count;
    struct {
        unsigned char from, to;
    } edges[EDGES_MAX];
    int layout;   /* of all, or -1: in turn */
    bool leaning; /* its first object refers to a live one */
    bool weakly;  /* weak references are beside the edges */
    /* From here on made by shapes_make. */
    int components;                       /* that are cycles */
    int component[OBJECTS_MAX];           /* -1: on no cycle */
    const struct kind *dead[OBJECTS_MAX]; /* kinds of planted ones */
    const struct kind *live[OBJECTS_MAX]; /* kinds of their twins */
    uint64_t planted;                     /* atomic */
};

void shapes_make(uint64_t seed, bool tables);
int shapes_count(void);
struct shape *shape_at(int index);
/* Builds a garbage instance and lets go of it. */
void shape_plant(struct shape *shape, uint64_t *random);
/* Builds a live one; its only reference from outside is the caller's. */
struct node *shape_build(const struct shape *shape, uint64_t *random);
/* The same of nodes, of kinds shape->live, that the caller has made. */
struct node *shape_finish(const struct shape *shape, struct node **nodes,
                          uint64_t *random);
/* Objects of all that were planted. */
uint64_t shapes_planted(void);
void shapes_print(void);
/* Leaves room for one link more, in the first object; not in layouts that
   grow. */
void shape_narrow(const struct shape *shape, struct node **nodes);
/* The weak references beside planted cycles. */
void shapes_free_weaks(void);

/* ---- stress_pools.c ----------------------------------------------------- */

enum { PRIVATE_SLOTS = 32 };
struct worker {
    uint64_t random;
    struct node *slots[PRIVATE_SLOTS]; /* its own */
    uint64_t steps;
};

void pools_make(bool tables);
void pool_step(struct worker *worker);
void pools_end(void);
void private_end(struct worker *worker);

/* ---- stress_twins.c ----------------------------------------------------- */

/* With a crowd of other live objects between their members, and so many lost
   ones, which are planted. */
void twins_make(uint64_t *random, int crowd, int lost);
void twin_step(struct worker *worker);
/* Longest time for which a twin was reached by a weak reference only. */
uint64_t twins_weakly_ns(void);
void twins_end(void);

/* ---- chance ------------------------------------------------------------- */

/* SplitMix64's finish: near seeds give far states, none of them 0. */
static inline uint64_t
chance_seed(int seed, int stream)
{
    uint64_t x = ((uint64_t)seed << 8) + (uint64_t)stream + 1;

    x *= UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* xorshift64 */
static inline uint64_t
chance_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline int
chance(uint64_t *state, int below)
{
    return (int)((chance_next(state) >> 16) % (uint64_t)below);
}

/* Now and then another thread's turn, or a pause: one of chance_rest times. */
extern int chance_rest;
void chance_yield(uint64_t *state);
uint64_t chance_now_ns(void);

#endif
