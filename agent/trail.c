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
#define FRAME_MAX ((uintptr_t)64 << 20)
#define GUESS_MAX ((uintptr_t)0x4000) /* libunwind's, Gstep.c */
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

/* What lies just below a stack pointer has been read, and so its page is known;
   the others are asked for once each. */
static int
can_read(struct trail *t, uintptr_t from, uintptr_t end)
{
    uintptr_t page = from & ~(PAGE_BYTES - 1);
    uintptr_t p = (from + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1), first = p;

    if (from < t->known_start && t->known_start - from < NEAR_BYTES)
        while (p < t->known_start && os_is_readable(p))
            p += PAGE_BYTES;
    if (from < t->known_start || from > t->known_end) {
        if (from > t->known_end || p < t->known_start ||
            t->known_start - from >= NEAR_BYTES)
            t->known_end = first;
        t->known_start = page;
    }
    while (t->known_end < end) {
        if (from < t->own_end && t->known_end >= t->own_end)
            return 0; /* what lies there is not this stack */
        if (!os_is_readable(t->known_end))
            return 0;
        t->known_end += PAGE_BYTES;
    }
    return 1;
}

/*
 * A frame without CFI is taken for a standard one, which is a guess.  Where it
 * leads is surely there if that is the thread's own stack.  Anything else is
 * asked for each time, and not looked at again without asking.
 */
static int
can_guess(struct trail *t, const struct place *at, uintptr_t cfa)
{
    if (at->fp - at->sp > GUESS_MAX)
        return 0;
    if (cfa <= t->own_end && t->own_end - at->sp < NEAR_BYTES / 4 &&
        can_read(t, at->sp, t->own_end))
        return 1;
    t->is_risky = 1;
    if (os_is_readable(cfa - 16) && os_is_readable(cfa - 8))
        return 1;
    t->is_risky = TRAIL_GONE;
    return 0;
}

/* Where a guess leads nowhere libunwind says that the stack ends, and so do we,
   this time. */
static int
has_ended(struct trail *t, struct trail_frame *f)
{
    if (rule_kind(f->rule) != RULE_GUESS)
        return 0;
    t->is_risky |= 1;
    f->rule = RULE_END;
    return 1;
}

/* To the caller, where that is out of the ordinary.  0: the rule leads nowhere
   sensible. */
static __attribute__((noinline, cold)) int
leave_slow(struct trail *t, struct place *at, uint64_t rule)
{
    enum rule_kind kind = rule_kind(rule);
    uintptr_t cfa = (kind == RULE_SP ? at->sp : at->fp) +
                    (uintptr_t)rule_cfa(rule);

    if (kind == RULE_GUESS && !can_guess(t, at, cfa))
        return 0;
    if (kind == RULE_DRAP) {
        if (cfa - at->sp >= FRAME_MAX || !can_read(t, at->sp, cfa + 8))
            return 0;
        cfa = word(cfa);
    }
    if (cfa - at->sp - 8 >= FRAME_MAX || cfa % 8 != 0 ||
        (kind != RULE_GUESS && !can_read(t, at->sp, cfa)))
        return 0;
    if (rule & RULE_SAVED)
        at->fp = word(slot_of(rule, at->fp, cfa));
    at->pc = word(cfa - 8);
    at->sp = cfa;
    return 1;
}

/* The same, where that is plain: within what is known of this stack.  The walk
   began there and goes upwards. */
static inline int
leave(struct trail *t, struct place *at, uint64_t rule)
{
    uintptr_t cfa = (rule_kind(rule) == RULE_SP ? at->sp : at->fp) +
                    (uintptr_t)rule_cfa(rule);

    /* Where sp is the very end of what is known no CFA is within it. */
    if (unlikely(rule_kind(rule) > RULE_FP || cfa > t->known_end ||
                 cfa <= at->sp))
        return leave_slow(t, at, rule);
    if (rule & RULE_SAVED)
        at->fp = word(cfa + (uintptr_t)rule_fp_at(rule));
    at->pc = word(cfa - 8);
    at->sp = cfa;
    return 1;
}

/* The outermost frame that is the same as it was, given that f is. */
static inline struct trail_frame *
compare(struct trail *t, struct trail_frame *f)
{
    const struct trail_check *c = t->checks + f->checks;
    size_t i;

    while (word(c->slot) == c->value)
        c--;
    i = (size_t)(c - t->checks);
    if (likely(i == 0))
        return t->frames;
    while (f[-1].checks >= i)
        f--;
    return f;
}

