/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * diff.c -- see diff.h.
 *
 * Both sides become lists sorted by key; one merge of them is the diff.
 */
#include "reporter/diff.h"

#include <stdlib.h>
#include <string.h>

long
diff_find_snapshot(const struct recording *rec, const char *word)
{
    char *end;
    unsigned long n;

    for (size_t i = rec->snapshot_count; i-- > 0;) {
        const struct hkr_snapshot *h = &rec->snapshots[i].head;

        if (h->name && strcmp(recording_string(rec, h->name), word) == 0)
            return (long)i;
    }
    if (*word < '0' || *word > '9')
        return -1;
    n = strtoul(word, &end, 10);
    if (*end || n < 1 || n > rec->snapshot_count)
        return -1;
    return (long)n - 1;
}

/* Do modules of the same name have different build-ids? */
static int
builds_differ(const struct recording *a, const struct recording *b)
{
    for (uint32_t i = 1; i < a->module_count; i++)
        for (uint32_t k = 1; k < b->module_count; k++) {
            const struct hkr_module *m = &a->modules[i], *n = &b->modules[k];

            if (strcmp(recording_module_name(a, i),
                       recording_module_name(b, k)))
                continue;
            if (m->build_id_bytes != n->build_id_bytes
                || memcmp(m->build_id, n->build_id, m->build_id_bytes))
                return 1;
        }
    return 0;
}

/* The key of a node by names: its functions and the name of its module. */
static uint64_t
key_by_names(void *arg, uint32_t node, uint64_t parent_key)
{
    const struct names *names = arg;
    const struct recording *rec = names->rec;
    const struct hkr_node *n = &rec->nodes[node];
    const char *module = recording_module_name(rec, n->module);
    uint64_t key = analyse_hash(parent_key, module, strlen(module));
    uint64_t address = n->pc - rec->modules[n->module].bias;
    const struct sym_frame *frames;
    int count = symboliser_frames(names->sym, node, &frames);

    for (int i = 0; i < count; i++)
        if (frames[i].function)
            key = analyse_hash(key, frames[i].function,
                               strlen(frames[i].function));
        else
            key = analyse_hash(key, &address, sizeof address);
    return key;
}

static int
compare_keys(const void *va, const void *vb)
{
    const struct diff_path *a = va, *b = vb;

    return (a->key > b->key) - (a->key < b->key);
}

/* The paths of one side by key, counters in `a`; malloc'd. */
static struct diff_path *
list_paths(const struct moment *m, int by_names, size_t *count)
{
    struct diff_path *list;
    struct paths paths;

    if (paths_make(m->names.rec, &m->state, by_names ? key_by_names : NULL,
                   (void *)(uintptr_t)&m->names, &paths))
        return NULL;
    list = calloc(paths.count + 1, sizeof *list);
    for (uint32_t i = 0; list && i < paths.count; i++) {
        const struct path *p = &paths.items[i];

        list[i] = (struct diff_path){.key = p->key, .names = &m->names,
                                     .node = p->node, .stack = p->stack,
                                     .a = p->counts,
                                     .estimate_a = p->estimate};
    }
    *count = paths.count;
    if (list)
        qsort(list, *count, sizeof *list, compare_keys);
    paths_free(&paths);
    return list;
}

static void
add_total(struct stack_counts *to, const struct stack_counts *from)
{
    to->allocations += from->allocations;
    to->frees += from->frees;
    to->allocated_bytes += from->allocated_bytes;
    to->freed_bytes += from->freed_bytes;
}

static void
keep_if_changed(struct diff *d, struct diff_path *p)
{
    add_total(&d->total_a, &p->a);
    add_total(&d->total_b, &p->b);
    if (memcmp(&p->a, &p->b, sizeof p->a) == 0)
        return;
    p->error = sampling_change(&p->estimate_a, &p->estimate_b,
                               d->a->names.rec == d->b->names.rec);
    d->paths[d->path_count++] = *p;
}

/* Of a sampled recording the sum over paths is an estimate. */
static void
use_exact_totals(struct diff *d)
{
    if (sampling_used(d->a->names.rec))
        d->total_a = d->a->state.total;
    if (sampling_used(d->b->names.rec))
        d->total_b = d->b->state.total;
}

/* What was read into the place of the first side belongs to the second. */
static void
move_to_second(struct diff_path *p)
{
    p->b = p->a;
    p->estimate_b = p->estimate_a;
    memset(&p->a, 0, sizeof p->a);
    memset(&p->estimate_a, 0, sizeof p->estimate_a);
}

