/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-fuzz.h -- the objects of the fuzzer, what it knows of them, and what
 * it thinks of what happens to them.
 *
 * The slots of the living objects and the references that the test holds are
 * all there is: from these every count is recomputed, and what is unreachable
 * is found by marking from what the test holds.  Nothing here depends on the
 * order in which a collection does its work: finalizers and deaths report
 * themselves, and are judged by the graph as it is at that moment.
 *
 * Include it, after knot.h, in the one file of the test program.
 */
#ifndef HK_TESTS_LIB_GC_FUZZ_H
#define HK_TESTS_LIB_GC_FUZZ_H

#define THINGS 24
#define SLOTS 3
#define WEAKS 8

enum { TABLE, CALLBACK, MIDDLE, FROZEN_FIELDS, SINGLE, LEGACY, LEAF, FOREIGN,
       KINDS };
enum { LOG, RESURRECT, SUICIDE, RAISE, ACTIONS };

struct body {
    struct thing *thing;
    void *slot[SLOTS];
};
struct first {
    hk_object head;
    struct body body;
};
struct middle {
    long before[3];
    hk_object head;
    struct body body;
};
struct foreign {
    uint32_t refs;
    struct body body;
};

/* What the test knows of an object. */
static struct thing {
    struct body *body; /* NULL: there is none */
    void *self;        /* the struct */
    hk_object *head;   /* NULL: foreign */
    int kind, action, has_finalizer;
    int held;       /* references of the test's */
    int generation; /* 3: frozen, -1: not tracked */
    int is_finalized, calls;
    int was_revived; /* from a death by count, in this step */
    int is_garbage, is_stuck; /* found by the collection that runs */
    int refs, is_reached;     /* scratch of the model */
} things[THINGS];

static struct watch {
    hk_weak *weak;
    struct thing *target; /* NULL: dead */
    int has_callback, calls;
} watches[WEAKS];

static hk_type *types[KINDS][2]; /* with a finalizer */
static uint64_t dice_state;
static int collecting, finalizer_ran, mistakes, wrong;
static uint64_t seed_now;
static int step_now;

