/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * mistakes.c -- makes one mistake with an object, or holds some.
 *
 *      mistakes KIND
 *
 * The object is made in make_it, loses a reference in drop_it, dies in end_it,
 * and the mistake itself is made in err_here; what is held is held in hold_it
 * and put in put_it.  Prints "survived" at its end.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapknot.h"

/* Every function shall be seen on the stack: none is inlined, becomes one with
   another that looks like it, or ends with a call. */
#if defined(__GNUC__) && !defined(__clang__)
#define STEP __attribute__((noipa))
#else
#define STEP __attribute__((noinline))
#endif
#define SEEN __asm__ volatile("" : : : "memory")

struct node {
    hk_object head;
    struct node *next;
    char text[40];
};
struct late {
    uint64_t first;
    hk_object head;
    struct node *next;
};
struct other {
    uint64_t refs;
    struct node *next;
};

static hk_type *nodes, *lates, *others, *wipers, *leaves, *liars;

/* Its memory stays, and is as new: a pool of objects. */
static void
wipe(void *self)
{
    memset(self, 0, sizeof(struct node));
}

/* Shows each reference twice. */
static int
lie(void *self, hk_visit_fn visit, void *arg)
{
    struct node *n = self;
    int result = visit(n->next, "next", -1, arg);

    return result ? result : visit(n->next, "again", -1, arg);
}

static hk_type *
make_liars(void)
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = "liar";
    s.size = sizeof(struct node);
    s.traverse = lie;
    s.dealloc = free;
    return hk_type_register(&s);
}

static hk_type *
make_type(const char *name, size_t size, size_t header, unsigned flags,
          const hk_field *fields, void (*dealloc)(void *))
{
    hk_type_spec s = {0};
    hk_type *t;

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = size;
    s.header_offset = header;
    s.flags = flags;
    s.fields = fields;
    s.dealloc = dealloc;
    s.refcount_width = flags & HK_TYPE_FOREIGN ? 8 : 0;
    t = hk_type_register(&s);
    if (!t) {
        fprintf(stderr, "%s\n", hk_last_error());
        exit(2);
    }
    return t;
}

