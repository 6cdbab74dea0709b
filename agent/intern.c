/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * intern.c -- frames[] -> stack id, stable and without duplicates.
 *
 * Two open-addressing tables: whole stacks by the hash of their pcs (the
 * common path: one probe, then a compare along the parents), and trie nodes
 * by (parent, pc) (insertion only).  Tables double in new memory and are then
 * published by one pointer; the old ones stay for readers that still look.
 *
 * Called by   account.c, host.c.
 * Threads     look-up lock-free; insertion under lock_intern, for at most
 *             LOCK_WAIT_NS.
 * Memory      meta.c; arrays are reserved whole, touched as they fill.
 * Fails       STACK_LOST, counted as stack_table_full.
 */
#include "agent/intern.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/modules.h"
#include "agent/os.h"
#include "agent/retire.h"

#define NODE_MAX (1u << 25)
#define TABLE_START 4096u
#define LOCK_WAIT_NS 2000000u

struct table {
    uint32_t mask;
    uint32_t ids[];
};

struct stack *intern_stacks;
struct node *intern_nodes;
static struct table *stack_table, *node_table;
static uint32_t stack_count, node_count;

static struct table *
make_table(uint32_t entries)
{
    size_t bytes = sizeof(struct table) + entries * sizeof(uint32_t);
    struct table *t = meta_commit(bytes) ? meta_reserve(bytes) : NULL;

    if (t)
        t->mask = entries - 1;
    return t;
}

int
intern_start(void)
{
    intern_stacks = meta_reserve(STACK_MAX * sizeof(struct stack));
    intern_nodes = meta_reserve(NODE_MAX * sizeof(struct node));
    stack_table = make_table(TABLE_START);
    node_table = make_table(TABLE_START);
    stack_count = STACK_LOST;
    return intern_stacks && intern_nodes && stack_table && node_table;
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

static int
stack_equals(const struct stack *s, const uintptr_t *pcs, size_t count)
{
    uint32_t node = s->node;

    for (size_t i = 0; i < count; i++) {
        if (!node || intern_nodes[node].match_pc != pcs[i])
            return 0;
        node = intern_nodes[node].parent;
    }
    return node == 0;
}

/* The id of an equal stack, or 0 with the place where it would go. */
static uint32_t
find_stack(const struct table *t, uint64_t hash, const uintptr_t *pcs,
           size_t count, uint32_t *place)
{
    uint32_t i = (uint32_t)hash & t->mask, id;

    for (;; i = (i + 1) & t->mask) {
        id = __atomic_load_n(&t->ids[i], __ATOMIC_ACQUIRE);
        *place = i;
        if (!id)
            return 0;
        if (intern_stacks[id].hash_high == (uint32_t)(hash >> 32) &&
            stack_equals(&intern_stacks[id], pcs, count))
            return id;
    }
}

static uint64_t
hash_stack(uint32_t id)
{
    static uintptr_t pcs[256]; /* lock_intern is held */
    size_t n = 0;

    for (uint32_t node = intern_stacks[id].node; node && n < 256;
         node = intern_nodes[node].parent)
        pcs[n++] = intern_node_pc(&intern_nodes[node]);
    return XXH3_64bits(pcs, n * sizeof(pcs[0]));
}

static uint64_t
hash_edge(uint32_t parent, uintptr_t pc)
{
    uint64_t h = (pc ^ (uint64_t)parent << 40) * 0x9E3779B97F4A7C15u;

    return h ^ h >> 29;
}

static uint64_t
hash_node(uint32_t id)
{
    return hash_edge(intern_nodes[id].parent,
                     intern_node_pc(&intern_nodes[id]));
}

/* Keeps a table at most half full. */
static int
grow_locked(struct table **table, uint32_t count, uint64_t (*hash)(uint32_t),
            uint32_t first)
{
    struct table *old = *table, *t;

    if (count < old->mask / 2)
        return 1;
    t = make_table((old->mask + 1) * 4);
    if (!t)
        return count < old->mask - 1;
    for (uint32_t id = first; id <= count; id++) {
        uint32_t i = (uint32_t)hash(id) & t->mask;

        while (t->ids[i])
            i = (i + 1) & t->mask;
        t->ids[i] = id;
    }
    __atomic_store_n(table, t, __ATOMIC_RELEASE);
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

    if (!grow_locked(&node_table, node_count, hash_node, 1))
        return 0;
    i = (uint32_t)hash_edge(parent, pc) & node_table->mask;
    for (; (id = node_table->ids[i]) != 0; i = (i + 1) & node_table->mask)
        if (intern_nodes[id].parent == parent &&
            intern_nodes[id].match_pc == pc)
            return id;
    return make_node_locked(parent, pc, i);
}

static uint32_t
make_stack_locked(const uintptr_t *pcs, size_t count, uint32_t flags,
                  uint64_t hash, uint32_t place)
{
    uint32_t id = stack_count + 1, node = 0;
    uint64_t now;
    struct stack *s = &intern_stacks[id];

    for (size_t i = count; i-- > 0;) {
        node = child_locked(node, pcs[i]);
        if (!node)
            return 0;
    }
    if (id >= STACK_MAX || !meta_commit(sizeof(*s)))
        return 0;
    s->node = node;
    s->flags = flags;
    s->hash_high = (uint32_t)(hash >> 32);
    now = os_now_coarse_ns(); /* may be a tick behind */
    s->first_ms = now > boot_first_ns
                      ? (uint32_t)((now - boot_first_ns) / 1000000)
                      : 0;
    __atomic_store_n(&stack_count, id, __ATOMIC_RELEASE);
    __atomic_store_n(&stack_table->ids[place], id, __ATOMIC_RELEASE);
    return id;
}

static uint32_t
insert(const uintptr_t *pcs, size_t count, uint32_t flags, uint64_t hash)
{
    static uint32_t is_said;
    uint32_t id = 0, place;

    for (size_t i = 0; i < count; i++)
        if (!modules_find(pcs[i] - 1)) {
            modules_refresh();
            break;
        }
    if (lock_take(&lock_intern, LOCK_WAIT_NS)) {
        if (grow_locked(&stack_table, stack_count, hash_stack, STACK_LOST + 1))
            id = find_stack(stack_table, hash, pcs, count, &place);
        else
            place = UINT32_MAX;
        if (!id && place != UINT32_MAX)
            id = make_stack_locked(pcs, count, flags, hash, place);
        lock_release(&lock_intern);
        if (!id && !__atomic_exchange_n(&is_said, 1, __ATOMIC_RELAXED))
            degrade("no room for more call stacks (memory=): further ones "
                    "are counted together");
    }
    if (id)
        return id;
    count_add(HKC_stack_table_full, 1);
    return STACK_LOST;
}

uint32_t
intern_stack(const uintptr_t *pcs, size_t count, uint32_t flags)
{
    uint64_t hash = XXH3_64bits(pcs, count * sizeof(pcs[0]));
    const struct table *t = __atomic_load_n(&stack_table, __ATOMIC_ACQUIRE);
    uint32_t place, id = find_stack(t, hash, pcs, count, &place);

    return __builtin_expect(id != 0, 1) ? id
                                        : insert(pcs, count, flags, hash);
}

void
intern_forget_module(uint32_t module)
{
    uint32_t count = intern_node_count();

    for (uint32_t i = 1; i <= count; i++)
        if (intern_nodes[i].module == module)
            __atomic_fetch_or(&intern_nodes[i].match_pc, UINT64_C(1) << 63,
                              __ATOMIC_RELAXED);
}
