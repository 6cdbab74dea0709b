/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fields.c -- walk, check and compare tables of fields.
 *
 * Called by   type.c (traverse, clear, registration).
 * Threads     any; the walk also runs in a copy of the process, so it takes
 *             no lock and allocates nothing.
 * Memory      none.
 * Fails       fields_check, with a sentence.
 */
#include "lib/fields.h"

#include <errno.h>
#include <string.h>

#include "lib/error.h"

#define ROWS_MAX 4096  /* a table longer than this has no HK_END */
#define EMBED_MAX 16   /* structs in structs */

static const hk_field *
embedded_table(const hk_field *f)
{
    return (const hk_field *)f->count; /* NOLINT: the kind says so */
}

static const hk_slist_spec *
slist_spec(const hk_field *f)
{
    return (const hk_slist_spec *)f->count; /* NOLINT: the kind says so */
}

static int
walk_inline(void **items, size_t count, const char *label, fields_fn fn,
            void *arg)
{
    int result = 0;

    for (size_t i = 0; i < count && !result; i++)
        result = fn(&items[i], label, (ptrdiff_t)i, arg);
    return result;
}

static int
walk_array(void *const *items, const size_t *count, const char *label,
           fields_fn fn, void *arg)
{
    int result = 0;

    for (size_t i = 0; *items && i < *count && !result; i++)
        result = fn((void **)*items + i, label, (ptrdiff_t)i, arg);
    return result;
}

/* The next node is read first, since fn may be the end of this one.  A ring
   ends where it began. */
static int
walk_slist(char *first, const hk_slist_spec *list, const char *label,
           fields_fn fn, void *arg)
{
    char *node = first, *next;
    int result = 0;

    for (ptrdiff_t i = 0; node && !result; i++) {
        next = *(char **)(node + list->next_offset);
        result = fn((void **)(node + list->ref_offset), label, i, arg);
        node = next == first ? NULL : next;
    }
    return result;
}

static int
walk_row(const hk_field *f, char *base, fields_fn fn, void *arg)
{
    void **at = (void **)(base + f->offset);

    switch (f->kind) {
    case HK_REF:
        return fn(at, f->label, -1, arg);
    case HK_REF_INLINE:
        return walk_inline(at, f->count, f->label, fn, arg);
    case HK_REF_ARRAY:
        return walk_array(at, (size_t *)(void *)(base + f->count), f->label,
                          fn, arg);
    case HK_EMBED:
        return fields_walk(embedded_table(f), at, fn, arg);
    case HK_SLIST:
        return walk_slist((char *)*at, slist_spec(f), f->label, fn, arg);
    default: /* HK_WEAK and HK_WEAKREF are no edges */
        return 0;
    }
}

int
fields_walk(const hk_field *fields, void *base, fields_fn fn, void *arg)
{
    int result = 0;

    for (; fields && fields->kind != HK_END && !result; fields++)
        result = walk_row(fields, (char *)base, fn, arg);
    return result;
}

/* Pointer and length are read each time, and from the beginning if they have
   changed: a child may take itself out of the array at its end. */
static void
drop_array(const hk_field *f, char *base, fields_fn fn)
{
    void *const *items = (void *const *)(void *)(base + f->offset);
    const size_t *count = (const size_t *)(void *)(base + f->count);
    size_t had = *count;
    void *at = *items;

    for (size_t i = 0; *items && i < *count; i++) {
        fn((void **)*items + i, f->label, (ptrdiff_t)i, NULL);
        if (*items != at || *count != had) {
            at = *items;
            had = *count;
            i = (size_t)-1;
        }
    }
}

/* What the end of a child does to the list finds it empty: the nodes are back
   when all are dropped, before those that came meanwhile. */
static void
drop_slist(const hk_field *f, void **first, fields_fn fn)
{
    const hk_slist_spec *list = slist_spec(f);
    char *head = *first, *last = NULL, *next;

    *first = NULL;
    for (char *node = head; node; node = next == head ? NULL : next) {
        next = *(char **)(void *)(node + list->next_offset);
        fn((void **)(void *)(node + list->ref_offset), f->label, -1, NULL);
        last = node;
    }
    if (!head)
        return;
    if (*first)
        *(void **)(void *)(last + list->next_offset) = *first;
    *first = head;
}

void
fields_drop(const hk_field *fields, void *base, fields_fn fn)
{
    for (; fields && fields->kind != HK_END; fields++) {
        void *at = (char *)base + fields->offset;

        if (fields->kind == HK_SLIST)
            drop_slist(fields, at, fn);
        else if (fields->kind == HK_REF_ARRAY)
            drop_array(fields, base, fn);
        else if (fields->kind == HK_EMBED)
            fields_drop(embedded_table(fields), at, fn);
        else
            walk_row(fields, base, fn, NULL);
    }
}

int
fields_overlap(const hk_field *fields, size_t base, size_t from, size_t to)
{
    for (; fields && fields->kind != HK_END; fields++) {
        size_t at = base + fields->offset;
        size_t bytes = fields->kind == HK_REF_INLINE
                           ? fields->count * sizeof(void *)
                           : sizeof(void *);

        if (fields->kind == HK_EMBED
                ? fields_overlap(embedded_table(fields), at, from, to)
                : at < to && from < at + bytes)
            return 1;
    }
    return 0;
}

