/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * exits.c -- every way to end, by a program that allocates to the last.
 *
 *      exits return|exit|_exit|_Exit|quick_exit|abort|exec|execfail|
 *            raise-segv|segv|assert|thread-exit|exec-thread
 *
 * The recording must be complete afterwards, and what is printed and the
 * status must be the same whether an agent is there or not.
 */
#define _GNU_SOURCE 1
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { BLOCKS = 100, STATUS = 7 };

static void *blocks[BLOCKS];

/* 100 blocks of 1000 bytes live at the end, however that comes. */
static void
allocate(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
        blocks[i] = malloc(1000);
        if (blocks[i])
            memset(blocks[i], i, 1000);
    }
}

static void
say(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

static void
at_exit(void)
{
    free(malloc(123));
    say("atexit");
}

static void
at_quick_exit_handler(void)
{
    free(malloc(123));
    say("at_quick_exit");
}

__attribute__((destructor)) static void
at_the_very_end(void)
{
    free(malloc(321));
    say("destructor");
}

static void
do_return(void)
{
}

static void
do_exit(void)
{
    exit(STATUS);
}

static void
do__exit(void)
{
    _exit(STATUS);
}

static void
do__Exit(void)
{
    _Exit(STATUS);
}

static void
do_quick_exit(void)
{
    quick_exit(STATUS);
}

static void
do_exec(void)
{
    execl("/bin/echo", "echo", "from the next program", (char *)NULL);
}

static void
do_execfail(void)
{
    char *args[] = {(char *)"nothing", NULL};

    execv("/nonexistent/nothing", args);
    printf("execv: %s\n", strerror(errno));
    execvp("nonexistent-nothing", args);
    printf("execvp: %s\n", strerror(errno));
    execl("/", "nothing", (char *)NULL);
    printf("execl: %s\n", strerror(errno));
    allocate();
    say("went on");
    exit(STATUS);
}

static void
do_raise_segv(void)
{
    raise(SIGSEGV);
}

static void
do_segv(void)
{
    volatile char *volatile nowhere = (char *)8;

    *nowhere = 1;
}

static void
do_assert(void)
{
    fclose(stderr);
    assert(!"reached");
}

static void *
exit_here(void *arg)
{
    allocate();
    exit(STATUS);
    return arg;
}

static void *
exec_here(void *arg)
{
    do_exec();
    return arg;
}

static void
in_thread(void *(*run)(void *))
{
    pthread_t thread;

    pthread_create(&thread, NULL, run, NULL);
    for (;;)
        pause();
}

static void
do_thread_exit(void)
{
    in_thread(exit_here);
}

static void
do_exec_thread(void)
{
    in_thread(exec_here);
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"return", do_return},
    {"exit", do_exit},
    {"_exit", do__exit},
    {"_Exit", do__Exit},
    {"quick_exit", do_quick_exit},
    {"abort", abort},
    {"exec", do_exec},
    {"execfail", do_execfail},
    {"raise-segv", do_raise_segv},
    {"segv", do_segv},
    {"assert", do_assert},
    {"thread-exit", do_thread_exit},
    {"exec-thread", do_exec_thread},
};

int
main(int argc, char **argv)
{
    struct rlimit no_core = {0, 0};

    setrlimit(RLIMIT_CORE, &no_core);
    atexit(at_exit);
    at_quick_exit(at_quick_exit_handler);
    allocate();
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (argc > 1 && strcmp(argv[1], ways[i].name) == 0) {
            printf("ends by %s\n", ways[i].name);
            fflush(stdout);
            printf("not flushed\n");
            ways[i].run();
            return STATUS;
        }
    fprintf(stderr, "usage: exits WAY\n");
    return 2;
}
