/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_tables.c -- copies tables of fields out of the program.
 *
 * Called by   scan_reader.c.
 * Threads     the agent's only.
 * Memory      pool, never returned: a plan for each type.
 * Fails       NULL; asked again at the next scan.
 * Invariants  whatever is the program's is read through the kernel.  A plan
 *             does not lead out of the object: where the table was there may be
 *             anything by now.
 */
#include "agent/scan_tables.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "agent/os.h"
#include "agent/pool.h"

#define ROWS_MAX 4096u
#define LABEL_MAX 200u
#define DEPTH_MAX 16
#define PAGE 4096u

static const struct table_plan *plans[65536];
static uint32_t failed[65536]; /* scan in which there was none */
static uint32_t scan = 1;

int
tables_copy(void *to, const void *from, size_t bytes)
{
    struct iovec here = {to, bytes}, there = {(void *)(uintptr_t)from, bytes};
    long got = os_call(SYS_process_vm_readv, os_getpid(), (long)&here, 1,
                       (long)&there, 1, 0);

    if (got < 0)
        return (int)got;
    return (size_t)got == bytes ? 0 : -EFAULT;
}

/* A page at a time: what follows the end may not be there. */
void
tables_text(char *to, size_t room, const char *from)
{
    size_t have = 0;

    while (have < room - 1 && !memchr(to, '\0', have)) {
        size_t n = PAGE - (uintptr_t)(from + have) % PAGE;

        if (n > room - 1 - have)
            n = room - 1 - have;
        if (tables_copy(to + have, from + have, n))
            break;
        have += n;
    }
    to[have] = '\0';
}

static const char *
keep_text(const char *from)
{
    char text[LABEL_MAX + 1] = "", *copy;

    tables_text(text, sizeof(text), from);
    copy = pool_alloc(strlen(text) + 1);
    if (copy)
        strcpy(copy, text);
    return copy;
}

struct draft {
    struct table_row *rows;
    size_t count, span;
    size_t size; /* of the object */
    size_t read; /* rows, of all tables */
};

static void
see(struct draft *d, size_t end)
{
    if (end > d->span)
        d->span = end;
}

/* 0, or -1: not inside of the object. */
static int
see_field(struct draft *d, size_t offset, size_t count, size_t each)
{
    if (offset > d->size || count > (d->size - offset) / each)
        return -1;
    see(d, offset + count * each);
    return 0;
}

static int
see_row(struct draft *d, const struct table_row *row)
{
    switch (row->kind) {
    case HK_REF:
    case HK_SLIST:
        return see_field(d, row->offset, 1, sizeof(void *));
    case HK_REF_INLINE:
        return see_field(d, row->offset, row->count, sizeof(void *));
    case HK_REF_ARRAY:
        return see_field(d, row->offset, 1, sizeof(void *)) ||
                       see_field(d, row->count, 1, sizeof(size_t))
                   ? -1
                   : 0;
    default:
        return -1;
    }
}

static int
add_row(struct draft *d, const hk_field *f, size_t base)
{
    struct table_row *row = &d->rows[d->count];
    hk_slist_spec list = {0, 0};

    row->kind = f->kind;
    row->offset = base + f->offset;
    row->count = f->kind == HK_REF_ARRAY ? base + f->count : f->count;
    if (see_row(d, row) ||
        (f->kind == HK_SLIST &&
         tables_copy(&list, (const void *)f->count, sizeof(list)))) /* NOLINT */
        return -1;
    row->next_offset = list.next_offset;
    row->ref_offset = list.ref_offset;
    row->label = keep_text(f->label);
    d->count += row->label != NULL;
    return row->label ? 0 : -1;
}

static int
add_table(struct draft *d, const hk_field *table, size_t base, int depth)
{
    hk_field f;

    for (size_t i = 0; table && d->read < ROWS_MAX; i++, d->read++) {
        if (tables_copy(&f, &table[i], sizeof(f)))
            return -1;
        if (f.kind == HK_END)
            return 0;
        if (f.kind == HK_EMBED) {
            if (depth == DEPTH_MAX || f.offset > d->size - base ||
                add_table(d, (const hk_field *)f.count, /* NOLINT */
                          base + f.offset, depth + 1))
                return -1;
        } else if (f.kind != HK_WEAK && f.kind != HK_WEAKREF &&
                   add_row(d, &f, base))
            return -1;
    }
    return table ? -1 : 0;
}

static struct table_plan *
make_plan(const hk_type *type, struct draft *d)
{
    struct table_plan *plan;

    if (type->spec.flags & HK_TYPE_FOREIGN)
        see(d, type->spec.refcount_offset + type->spec.refcount_width);
    else
        see(d, type->spec.header_offset + sizeof(hk_object));
    plan = add_table(d, type->spec.fields, 0, 0)
               ? NULL
               : pool_alloc(sizeof(*plan) + d->count * sizeof(*d->rows));
    if (!plan) {
        while (d->count)
            pool_free((void *)(uintptr_t)d->rows[--d->count].label);
        return NULL;
    }
    plan->span = d->span;
    plan->count = d->count;
    memcpy(plan->rows, d->rows, d->count * sizeof(*d->rows));
    return plan;
}

void
tables_begin(void)
{
    scan++;
}

const struct table_plan *
tables_plan(const hk_type *type)
{
    struct draft d = {NULL, 0, 0, type->spec.size, 0};

    if (plans[type->id] || type->spec.traverse || failed[type->id] == scan)
        return plans[type->id];
    d.rows = os_map(ROWS_MAX * sizeof(*d.rows));
    if (d.rows) {
        plans[type->id] = make_plan(type, &d);
        os_unmap(d.rows, ROWS_MAX * sizeof(*d.rows));
    }
    if (!plans[type->id])
        failed[type->id] = scan;
    return plans[type->id];
}