static void
merge_paths(struct diff *d, const struct diff_path *a, size_t a_count,
            const struct diff_path *b, size_t b_count)
{
    size_t i = 0, k = 0;

    while (i < a_count || k < b_count) {
        struct diff_path p;

        if (k == b_count || (i < a_count && a[i].key < b[k].key)) {
            p = a[i++];
        } else if (i == a_count || b[k].key < a[i].key) {
            p = b[k++];
            move_to_second(&p);
        } else {
            p = b[k++];
            move_to_second(&p);
            p.estimate_a = a[i].estimate_a;
            p.a = a[i++].a;
        }
        keep_if_changed(d, &p);
    }
}

static uint64_t
magnitude(int64_t n)
{
    return n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
}

/* Growth before shrinking would hide large frees: by size of the change, what
   sampling may have made at the end. */
static int
compare_changes(const void *va, const void *vb)
{
    const struct diff_path *a = va, *b = vb;
    uint64_t x = magnitude(diff_path_bytes(a));
    uint64_t y = magnitude(diff_path_bytes(b));
    int unsure = diff_path_is_unsure(a) - diff_path_is_unsure(b);

    if (unsure)
        return unsure;
    if (x != y)
        return x < y ? 1 : -1;
    x = b->b.allocated_bytes - b->a.allocated_bytes;
    y = a->b.allocated_bytes - a->a.allocated_bytes;
    if (x != y)
        return x > y ? 1 : -1;
    return (a->stack > b->stack) - (a->stack < b->stack);
}

static int
diff_paths(struct diff *d)
{
    size_t a_count = 0, b_count = 0;
    struct diff_path *a = list_paths(d->a, d->by_names, &a_count);
    struct diff_path *b = list_paths(d->b, d->by_names, &b_count);

    d->paths = calloc(a_count + b_count + 1, sizeof *d->paths);
    if (a && b && d->paths) {
        merge_paths(d, a, a_count, b, b_count);
        use_exact_totals(d);
        if (d->path_count)
            qsort(d->paths, d->path_count, sizeof *d->paths,
                  compare_changes);
    }
    free(a);
    free(b);
    return a && b && d->paths ? 0 : -1;
}

static int
compare_names(const void *va, const void *vb)
{
    const struct diff_type *a = va, *b = vb;

    return strcmp(a->name, b->name);
}

static int
list_types(const struct moment *m, int second, struct diff_type *list)
{
    const struct recording *rec = m->names.rec;
    int n = 0;

    for (uint32_t i = 1; i < rec->type_count; i++) {
        list[n].name = recording_string(rec, rec->types[i].name);
        if (second)
            list[n].b = m->state.types[i];
        else
            list[n].a = m->state.types[i];
        n++;
    }
    return n;
}

static int
diff_types(struct diff *d)
{
    size_t n = (size_t)d->a->names.rec->type_count
        + d->b->names.rec->type_count;
    struct diff_type *all = calloc(n, sizeof *all);
    size_t count = 0, kept = 0;

    d->types = all;
    if (!all)
        return -1;
    count = (size_t)list_types(d->a, 0, all);
    count += (size_t)list_types(d->b, 1, all + count);
    if (count)
        qsort(all, count, sizeof *all, compare_names);
    for (size_t i = 0; i < count;) {
        struct diff_type t = all[i];

        for (i++; i < count && strcmp(all[i].name, t.name) == 0; i++) {
            t.a.created += all[i].a.created;
            t.a.destroyed += all[i].a.destroyed;
            t.b.created += all[i].b.created;
            t.b.destroyed += all[i].b.destroyed;
        }
        if (memcmp(&t.a, &t.b, sizeof t.a))
            all[kept++] = t;
    }
    d->type_count = kept;
    return 0;
}

int
diff_make(const struct moment *a, const struct moment *b, struct diff *out)
{
    *out = (struct diff){.a = a, .b = b};
    out->by_names = a->names.rec != b->names.rec && a->names.sym
        && b->names.sym && builds_differ(a->names.rec, b->names.rec);
    if (diff_paths(out) || diff_types(out)) {
        diff_free(out);
        return -1;
    }
    return 0;
}

void
diff_free(struct diff *diff)
{
    free(diff->paths);
    free(diff->types);
    diff->paths = NULL;
    diff->types = NULL;
}
