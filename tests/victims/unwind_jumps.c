/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_jumps.c -- stacks that are left by jumps, and signal handlers.
 *
 *      unwind_jumps [ROUNDS]
 *
 * longjmp out of deep frames and on from where it landed; handlers that
 * allocate on the normal stack and on another one, called by a trap in the
 * middle of a function, so that what they interrupt is known; handlers within
 * handlers; siglongjmp out of them.  Two threads do so at once.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

#include "tests/victims/chain.h"

enum { THREADS = 2, DEEP = 40, ALTERNATE = 64 * 1024 };

static int rounds = 150;
static __thread sigjmp_buf home;
static __thread bool shall_jump;
static __thread int nested;

#if defined(__x86_64__)
#define TRAP() __asm__ volatile("ud2" : : : "memory")
enum { TRAP_SIGNAL = SIGILL };

static void
step_over(void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;
}
#else
#define TRAP() __asm__ volatile(".inst 0" : : : "memory")
enum { TRAP_SIGNAL = SIGILL };

static void
step_over(void *context)
{
    ((ucontext_t *)context)->uc_mcontext.pc += 4;
}
#endif

static NOIPA void
interrupted_again(void)
{
    CHAIN;

    plant(30);
    TRAP();
    plant(31);
}

static NOIPA void
in_handler(void)
{
    CHAIN;
    char room[200];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(40);
    if (nested < 3 && !shall_jump)
        interrupted_again();
    plant(41);
}

static void
handler(int signal_number, siginfo_t *info, void *context)
{
    CHAIN;

    (void)signal_number;
    (void)info;
    nested++;
    plant(50);
    in_handler();
    if (shall_jump)
        siglongjmp(home, 1);
    nested--;
    step_over(context);
}

static NOIPA void
deep(uint32_t depth, uint32_t way)
{
    CHAIN;
    char room[64];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(1 + way);
    if (depth) {
        deep(depth - 1, way);
    } else if (way == 0) {
        siglongjmp(home, 1);
    } else {
        TRAP();
    }
    plant(1);
}

static NOIPA void
deep_with_alloca(uint32_t depth, uint32_t way)
{
    CHAIN;
    char *room = __builtin_alloca(16 * (depth + 1));

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(2 + way);
    if (depth > 2)
        deep_with_alloca(depth - 2, way);
    else
        deep(depth, way);
    plant(2);
}

static NOIPA void
once(uint32_t i)
{
    CHAIN;
    void (*go)(uint32_t, uint32_t) = i % 2 ? deep : deep_with_alloca;

    shall_jump = i % 3 != 1;
    nested = 0;
    if (sigsetjmp(home, 1) == 0)
        go(i * 7 % DEEP, i % 3);
    CHAIN_BACK;
    plant(3);
}

static void
set_handler(int flags)
{
    struct sigaction action = {.sa_sigaction = handler,
                               .sa_flags = SA_SIGINFO | SA_NODEFER | flags};

    sigaction(TRAP_SIGNAL, &action, NULL);
}

static NOIPA void
jump_about(void *stack)
{
    CHAIN;
    stack_t alternate = {.ss_sp = stack, .ss_size = ALTERNATE};
    stack_t none = {.ss_flags = SS_DISABLE};

    sigaltstack(stack ? &alternate : &none, NULL);
    for (int i = 0; i < rounds; i++)
        once((uint32_t)i);
    sigaltstack(&none, NULL);
}

static NOIPA void *
in_thread(void *stack)
{
    CHAIN;

    jump_about(stack);
    return NULL;
}

int
main(int argc, char **argv)
{
    static char stacks[THREADS][ALTERNATE];
    pthread_t threads[THREADS];
    CHAIN;

    if (argc > 1)
        rounds = atoi(argv[1]);
    set_handler(0);
    jump_about(NULL);
    set_handler(SA_ONSTACK);
    for (int t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, in_thread, stacks[t]);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    jump_about(stacks[0]);
    printf("planted %llu\n", (unsigned long long)chain_planted);
    chain_write("main");
    return 0;
}
