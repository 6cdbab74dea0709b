/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * pool-t.c -- the private jemalloc: does what malloc does, keeps errno, lives
 * through forks, and does not listen to MALLOC_CONF.
 *
 * The planted environment asks for three things that would be seen: to abort
 * on a word that does not exist, to print statistics at exit, and to have more
 * arenas.
 */
#include "agent/pool.h"
#include "tests/tap/tap.h"

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOSTILE "abort_conf:true,nosuch:1,stats_print:true,narenas:7"

int hkj_mallctl(const char *name, void *old, size_t *old_size, void *value,
                size_t value_size);

static volatile int stop;

static void *
churn(void *arg)
{
    while (!stop)
        pool_free(pool_realloc(pool_alloc(100), 20000));
    return arg;
}

/* With the planted environment in place from the start of the process. */
static void
start_again(char **argv)
{
    if (getenv("MALLOC_CONF") != NULL)
        return;
    setenv("MALLOC_CONF", HOSTILE, 1);
    execv("/proc/self/exe", argv);
    bail_out("cannot start again");
}

static void
test_memory(void)
{
    unsigned char *p = pool_zalloc(100000);
    unsigned char sum = 0;

    if (!ok(p != NULL, "100,000 bytes"))
        return;
    for (int i = 0; i < 100000; i++)
        sum |= p[i];
    is_int(0, sum, "they are zero");
    memset(p, 7, 100000);
    p = pool_realloc(p, 3000000);
    ok(p != NULL && p[0] == 7 && p[99999] == 7, "realloc keeps them");
    ok(pool_resident_bytes() > 100000, "they are counted");
    pool_free(p);
    pool_free(NULL);
}

static void
test_errno(void)
{
    void *p;

    errno = EXDEV;
    p = pool_alloc(SIZE_MAX / 2);
    ok(p == NULL, "too much is NULL");
    is_int(EXDEV, errno, "errno is kept when it fails");
    pool_resident_bytes();
    is_int(EXDEV, errno, "and by the statistics");
}

static void
test_settings(void)
{
    unsigned arenas = 0;
    size_t size = sizeof arenas;

    is_str(HOSTILE, getenv("MALLOC_CONF"), "MALLOC_CONF is hostile");
    is_int(0, hkj_mallctl("opt.narenas", &arenas, &size, NULL, 0),
           "the number of arenas can be asked for");
    is_int(1, arenas, "it is ours");
}

static int
fork_once(void)
{
    int status = -1;
    pid_t child;

    pool_before_fork();
    child = fork();
    if (child == 0) {
        pool_after_fork_child();
        alarm(20); /* a lock left taken would hang it */
        pool_free(pool_alloc(20000));
        _exit(0);
    }
    pool_after_fork_parent();
    waitpid(child, &status, 0);
    return status;
}

static void
test_fork(void)
{
    pthread_t thread;
    int bad = 0;

    if (pthread_create(&thread, NULL, churn, NULL) != 0)
        bail_out("no thread");
    for (int i = 0; i < 100; i++)
        bad += fork_once() != 0;
    stop = 1;
    pthread_join(thread, NULL);
    is_int(0, bad, "children that hung, of 100 forked amid allocations");
}

int
main(int argc, char **argv)
{
    (void)argc;
    start_again(argv);
    test_memory();
    test_errno();
    test_settings();
    test_fork();
    return done_testing();
}