__attribute__((format(printf, 1, 2))) static void
complain(const char *format, ...)
{
    va_list args;

    if (wrong++ > 5)
        return;
    va_start(args, format);
    printf("# seed %" PRIu64 ", step %d: ", seed_now, step_now);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

static uint32_t
dice(uint32_t sides)
{
    dice_state ^= dice_state << 13;
    dice_state ^= dice_state >> 7;
    dice_state ^= dice_state << 17;
    return (uint32_t)(dice_state >> 32) % sides;
}

/* ---- the model ---------------------------------------------------------- */

static struct thing *
child_of(const struct thing *t, int slot)
{
    void *child = t->body->slot[slot];

    for (int i = 0; child && i < THINGS; i++)
        if (things[i].body && things[i].self == child)
            return &things[i];
    return NULL;
}

static int
is_held_by_garbage(const struct thing *t)
{
    int n = 0;

    for (size_t i = 0; i < hk_gc_garbage_count(); i++)
        n += hk_gc_garbage_get(i) == t->self;
    return n;
}

/* References that exist: what the test, the garbage and slots hold. */
static int
references(const struct thing *t)
{
    int n = t->held + is_held_by_garbage(t);

    for (int i = 0; i < THINGS; i++)
        for (int k = 0; things[i].body && k < SLOTS; k++)
            n += things[i].body->slot[k] == t->self;
    return n;
}

static int
is_in(const struct thing *t, int generation)
{
    return t->body && t->generation >= 0 && t->generation <= generation;
}

static void
reach(struct thing *t, int generation)
{
    struct thing *child;

    if (t->is_reached)
        return;
    t->is_reached = 1;
    for (int k = 0; k < SLOTS; k++) {
        child = child_of(t, k);
        if (child && is_in(child, generation))
            reach(child, generation);
    }
}

/* Sets is_reached of all that are in generations up to this one. */
static void
mark(int generation)
{
    for (int i = 0; i < THINGS; i++) {
        things[i].is_reached = 0;
        things[i].refs = things[i].body ? references(&things[i]) : 0;
    }
    for (int i = 0; i < THINGS; i++)
        for (int k = 0; is_in(&things[i], generation) && k < SLOTS; k++) {
            struct thing *child = child_of(&things[i], k);

            if (child)
                child->refs--;
        }
    for (int i = 0; i < THINGS; i++)
        if (is_in(&things[i], generation) && things[i].refs > 0)
            reach(&things[i], generation);
}

static void
stick(struct thing *t)
{
    struct thing *child;

    if (t->is_stuck)
        return;
    t->is_stuck = 1;
    for (int k = 0; k < SLOTS; k++) {
        child = child_of(t, k);
        if (child && child->is_garbage)
            stick(child);
    }
}

/* Sets is_garbage and is_stuck; counts them. */
static void
predict(int generation, int *garbage, int *stuck)
{
    *garbage = *stuck = 0;
    mark(generation);
    for (int i = 0; i < THINGS; i++) {
        things[i].is_stuck = 0;
        things[i].is_garbage = is_in(&things[i], generation)
                               && !things[i].is_reached;
        *garbage += things[i].is_garbage;
    }
    for (int i = 0; i < THINGS; i++)
        if (things[i].is_garbage && things[i].kind == LEGACY)
            stick(&things[i]);
    for (int i = 0; i < THINGS; i++)
        *stuck += things[i].is_stuck;
}

/* ---- what the library calls --------------------------------------------- */

static struct body *
body_of(void *self, int kind)
{
    return kind == MIDDLE    ? &((struct middle *)self)->body
           : kind == FOREIGN ? &((struct foreign *)self)->body
                             : &((struct first *)self)->body;
}

static void
clear_slots(struct body *body)
{
    for (int k = 0; k < SLOTS; k++)
        hk_clearref(&body->slot[k]);
}

static void
forget_targets(const struct thing *t)
{
    for (int i = 0; i < WEAKS; i++)
        if (watches[i].target == t)
            watches[i].target = NULL;
}

static void
check_weak_dead(const struct thing *t)
{
    for (int i = 0; i < WEAKS; i++)
        if (watches[i].target == t && knot_weak_is_alive(watches[i].weak))
            complain("a weak reference to garbage or to a dead one lives");
}

static void
finalize(struct thing *t)
{
    int count_path = references(t) == 0;

    if (t->is_finalized && t->kind != LEAF)
        complain("finalized twice");
    if (!count_path && !(collecting && t->is_garbage && !t->is_stuck))
        complain("finalized though it is referred to and no garbage");
    if (!count_path)
        check_weak_dead(t);
    t->is_finalized = 1;
    t->calls++;
    finalizer_ran |= !count_path;
    t->was_revived = count_path;
    if (count_path && t->generation >= 0)
        t->generation = 0; /* if it lives on */
    if (t->action == RESURRECT) {
        t->held++;
        if (t->head)
            hk_incref(t->head);
    } else if (t->action == SUICIDE)
        clear_slots(t->body);
    else if (t->action == RAISE)
        hk_unraisable(t->self, "as it should");
}

static void
end(struct thing *t)
{
    struct body *body = t->body;

    if (references(t))
        complain("it ends with %d references", references(t));
    if (t->has_finalizer && !t->calls)
        complain("it ends without its finalizer");
    check_weak_dead(t);
    forget_targets(t);
    t->body = NULL;
    clear_slots(body);
}

#define CALLBACKS(kind, struct_name)                                           \
    static void kind##_finalize(void *self)                                    \
    {                                                                          \
        finalize(((struct struct_name *)self)->body.thing);                    \
    }                                                                          \
    static void kind##_dealloc(void *self)                                     \
    {                                                                          \
        end(((struct struct_name *)self)->body.thing);                         \
        free(self);                                                            \
    }
CALLBACKS(first, first)
CALLBACKS(middle, middle)

static int
first_traverse(void *self, hk_visit_fn visit, void *arg)
{
    struct first *f = self;
    int result = 0;

    for (int k = 0; k < SLOTS && !result; k++)
        result = visit(f->body.slot[k], "slot", k, arg);
    return result;
}

static int
first_clear(void *self)
{
    clear_slots(&((struct first *)self)->body);
    return 0;
}

/* The table has the first slot, this the others. */
static int
middle_traverse(void *self, hk_visit_fn visit, void *arg)
{
    struct middle *m = self;
    int result = visit(m->body.slot[1], "second", -1, arg);

    return result ? result : visit(m->body.slot[2], "third", -1, arg);
}

static int
middle_clear(void *self)
{
    struct middle *m = self;

    hk_clearref(&m->body.slot[1]);
    hk_clearref(&m->body.slot[2]);
    return 0;
}

static void
legacy_del(void *self)
{
    const struct thing *t = ((struct first *)self)->body.thing;

    if (references(t))
        complain("legacy_del with %d references", references(t));
}

static void
foreign_retain(void *self)
{
    ((struct foreign *)self)->refs++;
}

static void
foreign_release(void *self)
{
    struct foreign *f = self;

    if (--f->refs)
        return;
    hk_forget(f);
    end(f->body.thing);
    free(f);
}

static void
on_weak(hk_weak *weak, void *arg)
{
    struct watch *w = arg;

    if (hk_weak_lock(weak))
        complain("a callback of a weak reference that lives");
    if (w->calls++)
        complain("a callback for the second time");
    if (w->target && w->target->is_garbage && !w->target->is_stuck
        && collecting && finalizer_ran)
        complain("a callback after a finalizer");
    w->target = NULL;
}

static void
on_error(const hk_error *error, void *arg)
{
    (void)arg;
    if (error->kind == HK_ERROR_UNRAISABLE)
        return;
    mistakes++;
    complain("a mistake is reported: %s", error->sentence);
}

/* ---- types -------------------------------------------------------------- */

static const hk_field first_fields[] = {
    {"slot", HK_REF_INLINE, offsetof(struct first, body.slot), SLOTS},
    {NULL, HK_END, 0, 0}};
static const hk_field middle_fields[] = {
    {"first", HK_REF, offsetof(struct middle, body.slot), 0},
    {NULL, HK_END, 0, 0}};
static const hk_field foreign_fields[] = {
    {"slot", HK_REF_INLINE, offsetof(struct foreign, body.slot), SLOTS},
    {NULL, HK_END, 0, 0}};

static hk_type_spec
spec_of(int kind)
{
    hk_type_spec s = {.size = sizeof(struct first), .dealloc = first_dealloc};

    if (kind == CALLBACK) {
        s.traverse = first_traverse;
        s.clear = first_clear;
    } else if (kind == MIDDLE) {
        s = (hk_type_spec){.size = sizeof(struct middle),
                           .header_offset = offsetof(struct middle, head),
                           .fields = middle_fields,
                           .traverse = middle_traverse,
                           .clear = middle_clear,
                           .dealloc = middle_dealloc};
    } else if (kind == FOREIGN) {
        s = (hk_type_spec){.size = sizeof(struct foreign),
                           .flags = HK_TYPE_FOREIGN,
                           .fields = foreign_fields,
                           .refcount_width = 4,
                           .retain = foreign_retain,
                           .release = foreign_release};
    } else if (kind == LEAF)
        s.flags = HK_TYPE_LEAF;
    else
        s.fields = first_fields;
    if (kind == FROZEN_FIELDS)
        s.flags = HK_TYPE_IMMUTABLE;
    if (kind == SINGLE)
        s.flags = HK_TYPE_NONATOMIC;
    if (kind == LEGACY)
        s.legacy_del = legacy_del;
    return s;
}

static void
make_types(void)
{
    static const char *const names[KINDS][2] = {
        {"table", "table!"},       {"callback", "callback!"},
        {"middle", "middle!"},     {"immutable", "immutable!"},
        {"nonatomic", "nonatomic!"}, {"legacy", "legacy!"},
        {"leaf", "leaf!"},         {"foreign", "foreign!"}};

    for (int kind = 0; kind < KINDS; kind++)
        for (int f = 0; f < 2; f++) {
            hk_type_spec s = spec_of(kind);

            if (f && kind != FOREIGN && kind != LEGACY)
                s.finalize = kind == MIDDLE ? middle_finalize : first_finalize;
            types[kind][f] = knot_type(names[kind][f], s);
        }
}

#endif
