/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * world.c -- the objects of a scenario and the steps of its run.
 *
 * Called by   gc-replay.c.
 * Invariants  before each collection of a step, predict() finds out by its
 *             own means which objects it will find unreachable: callbacks of
 *             weak references to those must come before their finalizers.
 *             Where finalizers cut ties and save themselves, their order shows
 *             in what lives on, and in which generation.  So what is not a node
 *             is as it was in the run that made the file: the roots are held
 *             by an object of its own, younger than all nodes, that shows them
 *             from the last to the first; lists are emptied from their end.
 */
#include "tests/replay/world.h"

#include <stdio.h>
#include <stdlib.h>

#include "heapknot.h"

struct node {
    hk_object head;
    int name;
    enum vector_fin fin;
    unsigned found;  /* the prediction that looked at it */
    int reachable;   /* what that said */
    uint64_t refs;   /* not yet explained by edges */
    struct node *ref[VECTOR_SLOTS];
};

struct nodes {
    struct node **at;
    size_t count, room;
};

struct weak {
    hk_weak *weak;
    int number;
    unsigned garbage; /* the prediction that said so of its target */
};

struct keeper {
    hk_object head;
    struct nodes nodes;
};

static const hk_field node_fields[] = {
    {"ref", HK_REF_INLINE, offsetof(struct node, ref), VECTOR_SLOTS},
    {NULL, HK_END, 0, 0}};

static hk_type *plain_type, *final_type, *keeper_type;
static struct nodes saved;
static struct vector_step seen;
static unsigned prediction; /* number of the current one */
static int in_step;         /* the prediction holds */
static char mistake[200];

static void
push(struct nodes *nodes, struct node *node)
{
    if (nodes->count == nodes->room) {
        nodes->room = nodes->room ? 2 * nodes->room : 64;
        nodes->at = realloc(nodes->at, nodes->room * sizeof(*nodes->at));
        if (!nodes->at) {
            fprintf(stderr, "gc-replay: out of memory\n");
            exit(2);
        }
    }
    nodes->at[nodes->count++] = node;
}

/* ---- what the library calls --------------------------------------------- */

static void
finalize(void *self)
{
    struct node *node = self;
    struct vector_item *event = vector_append(&seen.log, EVENT_FIN,
                                              node->name, 0);

    event->garbage = in_step && node->found == prediction && !node->reachable;
    if (node->fin == FIN_RESURRECT) {
        hk_incref(node);
        push(&saved, node);
    } else if (node->fin == FIN_SUICIDE) {
        for (int i = 0; i < VECTOR_SLOTS; i++)
            hk_clearref(&node->ref[i]);
    } else if (node->fin == FIN_RAISE)
        hk_unraisable(node, "RuntimeError");
}

static void
on_weak(hk_weak *reference, void *arg)
{
    const struct weak *weak = arg;
    struct node *target = hk_weak_lock(reference);
    struct vector_item *event = vector_append(&seen.log, EVENT_CALLBACK,
                                              weak->number, target == NULL);

    event->garbage = in_step && weak->garbage == prediction;
    hk_xdecref(target);
}

static void
on_error(const hk_error *error, void *arg)
{
    (void)arg;
    if (error->kind == HK_ERROR_UNRAISABLE)
        vector_append(&seen.log, EVENT_UNRAISABLE, 0, 0);
    else if (!mistake[0])
        snprintf(mistake, sizeof(mistake), "%s", error->sentence);
}

const char *
world_mistake(void)
{
    static char last[sizeof(mistake)];

    snprintf(last, sizeof(last), "%s", mistake);
    mistake[0] = 0;
    return last[0] ? last : NULL;
}

/* The order of CPython's list_traverse(). */
static int
show_kept(void *self, hk_visit_fn visit, void *arg)
{
    const struct keeper *keeper = self;
    int result = 0;

    for (size_t i = keeper->nodes.count; i > 0 && !result; i--)
        result = visit(keeper->nodes.at[i - 1], "node", (ptrdiff_t)i - 1, arg);
    return result;
}

static void
end_keeper(void *self)
{
    struct keeper *keeper = self;

    free(keeper->nodes.at);
    free(keeper);
}

/* ---- prediction --------------------------------------------------------- */

