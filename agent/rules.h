/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * rules.h -- how to leave a frame, by return address, in one word.
 *
 *      63       48 47         24 23          6   5      4      3    2    0
 *      +----------+-------------+------------+-------+------+-------+------+
 *      | fp at    | CFA         | generation | needs | uses | saved | kind |
 *      +----------+-------------+------------+-------+------+-------+------+
 *
 * kind        what the CFA (the stack pointer before the call) is counted from
 * CFA         signed, in bytes
 * saved       the caller's frame pointer lies in memory, at CFA + fp at * 8
 *             (RULE_DRAP: at frame pointer + fp at * 8); else it is this one's
 * uses        the CFA depends on the frame pointer
 * needs       in a trail: this frame or one outside depends on the frame
 *             pointer that this frame has
 * generation  of the list of modules; a rule of another one is learnt anew
 *
 * Rules come from cfi.h.  They are looked up without a lock and learnt in any
 * thread; a table that is full or busy only costs time.
 */
#ifndef HK_AGENT_RULES_H
#define HK_AGENT_RULES_H

#include <stdint.h>

enum rule_kind {
    RULE_NONE, /* not in the table */
    RULE_SP,   /* CFA = sp + offset */
    RULE_FP,   /* CFA = fp + offset */
    RULE_DRAP, /* CFA = *(fp + offset) */
    RULE_GUESS, /* as RULE_FP, if that leads somewhere near: no CFI at all */
    RULE_END,  /* the outermost frame */
    RULE_SLOW  /* libunwind's job */
};
#define RULE_KIND UINT64_C(7)
#define RULE_SAVED UINT64_C(8)
#define RULE_USES UINT64_C(16)
#define RULE_NEEDS UINT64_C(32)
#define RULE_GENERATION UINT64_C(0xffffc0)
#define RULE_GENERATION_SHIFT 6

struct rule_entry {
    uintptr_t pc; /* 0: free; never changes otherwise */
    uint64_t rule;
};
struct rule_table {
    uint32_t mask, shift;
    uint32_t count;
    struct rule_entry entries[];
};
extern struct rule_table *rules_table;
extern uint64_t rules_generation; /* in place, as in a rule; never 0 */

int rules_start(void); /* 0: no memory, or not this processor */
uint64_t rules_learn(uintptr_t pc);
/* The list of modules has changed. */
void rules_forget(void);

static inline enum rule_kind
rule_kind(uint64_t rule)
{
    return (enum rule_kind)(rule & RULE_KIND);
}

static inline intptr_t
rule_cfa(uint64_t rule)
{
    return (intptr_t)((int64_t)(rule << 16) >> 40);
}

static inline intptr_t
rule_fp_at(uint64_t rule)
{
    return (intptr_t)((int64_t)rule >> 48) * 8;
}

static inline uint32_t
rules_place(const struct rule_table *t, uintptr_t pc)
{
    return (uint32_t)((pc * UINT64_C(0x9E3779B97F4A7C15)) >> t->shift);
}

static inline uint64_t
rules_find(uintptr_t pc)
{
    const struct rule_table *t =
        __atomic_load_n(&rules_table, __ATOMIC_ACQUIRE);
    const struct rule_entry *e = &t->entries[rules_place(t, pc)];
    uint64_t rule = __atomic_load_n(&e->rule, __ATOMIC_RELAXED);

    if (__builtin_expect(
            __atomic_load_n(&e->pc, __ATOMIC_RELAXED) == pc &&
                (rule & RULE_GENERATION) ==
                    __atomic_load_n(&rules_generation, __ATOMIC_RELAXED),
            1))
        return rule;
    return rules_learn(pc);
}

#endif
