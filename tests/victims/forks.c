/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * forks.c -- every way to make a process, by a program that allocates.
 *
 *      forks            (internally also: forks child CODE)
 *
 * fork, vfork and exec, posix_spawn, system, popen, a daemon by two forks,
 * fork in a threaded program, and a chain of forks.  Children allocate and
 * check what they inherited.  Prints how each of them ended; the same whether
 * an agent is there or not.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { INHERITED = 200 };

static char *inherited[INHERITED];
static const char *self;

static void
fill_inherited(void)
{
    for (int i = 0; i < INHERITED; i++) {
        inherited[i] = malloc(64 + (size_t)i);
        if (!inherited[i])
            abort();
        memset(inherited[i], 'a' + i % 26, 64 + (size_t)i);
    }
}

/* Frees what the parent allocated, and allocates; the sum is a constant. */
static int
use_memory(void)
{
    unsigned sum = 0;

    for (int round = 0; round < 20; round++)
        for (int i = 0; i < INHERITED; i++) {
            sum += (unsigned char)inherited[i][i % 64];
            free(inherited[i]);
            inherited[i] = malloc(64 + (size_t)i);
            if (!inherited[i])
                return 99;
            memset(inherited[i], 'a' + i % 26, 64 + (size_t)i);
        }
    return (int)(sum % 64);
}

static void
report(const char *what, pid_t pid)
{
    int status = 0;

    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        printf("%s: failed: %s\n", what, strerror(errno));
    else if (WIFEXITED(status))
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
    else
        printf("%s: signal %d\n", what, WTERMSIG(status));
    fflush(stdout);
}

static void
by_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        exit(use_memory());
    report("fork", pid);
    pid = fork();
    if (pid == 0) {
        use_memory();
        abort();
    }
    report("fork and abort", pid);
}

static void
by_vfork(void)
{
    pid_t pid = vfork();

    if (pid == 0) {
        execl(self, self, "child", "11", (char *)NULL);
        _exit(127);
    }
    report("vfork and exec", pid);
    pid = vfork();
    if (pid == 0) {
        execl("/nonexistent/program", "program", (char *)NULL);
        _exit(12);
    }
    report("vfork and failed exec", pid);
}

static void
by_spawn(void)
{
    char *args[] = {(char *)self, "child", "13", NULL};
    pid_t pid = -1;

    errno = posix_spawn(&pid, self, NULL, NULL, args, environ);
    report("posix_spawn", errno ? -1 : pid);
    errno = posix_spawnp(&pid, "no-such-program", NULL, NULL, args, environ);
    printf("posix_spawnp of nothing: %s\n", strerror(errno));
}

static void
by_shell(void)
{
    char line[64] = "";
    FILE *pipe;

    printf("system: %d\n", WEXITSTATUS(system("exit 14")));
    fflush(stdout);
    pipe = popen("echo through a pipe", "r");
    if (!pipe || !fgets(line, sizeof line, pipe))
        strcpy(line, "nothing\n");
    printf("popen: %s", line);
    printf("pclose: %d\n", pipe ? pclose(pipe) : -1);
}

/* The daemon's word comes through a pipe: nobody can wait for it. */
static void
by_daemon(void)
{
    int fds[2], said = -1;
    pid_t pid;

    if (pipe(fds) < 0)
        abort();
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        setsid();
        if (fork() == 0) {
            said = use_memory();
            _exit(write(fds[1], &said, sizeof said) == sizeof said ? 0 : 1);
        }
        _exit(15);
    }
    close(fds[1]);
    report("daemon's parent", pid);
    if (read(fds[0], &said, sizeof said) != (ssize_t)sizeof said)
        said = -2;
    close(fds[0]);
    printf("daemon: %d\n", said);
}

static bool stopping; /* __atomic */

static void *
churn(void *arg)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        void *block = malloc(100);

        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
    }
    return arg;
}

/* glibc makes malloc usable in the child of a threaded process. */
static void *
fork_in_thread(void *arg)
{
    long forks = 0;

    for (int i = 0; i < 5; i++) {
        int status = -1;
        pid_t pid = fork();

        if (pid == 0)
            _exit(use_memory());
        if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status))
            forks++;
    }
    *(long *)arg = forks;
    return NULL;
}

static void
by_threads(void)
{
    pthread_t churner, forkers[3];
    long forks[3] = {0, 0, 0};

    pthread_create(&churner, NULL, churn, NULL);
    for (int t = 0; t < 3; t++)
        pthread_create(&forkers[t], NULL, fork_in_thread, &forks[t]);
    for (int t = 0; t < 3; t++)
        pthread_join(forkers[t], NULL);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    pthread_join(churner, NULL);
    printf("forks in threads: %ld %ld %ld\n", forks[0], forks[1], forks[2]);
}

/* Each child starts a thread and forks the next one. */
static int
chain(int depth)
{
    pthread_t thread;
    pid_t pid;
    int status = 0;

    if (depth == 0)
        return use_memory() == 0 ? 1 : 0;
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    if (pthread_create(&thread, NULL, churn, NULL) != 0)
        return 100;
    pthread_join(thread, NULL);
    pid = fork();
    if (pid == 0)
        _exit(1 + chain(depth - 1));
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 101;
    return WEXITSTATUS(status);
}

int
main(int argc, char **argv)
{
    fill_inherited();
    if (argc > 2 && strcmp(argv[1], "child") == 0) {
        use_memory();
        return atoi(argv[2]);
    }
    self = "/proc/self/exe";
    by_fork();
    by_vfork();
    by_spawn();
    by_shell();
    by_daemon();
    by_threads();
    printf("chain of forks: %d\n", chain(5));
    printf("at last: %d\n", use_memory());
    return 0;
}