static int
find(void *obj, const hk_type *type, void *arg)
{
    struct node *node = obj;

    if (type == keeper_type)
        return 0; /* from outside, as far as we care */
    node->found = prediction;
    node->reachable = 0;
    node->refs = hk_refcount(node);
    push(arg, node);
    return 0;
}

static void
explain(const struct nodes *nodes)
{
    struct node *child;

    for (size_t i = 0; i < nodes->count; i++)
        for (int k = 0; k < VECTOR_SLOTS; k++) {
            child = nodes->at[i]->ref[k];
            if (child && child->found == prediction)
                child->refs--;
        }
}

/* nodes becomes the list of those to go on from. */
static void
spread(struct nodes *nodes)
{
    struct node *node, *child;
    size_t kept = 0;

    for (size_t i = 0; i < nodes->count; i++)
        if (nodes->at[i]->refs > 0) {
            nodes->at[i]->reachable = 1;
            nodes->at[kept++] = nodes->at[i];
        }
    nodes->count = kept;
    while (nodes->count > 0) {
        node = nodes->at[--nodes->count];
        for (int k = 0; k < VECTOR_SLOTS; k++) {
            child = node->ref[k];
            if (child && child->found == prediction && !child->reachable) {
                child->reachable = 1;
                push(nodes, child);
            }
        }
    }
}

static void
predict(int generation, struct weak *weak, size_t weak_count)
{
    static struct nodes nodes;
    struct node *target;

    prediction++;
    nodes.count = 0;
    for (int g = 0; g <= generation; g++)
        hk_gc_get_objects(g, find, &nodes);
    explain(&nodes);
    spread(&nodes);
    for (size_t i = 0; i < weak_count; i++) {
        target = hk_weak_lock(weak[i].weak);
        if (target && target->found == prediction && !target->reachable)
            weak[i].garbage = prediction;
        hk_xdecref(target);
    }
}

/* ---- what a step looks like --------------------------------------------- */

static int
list_alive(void *obj, const hk_type *type, void *arg)
{
    const struct node *node = obj;

    if (type != keeper_type)
        vector_append(&seen.alive, node->name, *(int *)arg, 0);
    return 0;
}

/* Of objects of one name, the oldest counts, as in the run that made the
   file: they differ only where a scenario before left one behind. */
static void
unite_names(struct vector_list *alive)
{
    size_t kept = 0;

    vector_sort(alive);
    for (size_t i = 0; i < alive->count; i++)
        if (i + 1 == alive->count
            || alive->items[i].a != alive->items[i + 1].a)
            alive->items[kept++] = alive->items[i];
    alive->count = kept;
}

static void
look(struct weak *weak, size_t weak_count)
{
    void *target;

    for (int g = 0; g < 3; g++)
        hk_gc_get_objects(g, list_alive, &g);
    unite_names(&seen.alive);
    for (size_t i = 0; i < weak_count; i++) {
        target = hk_weak_lock(weak[i].weak);
        vector_append(&seen.weak_dead, (int)i, target == NULL, 0);
        hk_xdecref(target);
    }
    for (size_t i = 0; i < saved.count; i++)
        vector_append(&seen.resurrected, saved.at[i]->name, 0, 0);
    vector_sort(&seen.resurrected);
}

static void
forget(void)
{
    seen.has_result = 0;
    seen.result = 0;
    seen.log.count = 0;
    seen.alive.count = 0;
    seen.weak_dead.count = 0;
    seen.resurrected.count = 0;
}

/* ---- the run ------------------------------------------------------------ */

struct run {
    const struct vector_scenario *s;
    struct nodes nodes;
    struct keeper *keeper;
    struct weak *weak;
    size_t weak_count, step;
    world_step_fn fn;
    void *arg;
};

static void
show(struct run *run)
{
    look(run->weak, run->weak_count);
    run->fn(run->step++, &seen, run->arg);
    forget();
}

static void
collect(struct run *run, int generation)
{
    predict(generation, run->weak, run->weak_count);
    in_step = 1;
    seen.has_result = 1;
    seen.result = hk_gc_collect(generation);
    in_step = 0;
    show(run);
}

/* A finalizer that runs meanwhile may add to the list. */
static void
release_all(struct nodes *nodes)
{
    while (nodes->count > 0)
        hk_decref(nodes->at[--nodes->count]);
}

