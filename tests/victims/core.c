/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * core.c -- programs in a few lines each, one for every way in which the core
 * of an agent has been, or could be, a nuisance.  core MODE; prints what the
 * test compares.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
rest(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

static uint64_t
now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* main leaves by pthread_exit: the process ends with its last thread. */
static void *
outlive_main(void *arg)
{
    rest(400);
    puts("last");
    return arg;
}

static int
leave_main(void)
{
    pthread_t t;

    pthread_create(&t, NULL, outlive_main, NULL);
    pthread_detach(t);
    pthread_exit(NULL);
}

/* A stack for each n: there are 2 to the power of bits. */
static void *
descend(unsigned n, unsigned bits)
{
    void *volatile p;

    if (bits == 0)
        return malloc(24);
    if (n & 1) /* two call sites, which stay two */
        p = descend(n >> 1, bits - 1);
    else
        p = descend(n / 2, bits - 1);
    __asm__ volatile("" ::: "memory");
    return p;
}

static void *
fork_often(void *arg)
{
    int n = *(int *)arg;

    for (int i = 0; i < n; i++) {
        pid_t child = fork();

        if (child == 0)
            _exit(0);
        waitpid(child, NULL, 0);
    }
    return NULL;
}

/* Two threads fork at once; then new stacks are still recorded, quickly. */
static int
fork_at_once(void)
{
    int n = 150;
    pthread_t t[3];
    uint64_t start;

    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, fork_often, &n);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    start = now_ms();
    for (unsigned i = 0; i < 1024; i++)
        free(descend(i, 10));
    puts(now_ms() - start < 1500 ? "quick" : "slow");
    return 0;
}

/* The loader's message is not lost by a call that waits. */
static int
keep_dlerror(void)
{
    void *lib = dlopen("/nowhere/libnothing.so", RTLD_NOW);

    rest(1);
    poll(NULL, 0, 1);
    for (int i = 0; i < 20000; i++)
        free(malloc(10));
    puts(!lib && dlerror() ? "kept" : "lost");
    return 0;
}

static int
keep_errno(void)
{
    long changed = 0;

    for (int i = 0; i < 30000; i++) {
        void *p = malloc((size_t)i % 300);

        errno = 77;
        free(p);
        changed += errno != 77;
        errno = 77;
        p = malloc(40);
        changed += errno != 77;
        errno = 77;
        p = realloc(p, 4000);
        changed += errno != 77;
        free(p);
    }
    printf("%ld\n", changed);
    return 0;
}

/* Blocks of no bytes, some of which an allocator places 8 bytes apart. */
static int
allocate_nothing(void)
{
    enum { COUNT = 1000 };
    void *volatile p[COUNT];

    for (int i = 0; i < COUNT; i++) {
        if (i % 4 == 0)
            p[i] = calloc(0, 100);
        else if (i % 4 == 1)
            p[i] = calloc(100, 0);
        else if (i % 4 == 2)
            p[i] = malloc(0);
        else
            p[i] = realloc(malloc(3), 0);
    }
    for (int i = 0; i < COUNT; i++)
        free(p[i]);
    return 0;
}

#define PAINT 0xA5

static size_t
measure(const unsigned char *stack, size_t bytes)
{
    size_t i = 0;

    while (i < bytes && stack[i] == PAINT)
        i++;
    return bytes - i;
}

static void *
use_heap(void *arg)
{
    void *p = malloc(100);

    free(realloc(p, 300));
    for (unsigned i = 0; i < 64; i++)
        free(descend(i, 6));
    poll(NULL, 0, 1);
    return arg;
}

static void *
use_nothing(void *arg)
{
    for (unsigned i = 0; i < 6; i++)
        poll(NULL, 0, 0);
    return arg;
}

static size_t
run_small(void *(*fn)(void *), size_t bytes)
{
    unsigned char *stack = aligned_alloc(4096, bytes);
    pthread_attr_t attr;
    pthread_t t;
    size_t used;

    memset(stack, PAINT, bytes);
    pthread_attr_init(&attr);
    pthread_attr_setstack(&attr, stack, bytes);
    if (pthread_create(&t, &attr, fn, NULL) != 0)
        return 0;
    pthread_join(t, NULL);
    used = measure(stack, bytes);
    free(stack);
    return used;
}

/* How much of a stack an allocation takes; how much a thread alone. */
static int
small_stack(void)
{
    size_t idle = run_small(use_nothing, 64 << 10);

    printf("%zu\n", run_small(use_heap, 64 << 10) - idle);
    return run_small(use_heap, 16384) == 0;
}

static long
resident_mib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%*s %ld", &pages) != 1)
        pages = -1;
    if (f)
        fclose(f);
    return pages / 256;
}

static int
lock_memory(void)
{
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
        return perror("mlockall"), 77;
    free(malloc(100));
    puts(resident_mib() < 200 ? "small" : "large");
    return 0;
}

