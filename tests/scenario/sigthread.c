/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sigthread.c -- signals to the process reach the program's threads only.
 *
 * SIGUSR1 is blocked in every thread of the program and taken by sigwait: a
 * thread of somebody else's that has it open would die of it.  SIGALRM comes
 * every millisecond and is open in one thread only: the handler may run in no
 * other.  No handler of the program's is replaced.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static pid_t own_tid;           /* __atomic */
static int alarms, wrong, stop; /* __atomic */

static void
on_alarm(int number)
{
    (void)number;
    __atomic_add_fetch(gettid() == __atomic_load_n(&own_tid, __ATOMIC_RELAXED)
                           ? &alarms
                           : &wrong,
                       1, __ATOMIC_RELAXED);
}

static void *
take_alarms(void *arg)
{
    sigset_t set;

    __atomic_store_n(&own_tid, gettid(), __ATOMIC_RELAXED);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        free(malloc(10));
    return arg;
}

/* Every signal is at its default where the program has not said otherwise. */
static int
count_foreign_handlers(void)
{
    int count = 0;

    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;

        if (number != SIGALRM && sigaction(number, NULL, &action) == 0)
            count +=
                action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN;
    }
    return count;
}

int
main(void)
{
    struct itimerval every = {{0, 1000}, {0, 1000}};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    struct timespec pause = {.tv_nsec = 1000000};
    pthread_t thread;
    sigset_t set, user;
    int taken = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    pthread_sigmask(SIG_BLOCK, &user, NULL);
    sigaction(SIGALRM, &action, NULL);
    pthread_create(&thread, NULL, take_alarms, NULL);
    setitimer(ITIMER_REAL, &every, NULL);
    for (int i = 0; i < 500; i++) {
        int number = 0;

        kill(getpid(), SIGUSR1);
        sigwait(&user, &number);
        taken += number == SIGUSR1;
        free(malloc(1000));
        nanosleep(&pause, NULL);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    printf("taken %d, alarms %s, elsewhere %d, foreign handlers %d\n", taken,
           alarms > 50 ? "many" : "few", wrong, count_foreign_handlers());
    return 0;
}
