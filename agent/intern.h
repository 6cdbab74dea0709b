/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * intern.h -- one 32-bit id for each distinct call stack.
 *
 * A stack is its innermost node in a trie of (parent, pc, module).  Look-up is
 * lock-free; insertion takes lock_intern for a bounded time.
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

enum { STACK_NONE = 0, STACK_LOST = 1 };
#define STACK_MAX (1u << 24) /* what the index has room for */

struct node {
    uint64_t match_pc; /* pc, with the top bit once its module is gone */
    uint32_t parent;
    uint32_t module;
};

/* One cache line, so that two stacks never share one. */
struct stack {
    uint64_t allocations, frees;
    uint64_t allocated_bytes, freed_bytes;
    uint64_t sampled_bytes, usable_bytes; /* of the sample, see account.h */
    uint32_t node;
    uint32_t flags; /* HKR_STACK_* */
    uint32_t first_ms; /* since boot_first_ns */
    uint32_t hash_high;
} __attribute__((aligned(64)));

extern struct stack *intern_stacks; /* indexed by id, reserved whole */
extern struct node *intern_nodes;

int intern_start(void);
/* pcs: innermost first, at least one. */
uint32_t intern_stack(const uintptr_t *pcs, size_t count, uint32_t flags);
uint32_t intern_stack_count(void); /* ids 1 .. count are published */
uint32_t intern_node_count(void);
/* The module with this id is gone: its nodes match nothing any more. */
void intern_forget_module(uint32_t module);

static inline uint64_t
intern_node_pc(const struct node *n)
{
    return n->match_pc & ~(UINT64_C(1) << 63);
}

#endif
