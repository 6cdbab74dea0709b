/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * signals.c -- signal handlers that allocate, at a high rate.
 *
 *      signals [anywhere]
 *
 * Each of three threads has a timer of its own and allocates all the time; the
 * handler allocates and frees as well, and now and then jumps out with
 * siglongjmp.  POSIX forbids that where a handler interrupts the allocator
 * itself, and glibc would deadlock, so the handler looks where it interrupted
 * and leaves libc and the loader alone.  The code of a preloaded agent is not
 * spared: that is the point.  Jumps leave only the program's own code; with
 * `anywhere` also the agent's.
 *
 * Prints the same whether an agent is there or not.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

enum { THREADS = 3, HANDLED = 400, JUMPS = 50, RANGES = 16, SECONDS = 60 };

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

struct range {
    uintptr_t start, end;
};

/* Filled before the first signal. */
static struct range program, libraries[RANGES];
static int library_count;
static bool jump_anywhere;

struct state {
    sigjmp_buf home;
    volatile sig_atomic_t ready; /* home may be jumped to */
    volatile int handled, jumps, spared, bad;
};
static __thread struct state state;

static int
note_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct range range = {UINTPTR_MAX, 0};

    (void)size;
    (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + p->p_vaddr;

        if (p->p_type != PT_LOAD)
            continue;
        if (start < range.start)
            range.start = start;
        if (start + p->p_memsz > range.end)
            range.end = start + p->p_memsz;
    }
    if (!*info->dlpi_name)
        program = range;
    else if ((strstr(info->dlpi_name, "libc.so") ||
              strstr(info->dlpi_name, "ld-linux") ||
              strstr(info->dlpi_name, "malloc")) &&
             library_count < RANGES)
        libraries[library_count++] = range;
    return 0;
}

static bool
inside(const struct range *range, uintptr_t pc)
{
    return pc >= range->start && pc < range->end;
}

static uintptr_t
interrupted_pc(const void *context)
{
    const ucontext_t *uc = context;

#if defined(__x86_64__)
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#else
    return (uintptr_t)uc->uc_mcontext.pc;
#endif
}

static void
on_signal(int signal_number, siginfo_t *info, void *context)
{
    uintptr_t pc = interrupted_pc(context);
    int saved = errno;
    char *block;

    (void)signal_number;
    (void)info;
    for (int i = 0; i < library_count; i++)
        if (inside(&libraries[i], pc)) {
            state.spared++;
            return;
        }
    errno = 77;
    block = malloc(1 + (size_t)(state.handled % 900));
    if (!block || errno != 77)
        state.bad++;
    if (block)
        block[0] = 1;
    free(block);
    if (errno != 77)
        state.bad++;
    errno = saved;
    state.handled++;
    if (state.ready && state.handled % 5 == 0 &&
        (jump_anywhere || inside(&program, pc))) {
        state.ready = 0;
        state.jumps++;
        siglongjmp(state.home, 1);
    }
}

static timer_t
start_timer(void)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = SIGRTMIN};
    struct itimerspec every = {.it_value.tv_nsec = 60000,
                               .it_interval.tv_nsec = 60000};
    timer_t timer;

    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) < 0 ||
        timer_settime(timer, 0, &every, NULL) < 0) {
        perror("timer");
        exit(1);
    }
    return timer;
}

/* Something to interrupt that is not the allocator. */
static unsigned
think(unsigned n)
{
    volatile unsigned sum = n;

    for (unsigned i = 0; i < 200; i++)
        sum = sum * 31 + i;
    return sum;
}

/* May be left in the middle, and then leaks: nobody else knows the block. */
static void
allocate_and_forget(unsigned n)
{
    void *block = malloc(32 + n % 500);

    __asm__ volatile("" : : "r"(block) : "memory");
    free(block);
}

static bool
is_done(void)
{
    return state.handled >= HANDLED && state.jumps >= JUMPS;
}

static void
allocate_until_done(time_t deadline)
{
    void *blocks[16] = {NULL};
    unsigned n = 0;

    while (!is_done() && time(NULL) < deadline) {
        unsigned i = n++ % 16;

        state.ready = 0;
        free(blocks[i]);
        blocks[i] = malloc(16 + n % 2000);
        if (sigsetjmp(state.home, 1) == 0)
            state.ready = 1;
        think(n);
        if (jump_anywhere)
            allocate_and_forget(n);
        state.ready = 0;
        blocks[(i + 1) % 16] = realloc(blocks[(i + 1) % 16], 32 + n % 500);
    }
    for (int i = 0; i < 16; i++)
        free(blocks[i]);
}

static void *
work(void *arg)
{
    time_t deadline = time(NULL) + SECONDS;
    timer_t timer = start_timer();
    bool good;

    (void)arg;
    allocate_until_done(deadline);
    timer_delete(timer);
    good = is_done() && state.bad == 0;
    if (!good)
        fprintf(stderr, "handled %d jumps %d spared %d bad %d\n",
                state.handled, state.jumps, state.spared, state.bad);
    return good ? arg : NULL;
}

int
main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_RESTART};
    pthread_t threads[THREADS];
    int good = 0;

    jump_anywhere = argc > 1 && strcmp(argv[1], "anywhere") == 0;
    dl_iterate_phdr(note_module, NULL);
    sigaction(SIGRTMIN, &action, NULL);
    for (int t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, work, &program);
    for (int t = 0; t < THREADS; t++) {
        void *result;

        pthread_join(threads[t], &result);
        good += result != NULL;
    }
    printf("threads %d of %d allocated in handlers and jumped out of them\n",
           good, THREADS);
    return good == THREADS ? 0 : 1;
}
