/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.c -- a stack by rules, or else by libunwind.
 *
 * unw_backtrace keeps frame rules by address and never forgets them, and
 * 256 KiB of them for each thread.  So it is for threads that need it often;
 * unw_step is used for the others, and for all once an object has been mapped
 * where another was.
 *
 * libunwind's other cache is left off: in Debian's build that has one lock for
 * all threads, which a forked child may find taken for ever, and which is
 * never given back if the policy changes while somebody holds it.
 *
 * Called by   account.c, host.c, with the guard set (the first unw_backtrace
 *             of a thread makes the loader allocate).
 * Threads     trails, and unw_backtrace's cache, are a thread's own.
 * Memory      the thread's lane; libunwind maps its own.
 * Fails       one frame, counted as failed_unwinds.
 */
#define UNW_LOCAL_ONLY
#include "agent/capture.h"

#include <dlfcn.h>
#include <errno.h>
#include <libunwind.h>
#include <string.h>

#include "agent/counters.h"
#include "agent/intern.h"
#include "agent/lane.h"
#include "agent/modules.h"
#include "agent/options.h"
#include "agent/retire.h"
#include "agent/rules.h"
#include "agent/say.h"
#include "agent/thread.h"
#include "agent/trail.h"
#include "agent/unwinder.h"
#include "format/recording.h"

#define STRING2(x) #x
#define STRING(x) STRING2(x)
#define OFTEN 64u /* slow captures after which a thread gets a cache */
#define DEPTH_ROOM (CAPTURE_ROOM - CAPTURE_MAX)
#define OWN_MAX ((size_t)DEPTH_ROOM - 1)

static int (*backtrace_fn)(void **, int);
static int (*getcontext_fn)(unw_context_t *);
static int (*init_local_fn)(unw_cursor_t *, unw_context_t *);
static int (*step_fn)(unw_cursor_t *);
static int (*get_reg_fn)(unw_cursor_t *, int, unw_word_t *);
static int (*set_policy_fn)(unw_addr_space_t, unw_caching_policy_t);
static unw_addr_space_t *space;
static int has_rules, is_verifying;
static size_t reach;         /* frames that a trail needs for depth= */
static uint64_t depth_power; /* INTERN_K to the depth= */

static void *
symbol(void *lib, const char *name)
{
    return lib ? dlsym(lib, name) : NULL;
}

static void
find_unwinder(void *lib)
{
    *(void **)&backtrace_fn = symbol(lib, "unw_backtrace");
    *(void **)&getcontext_fn = symbol(lib, STRING(unw_getcontext));
    if (!getcontext_fn)
        *(void **)&getcontext_fn = symbol(lib, "_Ux86_64_getcontext");
    *(void **)&init_local_fn = symbol(lib, STRING(unw_init_local));
    *(void **)&step_fn = symbol(lib, STRING(unw_step));
    *(void **)&get_reg_fn = symbol(lib, STRING(unw_get_reg));
    *(void **)&set_policy_fn = symbol(lib, STRING(unw_set_caching_policy));
    *(void **)&space = symbol(lib, STRING(unw_local_addr_space));
}

static void
read_verify(void)
{
    is_verifying = strcmp(opt.verify, "unwind") == 0;
    if (!is_verifying && strcmp(opt.verify, "off") != 0)
        say("HEAPKNOT_OPTIONS: verify=\"%s\" makes no sense, ignored (unwind "
            "or off)", opt.verify);
}

void
capture_start(void)
{
    find_unwinder(unwinder_open());
    has_rules = rules_start();
    reach = opt.depth + DEPTH_ROOM;
    depth_power = 1;
    for (uint64_t i = 0; i < opt.depth; i++)
        depth_power *= INTERN_K;
    read_verify();
    if (!backtrace_fn)
        degrade("libunwind.so.8 is missing: stacks %s (apt-get install "
                "libunwind8)", has_rules ? "that no frame rules fit have one "
                                           "frame only"
                                         : "have one frame only");
    else if (set_policy_fn && space)
        set_policy_fn(*space, UNW_CACHE_NONE); /* before there are threads */
}