static void
make_types(void)
{
    static const hk_field in_node[] = {
        {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
    static const hk_field in_late[] = {
        {"next", HK_REF, offsetof(struct late, next), 0}, {0}};
    static const hk_field in_other[] = {
        {"next", HK_REF, offsetof(struct other, next), 0}, {0}};

    nodes = make_type("node", sizeof(struct node), 0, 0, in_node, NULL);
    lates = make_type("late", sizeof(struct late),
                      offsetof(struct late, head), 0, in_late, NULL);
    others = make_type("other", sizeof(struct other), 0, HK_TYPE_FOREIGN,
                       in_other, NULL);
    wipers = make_type("wiper", sizeof(struct node), 0, 0, in_node, wipe);
    leaves = make_type("leaf", sizeof(struct node), 0, HK_TYPE_LEAF, NULL,
                       NULL);
    liars = make_liars();
}

/* ---- the steps of a life ------------------------------------------------ */

static STEP void *
make_it(hk_type *type)
{
    void *p = hk_new(type);

    SEEN;
    return p;
}

static STEP void
drop_it(void *header)
{
    hk_decref(header);
    SEEN;
}

static STEP void
end_it(void *header)
{
    hk_decref(header);
    SEEN;
}

static STEP void
hold_it(void *obj, hk_token *token, const char *name)
{
    hk_hold(obj, token, name);
    SEEN;
}

static STEP void
put_it(void *obj, hk_token *token)
{
    hk_put(obj, token);
    SEEN;
}

/* The mistake. */
#define ERR(name)                      \
    static void do_##name(void *p);    \
    static STEP void err_here_##name(void *p) \
    {                                  \
        do_##name(p);                  \
        SEEN;                          \
    }                                  \
    static inline __attribute__((always_inline)) void do_##name(void *p)

ERR(incref) { hk_incref(p); }
ERR(decref) { hk_decref(p); }
ERR(track) { hk_track(p); }
ERR(adopt) { hk_adopt(p, others); }
ERR(free) { free(p); }
ERR(hold_null)
{
    hk_token t;

    hk_hold(p, &t, "none");
}
ERR(move) { free(realloc(p, 5000)); }
ERR(scan)
{
    hk_gc_result result = {.struct_size = sizeof(result)};

    (void)p;
    hk_gc_scan(2, &result);
}
ERR(unraisable) { hk_unraisable(p, "the disk is full"); }

static STEP void
err_here_put(void *obj, hk_token *token)
{
    hk_put(obj, token);
    SEEN;
}

/* ---- kinds -------------------------------------------------------------- */

static void *
dead(hk_type *type)
{
    void *p = make_it(type);

    end_it(p);
    return p;
}

static void *
dropped(hk_type *type)
{
    void *p = make_it(type);

    hk_incref(p);
    drop_it(p);
    return p;
}

static void
underflow(void)
{
    err_here_decref(dead(wipers));
}

static void
dead_incref(void)
{
    void *p = dead(nodes);

    for (volatile int i = 0; i < 3; i++)
        err_here_incref(p);
}

static void
dead_decref(void)
{
    err_here_decref(dead(nodes));
}

static void
dead_leaf(void)
{
    err_here_decref(dead(leaves));
}

static void
dead_late(void)
{
    struct late *l = make_it(lates);

    end_it(&l->head);
    err_here_incref(&l->head);
}

/* Others die meanwhile, and their memory is used again and again. */
static void
dead_for_long(void)
{
    void *p = dead(nodes);

    for (int i = 0; i < 500; i++)
        end_it(make_it(leaves));
    err_here_incref(p);
}

/* After so many deaths nobody remembers; the program goes on all the same. */
static void
many_deaths(void)
{
    for (int i = 0; i < 20000; i++)
        end_it(make_it(i % 2 ? nodes : leaves));
}

static void
large_deaths(void)
{
    for (int i = 0; i < 3000; i++)
        end_it(hk_new_extra(nodes, (size_t)i * 50));
}

static void
freed_twice(void)
{
    err_here_free(dead(nodes));
}

static void
freed(void)
{
    err_here_free(dropped(nodes));
}

static void
freed_late(void)
{
    err_here_free(make_it(lates));
}

static void
freed_then_used(void)
{
    void *p = make_it(nodes), *q = p;

    __asm__ volatile("" : "+r"(q));
    free(p);
    err_here_incref(q);
}

static void
moved(void)
{
    err_here_move(dropped(nodes));
}

static void
dead_moved(void)
{
    err_here_move(dead(nodes));
}

/* The weak reference knows that it is gone. */
static void
freed_weak(void)
{
    void *p = dropped(nodes);
    hk_weak *w = hk_weak_new(p, NULL, NULL);

    err_here_free(p);
    many_deaths();
    if (hk_weak_lock(w))
        puts("alive?");
    hk_weak_free(w);
}

static void
too_many_edges(void)
{
    struct node *n = make_it(nodes), *liar = make_it(liars);

    liar->next = n;
    err_here_scan(NULL);
    hk_decref(n);
    hk_decref(liar);
}

/* Told in free(), it allocates and frees. */
static void
on_error(const hk_error *error, void *arg)
{
    char *copy = strdup(error->sentence);

    (void)arg;
    if (copy && strncmp(copy, "freed while", 11) == 0)
        puts("told");
    free(copy);
}

static void
callback(void)
{
    hk_set_error_fn(on_error, NULL);
    err_here_free(dropped(nodes));
}

/* Deaths of all sizes on several threads at once. */
static void *
die_often(void *arg)
{
    uint32_t x = (uint32_t)(uintptr_t)arg;
    void *p;

    for (int i = 0; i < 40000; i++) {
        x = x * 1664525 + 1013904223;
        p = hk_new_extra(x & 1024 ? nodes : leaves, x >> 20);
        hk_decref(p);
    }
    return NULL;
}

static void
threads(void)
{
    pthread_t t[4];

    for (size_t i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, die_often, (void *)i);
    for (size_t i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

/* What the parent did wrong, the child's recording knows, too. */
static void
forked(void)
{
    err_here_incref(dead(nodes));
    if (fork() == 0) {
        err_here_decref(dead(leaves));
        many_deaths(); /* a child with little to tell has no recording */
        _exit(0);
    }
    wait(NULL);
}

static void
saturated(void)
{
    struct node *n = dropped(nodes);

    n->head.word |= UINT32_C(0x80000000);
    err_here_incref(n);
}

static void
null(void)
{
    err_here_hold_null(NULL);
}

static void
no_type(void)
{
    static hk_object none;

    err_here_track(&none);
}

static void
tracked_twice(void)
{
    void *p = dropped(nodes);

    err_here_track(p);
    end_it(p);
}

static void
adopted_twice(void)
{
    struct other *o = calloc(1, sizeof(*o));

    if (!o)
        return;
    o->refs = 1;
    hk_adopt(o, others);
    err_here_adopt(o);
    hk_forget(o);
    free(o);
}

static void
put_twice(void)
{
    void *p = make_it(nodes);
    hk_token t;

    hold_it(p, &t, "queue");
    put_it(p, &t);
    err_here_put(p, &t);
    end_it(p);
}

static void
put_copy(void)
{
    void *p = make_it(nodes);
    hk_token t, copy;

    hold_it(p, &t, "queue");
    copy = t;
    put_it(p, &t);
    err_here_put(p, &copy);
    end_it(p);
}

static void
unraisable(void)
{
    void *p = dropped(nodes);

    err_here_unraisable(p);
    end_it(p);
}

/* More places than there is room for. */
static void
many_kinds(void)
{
    char what[40];

    for (int i = 0; i < 300; i++) {
        snprintf(what, sizeof(what), "failure number %d", i);
        hk_unraisable(NULL, what);
    }
}

/* Ten of thirteen stay; a root and one other that is put. */
static void
holds(void)
{
    static hk_token t[13];
    void *p = make_it(nodes);
    hk_token other;

    for (int i = 0; i < 13; i++)
        hold_it(p, &t[i], "worker queue");
    for (int i = 0; i < 3; i++)
        put_it(p, &t[i]);
    hold_it(p, &other, "timer");
    put_it(p, &other);
    hk_root(p, "table");
}

static const struct {
    const char *name;
    void (*fn)(void);
} kinds[] = {
    {"adopted-twice", adopted_twice},
    {"callback", callback},
    {"dead-decref", dead_decref},
    {"dead-for-long", dead_for_long},
    {"dead-incref", dead_incref},
    {"dead-late", dead_late},
    {"dead-leaf", dead_leaf},
    {"dead-moved", dead_moved},
    {"forked", forked},
    {"freed", freed},
    {"freed-late", freed_late},
    {"freed-then-used", freed_then_used},
    {"freed-twice", freed_twice},
    {"freed-weak", freed_weak},
    {"holds", holds},
    {"large-deaths", large_deaths},
    {"many-deaths", many_deaths},
    {"many-kinds", many_kinds},
    {"moved", moved},
    {"no-type", no_type},
    {"null", null},
    {"put-copy", put_copy},
    {"put-twice", put_twice},
    {"saturated", saturated},
    {"threads", threads},
    {"too-many-edges", too_many_edges},
    {"tracked-twice", tracked_twice},
    {"underflow", underflow},
    {"unraisable", unraisable},
};

int
main(int argc, char **argv)
{
    make_types();
    for (size_t i = 0; argc > 1 && i < sizeof(kinds) / sizeof(*kinds); i++)
        if (strcmp(argv[1], kinds[i].name) == 0) {
            kinds[i].fn();
            puts("survived");
            return 0;
        }
    fprintf(stderr, "usage: mistakes KIND\n");
    return 2;
}