static int
new_user_namespace(void)
{
    rest(300);
    puts(unshare(CLONE_NEWUSER) == 0 ? "done" : strerror(errno));
    return 0;
}

static sigjmp_buf home;

static void
go_home(int number)
{
    siglongjmp(home, number);
}

/* An abort that is survived; blocks of it and after. */
static int
survive_abort(void)
{
    signal(SIGABRT, go_home);
    if (sigsetjmp(home, 1) == 0)
        abort();
    for (int i = 0; i < 1000; i++) {
        void *volatile p = malloc(50);

        free(p);
    }
    rest(1500);
    kill(getpid(), SIGKILL);
    return 1;
}

static void
die_on_small_stack(int number)
{
    (void)number;
    _exit(3);
}

/* A handler for stack overflows, on 8 KiB, may call _exit. */
static int
exit_on_signal_stack(void)
{
    size_t page = 4096, room = 8192;
    char *map = mmap(NULL, room + 2 * page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack = {.ss_sp = map + page, .ss_size = room};
    struct sigaction action = {.sa_handler = die_on_small_stack,
                               .sa_flags = SA_ONSTACK};

    mprotect(map, page, PROT_NONE);
    sigaltstack(&stack, NULL);
    sigaction(SIGUSR1, &action, NULL);
    for (unsigned i = 0; i < 1024; i++)
        free(descend(i, 10));
    raise(SIGUSR1);
    return 1;
}

static int
load_plugin(const char *path)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    puts(lib ? "loaded" : dlerror());
    return 0;
}

static void *
short_thread(void *arg)
{
    void *volatile p = malloc(10);

    free(p);
    return arg;
}

static int
many_threads(void)
{
    for (int i = 0; i < 100; i++) {
        pthread_t t;

        pthread_create(&t, NULL, short_thread, NULL);
        pthread_join(t, NULL);
    }
    return 0;
}

static int
realtime(void)
{
    struct sched_param p = {.sched_priority = 1};

    if (sched_setscheduler(0, SCHED_FIFO, &p) != 0)
        return 77;
    rest(300);
    return system("for t in /proc/$PPID/task/*; do "
                  "grep -qx heapknot $t/comm && chrt -p ${t##*/} | head -1 |"
                  " sed 's/.*: //'; done");
}

static volatile sig_atomic_t forks;

static void
fork_in_handler(int number)
{
    int saved = errno;
    pid_t child = fork();

    (void)number;
    if (child == 0)
        _exit(0);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    forks++;
    errno = saved;
}

/* A program of one thread may fork in a handler, wherever that comes. */
static int
fork_from_handlers(void)
{
    struct sigaction action = {.sa_handler = fork_in_handler,
                               .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 3000}, {0, 3000}}, never = {{0, 0}, {0, 0}};

    rest(1);
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (unsigned i = 0; forks < 150; i++)
        free(realloc(descend(i, 10), i % 900 + 1));
    setitimer(ITIMER_REAL, &never, NULL);
    puts("done");
    return 0;
}

static volatile int is_over;

static void *
allocate_much(void *arg)
{
    for (unsigned i = 0; i < 40; i++)
        free(descend(i, 6));
    return arg;
}

static void *
start_threads(void *arg)
{
    while (!is_over) {
        pthread_t t;

        pthread_create(&t, NULL, allocate_much, NULL);
        pthread_join(t, NULL);
    }
    return arg;
}

/* A child of threads that allocate may allocate too, in threads of its own. */
static int
fork_among_threads(void)
{
    uint64_t start = now_ms();
    pthread_t t[2];
    int status = 0;

    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, start_threads, NULL);
    while (now_ms() - start < 2000 && status == 0) {
        pid_t child = fork();

        if (child == 0) {
            alarm(8);
            pthread_create(&t[0], NULL, allocate_much, NULL);
            pthread_join(t[0], NULL);
            _exit(0);
        }
        waitpid(child, &status, 0);
    }
    is_over = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    puts(status ? "a child hung" : "done");
    return 0;
}

static const struct mode {
    const char *name;
    int (*fn)(void);
} modes[] = {
    {"leave-main", leave_main},   {"fork-at-once", fork_at_once},
    {"dlerror", keep_dlerror},    {"errno", keep_errno},
    {"nothing", allocate_nothing}, {"small-stack", small_stack},
    {"mlockall", lock_memory},    {"namespace", new_user_namespace},
    {"survive-abort", survive_abort},
    {"signal-stack", exit_on_signal_stack}, {"threads", many_threads},
    {"realtime", realtime},       {"fork-in-handler", fork_from_handlers},
    {"fork-among-threads", fork_among_threads},
};

int
main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    setvbuf(stdout, NULL, _IONBF, 0);
    if (strcmp(name, "plugin") == 0)
        return load_plugin(argv[2]);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(modes[i].name, name) == 0)
            return modes[i].fn();
    fprintf(stderr, "no mode %s\n", name);
    return 2;
}
