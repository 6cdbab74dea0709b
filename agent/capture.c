/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * capture.c -- libunwind behind an interface.
 *
 * unw_backtrace keeps frame rules by address and never forgets them, so once
 * an object has been mapped where another was, unw_step is used instead.
 *
 * Its other cache is left off: in Debian's build that has one lock for all
 * threads, which a forked child may find taken for ever, and which is never
 * given back if the policy changes while somebody holds it.
 *
 * Called by   account.c, host.c, with the guard set (the first unw_backtrace
 *             of a thread makes the loader allocate).
 * Threads     unw_backtrace's cache is a thread's own.
 * Memory      libunwind maps 256 KiB a thread, by itself.
 * Fails       0 frames, counted as failed_unwinds.
 */
#define UNW_LOCAL_ONLY
#include "agent/capture.h"

#include <dlfcn.h>
#include <libunwind.h>
#include <string.h>

#include "agent/counters.h"
#include "agent/intern.h"
#include "agent/modules.h"
#include "agent/options.h"
#include "agent/retire.h"
#include "agent/thread.h"
#include "agent/unwinder.h"
#include "format/recording.h"

#define STRING2(x) #x
#define STRING(x) STRING2(x)

static int (*backtrace_fn)(void **, int);
static int (*getcontext_fn)(unw_context_t *);
static int (*init_local_fn)(unw_cursor_t *, unw_context_t *);
static int (*step_fn)(unw_cursor_t *);
static int (*get_reg_fn)(unw_cursor_t *, int, unw_word_t *);
static int (*set_policy_fn)(unw_addr_space_t, unw_caching_policy_t);
static unw_addr_space_t *space;

static void *
symbol(void *lib, const char *name)
{
    return lib ? dlsym(lib, name) : NULL;
}

void
capture_start(void)
{
    void *lib = unwinder_open();

    *(void **)&backtrace_fn = symbol(lib, "unw_backtrace");
    *(void **)&getcontext_fn = symbol(lib, STRING(unw_getcontext));
    if (!getcontext_fn)
        *(void **)&getcontext_fn = symbol(lib, "_Ux86_64_getcontext");
    *(void **)&init_local_fn = symbol(lib, STRING(unw_init_local));
    *(void **)&step_fn = symbol(lib, STRING(unw_step));
    *(void **)&get_reg_fn = symbol(lib, STRING(unw_get_reg));
    *(void **)&set_policy_fn = symbol(lib, STRING(unw_set_caching_policy));
    *(void **)&space = symbol(lib, STRING(unw_local_addr_space));
    if (!backtrace_fn)
        degrade("libunwind.so.8 is missing: stacks have one frame only "
                "(apt-get install libunwind8)");
    else if (set_policy_fn && space)
        set_policy_fn(*space, UNW_CACHE_NONE); /* before there are threads */
}

const char *
capture_unwinder_name(void)
{
    return backtrace_fn ? "libunwind" : "return address";
}

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

static size_t
unwind(uintptr_t *pcs, uintptr_t caller, uint32_t *flags)
{
    void **frames = (void **)pcs;
    int max = (int)opt.depth + CAPTURE_ROOM - CAPTURE_MAX, got;
    size_t own, count;

    *flags = 0;
    if (!backtrace_fn) {
        pcs[0] = caller;
        return 1;
    }
    got = modules_reused_addresses() ? step_through(frames, max)
                                     : backtrace(frames, max);
    count = got > 0 ? (size_t)got : 0;
    while (count && !frames[count - 1])
        count--;
    own = skip_own(frames, count);
    count -= own;
    if (!count) {
        count_add(HKC_failed_unwinds, 1);
        pcs[0] = caller;
        return 1;
    }
    if (count > opt.depth) {
        count = opt.depth;
        *flags = HKR_STACK_TRUNCATED;
        count_add(HKC_truncated_stacks, 1);
    }
    memmove(pcs, frames + own, count * sizeof(pcs[0]));
    return count;
}

uint32_t
capture_stack(const struct frame_record *frame)
{
    uintptr_t pcs[CAPTURE_ROOM];
    uint32_t flags;
    size_t n = unwind(pcs, frame->pc, &flags);

    return intern_stack(pcs, n, flags);
}
