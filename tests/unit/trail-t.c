/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * trail-t.c -- incremental unwinding against a model: a machine with a stack
 * of its own calls, returns and spills at random and knows its callers; after
 * each few steps the trail must name the same ones.
 */
#include "tests/tap/tap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/cfi.h"
#include "agent/intern.h"
#include "agent/modules.h"
#include "agent/rules.h"
#include "agent/trail.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

/* ---- doubles ------------------------------------------------------------- */

/* A made-up function; its return addresses are 16 apart, and share a rule.
   There are few, of few sizes, and those with a frame pointer have any size
   (alloca), so that often only one word tells two stacks apart. */
enum shape { SP_PLAIN, SP_SAVES, SP_CLOBBERS, FP_FRAME, DRAP_FRAME, SHAPES };
#define FUNCTIONS 12
#define SITES 3
#define PC_BASE ((uintptr_t)0x400000)

static uint64_t
mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static enum shape
shape_of(unsigned function)
{
    return (enum shape)(mix(function) % SHAPES);
}

static size_t
words_of(unsigned function) /* of its frame, without the return address */
{
    return 4 + 2 * (mix(function + 1000) % 2);
}

static uintptr_t
pc_of(unsigned function, unsigned site)
{
    return PC_BASE + function * 0x1000 + site * 16 + 16;
}

uint32_t
modules_find(uintptr_t pc)
{
    return pc != 0;
}

static int is_slow; /* no function has a rule */

int
cfi_find(uintptr_t pc, struct cfi_rule *r)
{
    unsigned f = (unsigned)((pc - PC_BASE) / 0x1000);

    memset(r, 0, sizeof(*r));
    r->kind = CFI_SP;
    r->cfa_offset = (int32_t)(words_of(f) + 1) * 8;
    r->fp_offset = -16;
    r->fp_is_saved = shape_of(f) != SP_PLAIN;
    if (shape_of(f) == FP_FRAME) {
        r->kind = CFI_FP;
        r->cfa_offset = 16;
    } else if (shape_of(f) == DRAP_FRAME) {
        r->kind = CFI_DRAP;
        r->cfa_offset = -8;
        r->fp_offset = 0;
    }
    if (f == 0)
        r->kind = CFI_END;
    if (is_slow)
        r->kind = CFI_NONE;
    return r->kind != CFI_NONE;
}

void
modules_refresh_for(uintptr_t pc)
{
    (void)pc;
}

int
cfi_is_absent(uintptr_t pc)
{
    return !pc;
}

/* ---- the machine --------------------------------------------------------- */

#define STACK_WORDS 65536
#define DEPTH_MAX 1200
static uintptr_t memory[STACK_WORDS] __attribute__((aligned(4096)));
static uintptr_t sp, fp;
struct call {
    unsigned function;
    uintptr_t pc; /* where it goes on */
    uintptr_t sp, fp; /* of its caller, after its return */
};
static struct call calls[DEPTH_MAX];
static size_t depth;

static void
push(uintptr_t value)
{
    sp -= 8;
    *(uintptr_t *)sp = value;
}

/* The prologue of function f, called from pc.  random: the words of a frame
   that has any size, and what a frame pointer is overwritten with. */
static void
enter(unsigned f, uintptr_t pc, uint64_t random)
{
    uintptr_t cfa = sp;

    calls[depth] = (struct call){f, 0, sp, fp};
    push(pc);
    switch (shape_of(f)) {
    case SP_PLAIN:
        break;
    case SP_SAVES:
        push(fp);
        break;
    case SP_CLOBBERS:
        push(fp);
        fp = random;
        break;
    case FP_FRAME:
        push(fp);
        fp = sp;
        break;
    case DRAP_FRAME: /* realigned: fp leads to a word that holds the CFA */
        sp &= ~(uintptr_t)63;
        push(fp);
        fp = sp;
        push(cfa);
        break;
    default:
        break;
    }
    sp = shape_of(f) < FP_FRAME ? cfa - 8 - words_of(f) * 8
                                : sp - (2 + random % 6) * 8;
    depth++;
}

static void
leave(void)
{
    depth--;
    sp = calls[depth].sp;
    fp = calls[depth].fp;
}

static void
start(void)
{
    sp = (uintptr_t)(memory + STACK_WORDS);
    fp = 0;
    depth = 0;
    enter(0, 0, 0);
}

static size_t deepest; /* stack ever */

