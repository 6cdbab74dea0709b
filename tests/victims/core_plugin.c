/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * core_plugin.c -- its constructor, called with the loader's lock held, waits
 * for a thread that allocates, sleeps and polls.
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void *
work(void *arg)
{
    struct timespec t = {0, 1000000};

    for (int i = 0; i < 5000; i++)
        free(malloc(10));
    nanosleep(&t, NULL);
    poll(NULL, 0, 1);
    return arg;
}

__attribute__((constructor)) static void
load(void)
{
    pthread_t t;

    pthread_create(&t, NULL, work, NULL);
    pthread_join(t, NULL);
}