/* The same, but no further than to `last`. */
static __attribute__((noinline)) struct trail_frame *
compare_to(struct trail *t, struct trail_frame *f, struct trail_frame *last)
{
    const struct trail_check *c = t->checks + f->checks;
    const struct trail_check *end = t->checks + last->checks;
    size_t i;

    while (c > end && word(c->slot) == c->value)
        c--;
    i = (size_t)(c - t->checks);
    if (c == end)
        return last;
    while (f[-1].checks >= i)
        f--;
    return f;
}

static inline int
coincides(const struct trail_frame *f, const struct place *at)
{
    return f->sp == at->sp && f->pc == at->pc &&
           (f->fp == at->fp || !(f->rule & RULE_NEEDS));
}

/* Notes what the caller of f, which is f[-1], was found from.  needs: does
   something from there outwards depend on the frame pointer? */
static inline struct trail_check *
add_checks(struct trail_check *c, const struct trail_frame *f, uint64_t needs)
{
    const struct trail_frame *caller = f - 1;

    *c++ = (struct trail_check){caller->sp - 8, caller->pc};
    if (needs && f->rule & RULE_SAVED)
        *c++ = (struct trail_check){slot_of(f->rule, f->fp, caller->sp),
                                    caller->fp};
    if (unlikely(rule_kind(f->rule) == RULE_DRAP))
        *c++ = (struct trail_check){f->fp + (uintptr_t)rule_cfa(f->rule),
                                    caller->sp};
    return c;
}

/* RULE_NEEDS or 0; needs: of its caller. */
static inline uint64_t
needs_fp(uint64_t rule, uint64_t needs)
{
    return rule & RULE_USES ? RULE_NEEDS : rule & RULE_SAVED ? 0 : needs;
}

/* The outermost frame has nothing to compare. */
static void
settle_first(struct trail *t, const struct trail_frame *new)
{
    struct trail_frame *f = t->frames;

    *f = *new;
    f->rule = (new->rule & ~RULE_NEEDS) | needs_fp(new->rule, 0);
    f->sum = new->pc ? intern_hash_step(0, new->pc) : 0;
    f->checks = f->node = 0;
    t->is_whole = rule_kind(new->rule) == RULE_END;
}

/* Puts the new frames behind the `keep` that stay, and completes them. */
static inline void
settle(struct trail *t, size_t keep, const struct trail_frame *new,
       const struct trail_frame *end)
{
    struct trail_frame *to = t->frames + keep;
    struct trail_check *c;
    uint64_t sum, needs, rule;

    if (unlikely(!keep)) {
        settle_first(t, new++);
        to++;
    }
    sum = to[-1].sum;
    needs = to[-1].rule & RULE_NEEDS;
    c = t->checks + to[-1].checks + 1;
    for (; new < end; to++, new++) {
        rule = new->rule & ~RULE_NEEDS;
        sum = intern_hash_step(sum, new->pc);
        to->pc = new->pc;
        to->sp = new->sp;
        to->fp = new->fp;
        to->sum = sum;
        to->rule = rule;
        c = add_checks(c, to, needs);
        needs = needs_fp(rule, needs);
        to->rule = rule | needs;
        to->checks = (uint32_t)(c - t->checks) - 1;
        to->node = 0;
    }
}

/* Makes room by forgetting what is farthest outside; of the frames that would
   have been kept those that stay become new ones. */
static __attribute__((noinline, cold)) struct trail_frame *
drop_outer(const struct trail *t, size_t keep, struct trail_frame *new,
           size_t n)
{
    size_t stay = n < TRAIL_SHORT ? TRAIL_SHORT - n : 0, drop = keep - stay;

    new -= stay;
    memmove(new, t->frames + drop, stay * sizeof(*new));
    return new;
}