/* One step: out of some frames, into some others; seldom out of many. */
static void
step(uint64_t r, size_t limit)
{
    size_t out = r % 997 == 0 ? mix(r) % depth : mix(r) % 4;

    deepest = depth > deepest ? depth : deepest;

    for (; out && depth > 1; out--)
        leave();
    for (size_t in = mix(r + 1) % 5; in && depth < limit; in--) {
        unsigned f = 1 + (unsigned)(mix(r + in + 7) % (FUNCTIONS - 1));
        uintptr_t pc = pc_of(calls[depth - 1].function,
                             (unsigned)(mix(r + in) % SITES));

        calls[depth - 1].pc = pc;
        enter(f, pc, mix(r + 99));
    }
}

/* ---- the comparison ------------------------------------------------------ */

static struct trail trail;

static int
is_right(size_t limit)
{
    size_t want = depth < limit ? depth : limit;
    uint64_t sum = 0, power = 1;
    struct trail_stack s;

    for (size_t i = 0; i < limit; i++)
        power *= INTERN_K;
    s = trail_stack(&trail, 0, limit, power);
    if ((size_t)(s.end - s.outer) != want || s.is_truncated != (depth > limit))
        return 0;
    for (size_t i = 0; i < want; i++) {
        const struct call *c = &calls[depth - want + i];

        if (s.outer[i].pc != c->pc)
            return 0;
        sum = intern_hash_step(sum, c->pc);
    }
    return s.sum == sum;
}

static int
follow(size_t limit, uint64_t r)
{
    struct call *leaf = &calls[depth - 1];

    leaf->pc = pc_of(leaf->function, (unsigned)(r % SITES));
    return trail_follow(&trail, leaf->pc, sp, fp, limit + 1);
}

static long
run(uint64_t seed, long steps, size_t max, size_t limit)
{
    long wrong = 0;

    start();
    for (long i = 0; i < steps; i++) {
        step(mix(seed + (uint64_t)i), max);
        if (!follow(limit, mix((uint64_t)i)) || !is_right(limit))
            wrong++;
    }
    return wrong;
}

/* The first function of a shape. */
static unsigned
one(enum shape shape)
{
    unsigned f = 1;

    while (shape_of(f) != shape)
        f++;
    return f;
}

static void
call(enum shape shape, unsigned site, uint64_t words)
{
    struct call *caller = &calls[depth - 1];

    caller->pc = pc_of(caller->function, site);
    enter(one(shape), caller->pc, words);
}

/*
 * Two frames of any size, together as large as before, below one that is where
 * it was: the old return address is still in memory, inside the larger frame.
 * Only a frame pointer tells the stacks apart: saved by the innermost
 * function, or still in its register.
 */
static void
stale_words(enum shape middle, enum shape inner, const char *what)
{
    start();
    call(middle, 0, 1);
    call(FP_FRAME, 0, 5);
    call(inner, 0, 0);
    ok(follow(128, 0) && is_right(128), "%s: first", what);
    while (depth > 1)
        leave();
    call(middle, 0, 4);
    call(FP_FRAME, 1, 2);
    call(inner, 0, 0);
    ok(follow(128, 0) && is_right(128), "%s: then", what);
}

int
main(void)
{
    uint64_t before;

    ok(rules_start(), "the table of rules is made");
    is_int(0, run(1, 300000, 24, 128), "shallow stacks are right");
    is_int(0, run(2, 300000, 100, 128), "deep stacks are right");
    is_int(0, run(3, 200000, 300, 128), "and deeper than is recorded");
    is_int(0, run(6, 200000, 1100, 128), "and deeper than is kept");
    ok(deepest > 1000, "the deepest had %zu frames", deepest);
    is_int(0, run(4, 200000, 60, 5), "and where little is kept");
    is_int(0, run(5, 50000, 20, 1), "or one frame");

    stale_words(FP_FRAME, SP_SAVES, "a saved frame pointer");
    stale_words(FP_FRAME, SP_PLAIN, "a frame pointer in its register");
    stale_words(DRAP_FRAME, SP_SAVES, "outside it a realigned frame");

    start();
    for (int i = 0; i < 30; i++)
        step(mix(1000000 + (uint64_t)i), 60);
    follow(128, 0);
    before = trail.walked;
    ok(follow(128, 0) && is_right(128), "the same stack again");
    is_int(0, (long)(trail.walked - before), "is not walked again");
    is_int(1, follow(128, 1), "another line of the innermost function");
    is_int(1, (long)(trail.walked - before), "walks one frame");

    is_slow = 1;
    ok(follow(128, 1) && is_right(128), "rules are kept");
    rules_forget();
    is_int(0, follow(128, 1), "until the modules change");
    is_slow = 0;
    rules_forget();
    ok(follow(128, 1) && is_right(128), "and are learnt again");
    return done_testing();
}
