/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * knot.h -- objects to make cycles of, for tests of the collector.
 *
 * Include it, after tap.h, in the one file of the test program.  What happens
 * to the objects is written down in `events`, in order.
 */
#ifndef HK_TESTS_KNOT_H
#define HK_TESTS_KNOT_H

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "heapknot.h"

#define KNOT_REFS 4

struct knot {
    hk_object head;
    int name;
    int is_marked;                 /* the test's own */
    void (*action)(struct knot *); /* of its finalizer, or of its legacy_del */
    hk_weak *weak;                 /* owned */
    struct knot *ref[KNOT_REFS];
};

static const hk_field knot_fields[] = {
    {"ref", HK_REF_INLINE, offsetof(struct knot, ref), KNOT_REFS},
    {"weak", HK_WEAKREF, offsetof(struct knot, weak), 0},
    {NULL, HK_END, 0, 0}};

#define KNOT_UNUSED __attribute__((unused))

/* ---- events ------------------------------------------------------------- */

static char events[4096];

__attribute__((format(printf, 1, 2), unused)) static void
note(const char *format, ...)
{
    size_t used = strlen(events);
    va_list args;

    va_start(args, format);
    if (used > 0 && used + 1 < sizeof(events))
        events[used++] = ' ';
    vsnprintf(events + used, sizeof(events) - used, format, args);
    va_end(args);
}

/* What happened since the last call. */
KNOT_UNUSED static const char *
noted(void)
{
    static char copy[sizeof(events)];

    memcpy(copy, events, sizeof(copy));
    events[0] = 0;
    return copy;
}

static inline int
knot_compare_words(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

/* The same, sorted: for what may happen in any order. */
KNOT_UNUSED static const char *
noted_sorted(void)
{
    static char sorted[sizeof(events)], copy[sizeof(events)];
    char *words[500], *rest = NULL, *word;
    size_t n = 0;

    snprintf(copy, sizeof(copy), "%s", noted());
    for (word = strtok_r(copy, " ", &rest); word && n < 500;
         word = strtok_r(NULL, " ", &rest))
        words[n++] = word;
    qsort(words, n, sizeof(*words), knot_compare_words);
    sorted[0] = 0;
    for (size_t i = 0; i < n; i++) {
        strcat(sorted, i ? " " : "");
        strcat(sorted, words[i]);
    }
    return sorted;
}

/* ---- types -------------------------------------------------------------- */

KNOT_UNUSED static void
knot_finalize(void *self)
{
    struct knot *k = self;

    note("fin%d", k->name);
    if (k->action)
        k->action(k);
}

KNOT_UNUSED static void
knot_legacy_del(void *self)
{
    struct knot *k = self;

    note("del%d", k->name);
    if (k->action)
        k->action(k);
}

/* extra brings flags and callbacks; the rest is a knot's. */
KNOT_UNUSED static hk_type *
knot_type(const char *name, hk_type_spec extra)
{
    hk_type *type;

    extra.struct_size = sizeof(extra);
    extra.name = name;
    if (!extra.size)
        extra.size = sizeof(struct knot);
    if (!extra.fields && !extra.traverse && !(extra.flags & HK_TYPE_LEAF))
        extra.fields = knot_fields;
    type = hk_type_register(&extra);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

static hk_type *plain, *final, *legacy, *leaf;

KNOT_UNUSED static void
knot_types(void)
{
    plain = knot_type("Plain", (hk_type_spec){.flags = 0});
    final = knot_type("Final", (hk_type_spec){.finalize = knot_finalize});
    legacy = knot_type("Legacy",
                       (hk_type_spec){.legacy_del = knot_legacy_del});
    leaf = knot_type("Leaf", (hk_type_spec){.flags = HK_TYPE_LEAF,
                                            .finalize = knot_finalize});
}

KNOT_UNUSED static int64_t
knot_live(const hk_type *type)
{
    uint64_t created, destroyed;

    hk_type_counts(type, &created, &destroyed, NULL);
    return (int64_t)(created - destroyed);
}

/* ---- objects ------------------------------------------------------------ */

KNOT_UNUSED static struct knot *
knot_new(hk_type *type, int name)
{
    struct knot *k = hk_new(type);

    if (!k)
        bail_out(hk_last_error());
    k->name = name;
    return k;
}

/* A reference from one to the other; the slots are filled in order. */
KNOT_UNUSED static void
knot_link(struct knot *from, struct knot *to)
{
    int i = 0;

    while (from->ref[i])
        i++;
    hk_setref(&from->ref[i], to);
}

/* One object that refers to itself, and to which nobody else does. */
KNOT_UNUSED static struct knot *
knot_loop(hk_type *type, int name)
{
    struct knot *k = knot_new(type, name);

    knot_link(k, k);
    hk_decref(k);
    return k;
}

/* Two that refer to each other, and the first of them. */
KNOT_UNUSED static struct knot *
knot_pair(hk_type *first, hk_type *second, int name)
{
    struct knot *a = knot_new(first, name), *b = knot_new(second, name + 1);

    knot_link(a, b);
    knot_link(b, a);
    hk_decref(b);
    hk_decref(a);
    return a;
}

KNOT_UNUSED static int
knot_weak_is_alive(hk_weak *weak)
{
    void *target = hk_weak_lock(weak);

    hk_xdecref(target);
    return target != NULL;
}

KNOT_UNUSED static hk_weak *
knot_weak(void *target, hk_weak_fn fn, void *arg)
{
    hk_weak *weak = hk_weak_new(target, fn, arg);

    if (!weak)
        bail_out(hk_last_error());
    return weak;
}

/* The references of the garbage are dropped. */
KNOT_UNUSED static void
knot_empty_garbage(void)
{
    while (hk_gc_garbage_count() > 0)
        hk_decref(hk_gc_garbage_take(0));
}

/* The generation in which an object is; -1: none. */
KNOT_UNUSED static int
knot_is_it(void *obj, const hk_type *type, void *arg)
{
    (void)type;
    return obj == arg;
}

KNOT_UNUSED static int
knot_generation(void *obj)
{
    for (int g = 0; g < 3; g++)
        if (hk_gc_get_objects(g, knot_is_it, obj) == 1)
            return g;
    return -1;
}

/* ---- what is written to stderr ------------------------------------------ */

static int knot_stderr = -1;
static FILE *knot_captured;

KNOT_UNUSED static void
knot_capture(void)
{
    fflush(stderr);
    knot_captured = tmpfile();
    knot_stderr = dup(STDERR_FILENO);
    if (!knot_captured || knot_stderr < 0
        || dup2(fileno(knot_captured), STDERR_FILENO) < 0)
        bail_out("stderr cannot be captured");
}

/* All of it since knot_capture(), which it ends. */
KNOT_UNUSED static const char *
knot_said(void)
{
    static char text[8192];
    ssize_t n;

    fflush(stderr);
    dup2(knot_stderr, STDERR_FILENO);
    close(knot_stderr);
    n = pread(fileno(knot_captured), text, sizeof(text) - 1, 0);
    text[n < 0 ? 0 : n] = 0;
    fclose(knot_captured);
    return text;
}

#endif
