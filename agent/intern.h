/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * intern.h -- one 32-bit id for each distinct call stack.
 *
 * A stack is its innermost node in a trie of (parent, pc, module).  It is
 * looked up by a hash of 64 bits, summed over its pcs from the outermost one
 * inwards, so that whoever knows the sum of a stack's outer part goes on from
 * there.  Equal hashes are taken for equal stacks: among a million stacks the
 * odds of one such mistake are 3e-8.
 *
 * Look-up is lock-free; insertion takes lock_intern for a bounded time.
 *
 * Fails       intern_stack returns STACK_LOST when the table is full or busy
 *             (counted); that stack has no frames.
 * Invariants  ids are dense from 1; what is published never changes, but the
 *             counters.  A node's parent has a smaller id.
 */
#ifndef HK_AGENT_INTERN_H
#define HK_AGENT_INTERN_H

#include <stddef.h>
#include <stdint.h>

#include "format/recording.h"

/* STACK_UNSAMPLED: all blocks that were not sampled; an ordinary stack where
   nothing is. */
enum { STACK_NONE = 0, STACK_LOST = 1, STACK_UNSAMPLED = 2 };
#define STACK_MAX (1u << 24) /* what the index has room for */

#define NODE_GONE (UINT64_C(1) << 63)

struct node {
    uint64_t match_pc; /* pc, with NODE_GONE once its module is */
    uint32_t parent;
    uint32_t module;
};

/* One cache line, so that two stacks never share one.  The first four are what
   no thread's ledger has (ledger.h); lane_tally() adds all up. */
struct stack {
    uint64_t allocations, frees;
    uint64_t allocated_bytes, freed_bytes;
    uint64_t sampled_bytes, usable_bytes; /* of the sample, see account.h */
    uint32_t node;
    uint32_t flags; /* HKR_STACK_* */
    uint32_t first_ms; /* since boot_first_ns */
    uint32_t rate; /* sampler.h */
} __attribute__((aligned(64)));

/* Of a stack with a rate: the sampled blocks themselves, while its own counters
   say what they stand for (blocks in units of SAMPLER_ONE). */
struct samples {
    uint64_t allocations, frees;
    uint64_t allocated_bytes, freed_bytes;
};

extern struct samples *intern_samples; /* by id; NULL without sampling */
extern struct stack *intern_stacks; /* indexed by id, reserved whole */
extern struct node *intern_nodes;

int intern_start(void);
/* pcs: innermost first, at least one.  rate: sampler.h. */
uint32_t intern_stack(const uintptr_t *pcs, size_t count, uint32_t flags,
                      uint32_t rate);
/* The frames of a stack, from the outermost one: up to `node`, which is known
   (0: none is), and then count more, pcs[0], pcs[stride], and so on. */
struct intern_path {
    uint32_t node;
    const uintptr_t *pcs;
    ptrdiff_t stride;
    size_t count;
    uint32_t *nodes; /* gets the nodes of those, unless it is NULL */
};
/* Where the hash is known already, and intern_find had no answer.  Without an
   answer nodes may be filled in part, the rest is 0. */
uint32_t intern_insert(const struct intern_path *path, uint32_t flags,
                       uint32_t rate, uint64_t hash);
uint32_t intern_stack_count(void); /* ids 1 .. count are published */
uint32_t intern_node_count(void);
/* The module with this id is gone: its nodes match nothing any more. */
void intern_forget_module(uint32_t module);

struct stack_entry {
    uint64_t hash; /* 0: free */
    uint32_t id, pad;
};
struct stack_table {
    uint32_t mask, pad;
    struct stack_entry entries[];
};
extern struct stack_table *intern_table;

/*
 * A polynomial over the pcs, modulo 2^64: from the sums P at two frames follows
 * that of the frames between them, P[n] - P[m] * K^(n - m), so a stack of which
 * only the innermost frames are kept costs no more than another.
 */
#define INTERN_K UINT64_C(0x9FB21C651E98DF25)

static inline uint64_t
intern_hash_step(uint64_t sum, uintptr_t pc)
{
    uint64_t x = pc * UINT64_C(0xC2B2AE3D27D4EB4F);

    return sum * INTERN_K + (x ^ x >> 32);
}

/* The same frames are another stack at another rate, or with more outside. */
static inline uint64_t
intern_hash_end(uint64_t sum, int is_truncated, uint32_t rate)
{
    uint64_t h = sum + (2 * (uint64_t)rate + (uint64_t)is_truncated) *
                           UINT64_C(0x9E3779B97F4A7C15);

    h = (h ^ h >> 31) * UINT64_C(0x7FB5D329728EA185);
    return h ^ h >> 29;
}

/* The id of the stack with this hash, or 0. */
static inline uint32_t
intern_find(uint64_t hash)
{
    const struct stack_table *t =
        __atomic_load_n(&intern_table, __ATOMIC_ACQUIRE);
    uint32_t i = (uint32_t)hash & t->mask;

    for (;; i = (i + 1) & t->mask) {
        uint64_t there =
            __atomic_load_n(&t->entries[i].hash, __ATOMIC_ACQUIRE);

        if (__builtin_expect(there == hash, 1))
            return t->entries[i].id;
        if (!there)
            return 0;
    }
}

static inline uint64_t
intern_node_pc(const struct node *n)
{
    return n->match_pc & ~NODE_GONE;
}

#endif