void
fields_walk_weakrefs(const hk_field *fields, void *base, void (*fn)(hk_weak **))
{
    for (; fields && fields->kind != HK_END; fields++) {
        void *at = (char *)base + fields->offset;

        if (fields->kind == HK_WEAKREF)
            fn(at);
        else if (fields->kind == HK_EMBED)
            fields_walk_weakrefs(embedded_table(fields), at, fn);
    }
}

int
fields_have(const hk_field *fields, int kind)
{
    for (; fields && fields->kind != HK_END; fields++)
        if (fields->kind == kind
            || (fields->kind == HK_EMBED
                && fields_have(embedded_table(fields), kind)))
            return 1;
    return 0;
}

static int
flatten_row(const hk_field *f, size_t base, uint32_t *offsets, int room)
{
    size_t n = f->kind == HK_REF ? 1 : f->count;

    switch (f->kind) {
    case HK_REF:
    case HK_REF_INLINE:
        if (n > (size_t)room || base + f->offset > UINT32_MAX - 8 * n)
            return -1;
        for (size_t i = 0; i < n; i++)
            offsets[i] = (uint32_t)(base + f->offset + i * sizeof(void *));
        return (int)n;
    case HK_EMBED:
        return fields_flatten(embedded_table(f), base + f->offset, offsets,
                              room);
    case HK_WEAK:
    case HK_WEAKREF:
        return 0;
    default:
        return -1;
    }
}

int
fields_flatten(const hk_field *fields, size_t base, uint32_t *offsets,
               int room)
{
    int n = 0, more;

    for (; fields && fields->kind != HK_END; fields++) {
        more = flatten_row(fields, base, offsets + n, room - n);
        if (more < 0)
            return -1;
        n += more;
    }
    return n;
}

/* ---- check -------------------------------------------------------------- */

static int
holds(size_t size, size_t offset, size_t bytes)
{
    return offset <= size && bytes <= size - offset;
}

static int
refuse(const char *type_name, const hk_field *f, const char *why)
{
    error_set(EINVAL, "type %s: field %s %s", type_name,
              f->label ? f->label : "(no label)", why);
    return -1;
}

static int check_table(const hk_field *fields, size_t size,
                       const char *type_name, int depth);

static int
check_embed(const hk_field *f, size_t size, const char *type_name, int depth)
{
    if (!f->count)
        return refuse(type_name, f, "embeds a struct but names no table");
    if (depth == EMBED_MAX)
        return refuse(type_name, f, "is nested too deeply");
    return check_table(embedded_table(f), size - f->offset, type_name,
                       depth + 1);
}

static int
check_row(const hk_field *f, size_t size, const char *type_name, int depth)
{
    const size_t ptr = sizeof(void *);

    if (f->kind < HK_END || f->kind > HK_WEAKREF)
        return refuse(type_name, f, "has an unknown kind");
    if (!f->label)
        return refuse(type_name, f, "needs a label");
    if (f->offset % ptr)
        return refuse(type_name, f, "is misaligned");
    if (!holds(size, f->offset, ptr))
        return refuse(type_name, f, "is outside the struct");
    if (f->kind == HK_EMBED)
        return check_embed(f, size, type_name, depth);
    if (f->kind == HK_REF_INLINE
        && (f->count == 0 || f->count > (size - f->offset) / ptr))
        return refuse(type_name, f,
                      f->count ? "is outside the struct" : "has no elements");
    if (f->kind == HK_REF_ARRAY
        && (f->count % ptr || !holds(size, f->count, sizeof(size_t))))
        return refuse(type_name, f, "has its length outside the struct");
    if (f->kind == HK_SLIST && !f->count)
        return refuse(type_name, f, "is a list but names no hk_slist_spec");
    return 0;
}

static int
check_table(const hk_field *fields, size_t size, const char *type_name,
            int depth)
{
    int row;

    for (row = 0; row < ROWS_MAX && fields[row].kind != HK_END; row++)
        if (check_row(&fields[row], size, type_name, depth))
            return -1;
    if (row < ROWS_MAX)
        return 0;
    error_set(EINVAL, "type %s: its field table has no HK_END", type_name);
    return -1;
}

int
fields_check(const hk_field *fields, size_t size, const char *type_name)
{
    return fields ? check_table(fields, size, type_name, 0) : 0;
}

/* ---- compare ------------------------------------------------------------ */

static int
rows_equal(const hk_field *a, const hk_field *b)
{
    const hk_slist_spec *x, *y;

    if (a->kind != b->kind || a->offset != b->offset
        || strcmp(a->label, b->label) != 0)
        return 0;
    if (a->kind == HK_EMBED)
        return fields_equal(embedded_table(a), embedded_table(b));
    if (a->kind != HK_SLIST)
        return a->count == b->count;
    x = slist_spec(a);
    y = slist_spec(b);
    return x->next_offset == y->next_offset && x->ref_offset == y->ref_offset;
}

int
fields_equal(const hk_field *a, const hk_field *b)
{
    if (a == b)
        return 1;
    if (!a || !b)
        return 0;
    for (; a->kind != HK_END && b->kind != HK_END; a++, b++)
        if (!rows_equal(a, b))
            return 0;
    return a->kind == b->kind;
}
