/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * intern.c -- frames[] -> stack id, stable and without duplicates.
 *
 * Two open-addressing tables: whole stacks by hash (the common path: one
 * probe), and trie nodes by (parent, pc), for insertion only.  Tables grow in
 * new memory and are then published by one pointer; the old ones stay for
 * readers that still look.
 *
 * Called by   capture.c; modules.c when an object is gone.
 * Threads     look-up lock-free; insertion under lock_intern, for at most
 *             LOCK_WAIT_NS.
 * Memory      meta.c; arrays are reserved whole, touched as they fill.
 * Fails       STACK_LOST, counted as stack_table_full.
 */
#include "agent/intern.h"

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/modules.h"
#include "agent/os.h"
#include "agent/retire.h"
#include "agent/sampler.h"

#define NODE_MAX (1u << 25)
#define TABLE_START 4096u
#define LOCK_WAIT_NS 20000000u
#define FORGET_WAIT_NS 100000000u
#define FORGOTTEN 1u /* as a hash: matches none */

struct node_table {
    uint32_t mask;
    uint32_t ids[];
};

struct stack *intern_stacks;
struct samples *intern_samples;
struct node *intern_nodes;
struct stack_table *intern_table;
static struct node_table *node_table;
static uint32_t stack_count, node_count;

static void *
make_table(size_t head_bytes, size_t entry_bytes, uint32_t entries)
{
    size_t bytes = head_bytes + entries * entry_bytes;

    return meta_commit(bytes) ? meta_reserve(bytes) : NULL;
}

static struct stack_table *
make_stack_table(uint32_t entries)
{
    struct stack_table *t =
        make_table(sizeof(*t), sizeof(t->entries[0]), entries);

    if (t)
        t->mask = entries - 1;
    return t;
}

static struct node_table *
make_node_table(uint32_t entries)
{
    struct node_table *t = make_table(sizeof(*t), sizeof(t->ids[0]), entries);

    if (t)
        t->mask = entries - 1;
    return t;
}

int
intern_start(void)
{
    intern_stacks = meta_reserve(STACK_MAX * sizeof(struct stack));
    intern_nodes = meta_reserve(NODE_MAX * sizeof(struct node));
    intern_table = make_stack_table(TABLE_START);
    node_table = make_node_table(TABLE_START);
    if (sampler_is_used)
        intern_samples = meta_reserve(STACK_MAX * sizeof(struct samples));
    if (!intern_stacks || !intern_nodes || !intern_table || !node_table ||
        (sampler_is_used && !intern_samples))
        return 0;
    stack_count = STACK_LOST;
    if (sampler_is_used) {
        stack_count = STACK_UNSAMPLED;
        intern_stacks[STACK_UNSAMPLED].flags = HKR_STACK_UNSAMPLED;
    }
    return 1;
}

uint32_t
intern_stack_count(void)
{
    return __atomic_load_n(&stack_count, __ATOMIC_ACQUIRE);
}

uint32_t
intern_node_count(void)
{
    return __atomic_load_n(&node_count, __ATOMIC_ACQUIRE);
}

static uint64_t
hash_edge(uint32_t parent, uintptr_t pc)
{
    uint64_t h = (pc ^ (uint64_t)parent << 40) * 0x9E3779B97F4A7C15u;

    return h ^ h >> 29;
}

static void
put_stack(struct stack_table *t, uint64_t hash, uint32_t id)
{
    uint32_t i = (uint32_t)hash & t->mask;

    while (t->entries[i].hash)
        i = (i + 1) & t->mask;
    t->entries[i].id = id;
    __atomic_store_n(&t->entries[i].hash, hash, __ATOMIC_RELEASE);
}

/* Keeps a table at most half full.  0: it is full. */
static int
grow_stacks_locked(void)
{
    struct stack_table *old = intern_table, *t;

    if (stack_count < old->mask / 2)
        return 1;
    t = make_stack_table((old->mask + 1) * 4);
    if (!t)
        return stack_count < old->mask - 1;
    for (uint32_t i = 0; i <= old->mask; i++)
        if (old->entries[i].hash > FORGOTTEN)
            put_stack(t, old->entries[i].hash, old->entries[i].id);
    __atomic_store_n(&intern_table, t, __ATOMIC_RELEASE);
    return 1;
}

static int
grow_nodes_locked(void)
{
    struct node_table *old = node_table, *t;

    if (node_count < old->mask / 2)
        return 1;
    t = make_node_table((old->mask + 1) * 4);
    if (!t)
        return node_count < old->mask - 1;
    for (uint32_t id = 1; id <= node_count; id++) {
        const struct node *n = &intern_nodes[id];
        uint64_t hash = hash_edge(n->parent, intern_node_pc(n));
        uint32_t i = (uint32_t)hash & t->mask;

        while (t->ids[i])
            i = (i + 1) & t->mask;
        t->ids[i] = id;
    }
    __atomic_store_n(&node_table, t, __ATOMIC_RELEASE);
    return 1;
}

