/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * threads.c -- births and deaths of threads that allocate to the very end.
 *
 *      threads [STORM]
 *
 * Storms of joined and of detached threads, blocks freed by another thread
 * than theirs, destructors of thread-specific data that allocate for all of
 * PTHREAD_DESTRUCTOR_ITERATIONS rounds, cancelled threads with cleanup
 * handlers, pthread_exit from deep inside, and the main thread leaving first.
 * Prints counts, the same whether an agent is there or not.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS = 4, WAVE = 16 };

static pthread_key_t keys[KEYS];
static long destructor_calls; /* __atomic */
static long cleanups;         /* __atomic */
static int storm = 400;

static void
add(long *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static void
start(pthread_t *thread, const pthread_attr_t *attributes,
      void *(*run)(void *), void *arg)
{
    int error = pthread_create(thread, attributes, run, arg);

    for (int i = 0; error == EAGAIN && i < 1000; i++) {
        usleep(1000);
        error = pthread_create(thread, attributes, run, arg);
    }
    if (error) {
        printf("pthread_create: %s\n", strerror(error));
        exit(1);
    }
}

static void
churn(unsigned n)
{
    void *blocks[8];

    for (unsigned i = 0; i < 8; i++)
        blocks[i] = malloc(1 + (n * 37 + i * 101) % 3000);
    for (unsigned i = 0; i < 8; i++)
        free(blocks[i]);
}

/* Sets its own key again, so that it runs in every round there is. */
static void
destroy(void *value)
{
    int key = *(int *)value;
    int *again = malloc(sizeof *again);

    add(&destructor_calls);
    churn((unsigned)key);
    free(value);
    if (!again)
        return;
    *again = key;
    pthread_setspecific(keys[key], again);
}

/* The last rounds' values have nobody who frees them: as many in every run. */
static void *
live_with_keys(void *arg)
{
    for (int k = 0; k < KEYS; k++) {
        int *value = malloc(sizeof *value);

        if (!value)
            return NULL;
        *value = k;
        pthread_setspecific(keys[k], value);
    }
    churn(5);
    return arg;
}

static void
late_destructors(void)
{
    long expected = (long)KEYS * PTHREAD_DESTRUCTOR_ITERATIONS * 50;
    pthread_t thread;

    for (int k = 0; k < KEYS; k++)
        pthread_key_create(&keys[k], destroy);
    for (int i = 0; i < 50; i++) {
        start(&thread, NULL, live_with_keys, NULL);
        pthread_join(thread, NULL);
    }
    printf("destructors: %s\n",
           destructor_calls == expected ? "every round" : "rounds missing");
}

static void *
give_block(void *arg)
{
    churn((unsigned)(size_t)arg);
    return malloc(100 + (size_t)arg % 50);
}

static void
joined_storm(void)
{
    pthread_t threads[WAVE];
    int joined = 0;

    for (int i = 0; i < storm; i += WAVE) {
        for (int t = 0; t < WAVE; t++)
            start(&threads[t], NULL, give_block, (void *)(size_t)(i + t));
        for (int t = 0; t < WAVE; t++) {
            void *block;

            pthread_join(threads[t], &block);
            joined += block != NULL;
            free(block);
        }
    }
    printf("joined: %d\n", joined);
}

static sem_t finished;

static void *
run_detached(void *arg)
{
    churn((unsigned)(size_t)arg);
    sem_post(&finished);
    churn((unsigned)(size_t)arg + 1);
    return NULL;
}

static void
detached_storm(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int count = 0;

    sem_init(&finished, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 64 * 1024);
    for (int i = 0; i < storm; i++) {
        start(&thread, &attributes, run_detached, (void *)(size_t)i);
        if (i % WAVE == WAVE - 1)
            for (int t = 0; t < WAVE; t++, count++)
                while (sem_wait(&finished) < 0)
                    ;
    }
    pthread_attr_destroy(&attributes);
    printf("detached, on small stacks: %d\n", count);
}

static void
clean_up(void *block)
{
    free(block);
    churn(9);
    add(&cleanups);
}

static void *
wait_to_be_cancelled(void *arg)
{
    void *block = malloc(333);

    pthread_cleanup_push(clean_up, block);
    sem_post(arg);
    for (;;) {
        churn(3);
        usleep(100);
    }
    pthread_cleanup_pop(1);
    return NULL;
}

static void
cancelled(void)
{
    int count = 0;

    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        void *result;

        start(&thread, NULL, wait_to_be_cancelled, &finished);
        while (sem_wait(&finished) < 0)
            ;
        pthread_cancel(thread);
        pthread_join(thread, &result);
        count += result == PTHREAD_CANCELED;
    }
    printf("cancelled: %d, cleaned up: %ld\n", count, cleanups);
}

static void (*volatile leave_thread)(void *) = pthread_exit;

static void __attribute__((noinline))
exit_deep_inside(int depth, void *result)
{
    char room[64];

    memset(room, depth, sizeof room);
    __asm__ volatile("" : : "r"(room) : "memory");
    churn((unsigned)depth);
    if (depth > 0)
        exit_deep_inside(depth - 1, result);
    else
        leave_thread(result);
    __asm__ volatile("" : : "r"(room) : "memory");
}

static void *
run_deep(void *arg)
{
    exit_deep_inside(60, arg);
    return NULL;
}

static void
exits_inside(void)
{
    pthread_t thread;
    void *result;
    int count = 0;

    for (int i = 0; i < 50; i++) {
        start(&thread, NULL, run_deep, &finished);
        pthread_join(thread, &result);
        count += result == &finished;
    }
    printf("pthread_exit from deep inside: %d\n", count);
}

static pthread_t main_thread;

static void *
outlive_main(void *arg)
{
    int error = pthread_join(main_thread, NULL);

    churn(1);
    printf("main thread is gone: %d\n", error);
    fflush(stdout);
    exit(*(int *)arg);
}

int
main(int argc, char **argv)
{
    static int code = 21;
    pthread_t last;

    if (argc > 1)
        storm = atoi(argv[1]) / WAVE * WAVE;
    late_destructors();
    joined_storm();
    detached_storm();
    cancelled();
    exits_inside();
    main_thread = pthread_self();
    start(&last, NULL, outlive_main, &code);
    pthread_exit(NULL);
}
