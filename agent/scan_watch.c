/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_watch.c -- clone the snapshot child, and see it end.
 *
 * Called by   scan.c; scan_watch_stop() by life.c and worker.c.
 * Threads     one scan at a time; scan_watch_stop() any.
 * Memory      a shared region for the results, until scan_watch_drop.
 * Fails       with the kernel's error where there is no child.  A child that
 *             makes no progress is killed, one that cannot be killed is left
 *             behind, and there is no other until it has ended.
 * Invariants  publications go on meanwhile; no lock is held.
 *
 * The child watches over the program's code itself (scan_shield.c).  What is
 * watched from here is the rest, with more patience.
 */
#include "agent/scan_watch.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/boot.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/sandbox.h"
#include "agent/scan_child.h"
#include "agent/scan_shield.h"
#include "lib/registry.h"

#define SECOND UINT64_C(1000000000)
#define MILLION UINT64_C(1000000)

/* Of the child's CPU, and more for each record: without progress, and in
   all. */
#define STUCK_NS (5 * SECOND)
#define STUCK_RECORD_NS UINT64_C(1000)
#define LIMIT_NS (10 * SECOND)
#define LIMIT_RECORD_NS UINT64_C(50000)
/* Of time, without progress: it does not get to run, or it sleeps; where it
   has a timer it would have noticed the latter. */
#define STARVED_NS (60 * SECOND)
#define ASLEEP_NS (5 * SECOND)
#define LOOK_MOST_NS SECOND      /* in which we were stopped ourselves */
#define STEP_NS (10 * MILLION)   /* between looks at the child */
#define REAP_STEP_NS (MILLION / 2)
#define REAP_LONGEST_NS (2 * SECOND) /* after its end, or a kill */

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif
#define WAIT_PIDFD 3 /* P_PIDFD */
#define CLOCK_OF_PROCESS(pid) ((long)(~(unsigned)(pid) << 3 | 2u))

static struct results *region;
static uint64_t region_bytes;

struct child {
    long pid; /* 0: none */
    int fd;   /* -1: known by its number only */
};

static struct child left; /* could not be killed */
static int left_by;       /* a process */
static int own_table_tid; /* whose descriptors are nobody else's */

static uint32_t is_watching; /* futex */
static int held_by;          /* a process that is not to be scanned */

/* ---- the region --------------------------------------------------------- */

/* Where address space is limited it is the program that goes short. */
uint64_t
scan_watch_most_bytes(void)
{
    struct rlimit space = {RLIM_INFINITY, RLIM_INFINITY};

    os_call(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&space, 0, 0);
    return space.rlim_cur == RLIM_INFINITY ? RESULTS_BYTES
                                           : RESULTS_BYTES_LEAST;
}

