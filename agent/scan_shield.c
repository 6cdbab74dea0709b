/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_shield.c -- what keeps a snapshot child from harm, and others from it.
 *
 * What        holds no descriptor or folder of the program, ends with its
 *             parent, is the first to go when memory is short, leaves no core,
 *             runs when nobody else wants to; survives a fault in code of the
 *             program, and ends when that comes to nothing.
 * Called by   scan_watch.c, scan_child.c; ends.c (shield_give_up).
 * Threads     the child's only one.
 * Memory      a stack, and one for signal handlers, gone with the process.
 * Fails       a fault outside of shield_guarded ends the child.  What the
 *             system refuses is done without, but for one thing: a child that
 *             neither the kernel nor a timer would end after its parent's
 *             death ends at once, DENIED.
 * Invariants  system calls only; nothing of the parent's is changed.
 *
 * A timer ticks.  Each tick asks whether the parent is alive and wants the
 * child, and how code of the program gets on.  The child judges that by its
 * own CPU time: a busy machine on which it does not run for seconds is not
 * taken for a loop, and a parent that has given up its rights need not be
 * allowed to kill it.
 */
#include "agent/scan_shield.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "agent/os.h"

#define ALTSTACK_BYTES 65536u
#define STACK_BYTES ((size_t)16 << 20)
#define GUARD_BYTES 65536u

#define SECOND UINT64_C(1000000000)
#define TICK_US 100000
#define LOOP_NS SECOND        /* of CPU without progress: it loops */
#define ASLEEP_NS (SECOND / 1000) /* less of CPU in a tick: it sleeps */
#define ASLEEP_TICKS 5        /* one after another: it sleeps for ever */

/* The kernel's struct sigaction; libc's may be the program's own. */
struct kernel_action {
    void (*handler)(int, siginfo_t *, void *);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

/* What code of the program may bring upon itself. */
static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE,
                             SIGILL,  SIGTRAP, SIGABRT};

static struct {
    int pid, tid;
} parent;
static struct results *told; /* whom we tell */

static sigjmp_buf fault_jump;
static volatile int fault_armed;

static struct {
    uint64_t progress, page_faults;
    uint64_t moved_cpu_ns; /* when it was last seen to get on */
    uint64_t cpu_ns;       /* at the last tick */
    int asleep;            /* ticks */
} pace;

void
shield_leave(int status)
{
    for (;;)
        os_call(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

/* ---- the stack ---------------------------------------------------------- */

static void switch_stack(void *top, void (*fn)(void *), void *arg)
    __attribute__((noreturn));

static void
switch_stack(void *top, void (*fn)(void *), void *arg)
{
#if defined(__x86_64__)
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%1"
                     :
                     : "a"(top), "d"(fn), "D"(arg)
                     : "memory");
#else
    register void *x0 __asm__("x0") = arg;
    register void *x1 __asm__("x1") = top;
    register void (*x2)(void *) __asm__("x2") = fn;

    __asm__ volatile("mov sp, %0\n\t"
                     "mov x29, xzr\n\t"
                     "mov x30, xzr\n\t"
                     "br %1"
                     :
                     : "r"(x1), "r"(x2), "r"(x0)
                     : "memory");
#endif
    __builtin_unreachable();
}

void
shield_begin(void (*fn)(void *), void *arg)
{
    char *stack = os_map(STACK_BYTES);

    if (!stack) {
        fn(arg);
        shield_leave(1);
    }
    os_call(SYS_mprotect, (long)stack, GUARD_BYTES, PROT_NONE, 0, 0, 0);
    switch_stack(stack + STACK_BYTES, fn, arg);
}

/* ---- signals ------------------------------------------------------------ */

/* x86-64 returns from a handler by code that the program brings. */
#if defined(__x86_64__)
#define SA_RETURN 0x04000000ul /* SA_RESTORER */
void shield_return(void) __attribute__((visibility("hidden")));
__asm__(".text\n"
        ".globl shield_return\n"
        ".hidden shield_return\n"
        ".type shield_return, @function\n"
        "shield_return:\n"
        "    movq $15, %rax\n" /* rt_sigreturn */
        "    syscall\n"
        ".size shield_return, . - shield_return\n");
#else
#define SA_RETURN 0ul
#define shield_return NULL
#endif

static long
catch(int signal, void (*handler)(int, siginfo_t *, void *),
      unsigned long flags)
{
    struct kernel_action act = {
        .handler = handler,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_RETURN | flags,
        .restorer = shield_return,
    };

    return os_call(SYS_rt_sigaction, signal, (long)&act, 0, sizeof act.mask,
                   0, 0);
}

static long
unblock(unsigned long mask)
{
    return os_call(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&mask, 0,
                   sizeof mask, 0, 0);
}

static void
bring_stack(void)
{
    stack_t alt = {.ss_size = ALTSTACK_BYTES};

    alt.ss_sp = os_map(ALTSTACK_BYTES);
    if (alt.ss_sp)
        os_call(SYS_sigaltstack, (long)&alt, 0, 0, 0, 0, 0);
}

/* ---- faults ------------------------------------------------------------- */

static void give_up(int status) __attribute__((noreturn));

static void
give_up(int status)
{
    if (!fault_armed)
        shield_leave(status);
    fault_armed = 0;
    if (!told->fault_type)
        told->fault_type = told->type;
    siglongjmp(fault_jump, 1);
}

void
shield_give_up(void)
{
    if (told)
        give_up(1);
}

/* A signal that somebody else sent to the whole group is none. */
static void
on_fault(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code > 0 || info->si_pid == os_getpid())
        give_up(128 + signal);
}