/* The list is empty before the first of it is released: what finalizers save
   meanwhile is in a new one. */
static void
empty_saved(void)
{
    struct nodes old = saved;

    saved.at = NULL;
    saved.count = saved.room = 0;
    release_all(&old);
    free(old.at);
}

static void *
make(hk_type *type)
{
    void *object = hk_new(type);

    if (!object) {
        fprintf(stderr, "gc-replay: %s\n", hk_last_error());
        exit(2);
    }
    return object;
}

static void
build(struct run *run)
{
    const struct vector_scenario *s = run->s;
    struct node *node;

    for (size_t i = 0; i < s->node_count; i++) {
        node = make(s->nodes[i].fin == FIN_NONE ? plain_type : final_type);
        node->name = s->nodes[i].name;
        node->fin = s->nodes[i].fin;
        push(&run->nodes, node);
    }
    for (size_t i = 0; i < s->edge_count; i++)
        hk_setref(&run->nodes.at[s->edges[i].from]->ref[s->edges[i].slot],
                  run->nodes.at[s->edges[i].to]);
}

static void
make_weak(struct run *run)
{
    const struct vector_scenario *s = run->s;
    void *target;

    run->weak = vector_calloc(s->weak_count, sizeof(*run->weak));
    run->weak_count = s->weak_count;
    for (size_t i = 0; i < s->weak_count; i++) {
        target = run->nodes.at[s->weak[i].target];
        run->weak[i].number = (int)i;
        run->weak[i].weak = hk_weak_new(
            target, s->weak[i].has_callback ? on_weak : NULL, &run->weak[i]);
        if (!run->weak[i].weak) {
            fprintf(stderr, "gc-replay: %s\n", hk_last_error());
            exit(2);
        }
    }
}

static void
free_weak(struct run *run)
{
    while (run->weak_count > 0)
        hk_weak_free(run->weak[--run->weak_count].weak);
}

static void
drop(struct run *run)
{
    struct node *root;

    run->keeper = make(keeper_type);
    for (size_t i = 0; i < run->s->root_count; i++) {
        root = run->nodes.at[run->s->roots[i]];
        hk_incref(root);
        push(&run->keeper->nodes, root);
    }
    release_all(&run->nodes);
    show(run);
}

void
world_run(const struct vector_scenario *s, world_step_fn fn, void *arg)
{
    struct run run = {.s = s, .fn = fn, .arg = arg};

    hk_gc_collect(2);
    forget();
    empty_saved();
    build(&run);
    make_weak(&run);
    for (size_t i = 0; i < s->age_count; i++)
        hk_gc_collect(s->age[i]);
    drop(&run);
    for (size_t i = 0; i < s->op_count; i++)
        collect(&run, s->ops[i]);
    empty_saved();
    show(&run);
    collect(&run, 2);
    release_all(&run.keeper->nodes);
    free_weak(&run);
    show(&run);
    collect(&run, 2);
    free(run.weak);
    free(run.nodes.at);
    hk_decref(run.keeper);
}

/* ---- start and end ------------------------------------------------------ */

static hk_type *
make_type(hk_type_spec spec)
{
    hk_type *type;

    spec.struct_size = sizeof(spec);
    type = hk_type_register(&spec);
    if (!type) {
        fprintf(stderr, "gc-replay: %s\n", hk_last_error());
        exit(2);
    }
    return type;
}

void
world_start(void)
{
    plain_type = make_type((hk_type_spec){.name = "Node",
                                          .size = sizeof(struct node),
                                          .fields = node_fields});
    final_type = make_type((hk_type_spec){.name = "FNode",
                                          .size = sizeof(struct node),
                                          .fields = node_fields,
                                          .finalize = finalize});
    keeper_type = make_type((hk_type_spec){.name = "Keeper",
                                           .size = sizeof(struct keeper),
                                           .traverse = show_kept,
                                           .dealloc = end_keeper});
    hk_gc_disable();
    hk_set_error_fn(on_error, NULL);
}

void
world_end(void)
{
    empty_saved();
    hk_gc_collect(2);
    empty_saved();
    hk_gc_collect(2);
    free(seen.log.items);
    free(seen.alive.items);
    free(seen.weak_dead.items);
    free(seen.resurrected.items);
}
