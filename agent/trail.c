/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trail.c -- walk what is new of a stack, compare what is old.
 *
 * That a frame is the same as one of the last stack, and that the words its
 * caller was found from are the same, gives the same caller: by induction the
 * rest of the stack is compared, not walked.  Comparing goes outwards and
 * stops at the first difference, so nothing is read that is not, by then,
 * known to be this stack.
 *
 * Called by   capture.c, with the guard held.
 * Threads     a trail belongs to one thread.
 * Memory      none; little stack.
 * Fails       0: a frame without a rule, or one that leads nowhere sensible.
 * Invariants  frames[count - 1] is the innermost; sp grows towards frames[0].
 *             A jump out of here leaves count 0.
 */
#include "agent/trail.h"

#include <string.h>

#include "agent/intern.h"
#include "agent/os.h"
#include "agent/rules.h"

#define PAGE_BYTES ((uintptr_t)4096)
#define NEAR_BYTES ((uintptr_t)1 << 20)
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Where the walk is: a frame, by what its rule needs. */
struct place {
    uintptr_t pc, sp, fp;
};

static inline uintptr_t
word(uintptr_t address)
{
    return *(const volatile uintptr_t *)address;
}

static inline uintptr_t
slot_of(uint64_t rule, uintptr_t fp, uintptr_t cfa)
{
    return (rule_kind(rule) == RULE_DRAP ? fp : cfa) +
           (uintptr_t)rule_fp_at(rule);
}

/* The first page of a stack is known from its stack pointer, the others are
   asked for once each. */
static __attribute__((noinline, cold)) int
can_read_slow(struct trail *t, uintptr_t from, uintptr_t end)
{
    uintptr_t page = from & ~(PAGE_BYTES - 1), p = page + PAGE_BYTES;

    if (from < t->known_start && t->known_start - from < NEAR_BYTES)
        while (p < t->known_start && os_is_readable(p))
            p += PAGE_BYTES;
    if (from >= t->known_end || p < t->known_start ||
        t->known_start - from > NEAR_BYTES)
        t->known_end = page + PAGE_BYTES;
    t->known_start = page;
    while (t->known_end < end) {
        if (!os_is_readable(t->known_end))
            return 0;
        t->known_end += PAGE_BYTES;
    }
    return 1;
}

static inline int
can_read(struct trail *t, uintptr_t from, uintptr_t end)
{
    return likely(from >= t->known_start && end <= t->known_end) ||
           can_read_slow(t, from, end);
}

#define FRAME_MAX ((uintptr_t)64 << 20)
#define GUESS_MAX ((uintptr_t)0x4000) /* libunwind's, Gstep.c */

/* To the caller.  0: the rule leads nowhere sensible. */
static inline int
leave(struct trail *t, struct place *at, uint64_t rule)
{
    uintptr_t base = rule_kind(rule) == RULE_SP ? at->sp : at->fp, cfa;

    if (unlikely(rule_kind(rule) == RULE_GUESS) &&
        at->fp - at->sp > GUESS_MAX)
        return 0;
    cfa = base + (uintptr_t)rule_cfa(rule);
    if (unlikely(rule_kind(rule) == RULE_DRAP)) {
        if (cfa - at->sp >= FRAME_MAX || !can_read(t, at->sp, cfa + 8))
            return 0;
        cfa = word(cfa);
    }
    if (unlikely(cfa - at->sp - 8 >= FRAME_MAX || cfa % 8 != 0 ||
                 !can_read(t, at->sp, cfa)))
        return 0;
    if (rule & RULE_SAVED)
        at->fp = word(slot_of(rule, at->fp, cfa));
    at->pc = word(cfa - 8);
    at->sp = cfa;
    return 1;
}

/* The outermost frame that is the same as it was, given that f is. */
static inline struct trail_frame *
compare(struct trail *t, struct trail_frame *f)
{
    size_t i = f->checks;

    while (i > 0 && word(t->checks[i - 1].slot) == t->checks[i - 1].value)
        i--;
    if (likely(i == 0))
        return t->frames;
    while (f > t->frames && f[-1].checks >= i)
        f--;
    return f;
}

static inline int
coincides(const struct trail_frame *f, const struct place *at)
{
    return f->sp == at->sp && f->pc == at->pc &&
           (f->fp == at->fp || !(f->rule & RULE_NEEDS));
}

/* Notes what the caller of f, which is f[-1], was found from. */
static inline size_t
add_checks(struct trail *t, const struct trail_frame *f, size_t n,
           uint64_t needs)
{
    const struct trail_frame *caller = f - 1;

    t->checks[n++] = (struct trail_check){caller->sp - 8, caller->pc};
    if (needs && f->rule & RULE_SAVED)
        t->checks[n++] = (struct trail_check){
            slot_of(f->rule, f->fp, caller->sp), caller->fp};
    if (unlikely(rule_kind(f->rule) == RULE_DRAP))
        t->checks[n++] = (struct trail_check){
            f->fp + (uintptr_t)rule_cfa(f->rule), caller->sp};
    return n;
}

/* Does something from f outwards depend on the frame pointer in f?  needs: in
   its caller. */
static inline uint64_t
needs_fp(uint64_t rule, uint64_t needs)
{
    enum rule_kind kind = rule_kind(rule);

    if (kind == RULE_FP || kind == RULE_DRAP || kind == RULE_GUESS)
        return RULE_NEEDS;
    return rule & RULE_SAVED || kind == RULE_END ? 0 : needs;
}