/* `keep` frames stay, and those from `new` on come to them. */
static inline void
finish(struct trail *t, size_t keep, struct trail_frame *new,
       const struct trail_frame *end)
{
    size_t count = keep + (size_t)(end - new);

    t->walked += (uint64_t)(end - new);
    t->count = 0;
    __asm__ volatile("" ::: "memory");
    if (unlikely(count > TRAIL_KEEP)) {
        new = drop_outer(t, keep, new, (size_t)(end - new));
        count = (size_t)(end - new);
        keep = 0;
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
    struct trail_frame *floor; /* new may not go below */
    struct trail_frame *old;   /* one past the last that may coincide */
    size_t reach;
};
#define NEAR_FRAMES 48

/* At the floor.  1: no more frames are gathered. */
static __attribute__((noinline, cold)) int
is_enough(struct walk *w)
{
    size_t n = (size_t)(w->end - w->new);

    if (n >= TRAIL_NEW)
        return 1;
    w->end = w->t->frames + TRAIL_ROOM;
    memmove(w->end - n, w->new, n * sizeof(*w->new));
    w->new = w->end - n;
    w->floor = w->end - TRAIL_NEW;
    return 0;
}

/*
 * The frames from old[-1] out to `outer` are those of the walk, but nothing
 * outside them: they become new ones.  The place moves to the caller of outer;
 * frame pointers that did not matter in the last stack are found again.  0: no
 * way out of one of them.
 */
#define TAKEN_ALL 2 /* nothing outside them is wanted */
static inline int
take_again(struct walk *w, const struct trail_frame *outer)
{
    while (w->old > outer && (likely(w->new > w->floor) || !is_enough(w))) {
        w->old--;
        w->new--;
        w->new->pc = w->old->pc;
        w->new->sp = w->old->sp;
        w->new->fp = w->at.fp;
        w->new->rule = w->old->rule;
        if (unlikely(!leave(w->t, &w->at, w->old->rule)))
            return has_ended(w->t, w->new) ? TAKEN_ALL : 0;
    }
    return unlikely(w->new == w->floor) && is_enough(w) ? TAKEN_ALL : 1;
}

/* The frames from old[-1] outwards coincide.  1: all that is wanted does, else
   *f is the last one that does. */
static inline int
is_rest_same(struct walk *w, struct trail_frame **f)
{
    struct trail *t = w->t;
    size_t count = (size_t)(w->old - t->frames) + (size_t)(w->end - w->new);
    struct trail_frame *last = t->frames;

    if (likely(count <= w->reach)) {
        *f = compare(t, w->old - 1);
        return likely(*f == last) && likely(t->is_whole);
    }
    last += count - w->reach;
    if (w->old - 1 < last)
        return 1;
    *f = compare_to(t, w->old - 1, last);
    return *f == last;
}

/* Outwards until the rest is known, or the end.  0: no rule. */
static inline int
walk(struct walk *w)
{
    struct trail *t = w->t;
    struct trail_frame *f;
    uint64_t rule;
    int taken;

    for (;;) {
        while (w->old > t->frames && w->old[-1].sp < w->at.sp)
            w->old--;
        if (w->old > t->frames && coincides(w->old - 1, &w->at)) {
            if (is_rest_same(w, &f))
                return 1;
            taken = take_again(w, f);
            if (likely(taken == 1))
                continue;
            if (!taken)
                return 0;
            break;
        }
        rule = rules_find(w->at.pc);
        if (unlikely(w->new == w->floor) && is_enough(w))
            break;
        f = --w->new;
        f->pc = w->at.pc;
        f->sp = w->at.sp;
        f->fp = w->at.fp;
        f->rule = rule;
        if (unlikely(rule_kind(rule) == RULE_END))
            break;
        if (unlikely(rule_kind(rule) == RULE_SLOW ||
                     !leave(t, &w->at, rule))) {
            if (has_ended(t, w->new))
                break;
            w->new++;
            if ((size_t)(w->end - w->new) < w->reach)
                return 0;
            break;
        }
    }
    w->old = t->frames;
    return 1;
}

static __attribute__((noinline, cold)) void
start_afresh(struct trail *t, uint64_t generation)
{
    t->count = t->is_risky = 0;
    t->generation = generation;
    t->checks[0].slot = (uintptr_t)&t->checks[0].slot;
    t->checks[0].value = ~t->checks[0].slot;
}

int
trail_follow(struct trail *t, uintptr_t pc, uintptr_t sp, uintptr_t fp,
             size_t reach)
{
    uint64_t generation = __atomic_load_n(&rules_generation, __ATOMIC_ACQUIRE);
    struct walk w = {.t = t, .at = {pc, sp, fp}, .reach = reach};

    if (unlikely(t->generation != generation || t->is_risky))
        start_afresh(t, generation);
    if (unlikely(sp < t->known_start || sp >= t->known_end))
        can_read(t, sp, sp);
    w.floor = w.old = t->frames + t->count;
    w.end = w.new = w.old + NEAR_FRAMES;
    if (!walk(&w))
        return 0;
    if (w.new < w.end || w.old < t->frames + t->count)
        finish(t, (size_t)(w.old - t->frames), w.new, w.end);
    return 1;
}