const char *
capture_unwinder_name(void)
{
    return has_rules      ? backtrace_fn ? "frame rules, libunwind"
                                         : "frame rules"
           : backtrace_fn ? "libunwind"
                          : "return address";
}

/* ---- libunwind ----------------------------------------------------------- */

/* Exact whatever was cached before, and slow.  Its two kilobytes of stack are
   not for those who do not need it. */
static __attribute__((noinline)) int
step_through(void **pcs, int max)
{
    unw_context_t context;
    unw_cursor_t cursor;
    unw_word_t pc;
    int n = 0;

    if (!getcontext_fn || !init_local_fn || !step_fn || !get_reg_fn)
        return 0;
    getcontext_fn(&context);
    if (init_local_fn(&cursor, &context) < 0)
        return 0;
    do {
        if (get_reg_fn(&cursor, UNW_REG_IP, &pc) < 0 || !pc)
            break;
        pcs[n++] = (void *)pc;
    } while (n < max && step_fn(&cursor) > 0);
    return n;
}

/* The first time in a thread the loader makes libunwind's TLS, by malloc. */
static int
backtrace(void **frames, int max)
{
    int n;

    if (__builtin_expect(self.is_warm, 1))
        return backtrace_fn(frames, max);
    self.is_warm = 1;
    self.is_own = 1;
    n = backtrace_fn(frames, max);
    self.is_own = 0;
    return n;
}

static size_t
skip_own(void **frames, size_t count)
{
    size_t i = 0;

    while (i < count && modules_is_agent((uintptr_t)frames[i]))
        i++;
    return i;
}

/* pcs has CAPTURE_ROOM elements: the only array there is, for some threads have
   no more than 16 KiB of stack. */
static size_t
unwind(uintptr_t *pcs, uintptr_t caller, int is_often, uint32_t *flags)
{
    void **frames = (void **)pcs;
    int max = (int)opt.depth + DEPTH_ROOM, got = 0;
    size_t own, count;

    *flags = 0;
    if (backtrace_fn)
        got = is_often && !modules_reused_addresses()
                  ? backtrace(frames, max)
                  : step_through(frames, max);
    count = got > 0 ? (size_t)got : 0;
    while (count && !frames[count - 1])
        count--;
    own = skip_own(frames, count);
    count -= own;
    if (!count) {
        if (backtrace_fn)
            count_add(HKC_failed_unwinds, 1);
        pcs[0] = caller;
        return 1;
    }
    if (count > opt.depth) {
        count = opt.depth;
        *flags = HKR_STACK_TRUNCATED;
    }
    memmove(pcs, frames + own, count * sizeof(pcs[0]));
    return count;
}

static __attribute__((noinline, cold)) uint32_t
capture_slow(const struct frame_record *frame, uint32_t rate)
{
    uintptr_t pcs[CAPTURE_ROOM];
    uint32_t flags;
    int saved_errno = errno;
    size_t n;

    if (has_rules)
        lane_count(lane_mine(), LANE_slow_captures);
    if (self.slow_captures < OFTEN)
        self.slow_captures++;
    n = unwind(pcs, frame->pc, !has_rules || self.slow_captures >= OFTEN,
               &flags);
    n = intern_stack(pcs, n, flags, rate);
    errno = saved_errno;
    return (uint32_t)n;
}

/* ---- frame rules --------------------------------------------------------- */

/* How many frames at the end of the trail are the agent's own. */
static inline size_t
count_own(const struct trail *t)
{
    size_t n = 0;

    while (__builtin_expect(
        modules_is_agent(t->frames[t->count - 1 - n].pc), 0))
        if (++n == OWN_MAX)
            break;
    return n;
}

/* Frames that were in a stack before have their nodes, but where the stack is
   cut they are nodes of another one. */
