/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_forks.c -- children that go on from another depth, and threads on the
 * stacks of others.
 *
 *      unwind_forks [WAVES]
 *
 * The child and the grandchild return out of the frames in which they were
 * born, and allocate below others.  Then waves of short threads on stacks that
 * other threads had, with another function at the bottom.  Each process writes
 * its own book: parent, child, grandchild.
 */
#define _GNU_SOURCE 1
#include <limits.h>
#include <pthread.h>
#include <sys/wait.h>

#include "tests/victims/chain.h"

enum { WAVE = 8, DEEP = 20 };

static NOIPA void
small(uint32_t depth)
{
    CHAIN;

    plant(10);
    if (depth)
        small(depth - 1);
    plant(11);
}

static NOIPA void
large(uint32_t depth)
{
    CHAIN;
    char room[500];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(20);
    if (depth)
        large(depth - 1);
    plant(21);
}

static NOIPA void *
small_thread(void *depth)
{
    CHAIN;

    small((uint32_t)(uintptr_t)depth);
    return NULL;
}

static NOIPA void *
large_thread(void *depth)
{
    CHAIN;

    large((uint32_t)(uintptr_t)depth);
    return NULL;
}

/* As large as small_thread, but for its address. */
static NOIPA void *
other_thread(void *depth)
{
    CHAIN;

    small((uint32_t)(uintptr_t)depth);
    __asm__ volatile("" : : : "memory");
    return NULL;
}

static NOIPA void
threads(int waves)
{
    static void *(*const roots[])(void *) = {small_thread, other_thread,
                                             large_thread};
    pthread_attr_t attributes;
    CHAIN;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    for (int i = 0; i < waves; i++) {
        pthread_t wave[WAVE];

        for (int t = 0; t < WAVE; t++)
            if (pthread_create(&wave[t], &attributes, roots[(i + t) % 3],
                               (void *)(uintptr_t)((i + t) % DEEP)) != 0)
                _exit(96);
        for (int t = 0; t < WAVE; t++)
            pthread_join(wave[t], NULL);
        plant(30);
    }
    pthread_attr_destroy(&attributes);
}

/* In the child 0, as from fork. */
static NOIPA pid_t
fork_deep(uint32_t depth)
{
    CHAIN;
    pid_t pid;

    plant(40);
    pid = depth ? fork_deep(depth - 1) : fork();
    plant(41);
    return pid;
}

static NOIPA pid_t
fork_from_elsewhere(uint32_t depth)
{
    CHAIN;
    pid_t pid;
    char room[100];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(42);
    pid = depth ? fork_deep(depth - 1) : fork();
    plant(43);
    return pid;
}

static bool
ends_well(pid_t pid)
{
    int status;

    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static NOIPA void
grandchild(void)
{
    CHAIN;

    chain_inherited = chain_planted;
    small(DEEP);
    large(DEEP);
    threads(3);
    chain_write("grandchild");
    exit(0);
}

static NOIPA void
child(void)
{
    CHAIN;
    pid_t pid;

    chain_inherited = chain_planted;
    large(5);
    pid = fork_from_elsewhere(DEEP);
    if (pid == 0)
        grandchild();
    small(DEEP);
    threads(3);
    chain_write("child");
    exit(ends_well(pid) ? 0 : 1);
}

int
main(int argc, char **argv)
{
    CHAIN;
    int waves = argc > 1 ? atoi(argv[1]) : 60;
    bool good;
    pid_t pid;

    small(DEEP);
    pid = fork_deep(DEEP);
    if (pid == 0)
        child();
    small(DEEP + 1);
    threads(waves);
    good = ends_well(pid);
    printf("%s, planted %llu\n", good ? "good" : "bad",
           (unsigned long long)chain_planted);
    chain_write("parent");
    return good ? 0 : 1;
}
