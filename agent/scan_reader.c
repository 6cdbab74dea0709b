/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_reader.c -- reads objects where they are, or copies of them.
 *
 * Called by   scan_walk.c, scan_emit.c, scan_census.c.
 * Threads     one reader, one user.
 * Memory      see scan_reader.h.
 * Fails       what cannot be read is NULL or -1.
 * Invariants  a copying reader touches no memory of the program.
 */
#include "agent/scan_reader.h"

#include <errno.h>
#include <string.h>

#include "agent/os.h"
#include "agent/scan_tables.h"

#define ITEMS 512u
#define ITEMS_MAX ((size_t)1 << 28) /* a length that is no length */
#define LIST_MAX (1 << 24)
#define ROOM_MAX ((size_t)64 << 20)

int
reader_start(struct reader *r, int is_copy)
{
    uint64_t probe = 0;

    memset(r, 0, sizeof(*r));
    r->is_copy = is_copy;
    if (!is_copy)
        return 0;
    tables_begin();
    r->copy = os_map_unforked(READER_BYTES);
    r->room = READER_BYTES;
    r->items = os_map_unforked(ITEMS * sizeof(*r->items));
    if (!r->copy || !r->items)
        return -ENOMEM;
    return tables_copy(r->copy, &probe, sizeof(probe));
}

void
reader_stop(struct reader *r)
{
    if (r->copy)
        os_unmap(r->copy, r->room);
    if (r->items)
        os_unmap(r->items, ITEMS * sizeof(*r->items));
    memset(r, 0, sizeof(*r));
}

int
reader_has_no_plan(const hk_type *type)
{
    return type->spec.traverse || !tables_plan(type);
}

static size_t
count_end(const hk_type *type)
{
    return type->spec.flags & HK_TYPE_FOREIGN
               ? type->spec.refcount_offset + type->spec.refcount_width
               : type->spec.header_offset + sizeof(hk_object);
}

size_t
reader_span(const struct reader *r, const hk_type *type)
{
    return reader_is_opaque(r, type) ? count_end(type)
                                     : tables_plan(type)->span;
}

void
reader_fetch(struct reader *r, uint64_t from, uint64_t to)
{
    from -= from % 16; /* as aligned as the objects are */
    r->length = 0;
    if (to - from > r->room ||
        tables_copy(r->copy, (const void *)(uintptr_t)from, to - from))
        return;
    r->start = from;
    r->length = to - from;
}

static void
make_room(struct reader *r, size_t bytes)
{
    char *larger = bytes > r->room && bytes <= ROOM_MAX
                       ? os_map_unforked(bytes)
                       : NULL;

    if (!larger)
        return;
    os_unmap(r->copy, r->room);
    r->copy = larger;
    r->room = bytes;
    r->length = 0;
}

const char *
reader_bytes(struct reader *r, const hk_type *type, uint64_t address)
{
    size_t span;

    if (!r->is_copy)
        return (const char *)(uintptr_t)address;
    span = reader_span(r, type);
    if (address < r->start || address + span > r->start + r->length) {
        make_room(r, span + 16);
        reader_fetch(r, address, address + span);
    }
    return address >= r->start && address + span <= r->start + r->length
               ? r->copy + (address - r->start)
               : NULL;
}

/* ---- copies ------------------------------------------------------------- */

static int
visit_one(const struct table_row *row, const void *child, ptrdiff_t index,
          hk_visit_fn visit, void *arg)
{
    return child ? visit((void *)(uintptr_t)child, row->label, index, arg) : 0;
}

static int
visit_inline(const struct table_row *row, const char *bytes,
             hk_visit_fn visit, void *arg)
{
    void *const *items = (void *const *)(const void *)(bytes + row->offset);
    int result = 0;

    for (size_t i = 0; i < row->count && !result; i++)
        result = visit_one(row, items[i], (ptrdiff_t)i, visit, arg);
    return result;
}

static int
is_enough(const struct reader *r)
{
    return r->rest && r->rest();
}

static int
visit_array(struct reader *r, const struct table_row *row, const char *bytes,
            hk_visit_fn visit, void *arg)
{
    void *const *from;
    size_t count;
    int result = 0;

    memcpy(&from, bytes + row->offset, sizeof(from));
    memcpy(&count, bytes + row->count, sizeof(count));
    for (size_t i = 0; from && i < count && !result; i += ITEMS) {
        size_t n = count - i < ITEMS ? count - i : ITEMS;

        if (i == ITEMS_MAX || is_enough(r) ||
            tables_copy(r->items, from + i, n * sizeof(*from)))
            return -1;
        for (size_t k = 0; k < n && !result; k++)
            result = visit_one(row, r->items[k], (ptrdiff_t)(i + k), visit,
                               arg);
    }
    return result;
}

/* One that has turned into a ring meanwhile, but not to its beginning, meets a
   node that was left behind (Brent 1980). */
static int
visit_list(struct reader *r, const struct table_row *row, const char *bytes,
           hk_visit_fn visit, void *arg)
{
    char *first, *node, *next, *left_behind = NULL;
    void *child;
    int result = 0;

    memcpy(&first, bytes + row->offset, sizeof(first));
    node = first;
    for (ptrdiff_t i = 0; node && !result; i++) {
        if (i == LIST_MAX || node == left_behind ||
            (i % ITEMS == ITEMS - 1 && is_enough(r)) ||
            tables_copy(&next, node + row->next_offset, sizeof(next)) ||
            tables_copy(&child, node + row->ref_offset, sizeof(child)))
            return -1;
        if (!(i & (i - 1)))
            left_behind = node;
        result = visit_one(row, child, i, visit, arg);
        node = next == first ? NULL : next;
    }
    return result;
}

static int
visit_row(struct reader *r, const struct table_row *row, const char *bytes,
          hk_visit_fn visit, void *arg)
{
    void *child;

    switch (row->kind) {
    case HK_REF:
        memcpy(&child, bytes + row->offset, sizeof(child));
        return visit_one(row, child, -1, visit, arg);
    case HK_REF_INLINE:
        return visit_inline(row, bytes, visit, arg);
    case HK_REF_ARRAY:
        return visit_array(r, row, bytes, visit, arg);
    default:
        return visit_list(r, row, bytes, visit, arg);
    }
}

int
reader_traverse(struct reader *r, const hk_type *type, const char *bytes,
                hk_visit_fn visit, void *arg)
{
    const struct table_plan *plan;
    int result = 0;

    if (!r->is_copy)
        return type_traverse(type, (void *)(uintptr_t)bytes, visit, arg);
    plan = type->spec.traverse ? NULL : tables_plan(type);
    for (size_t i = 0; plan && i < plan->count && !result; i++)
        result = visit_row(r, &plan->rows[i], bytes, visit, arg);
    return result;
}