static __attribute__((noinline, cold)) uint32_t
insert(struct trail *t, const struct trail_stack *s, uint32_t rate,
       uint64_t hash)
{
    uintptr_t pcs[CAPTURE_MAX];
    uint32_t nodes[CAPTURE_MAX] = {0};
    struct intern_path path = {.pcs = pcs, .stride = 1, .nodes = nodes};
    struct trail_frame *end = t->frames + (s->end - t->frames), *f = end;
    int saved_errno = errno;
    uint32_t id;

    while (f > s->outer && (s->is_truncated || !f[-1].node))
        f--;
    path.node = f > s->outer ? f[-1].node : 0;
    path.count = (size_t)(end - f);
    for (size_t i = 0; i < path.count; i++)
        pcs[i] = f[i].pc;
    id = intern_insert(&path, s->is_truncated ? HKR_STACK_TRUNCATED : 0, rate,
                       hash);
    for (size_t i = 0; i < path.count && !s->is_truncated; i++)
        f[i].node = nodes[i];
    errno = saved_errno;
    return id;
}

static inline uint32_t
capture_by_rules(struct trail *t, const struct frame_record *frame,
                 uint32_t rate)
{
    struct trail_stack s;
    uint64_t hash;
    uint32_t id;

    if (!trail_follow(t, frame->pc, (uintptr_t)(frame + 1), frame->fp, reach))
        return 0;
    s = trail_stack(t, count_own(t), opt.depth, depth_power);
    hash = intern_hash_end(s.sum, s.is_truncated, rate);
    id = intern_find(hash);
    return __builtin_expect(id != 0, 1) ? id : insert(t, &s, rate, hash);
}

/* ---- verify=unwind ------------------------------------------------------- */

static int
is_equal(uint32_t id, const uintptr_t *pcs, size_t count)
{
    uint32_t node = intern_stacks[id].node;

    for (size_t i = 0; i < count; i++) {
        if (!node || intern_node_pc(&intern_nodes[node]) != pcs[i])
            return 0;
        node = intern_nodes[node].parent;
    }
    return node == 0;
}

static void
say_mismatch(uint32_t id, const uintptr_t *pcs, size_t count)
{
    static uint32_t said;
    uint32_t node = intern_stacks[id].node;

    if (__atomic_fetch_add(&said, 1, __ATOMIC_RELAXED) >= 1)
        return;
    say("verify=unwind: stack %u differs from libunwind's", id);
    for (size_t i = 0; i < count || node; i++) {
        say("  %lu  0x%lx  libunwind 0x%lx", (unsigned long)i,
            node ? (unsigned long)intern_node_pc(&intern_nodes[node]) : 0,
            i < count ? (unsigned long)pcs[i] : 0);
        node = node ? intern_nodes[node].parent : 0;
    }
}

static __attribute__((noinline, cold)) void
verify(uint32_t id, const struct frame_record *frame)
{
    uintptr_t pcs[CAPTURE_ROOM];
    uint32_t flags;
    int saved_errno = errno;
    size_t n = unwind(pcs, frame->pc, 1, &flags);

    lane_count(lane_mine(), LANE_verified_captures);
    if (id != STACK_LOST && !is_equal(id, pcs, n)) {
        /* Its cache remembers of an address without CFI where a stack once
           ended: asked again without. */
        n = unwind(pcs, frame->pc, 0, &flags);
        if (!is_equal(id, pcs, n)) {
            count_add(HKC_unwind_mismatches, 1);
            say_mismatch(id, pcs, n);
        }
    }
    errno = saved_errno;
}

uint32_t
capture_stack(const struct frame_record *frame, uint32_t rate)
{
    struct lane *lane = lane_mine();
    uint32_t id = 0;

    lane_count(lane, LANE_captures);
    if (__builtin_expect(lane && has_rules, 1))
        id = capture_by_rules(&lane->trail, frame, rate);
    if (__builtin_expect(!id, 0))
        id = capture_slow(frame, rate);
    else if (__builtin_expect(is_verifying, 0) &&
             !(lane->trail.is_risky & TRAIL_GONE))
        verify(id, frame); /* else libunwind might read what is gone */
    return id;
}