static uint32_t
make_node_locked(uint32_t parent, uintptr_t pc, uint32_t place)
{
    uint32_t id = node_count + 1;
    struct node *n = &intern_nodes[id];

    if (id >= NODE_MAX || !meta_commit(sizeof(*n)))
        return 0;
    n->match_pc = pc;
    n->parent = parent;
    n->module = modules_find(pc - 1);
    node_table->ids[place] = id;
    __atomic_store_n(&node_count, id, __ATOMIC_RELEASE);
    return id;
}

static uint32_t
child_locked(uint32_t parent, uintptr_t pc)
{
    uint32_t i, id;

    if (!grow_nodes_locked())
        return 0;
    i = (uint32_t)hash_edge(parent, pc) & node_table->mask;
    for (; (id = node_table->ids[i]) != 0; i = (i + 1) & node_table->mask)
        if (intern_nodes[id].parent == parent &&
            intern_nodes[id].match_pc == pc)
            return id;
    return make_node_locked(parent, pc, i);
}

static uint32_t
make_stack_locked(const struct intern_path *path, uint32_t flags,
                  uint32_t rate, uint64_t hash)
{
    uint32_t id = stack_count + 1, node = path->node;
    const uintptr_t *pc = path->pcs;
    uint64_t now;
    struct stack *s = &intern_stacks[id];

    for (size_t i = 0; i < path->count; i++, pc += path->stride) {
        node = child_locked(node, *pc);
        if (!node)
            return 0;
        if (path->nodes)
            path->nodes[i] = node;
    }
    if (id >= STACK_MAX ||
        !meta_commit(sizeof(*s) + (rate ? sizeof(struct samples) : 0)))
        return 0;
    s->node = node;
    s->flags = flags;
    s->rate = rate;
    if (flags & HKR_STACK_TRUNCATED)
        count_add(HKC_truncated_stacks, 1);
    now = os_now_coarse_ns(); /* may be a tick behind */
    s->first_ms = now > boot_first_ns
                      ? (uint32_t)((now - boot_first_ns) / 1000000)
                      : 0;
    __atomic_store_n(&stack_count, id, __ATOMIC_RELEASE);
    put_stack(intern_table, hash, id);
    return id;
}

/* Asks the loader, so without our lock. */
static void
find_modules(const struct intern_path *path)
{
    for (size_t i = 0; i < path->count; i++) {
        uintptr_t pc = path->pcs[(ptrdiff_t)i * path->stride];

        if (!modules_find(pc - 1))
            modules_refresh_for(pc - 1);
    }
}

uint32_t
intern_insert(const struct intern_path *path, uint32_t flags, uint32_t rate,
              uint64_t hash)
{
    uint32_t id = 0;

    find_modules(path);
    if (!lock_take(&lock_intern, LOCK_WAIT_NS)) {
        count_add(HKC_stack_table_full, 1);
        return STACK_LOST;
    }
    id = intern_find(hash);
    if (!id && grow_stacks_locked())
        id = make_stack_locked(path, flags, rate, hash);
    lock_release(&lock_intern);
    if (id)
        return id;
    if (meta_may_say())
        degrade("no room for more call stacks (memory=): further ones are "
                "counted together");
    count_add(HKC_stack_table_full, 1);
    return STACK_LOST;
}

uint32_t
intern_stack(const uintptr_t *pcs, size_t count, uint32_t flags,
             uint32_t rate)
{
    struct intern_path path = {.pcs = pcs + count - 1, .stride = -1,
                               .count = count};
    uint64_t hash = 0;
    uint32_t id;

    for (size_t i = count; i-- > 0;)
        hash = intern_hash_step(hash, pcs[i]);
    hash = intern_hash_end(hash, flags & HKR_STACK_TRUNCATED, rate);
    id = intern_find(hash);
    return __builtin_expect(id != 0, 1)
               ? id
               : intern_insert(&path, flags, rate, hash);
}

/* Marks the nodes of a module and all inside them, so that they match nothing
   any more; how many. */
static uint32_t
forget_nodes(uint32_t module)
{
    uint32_t count = intern_node_count(), found = 0;

    for (uint32_t i = 1; i <= count; i++) {
        struct node *n = &intern_nodes[i];

        if (n->module != module &&
            !(intern_nodes[n->parent].match_pc & NODE_GONE))
            continue;
        __atomic_fetch_or(&n->match_pc, NODE_GONE, __ATOMIC_RELAXED);
        found++;
    }
    return found;
}

static void
forget_stacks_locked(void)
{
    struct stack_table *t = intern_table;

    for (uint32_t i = 0; i <= t->mask; i++) {
        struct stack_entry *e = &t->entries[i];

        if (e->hash && intern_nodes[intern_stacks[e->id].node].match_pc &
                           NODE_GONE)
            __atomic_store_n(&e->hash, FORGOTTEN, __ATOMIC_RELEASE);
    }
}

void
intern_forget_module(uint32_t module)
{
    if (forget_nodes(module) && lock_take(&lock_intern, FORGET_WAIT_NS)) {
        forget_stacks_locked();
        lock_release(&lock_intern);
    }
}
