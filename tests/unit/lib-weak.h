/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-weak.h -- what the tests of weak references and finalizers share: a type
 * of objects, a story, and a calloc() that can be made to fail (they are linked
 * with --wrap=calloc).
 */
#ifndef HK_TESTS_LIB_WEAK_H
#define HK_TESTS_LIB_WEAK_H

#include "heapknot.h"
#include "tests/tap/tap.h"

struct node {
    hk_object head;
    struct node *one, *two;
    hk_weak *weak;
    int number;
};

static const hk_field node_fields[] = {
    {"one", HK_REF, offsetof(struct node, one), 0},
    {"two", HK_REF, offsetof(struct node, two), 0},
    {"weak", HK_WEAKREF, offsetof(struct node, weak), 0},
    {0}};

/* Allocations until one fails, and all after it; negative: none fails.  Set
   while there is one thread. */
static int callocs_left = -1;
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *
__wrap_calloc(size_t count, size_t size)
{
    if (callocs_left == 0)
        return NULL;
    if (callocs_left > 0)
        callocs_left--;
    return __real_calloc(count, size);
}

static inline hk_type *
make(const char *name, void (*finalize)(void *), void (*dealloc)(void *))
{
    hk_type_spec s = {0};
    hk_type *type;

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = sizeof(struct node);
    s.fields = node_fields;
    s.finalize = finalize;
    s.dealloc = dealloc;
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

static int calls;
static char story[400];

static inline void
tell(const char *word)
{
    size_t used = strlen(story);

    snprintf(story + used, sizeof(story) - used, "%s ", word);
}

/* A new story, and no garbage of earlier cases. */
static inline void
begin(void)
{
    story[0] = '\0';
    calls = 0;
    hk_gc_collect(2);
}

static inline void
count_call(hk_weak *weak, void *arg)
{
    (void)weak;
    (void)arg;
    calls++;
}

static inline void
tell_arg(hk_weak *weak, void *arg)
{
    (void)weak;
    tell(arg);
}

static inline void
collect_inside(hk_weak *weak, void *arg)
{
    (void)weak;
    (void)arg;
    calls++;
    hk_gc_collect(2);
}

/* Does it find its target?  Leaves the count as it was. */
static inline int
lives(hk_weak *weak)
{
    void *obj = hk_weak_lock(weak);

    hk_xdecref(obj);
    return obj != NULL;
}

#endif
