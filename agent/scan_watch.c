/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_watch.c -- clone the snapshot child, and see it end.
 *
 * Called by   scan.c.
 * Threads     one scan at a time.
 * Memory      a shared region for the results, until scan_watch_drop.
 * Fails       with the kernel's error where there is no child.  A child that
 *             makes no progress is killed.
 * Invariants  publications go on meanwhile; no lock is held.
 */
#include "agent/scan_watch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "agent/os.h"
#include "agent/publish.h"
#include "agent/scan_child.h"
#include "lib/registry.h"

#define SECOND UINT64_C(1000000000)
#define MILLION UINT64_C(1000000)

#define STUCK_NS (5 * SECOND)   /* without progress: hung */
#define LIMIT_NS (10 * SECOND)  /* altogether, and more for each record */
#define LIMIT_RECORD_NS UINT64_C(50000)
#define STEP_NS (20 * MILLION)  /* between looks at the child */
#define REAP_STEP_NS (MILLION / 2)

static struct results *region;
static uint64_t region_bytes;

static int
map_region(void)
{
    for (region_bytes = RESULTS_BYTES; region_bytes >= RESULTS_BYTES_LEAST;
         region_bytes /= 2) {
        region = os_map_shared(region_bytes);
        if (region) {
            region->room = region_bytes;
            region->used = sizeof *region;
            return 0;
        }
    }
    return -ENOMEM;
}

void
scan_watch_drop(void)
{
    if (region)
        os_unmap(region, region_bytes);
    region = NULL;
}

/* Signals are masked around the clone, so that no handler of the program ever
   runs in the child. */
static long
clone_child(uint64_t *pause_ns)
{
    unsigned long all = ~0ul, before = 0;
    int parent = os_getpid();
    uint64_t start;
    long pid;

    os_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before,
            sizeof all, 0, 0);
    start = os_now_ns();
    pid = os_call(SYS_clone, CLONE_FILES | CLONE_FS, 0, 0, 0, 0, 0);
    if (pid == 0)
        scan_child_main(region, parent);
    *pause_ns = os_now_ns() - start;
    os_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof all, 0,
            0);
    return pid;
}

int
scan_watch_is_finished(void)
{
    return (int)__atomic_load_n(&region->finished, __ATOMIC_ACQUIRE);
}

/* 1: the child has ended.  One that somebody else has waited for (__WALL) has
   ended too. */
static int
reap(long pid, uint64_t *cpu_ns)
{
    struct rusage use;
    int status;
    long got = os_call(SYS_wait4, pid, (long)&status, __WALL | WNOHANG,
                       (long)&use, 0, 0);

    if (got == 0 || got == -EINTR)
        return 0;
    if (got == pid)
        *cpu_ns = ((uint64_t)use.ru_utime.tv_sec +
                   (uint64_t)use.ru_stime.tv_sec) * SECOND +
                  ((uint64_t)use.ru_utime.tv_usec +
                   (uint64_t)use.ru_stime.tv_usec) * 1000;
    return 1;
}

static void
pass_time(uint64_t ns)
{
    static uint32_t nothing;

    os_futex_wait(&nothing, 0, ns, 0);
}

struct watch {
    uint64_t start, moved; /* when it was cloned, last seen to move */
    uint64_t progress, published;
};

static int
is_hung(struct watch *w, uint64_t now)
{
    uint64_t progress = __atomic_load_n(&region->progress, __ATOMIC_RELAXED);

    if (progress != w->progress) {
        w->progress = progress;
        w->moved = now;
    }
    return now - w->moved > STUCK_NS ||
           now - w->start > LIMIT_NS + registry_limit() * LIMIT_RECORD_NS;
}

static void
keep_publishing(struct watch *w, uint64_t now)
{
    if (now - w->published < publish_interval_ns())
        return;
    publish_now(0);
    w->published = now;
}

/* Until the child has ended, by itself or not.  0, or 1 if it was killed. */
static int
wait_for_child(long pid, uint64_t *cpu_ns)
{
    uint64_t now = os_now_ns();
    struct watch w = {.start = now, .moved = now, .published = now};
    int killed = 0;

    while (!reap(pid, cpu_ns)) {
        now = os_now_ns();
        if (!killed && !scan_watch_is_finished() && is_hung(&w, now)) {
            os_call(SYS_kill, pid, SIGKILL, 0, 0, 0, 0);
            killed = 1;
        }
        keep_publishing(&w, now);
        if (killed || scan_watch_is_finished())
            pass_time(REAP_STEP_NS);
        else
            os_futex_wait(&region->finished, 0, STEP_NS, 1);
    }
    return killed && !scan_watch_is_finished();
}

const struct results *
scan_watch_results(void)
{
    return region;
}

uint64_t
scan_watch_bytes(void)
{
    return region_bytes;
}

int
scan_watch_run(struct scan_watch *w)
{
    long pid = map_region();

    if (pid == 0)
        pid = clone_child(&w->pause_ns);
    if (pid < 0)
        return (int)pid;
    w->is_killed = wait_for_child(pid, &w->cpu_ns);
    return 0;
}
