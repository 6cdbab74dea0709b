/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * analyse.c -- paths: stacks with equal frames are one.  See analyse.h.
 *
 * Since a node's parent has a smaller id, one pass over the trie gives every
 * node the hash of all its frames.
 */
#include "reporter/analyse.h"

#include <stdlib.h>
#include <string.h>

uint64_t
analyse_hash(uint64_t seed, const void *bytes, size_t count)
{
    const uint8_t *p = bytes;
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u;

    for (size_t i = 0; i < count; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static uint64_t
hash_module(const struct recording *rec, uint32_t module)
{
    const struct hkr_module *m = &rec->modules[module];
    const char *name = recording_module_name(rec, module);

    if (m->build_id_bytes)
        return analyse_hash(1, m->build_id, m->build_id_bytes);
    return analyse_hash(2, name, strlen(name));
}

static uint64_t
hash_node(const struct recording *rec, const uint64_t *modules,
          uint32_t node, uint64_t parent_key)
{
    const struct hkr_node *n = &rec->nodes[node];
    uint64_t words[2] = {modules[n->module],
                         n->pc - rec->modules[n->module].bias};

    return analyse_hash(parent_key, words, sizeof words);
}

static uint64_t *
hash_modules(const struct recording *rec)
{
    uint64_t *modules = calloc(rec->module_count, sizeof *modules);

    for (uint32_t i = 0; modules && i < rec->module_count; i++)
        modules[i] = hash_module(rec, i);
    return modules;
}

/* The key of every node; malloc'd. */
static uint64_t *
hash_nodes(const struct recording *rec, node_key_fn key, void *arg)
{
    uint64_t *modules = hash_modules(rec);
    uint64_t *keys = calloc(rec->node_count, sizeof *keys);

    if (!modules || !keys) {
        free(modules);
        free(keys);
        return NULL;
    }
    for (uint32_t i = 1; i < rec->node_count; i++) {
        uint64_t above = keys[rec->nodes[i].parent];

        keys[i] = key ? key(arg, i, above)
                      : hash_node(rec, modules, i, above);
    }
    free(modules);
    return keys;
}

/* An open-addressing table from key to path number + 1. */
struct key_table {
    uint32_t *slots;
    uint64_t mask;
};

static uint32_t *
find_slot(const struct key_table *table, const struct paths *paths,
          uint64_t key)
{
    uint64_t i = key & table->mask;

    while (table->slots[i] && paths->items[table->slots[i] - 1].key != key)
        i = (i + 1) & table->mask;
    return &table->slots[i];
}

static int
table_make(struct key_table *table, uint32_t entries)
{
    table->mask = 63;
    while (table->mask < (uint64_t)entries * 2)
        table->mask = table->mask * 2 + 1;
    table->slots = calloc(table->mask + 1, sizeof *table->slots);
    return table->slots ? 0 : -1;
}

static void
add_counts(struct stack_counts *to, const struct stack_counts *from)
{
    to->allocations += from->allocations;
    to->frees += from->frees;
    to->allocated_bytes += from->allocated_bytes;
    to->freed_bytes += from->freed_bytes;
}

/* One past the last path stands for none: arrays have room for it. */
static void
settle_pathless(struct paths *paths)
{
    for (uint32_t i = 0; i < paths->stack_count; i++)
        if (paths->of_stack[i] > paths->count)
            paths->of_stack[i] = paths->count;
}

static void
add_stack(const struct recording *rec, const struct state *state,
          const uint64_t *keys, const struct key_table *table, uint32_t stack,
          struct paths *out)
{
    uint32_t node = recording_visible_node(rec, rec->stacks[stack].node);
    uint64_t key = node ? keys[node] : 0;
    uint32_t *slot = find_slot(table, out, key);
    struct estimate e;
    struct path *p;

    if (rec->stacks[stack].flags & HKR_STACK_UNSAMPLED) {
        out->of_stack[stack] = UINT32_MAX;
        return;
    }
    if (!*slot) {
        p = &out->items[out->count++];
        *p = (struct path){.key = key, .node = node, .stack = stack};
        *slot = out->count;
    }
    p = &out->items[*slot - 1];
    p->flags |= rec->stacks[stack].flags;
    add_counts(&p->counts, &state->stacks[stack]);
    e = sampling_estimate(&rec->stacks[stack], &state->stacks[stack],
                          state->latest);
    sampling_add(&p->estimate, &e);
    out->of_stack[stack] = *slot - 1;
}

int
paths_make(const struct recording *rec, const struct state *state,
           node_key_fn key, void *arg, struct paths *out)
{
    uint64_t *keys = hash_nodes(rec, key, arg);
    struct key_table table = {0};
    int result = -1;

    *out = (struct paths){.stack_count = rec->stack_count};
    out->items = calloc(rec->stack_count, sizeof *out->items);
    out->of_stack = calloc(rec->stack_count, sizeof *out->of_stack);
    if (keys && out->items && out->of_stack
        && table_make(&table, rec->stack_count) == 0) {
        for (uint32_t i = 1; i < rec->stack_count; i++)
            add_stack(rec, state, keys, &table, i, out);
        settle_pathless(out);
        result = 0;
    }
    free(keys);
    free(table.slots);
    if (result)
        paths_free(out);
    return result;
}

void
paths_free(struct paths *paths)
{
    free(paths->items);
    free(paths->of_stack);
    *paths = (struct paths){0};
}

static int
compare_numbers(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

struct rank {
    uint64_t live, ever;
    uint32_t stack, path;
};

static int
compare_ranks(const void *va, const void *vb)
{
    const struct rank *a = va, *b = vb;
    int order = compare_numbers(b->live, a->live);

    if (order == 0)
        order = compare_numbers(b->ever, a->ever);
    return order ? order : compare_numbers(a->stack, b->stack);
}

uint32_t *
paths_by_live_bytes(const struct paths *paths)
{
    uint32_t *order = calloc(paths->count + 1, sizeof *order);
    struct rank *ranks = calloc(paths->count + 1, sizeof *ranks);

    if (!order || !ranks) {
        free(order);
        free(ranks);
        return NULL;
    }
    for (uint32_t i = 0; i < paths->count; i++) {
        const struct path *p = &paths->items[i];

        ranks[i] = (struct rank){counts_live_bytes(&p->counts),
                                 p->counts.allocated_bytes, p->stack, i};
    }
    qsort(ranks, paths->count, sizeof *ranks, compare_ranks);
    for (uint32_t i = 0; i < paths->count; i++)
        order[i] = ranks[i].path;
    free(ranks);
    return order;
}