/* SA_NODEFER, since the handler is left by a jump. */
static void
catch_faults(void)
{
    unsigned long mask = 0;

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        catch(faults[i], on_fault, SA_NODEFER);
        mask |= 1ul << (faults[i] - 1);
    }
    unblock(mask);
}

int
shield_guarded(void (*fn)(void *), void *arg)
{
    if (sigsetjmp(fault_jump, 0))
        return 0;
    fault_armed = 1;
    fn(arg);
    fault_armed = 0;
    return 1;
}

/* ---- ticks -------------------------------------------------------------- */

/* Of the thread, too: after an exec of another thread the process is there,
   but not the program that was cloned. */
static int
is_orphan(void)
{
    return os_call(SYS_getppid, 0, 0, 0, 0, 0, 0) != parent.pid ||
           os_call(SYS_tgkill, parent.pid, parent.tid, 0, 0, 0, 0) == -ESRCH;
}

static uint64_t
count_page_faults(void)
{
    struct rusage use = {.ru_majflt = 0};

    os_call(SYS_getrusage, RUSAGE_SELF, (long)&use, 0, 0, 0, 0);
    return (uint64_t)use.ru_majflt;
}

static uint64_t
cpu_ns(void)
{
    struct timespec t = {0, 0};

    os_call(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, (long)&t, 0, 0, 0,
            0);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void
say_hung(void)
{
    told->status = HKR_SCAN_HUNG;
    __atomic_store_n(&told->finished, 1, __ATOMIC_RELEASE);
    os_futex_wake(&told->finished, 1, 1);
    shield_leave(1);
}

/* Waiting for pages from a disk is no sleep. */
static int
gets_on(uint64_t now_cpu_ns)
{
    uint64_t progress = __atomic_load_n(&told->progress, __ATOMIC_RELAXED);
    uint64_t page_faults = count_page_faults();

    if (fault_armed && progress == pace.progress &&
        page_faults == pace.page_faults)
        return 0;
    pace.progress = progress;
    pace.page_faults = page_faults;
    pace.moved_cpu_ns = now_cpu_ns;
    pace.asleep = 0;
    return 1;
}

static void
judge(void)
{
    uint64_t now = cpu_ns();

    if (!gets_on(now)) {
        pace.asleep = now - pace.cpu_ns < ASLEEP_NS ? pace.asleep + 1 : 0;
        if (pace.asleep >= ASLEEP_TICKS || now - pace.moved_cpu_ns > LOOP_NS)
            say_hung();
    }
    pace.cpu_ns = now;
}

static void
on_tick(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    if (__atomic_load_n(&told->stop, __ATOMIC_ACQUIRE) || is_orphan())
        shield_leave(1);
    if (info->si_code <= 0) /* of somebody else */
        return;
    told->ticks++;
    judge();
}

/* 0, or an error: nothing ticks. */
static long
start_ticks(void)
{
    struct itimerval every = {{0, TICK_US}, {0, TICK_US}};
    long err = catch(SIGALRM, on_tick, SA_RESTART);

    if (!err)
        err = unblock(1ul << (SIGALRM - 1));
    if (!err)
        err = os_call(SYS_setitimer, ITIMER_REAL, (long)&every, 0, 0, 0, 0);
    return err;
}

/* ---- being a good neighbour --------------------------------------------- */

/*
 * Shared, a table keeps nothing open by itself, but a number that we took would
 * be one that its owner may get next.  So it is left for an empty one of our
 * own, and no file is closed for who has it still.  0, or an error: the table
 * is shared, and must not be touched.
 */
static long
leave_descriptors(void)
{
    return os_call(SYS_close_range, 0, UINT_MAX, CLOSE_RANGE_UNSHARE, 0, 0,
                   0);
}

/* Our memory is a copy that goes away soon: who kills us instead of the program
   loses nothing.  Before the process is made undumpable, which gives this file
   to root. */
static void
volunteer(void)
{
    int fd = os_open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC, 0);

    if (fd < 0)
        return;
    os_write(fd, "1000", 4);
    os_close(fd);
}

/* Not SCHED_IDLE: a child that hardly ever runs keeps its copy for as long, and
   may be stopped in the kernel with a lock that the program's page faults
   need. */
static void
be_modest(void)
{
    static const struct rlimit none = {0, 0};
    int no_priority = 0;

    os_call(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
    os_call(SYS_prlimit64, 0, RLIMIT_CORE, (long)&none, 0, 0, 0);
    os_call(SYS_sched_setscheduler, 0, SCHED_BATCH, (long)&no_priority, 0, 0,
            0);
    os_call(SYS_setpriority, PRIO_PROCESS, 0, 19, 0, 0, 0);
    os_call(SYS_chdir, (long)"/", 0, 0, 0, 0, 0);
}

static void
refuse(void)
{
    told->status = HKR_SCAN_DENIED;
    __atomic_store_n(&told->finished, 1, __ATOMIC_RELEASE);
    os_futex_wake(&told->finished, 1, 1);
    shield_leave(1);
}

void
shield_raise(struct results *results, int parent_pid, int parent_tid)
{
    long left, bound, ticks;

    told = results;
    parent.pid = parent_pid;
    parent.tid = parent_tid;
    left = leave_descriptors();
    bound = os_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    if (is_orphan())
        shield_leave(1);
    if (left == 0)
        volunteer();
    be_modest();
    bring_stack();
    catch_faults();
    ticks = start_ticks();
    if (bound != 0 && ticks != 0)
        refuse();
}
