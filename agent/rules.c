/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.c -- the table of frame rules.
 *
 * Open addressing.  An entry is claimed by one compare-and-swap of its pc,
 * which stays; its rule is one word, so that a reader sees an old one, a new
 * one, or none.  A table grows in new memory and is published by one
 * pointer; the old ones stay for readers that still look.
 *
 * Called by   trail.c, with the guard held; modules.c when its list changed.
 * Threads     look-up and learning lock-free; growth by whoever takes
 *             lock_rules at once.
 * Memory      meta.c.
 * Fails       RULE_SLOW, or a rule that is not kept.
 */
#include "agent/rules.h"

#include "agent/cfi.h"
#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/modules.h"

#define TABLE_BITS 12
#define PROBES 16u
#define GUESSES (1u << 17) /* a JIT has no end of addresses */

struct rule_table *rules_table;
uint64_t rules_generation = 1u << RULE_GENERATION_SHIFT;

static struct rule_table *
make_table(unsigned bits)
{
    size_t bytes = sizeof(struct rule_table) +
                   ((size_t)1 << bits) * sizeof(struct rule_entry);
    struct rule_table *t = meta_commit(bytes) ? meta_reserve(bytes) : NULL;

    if (t) {
        t->mask = (1u << bits) - 1;
        t->shift = 64 - bits;
    }
    return t;
}

int
rules_start(void)
{
#if defined(__x86_64__)
    rules_table = make_table(TABLE_BITS);
#endif
    return rules_table != NULL;
}

void
rules_forget(void)
{
    uint64_t next = rules_generation + (1u << RULE_GENERATION_SHIFT);

    next &= RULE_GENERATION;
    __atomic_store_n(&rules_generation,
                     next ? next : 1u << RULE_GENERATION_SHIFT,
                     __ATOMIC_RELEASE);
}

/* The entry of pc, or a free one made its own; NULL: none near its place. */
static struct rule_entry *
claim(struct rule_table *t, uintptr_t pc)
{
    uint32_t i = rules_place(t, pc);

    for (uint32_t n = 0; n < PROBES; n++, i = (i + 1) & t->mask) {
        struct rule_entry *e = &t->entries[i];
        uintptr_t there = __atomic_load_n(&e->pc, __ATOMIC_RELAXED);

        if (there == 0 &&
            __atomic_compare_exchange_n(&e->pc, &there, pc, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            __atomic_fetch_add(&t->count, 1, __ATOMIC_RELAXED);
            return e;
        }
        if (there == pc)
            return e;
    }
    return NULL;
}

/* Half full is too full: the first place should be the one. */
static void
grow(struct rule_table *old)
{
    struct rule_table *t;

    if (!lock_take(&lock_rules, 0))
        return;
    t = rules_table == old ? make_table(64 - old->shift + 2) : NULL;
    for (uint32_t i = 0; t && i <= old->mask; i++) {
        uintptr_t pc = __atomic_load_n(&old->entries[i].pc, __ATOMIC_RELAXED);
        struct rule_entry *e = pc ? claim(t, pc) : NULL;

        if (e)
            e->rule = __atomic_load_n(&old->entries[i].rule, __ATOMIC_RELAXED);
    }
    if (t)
        __atomic_store_n(&rules_table, t, __ATOMIC_RELEASE);
    lock_release(&lock_rules);
}

static int
fits(const struct cfi_rule *r)
{
    return r->cfa_offset > -(1 << 23) && r->cfa_offset < 1 << 23 &&
           (!r->fp_is_saved ||
            (r->fp_offset % 8 == 0 && r->fp_offset > -(1 << 18) &&
             r->fp_offset < 1 << 18));
}

static uint64_t
pack(const struct cfi_rule *r)
{
    static const uint8_t kinds[] = {[CFI_NONE] = RULE_SLOW,
                                    [CFI_SP] = RULE_SP,
                                    [CFI_FP] = RULE_FP,
                                    [CFI_DRAP] = RULE_DRAP,
                                    [CFI_END] = RULE_END};
    uint64_t rule = fits(r) ? kinds[r->kind] : RULE_SLOW;

    if (rule == RULE_FP || rule == RULE_DRAP)
        rule |= RULE_USES;
    rule |= ((uint64_t)r->cfa_offset & 0xffffff) << 24;
    if (r->fp_is_saved)
        rule |= RULE_SAVED | (uint64_t)(r->fp_offset / 8) << 48;
    return rule;
}

static uint64_t
look_up(const struct rule_table *t, uintptr_t pc, uint64_t generation)
{
    uint32_t i = rules_place(t, pc);

    for (uint32_t n = 0; n < PROBES; n++, i = (i + 1) & t->mask) {
        const struct rule_entry *e = &t->entries[i];
        uint64_t rule = __atomic_load_n(&e->rule, __ATOMIC_RELAXED);

        if (__atomic_load_n(&e->pc, __ATOMIC_RELAXED) == pc)
            return (rule & RULE_GENERATION) == generation ? rule : RULE_NONE;
    }
    return RULE_NONE;
}

/* What libunwind takes for granted of code in no module: a standard frame. */
#define GUESS                                                      \
    (RULE_GUESS | RULE_USES | RULE_SAVED | UINT64_C(16) << 24 |    \
     (uint64_t)(uint16_t)-2 << 48)

/*
 * No call returns to the first byte of a function; who finds it there has been
 * put there to end a stack, as makecontext does with __start_context.  What is
 * in no module may be in one that was loaded a moment ago: libunwind's, this
 * time.
 */
static uint64_t
find_rule(uintptr_t pc)
{
    struct cfi_rule r;

    if (cfi_find(pc, &r) || !cfi_is_absent(pc))
        return pack(&r);
    if (!cfi_is_absent(pc + 1))
        return RULE_END;
    if (!modules_find(pc - 1)) {
        modules_refresh_for(pc - 1);
        if (modules_find(pc - 1))
            return RULE_SLOW;
    }
    return GUESS;
}

/* A pc of 0 ends a stack (a coroutine's, say); it is never in the table. */
uint64_t
rules_learn(uintptr_t pc)
{
    uint64_t generation =
        __atomic_load_n(&rules_generation, __ATOMIC_RELAXED);
    struct rule_table *t = __atomic_load_n(&rules_table, __ATOMIC_ACQUIRE);
    uint64_t rule = pc ? look_up(t, pc, generation) : RULE_END;
    struct rule_entry *e;

    if (rule != RULE_NONE)
        return rule;
    rule = find_rule(pc) | generation;
    if (rule_kind(rule) == RULE_GUESS &&
        __atomic_load_n(&t->count, __ATOMIC_RELAXED) > GUESSES)
        return rule;
    e = claim(t, pc);
    if (e)
        __atomic_store_n(&e->rule, rule, __ATOMIC_RELEASE);
    if (__atomic_load_n(&t->count, __ATOMIC_RELAXED) > t->mask / 2)
        grow(t);
    return rule;
}
