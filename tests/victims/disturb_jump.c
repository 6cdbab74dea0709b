/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * disturb_jump.c -- jumps out of an agent, wherever it is.
 *
 * A call of malloc and free is run in single steps, and the N-th instruction
 * of it that lies in the agent is left by siglongjmp: for each N at first, and
 * in growing strides, until the calls are over before.
 * An agent that knows that it is inside itself by a mark it takes back when it
 * leaves is then marked for good: calls from the same depth of the stack look
 * like its own, and nothing is recorded any more; or what it was writing about
 * the last stack stays half done, and later stacks are wrong.
 *
 * After each jump AFTER blocks are made, from where the jump left.  Prints, on
 * stdout, the same with and without an agent; on stderr "jumps N", "after N".
 */
#define _GNU_SOURCE 1
#include <link.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#if defined(__GNUC__) && !defined(__clang__)
#define NOIPA __attribute__((noipa))
#else
#define NOIPA __attribute__((noinline))
#endif

enum { AFTER = 50, STEPS_MAX = 20000, DEEP = 12 };

static sigjmp_buf home;
static uintptr_t start, end; /* the agent's code */
static volatile int steps_left;
static int jumps;
static uintptr_t depths[2];

#if defined(__x86_64__)
enum { TRAP_FLAG = 0x100 };
/* The trap flag, set or not; the red zone is left alone. */
#define STEPPING(change)                                \
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"       \
                     "pushf\n\t" change ", (%%rsp)\n\t" \
                     "popf\n\t"                         \
                     "lea 128(%%rsp), %%rsp"            \
                     :                                  \
                     :                                  \
                     : "cc", "memory")
#define STEPPING_ON()  STEPPING("orl $0x100")
#define STEPPING_OFF() STEPPING("andl $0xfffffeff")

/* Is it at a system call that may block SIGTRAP?  A step would then kill. */
static int
blocks_signals(const ucontext_t *uc)
{
    const greg_t *r = uc->uc_mcontext.gregs;

    return memcmp((const void *)r[REG_RIP], "\x0f\x05", 2) == 0 &&
           r[REG_RAX] == SYS_rt_sigprocmask && r[REG_RDI] != SIG_UNBLOCK &&
           r[REG_RSI];
}

static int
is_before(ucontext_t *uc)
{
    uintptr_t pc = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];

    if (blocks_signals(uc))
        uc->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
    return pc < start || pc >= end || --steps_left > 0;
}
#else
#define STEPPING_ON()  (void)0
#define STEPPING_OFF() (void)0

static int
is_before(ucontext_t *uc)
{
    return uc != NULL;
}
#endif

static void
on_step(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)info;
    if (is_before(context))
        return;
    jumps++;
    siglongjmp(home, 1);
}

static int
find_agent(struct dl_phdr_info *info, size_t size, void *arg)
{
    (void)size;
    (void)arg;
    if (!strstr(info->dlpi_name, "heapknot-agent"))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && (p->p_flags & PF_X)) {
            start = info->dlpi_addr + p->p_vaddr;
            end = start + p->p_memsz;
        }
    }
    return 1;
}

static NOIPA void
touch(int which)
{
    void *block;

    depths[which] = (uintptr_t)__builtin_frame_address(0);
    if (!which)
        STEPPING_ON();
    block = malloc(64);
    __asm__ volatile("" : : "r"(block) : "memory");
    if (!which)
        STEPPING_ON(); /* it may have been given up */
    free(block);
    if (!which)
        STEPPING_OFF();
}

/* Two alike, so that touch is at the same depth; their names are recorded. */
static NOIPA void
stepped(void)
{
    touch(0);
    __asm__ volatile("" : : : "memory");
}

static NOIPA void
afterwards(void)
{
    touch(1);
    __asm__ volatile("" : : : "memory");
}

static NOIPA void
deeper(int depth)
{
    if (depth)
        deeper(depth - 1);
    else
        touch(1);
    __asm__ volatile("" : : : "memory");
}

/* Leaves the agent at its step; 0: the calls were over before. */
static NOIPA int
leave_at(int step)
{
    volatile int left = 1;

    if (sigsetjmp(home, 1) == 0) {
        steps_left = step;
        stepped();
        left = 0;
    }
    for (int i = 0; i < AFTER; i++)
        afterwards();
    return left;
}

int
main(void)
{
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    int after = 0, others = 0, left = 1;

    dl_iterate_phdr(find_agent, NULL);
    sigaction(SIGTRAP, &action, NULL);
    for (int step = 1; left && step < STEPS_MAX; step += 1 + step / 32) {
        left = leave_at(step);
        after += AFTER;
        others += depths[0] != depths[1];
        deeper(step % DEEP);
    }
    puts(others ? "at other depths" : "at the same depth");
    fprintf(stderr, "jumps %d after %d\n", jumps, after);
    return 0;
}
