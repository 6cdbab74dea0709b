/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi-walk-t.c -- whole stacks by the rules of cfi.h, against backtrace().
 *
 * glibc's backtrace() asks libgcc, which reads call frame information by
 * itself: it knows the stack of this program, whatever it does.
 */
#include <alloca.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "agent/boot.h"
#include "agent/cfi.h"
#include "agent/modules.h"
#include "tests/tap/tap.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

#ifdef __x86_64__

#define DEPTH_MAX 200
#define NOINLINE  __attribute__((noinline))

static const char *where; /* which case is on */
static uint32_t has_end;  /* the outermost frame says that it is */
static uint32_t kinds[CFI_END + 1];
static volatile int sink;

/* ---- the walk ------------------------------------------------------------ */

struct registers {
    uintptr_t pc, sp, fp;
};

static uintptr_t
load(uintptr_t at)
{
    return *(const uintptr_t *)at;
}

/* The caller's; 0 at the end or where there is no rule. */
static int
step(struct registers *r)
{
    struct cfi_rule rule;
    uintptr_t cfa;

    cfi_find(r->pc, &rule);
    kinds[rule.kind]++;
    if (rule.kind == CFI_NONE || rule.kind == CFI_END)
        return 0;
    cfa = (rule.kind == CFI_SP ? r->sp : r->fp) +
          (uintptr_t)(intptr_t)rule.cfa_offset;
    if (rule.kind == CFI_DRAP)
        cfa = load(cfa);
    if (rule.fp_is_saved)
        r->fp = load((rule.kind == CFI_DRAP ? r->fp : cfa) +
                     (uintptr_t)(intptr_t)rule.fp_offset);
    r->sp = cfa;
    r->pc = load(cfa - 8);
    return 1;
}

static NOINLINE int
walk(void **pcs)
{
    struct registers r;
    int n = 0;

    __asm__ volatile("lea 1f(%%rip), %0\n\tnop\n"
                     "1:\tmov %%rsp, %1\n\tmov %%rbp, %2"
                     : "=&r"(r.pc), "=&r"(r.sp), "=&r"(r.fp));
    while (n < DEPTH_MAX && step(&r))
        pcs[n++] = (void *)r.pc;
    return n;
}

/* libgcc's list begins with frames of its own. */
static NOINLINE void
compare(void)
{
    void *ours[DEPTH_MAX], *theirs[DEPTH_MAX + 8];
    int n, m, skipped = 0, held;

    n = walk(ours);
    m = backtrace(theirs, DEPTH_MAX + 8);
    while (skipped < m && n > 1 && theirs[skipped] != ours[1])
        skipped++;
    held = n > 1 && m - skipped == n - 1 &&
           memcmp(ours + 1, theirs + skipped, (size_t)(n - 1) * 8) == 0;
    held = held && kinds[CFI_NONE] == !has_end && kinds[CFI_END] == has_end;
    if (!ok(held, "%s: %d frames", where, n)) {
        for (int i = 0; i < n; i++)
            diag("ours %p", ours[i]);
        for (int i = 0; i < m; i++)
            diag("theirs %p", theirs[i]);
    }
    sink++;
}

static void
begin(const char *name)
{
    where = name;
    memset(kinds, 0, sizeof(kinds));
    has_end = 1;
}

/* So that the compiler lets it be. */
static void
keep(void *memory)
{
    __asm__ volatile("" : : "r"(memory) : "memory");
}

/* ---- sorts of frames ----------------------------------------------------- */

static NOINLINE void
recurse(int depth)
{
    if (depth == 0)
        compare();
    else
        recurse(depth - 1);
    sink++;
}

static NOINLINE void
with_alloca(int depth)
{
    char *room = alloca((size_t)(100 + sink % 7));

    memset(room, depth, 100);
    keep(room);
    if (depth == 0)
        compare();
    else
        with_alloca(depth - 1);
    sink += room[5];
}

static NOINLINE int
realigned(int depth, int a, int b, int c, int d, int e, int on_stack)
{
    alignas(64) char buffer[128];
    char *room = alloca((size_t)(10 + sink % 7));

    memset(buffer, depth + on_stack, sizeof(buffer));
    memset(room, depth, 10);
    keep(buffer);
    keep(room);
    if (depth == 0)
        compare();
    else
        sink += realigned(depth - 1, a, b, c, d, e, on_stack + 1);
    sink += buffer[sink & 127] + room[3];
    return on_stack + a + b + c + d + e;
}