static int
map_region(void)
{
    for (region_bytes = scan_watch_most_bytes();
         region_bytes >= RESULTS_BYTES_LEAST;
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

/* Also in a forked child, which has no child that is watched. */
void
scan_watch_drop(void)
{
    struct results *gone = region;

    region = NULL; /* first, lest a child that is forked now do it too */
    if (gone)
        os_unmap(gone, region_bytes);
    __atomic_store_n(&is_watching, 0, __ATOMIC_RELEASE);
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
scan_watch_is_finished(void)
{
    return (int)__atomic_load_n(&region->finished, __ATOMIC_ACQUIRE);
}

/* ---- the clone ---------------------------------------------------------- */

void
scan_watch_use_descriptors(int tid)
{
    own_table_tid = tid;
}

static long
set_policy(long policy, int priority)
{
    return os_call(SYS_sched_setscheduler, 0, policy, (long)&priority, 0, 0,
                   0);
}

/*
 * A clone holds the lock of the address space.  On a busy machine the thread
 * may be put aside in the middle of it, for many times as long as the clone
 * takes, with the program's page faults waiting; not so in real time, where the
 * system allows that.  The child has nothing of it.  Returns the policy to go
 * back to, or -1.
 */
static long
hurry(void)
{
    long policy = os_call(SYS_sched_getscheduler, 0, 0, 0, 0, 0, 0);

    if (policy < 0 || (policy & ~SCHED_RESET_ON_FORK) == SCHED_FIFO ||
        (policy & ~SCHED_RESET_ON_FORK) == SCHED_RR ||
        set_policy(SCHED_FIFO | SCHED_RESET_ON_FORK, 1))
        return -1;
    return policy;
}

/* Meanwhile the right to do so in full may be lost. */
static void
calm_down(long policy)
{
    if (policy >= 0 && set_policy(policy, 0))
        set_policy(policy | SCHED_RESET_ON_FORK, 0);
}

struct parent {
    int pid, tid;
    const struct scan_wish *wish;
};

static void
be_child(void *arg)
{
    const struct parent *p = arg;

    scan_child_main(region, p->wish, p->pid, p->tid);
}

/*
 * No exit signal: no SIGCHLD, and unseen by the program's wait.  No
 * CLONE_VFORK and the like, and no tracer, which would take it for a thread.
 * CLONE_FILES: no file is held by it as well, not even for the moment until it
 * has a table of its own.  No CLONE_FS, which would keep the program out of
 * mount namespaces and an exec of it from gaining rights.
 *
 * Signals are masked around the clone, so that no handler of the program ever
 * runs in the child.
 */
static struct child
clone_child(const struct scan_wish *wish, uint64_t *pause_ns)
{
    unsigned long all = ~0ul, before = 0;
    struct parent parent = {os_getpid(), os_gettid(), wish};
    long flags = CLONE_FILES | CLONE_UNTRACED;
    struct child c = {0, -1};
    uint64_t start;
    long policy;

    if (parent.tid == own_table_tid)
        flags |= CLONE_PIDFD;
    os_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before,
            sizeof all, 0, 0);
    policy = hurry();
    start = os_now_ns();
    c.pid = os_call(SYS_clone, flags, 0, (long)&c.fd, 0, 0, 0);
    if (c.pid == 0)
        shield_begin(be_child, &parent);
    *pause_ns = os_now_ns() - start;
    calm_down(policy);
    os_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof all, 0,
            0);
    return c;
}

/* ---- its end ------------------------------------------------------------ */

static uint64_t
time_ns(const struct timeval *t)
{
    return (uint64_t)t->tv_sec * SECOND + (uint64_t)t->tv_usec * 1000;
}

/* 1: the child has ended.  One that somebody else has waited for (__WALL) has
   ended too. */
static int
reap(const struct child *c, struct scan_watch *w)
{
    struct rusage use = {.ru_maxrss = 0};
    siginfo_t info = {.si_pid = 0};
    long err = os_call(SYS_waitid, c->fd >= 0 ? WAIT_PIDFD : P_PID,
                       c->fd >= 0 ? c->fd : c->pid, (long)&info,
                       WEXITED | WNOHANG | __WALL, (long)&use, 0);

    if (err == -EINTR || (err == 0 && info.si_pid == 0))
        return 0;
    if (err == 0) {
        w->cpu_ns = time_ns(&use.ru_utime) + time_ns(&use.ru_stime);
        w->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    } else {
        w->signal = -1;
    }
    if (c->fd >= 0)
        os_close(c->fd);
    return 1;
}

/* By request too: we may have lost the right to kill it. */
static void
end_child(const struct child *c)
{
    __atomic_store_n(&region->stop, 1, __ATOMIC_RELEASE);
    if (c->fd >= 0)
        os_call(SYS_pidfd_send_signal, c->fd, SIGKILL, 0, 0, 0, 0);
    else
        os_call(SYS_kill, c->pid, SIGKILL, 0, 0, 0, 0);
}

static void
pass_time(uint64_t ns)
{
    static uint32_t nothing;

    os_futex_wait(&nothing, 0, ns, 0);
}

/* ---- meanwhile ---------------------------------------------------------- */

struct watch {
    uint64_t start;
    uint64_t looked;      /* the last time */
    uint64_t still_ns;    /* without progress */
    uint64_t moved_cpu_ns; /* of the child, when it last got on */
    uint64_t progress, published;
    uint64_t ended_ns;    /* when it was finished or killed, 0: not yet */
};

static uint64_t
cpu_of(const struct child *c, const struct watch *w)
{
    struct timespec t;

    if (os_call(SYS_clock_gettime, CLOCK_OF_PROCESS(c->pid), (long)&t, 0, 0,
                0, 0))
        return w->looked - w->start;
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static int
is_over_limit(const struct child *c, struct watch *w, uint64_t now)
{
    uint64_t progress = __atomic_load_n(&region->progress, __ATOMIC_RELAXED);
    uint64_t step = now - w->looked, cpu = cpu_of(c, w);
    uint64_t records = registry_limit();

    w->looked = now;
    w->still_ns += step < LOOK_MOST_NS ? step : LOOK_MOST_NS;
    if (progress != w->progress) {
        w->progress = progress;
        w->still_ns = 0;
        w->moved_cpu_ns = cpu;
    }
    if (region->ticks && w->still_ns > STARVED_NS)
        region->type = 0; /* it does not sleep, so it is nobody's fault */
    return w->still_ns > (region->ticks ? STARVED_NS : ASLEEP_NS) ||
           cpu - w->moved_cpu_ns > STUCK_NS + records * STUCK_RECORD_NS ||
           cpu > LIMIT_NS + records * LIMIT_RECORD_NS;
}

static void
keep_publishing(struct watch *w, uint64_t now)
{
    if (now - w->published < publish_interval_ns())
        return;
    publish_now(0);
    w->published = now;
}

int
scan_watch_is_unwanted(void)
{
    return __atomic_load_n(&held_by, __ATOMIC_SEQ_CST) == os_getpid() ||
           __atomic_load_n(&boot_phase, __ATOMIC_RELAXED) != PHASE_LIVE;
}

/* Ends it where that is due; 1: it is finished, or was told to end. */
static int
look(const struct child *c, struct watch *w, struct scan_watch *out,
     uint64_t now)
{
    if (w->ended_ns)
        return 1;
    if (!scan_watch_is_finished()) {
        out->is_stopped = scan_watch_is_unwanted();
        out->is_killed = !out->is_stopped && is_over_limit(c, w, now);
        if (!out->is_stopped && !out->is_killed)
            return 0;
        end_child(c);
    }
    w->ended_ns = now;
    return 1;
}

/* Until the child has ended, by itself or not. */
static void
wait_for_child(const struct child *c, struct scan_watch *out)
{
    uint64_t now = os_now_ns();
    struct watch w = {.start = now, .looked = now, .published = now};

    while (!reap(c, out)) {
        int ends = look(c, &w, out, now = os_now_ns());

        if (ends && now - w.ended_ns > REAP_LONGEST_NS) {
            left = *c;
            left_by = os_getpid();
            return;
        }
        keep_publishing(&w, now);
        if (ends)
            pass_time(REAP_STEP_NS);
        else
            os_futex_wait(&region->finished, 0, STEP_NS, 1);
    }
}

void
scan_watch_stop(uint64_t wait_ns)
{
    uint64_t now = os_now_ns(), end = now + wait_ns;

    __atomic_store_n(&held_by, os_getpid(), __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&is_watching, __ATOMIC_SEQ_CST) && now < end) {
        os_futex_wait(&is_watching, 1, end - now, 0);
        now = os_now_ns();
    }
}

void
scan_watch_go_on(void)
{
    __atomic_store_n(&held_by, 0, __ATOMIC_SEQ_CST);
}

/* ---- the whole ---------------------------------------------------------- */

/* Killed from outside, as by the OOM killer, or for others' sake, or nobody
   knows: the type in hand is not to blame. */
static void
acquit(const struct scan_watch *w)
{
    if (!scan_watch_is_finished() && !w->is_killed &&
        (w->signal == SIGKILL || w->signal < 0))
        region->type = 0;
}

static int
is_one_left(void)
{
    struct scan_watch w;

    if (left.pid && (left_by != os_getpid() || reap(&left, &w)))
        left.pid = 0;
    return left.pid != 0;
}

static int
clone_and_wait(struct scan_watch *w)
{
    struct child c = clone_child(w->wish, &w->pause_ns);

    if (c.pid < 0)
        return (int)c.pid;
    wait_for_child(&c, w);
    acquit(w);
    w->is_killed = w->is_killed && !scan_watch_is_finished();
    return scan_watch_is_finished() && region->status == HKR_SCAN_DENIED
               ? -EPERM
               : 0;
}

static int
run(struct scan_watch *w)
{
    int err;

    if (sandbox_is_tightened())
        return -EACCES;
    err = is_one_left() ? -EAGAIN : map_region();
    return err ? err : clone_and_wait(w);
}

int
scan_watch_run(struct scan_watch *w)
{
    int err = 0;

    __atomic_store_n(&is_watching, 1, __ATOMIC_SEQ_CST);
    w->is_stopped = scan_watch_is_unwanted();
    if (!w->is_stopped)
        err = run(w);
    __atomic_store_n(&is_watching, 0, __ATOMIC_SEQ_CST);
    os_futex_wake(&is_watching, INT32_MAX, 0);
    return err;
}