/* Puts the new frames behind the `keep` that stay, and completes them. */
static void
settle(struct trail *t, size_t keep, const struct trail_frame *new,
       const struct trail_frame *end)
{
    struct trail_frame *to = t->frames + keep;
    uint64_t hash = intern_hash_start(t->is_cut), needs = 0;
    size_t checks = 0;

    if (keep) {
        hash = to[-1].hash;
        needs = to[-1].rule & RULE_NEEDS;
        checks = to[-1].checks;
    }
    for (; new < end; to++, new++) {
        *to = *new;
        if (likely(to > t->frames))
            checks = add_checks(t, to, checks, needs);
        needs = needs_fp(new->rule, needs);
        if (likely(new->pc))
            hash = intern_hash_step(hash, new->pc);
        to->rule = (new->rule & ~RULE_NEEDS) | needs;
        to->hash = hash;
        to->checks = checks;
    }
}

/* `keep` frames stay and those from `new` on come to them: at most depth of
   them, the innermost. */
static void
finish(struct trail *t, size_t keep, struct trail_frame *new,
       const struct trail_frame *end, size_t depth)
{
    size_t count = keep + (size_t)(end - new);

    t->walked += (uint64_t)(end - new);
    t->count = 0;
    __asm__ volatile("" ::: "memory");
    if (!keep)
        t->is_cut = rule_kind(new->rule) != RULE_END;
    if (unlikely(count > depth)) {
        new -= keep;
        memmove(new, t->frames, keep * sizeof(*new));
        new += count - depth;
        count = depth;
        keep = 0;
        t->is_cut = 1;
    }
    settle(t, keep, new, end);
    __asm__ volatile("" ::: "memory");
    t->count = (uint32_t)count;
}

/* New frames are gathered downwards to `end`: near the old ones, so that a
   thread with shallow stacks touches little memory; there are seldom more. */
struct walk {
    struct trail *t;
    struct place at;
    struct trail_frame *new, *end;
    struct trail_frame *floor; /* new may not go below: full, or enough */
    struct trail_frame *old;   /* one past the last that may coincide */
    size_t depth;
};
#define NEAR_FRAMES 48

static void
find_floor(struct walk *w)
{
    struct trail_frame *full = w->t->frames + w->t->count;

    w->floor = w->end - w->depth;
    if (w->floor < full)
        w->floor = full;
}

/* At the floor.  1: nothing outside the gathered frames matters. */
static __attribute__((noinline, cold)) int
is_enough(struct walk *w)
{
    size_t n = (size_t)(w->end - w->new);

    if (n >= w->depth)
        return 1;
    w->end = w->t->frames + TRAIL_ROOM;
    memmove(w->end - n, w->new, n * sizeof(*w->new));
    w->new = w->end - n;
    find_floor(w);
    return 0;
}

/*
 * The frames from old[-1] out to `outer` are those of the walk, but nothing
 * outside them: they become new ones.  The place moves to the caller of outer;
 * frame pointers that did not matter in the last stack are found again.
 */
static __attribute__((noinline)) int
take_again(struct walk *w, const struct trail_frame *outer)
{
    while (w->old > outer && (w->new > w->floor || !is_enough(w))) {
        *--w->new = *--w->old;
        w->new->fp = w->at.fp;
        if (!leave(w->t, &w->at, w->old->rule))
            return 0;
    }
    return 1;
}

/* Do the old frames up to w->old, which hold, complete the stack? */
static inline int
is_complete(const struct walk *w)
{
    return likely(!w->t->is_cut) ||
           (size_t)(w->old - w->t->frames) + (size_t)(w->end - w->new) >=
               w->depth;
}

/* Outwards until the rest is known, or the end.  0: no rule. */
static inline int
walk(struct walk *w)
{
    struct trail *t = w->t;
    struct place at = w->at;
    struct trail_frame *f, *old = w->old, *new = w->new;
    uint64_t rule;

    for (;;) {
        while (old > t->frames && old[-1].sp < at.sp)
            old--;
        if (old > t->frames && coincides(old - 1, &at)) {
            w->new = new;
            w->old = old;
            f = compare(t, old - 1);
            if (likely(f == t->frames) && is_complete(w))
                return 1;
            w->at = at;
            if (!take_again(w, f))
                return 0;
            if (w->new == w->floor && is_enough(w))
                break;
            at = w->at;
            new = w->new;
            old = w->old;
            continue;
        }
        rule = rules_find(at.pc);
        if (unlikely(new == w->floor)) {
            w->new = new;
            if (is_enough(w))
                break;
            new = w->new;
        }
        *--new = (struct trail_frame){
            .pc = at.pc, .sp = at.sp, .fp = at.fp, .rule = rule};
        if (unlikely(rule_kind(rule) >= RULE_END)) {
            w->new = new;
            if (rule_kind(rule) == RULE_SLOW)
                return 0;
            break;
        }
        if (unlikely(!leave(t, &at, rule)))
            return 0;
    }
    w->old = t->frames;
    return 1;
}

int
trail_follow(struct trail *t, uintptr_t pc, uintptr_t sp, uintptr_t fp,
             size_t depth)
{
    uint64_t generation = __atomic_load_n(&rules_generation, __ATOMIC_ACQUIRE);
    struct walk w = {.t = t, .at = {pc, sp, fp}, .depth = depth};

    if (unlikely(t->generation != generation)) {
        t->count = 0;
        t->generation = generation;
    }
    w.old = t->frames + t->count;
    w.end = w.new = w.old + NEAR_FRAMES;
    find_floor(&w);
    if (!walk(&w))
        return 0;
    if (w.new < w.end || w.old < t->frames + t->count)
        finish(t, (size_t)(w.old - t->frames), w.new, w.end, depth);
    return 1;
}