static __attribute__((noinline, force_align_arg_pointer)) void
any_pointer(int depth)
{
    alignas(32) char buffer[64];

    memset(buffer, depth, sizeof(buffer));
    keep(buffer);
    if (depth == 0)
        compare();
    else
        any_pointer(depth - 1);
    sink += buffer[sink & 63];
}

static int
compare_once(const void *a, const void *b)
{
    static int done;

    if (!done++)
        compare();
    return *(const int *)a - *(const int *)b;
}

static void
once(void)
{
    compare();
}

static NOINLINE void
test_frames(void)
{
    static pthread_once_t control = PTHREAD_ONCE_INIT;
    int numbers[] = {3, 1, 2};

    begin("recursion");
    recurse(100);
    begin("alloca");
    with_alloca(10);
    ok(kinds[CFI_FP] >= 10, "by the frame pointer");
    begin("a realigned stack");
    realigned(10, 1, 2, 3, 4, 5, 6);
#ifndef __clang__
    ok(kinds[CFI_DRAP] >= 10, "by what gcc calls DRAP");
#endif
    begin("a realigned stack of a function that trusts nobody");
    any_pointer(10);
    begin("qsort");
    qsort(numbers, 3, sizeof(numbers[0]), compare_once);
    begin("pthread_once");
    pthread_once(&control, once);
}

/* ---- ends of stacks ------------------------------------------------------ */

static void *
run_thread(void *arg)
{
    compare();
    return arg;
}

static ucontext_t here, there;

static void
run_coroutine(void)
{
    recurse(3);
}

static void
test_ends(void)
{
    static char stack[65536];
    pthread_t thread;

    begin("a thread");
    pthread_create(&thread, NULL, run_thread, NULL);
    pthread_join(thread, NULL);
    /* Its first function returns to the first byte of another: before that
       there is nothing, so nobody goes on from there. */
    begin("a coroutine");
    has_end = 0;
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof(stack);
    there.uc_link = &here;
    makecontext(&there, run_coroutine, 0);
    swapcontext(&here, &there);
}

/* ---- a call that does not return ----------------------------------------- */

static jmp_buf back;

void compare_and_leave(void);
void last_call(void);

__attribute__((noreturn, used)) void
compare_and_leave(void)
{
    compare();
    longjmp(back, 1);
}

/* What holds behind the call does not hold in it. */
__asm__(".pushsection .text\n.globl last_call\n.hidden last_call\nlast_call:\n"
        ".cfi_startproc\n"
        "push %rbp\n.cfi_def_cfa_offset 16\n.cfi_offset 6, -16\n"
        "sub $32, %rsp\n.cfi_def_cfa_offset 48\n"
        "call compare_and_leave\n"
        ".cfi_def_cfa_offset 8\n.cfi_restore 6\n"
        "ud2\n"
        ".cfi_endproc\n.popsection");

static void
test_no_return(void)
{
    begin("a call that does not return");
    if (setjmp(back) == 0)
        last_call();
}

/* ---- how much stack it takes --------------------------------------------- */

#define PAINT 0x5a

static void
find_on_coroutine(void)
{
    struct cfi_rule rule;

    cfi_find((uintptr_t)&qsort + 20, &rule);
    sink += (int)rule.kind;
}

static void
nothing_on_coroutine(void)
{
    sink++;
}

static size_t
used_by(void (*f)(void))
{
    static char stack[32768];
    size_t untouched = 0;

    memset(stack, PAINT, sizeof(stack));
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = sizeof(stack);
    there.uc_link = &here;
    makecontext(&there, f, 0);
    swapcontext(&here, &there);
    while (untouched < sizeof(stack) && stack[untouched] == PAINT)
        untouched++;
    return sizeof(stack) - untouched;
}

static void
test_stack(void)
{
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__)
    size_t bytes;

    used_by(find_on_coroutine); /* binds what is bound lazily */
    bytes = used_by(find_on_coroutine) - used_by(nothing_on_coroutine);
    ok(bytes < 1024, "%zu bytes of stack", bytes);
#else
    skip(1, "not how it is built for use");
    (void)used_by;
    (void)find_on_coroutine;
    (void)nothing_on_coroutine;
#endif
}

int
main(void)
{
    void *pcs[4];

    backtrace(pcs, 4); /* loads libgcc */
    modules_refresh();
    test_frames();
    test_ends();
    test_no_return();
    test_stack();
    return done_testing();
}

#else

int
main(void)
{
    skip_all("only x86-64 has rules");
    return 0;
}

#endif
