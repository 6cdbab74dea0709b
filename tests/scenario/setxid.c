/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * setxid.c -- a threaded daemon that gives up its rights; for root.
 *
 * libc tells every thread it knows of by a signal and waits for its answer: a
 * thread that blocks that signal hangs the program.  Without rights the
 * program goes on allocating for a while.
 */
#define _GNU_SOURCE 1
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int stop; /* __atomic */

static void *
churn(void *arg)
{
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        free(malloc(100));
    return arg;
}

static void
rest(long milliseconds)
{
    struct timespec time = {.tv_nsec = milliseconds * 1000000};

    for (int i = 0; i < 20; i++)
        free(malloc(5000));
    nanosleep(&time, NULL);
}

int
main(void)
{
    gid_t group = 65534;
    pthread_t threads[2];

    for (int t = 0; t < 2; t++)
        pthread_create(&threads[t], NULL, churn, NULL);
    rest(500);
    printf("setgroups %d\n", setgroups(1, &group));
    printf("setgid %d\n", setgid(65534));
    printf("setuid %d\n", setuid(65534));
    rest(500);
    printf("uid %d\n", (int)getuid());
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    for (int t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
    return 0;
}
