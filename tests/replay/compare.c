/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * compare.c -- what a step was to show, and what it did.
 *
 * Called by   gc-replay.c.
 */
#include "tests/replay/compare.h"

#include <stdio.h>
#include <string.h>

typedef void (*item_fn)(const struct vector_item *item, char *text,
                        size_t size);

static void
say_event(const struct vector_item *item, char *text, size_t size)
{
    if (item->a == EVENT_FIN)
        snprintf(text, size, "the finalizer of %d", item->b);
    else if (item->a == EVENT_CALLBACK)
        snprintf(text, size, "the callback of weak reference %d (%s)",
                 item->b, item->c ? "dead" : "not dead");
    else
        snprintf(text, size, "an unraisable error");
}

static void
say_alive(const struct vector_item *item, char *text, size_t size)
{
    snprintf(text, size, "node %d in generation %d", item->a, item->b);
}

static void
say_weak(const struct vector_item *item, char *text, size_t size)
{
    snprintf(text, size, "weak reference %d %s", item->a,
             item->b ? "dead" : "alive");
}

static void
say_name(const struct vector_item *item, char *text, size_t size)
{
    snprintf(text, size, "node %d", item->a);
}

static int
same(const struct vector_item *x, const struct vector_item *y)
{
    return x->a == y->a && x->b == y->b && x->c == y->c;
}

/* Both are sorted. */
static int
compare_list(const char *name, const struct vector_list *expected,
             const struct vector_list *seen, item_fn say, char *why,
             size_t size)
{
    char due[80] = "no more", got[80] = "no more";
    size_t i = 0;

    while (i < expected->count && i < seen->count
           && same(&expected->items[i], &seen->items[i]))
        i++;
    if (i == expected->count && i == seen->count)
        return 1;
    if (i < expected->count)
        say(&expected->items[i], due, sizeof(due));
    if (i < seen->count)
        say(&seen->items[i], got, sizeof(got));
    snprintf(why, size, "%s: expected %s, seen %s (of %zu and %zu)", name, due,
             got, expected->count, seen->count);
    return 0;
}

/* Callbacks of weak references to what a collection found come before the
   first finalizer of that. */
static int
in_order(const struct vector_list *log, char *why, size_t size)
{
    const struct vector_item *first = NULL;

    for (size_t i = 0; i < log->count; i++) {
        const struct vector_item *item = &log->items[i];

        if (!item->garbage)
            continue;
        if (item->a == EVENT_FIN && !first)
            first = item;
        else if (item->a == EVENT_CALLBACK && first) {
            snprintf(why, size, "log: the callback of weak reference %d came "
                     "after the finalizer of %d, which is garbage too",
                     item->b, first->b);
            return 0;
        }
    }
    return 1;
}

static int
compare_result(const struct vector_step *expected,
               const struct vector_step *seen, char *why, size_t size)
{
    if (!expected->has_result || expected->result == seen->result)
        return 1;
    snprintf(why, size, "ret: expected %lld, seen %lld", expected->result,
             seen->result);
    return 0;
}

int
compare_step(const struct vector_step *expected, struct vector_step *seen,
             char *why, size_t size)
{
    if (!compare_result(expected, seen, why, size)
        || !in_order(&seen->log, why, size))
        return 0;
    vector_sort(&seen->log);
    return compare_list("log", &expected->log, &seen->log, say_event, why,
                        size)
           && compare_list("alive_gen", &expected->alive, &seen->alive,
                           say_alive, why, size)
           && compare_list("weak_dead", &expected->weak_dead,
                           &seen->weak_dead, say_weak, why, size)
           && compare_list("resurrected", &expected->resurrected,
                           &seen->resurrected, say_name, why, size);
}
