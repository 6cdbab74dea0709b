/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.c -- the agent's thread.
 *
 * It sleeps on the control page's futex until something is due or asked for.
 * All signals are masked (but libc's own two, or setuid would hang), it is
 * named "heapknot", has descriptors of its own, and holds the guard all its
 * life.
 *
 * Called by   life.c starts it.
 * Threads     this is one.
 * Fails       where it cannot be made, the program's threads publish.
 */
#include "agent/worker.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>

#include "agent/control.h"
#include "agent/counters.h"
#include "agent/interpose.h"
#include "agent/meta.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/recspace.h"
#include "agent/retire.h"
#include "agent/scan.h"
#include "agent/scan_watch.h"
#include "agent/thread.h"

#define STACK_BYTES (256u << 10)
#define LARGE_STACK_BYTES (16u << 20)
#define NO_FILE_WAIT_NS 1000000000u

#define REST_WAIT_NS 500000000u
#define REST_STEP_NS 200000u

enum { NONE, STARTING };
static uint32_t state;
static uint32_t tid;       /* 0: not in run() */
static uint32_t is_resting; /* asked to end */
static uint32_t *glibc_threads;

int
worker_is_running(void)
{
    return __atomic_load_n(&state, __ATOMIC_RELAXED) != NONE;
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* On the control page, so that ctl can wake us; on a word of our own where
   there is no page, or the kernel cannot reach it any more. */
static void
wait_until(uint64_t due)
{
    static uint32_t nothing;
    uint64_t now = os_now_ns(), left;
    uint32_t *word = control_futex();
    int err = -EFAULT;

    if (due <= now)
        return;
    left = due - now;
    if (word)
        err = os_futex_wait(word, control_seen(), left, 1);
    if (err && err != -ETIMEDOUT && err != -EAGAIN && err != -EINTR)
        os_futex_wait(&nothing, 0, earlier(left, NO_FILE_WAIT_NS), 0);
}

static int
is_told_to_end(void)
{
    return __atomic_load_n(&is_resting, __ATOMIC_ACQUIRE) != 0;
}

/* Four fifths of what is promised: the rest is for waking up and writing. */
static uint64_t
distance_ns(void)
{
    return publish_interval_ns() / 5 * 4;
}

static void
serve(void)
{
    uint64_t publish_ns = 0, snapshot_ns = 0, now;
    char text[128];

    while (boot_phase == PHASE_LIVE && !is_told_to_end()) {
        if (control_is_asked())
            control_answer();
        now = os_now_ns();
        if (now >= snapshot_ns) {
            meta_measure();
            publish_snapshot(0, NULL, opt.publish);
            snapshot_ns = now + opt.interval;
            publish_ns = now + distance_ns();
        } else if (now >= publish_ns) {
            publish_now(opt.publish);
            publish_ns = now + distance_ns();
        }
        if (now >= scan_due_ns())
            scan_run(0, text, sizeof(text));
        wait_until(earlier(scan_due_ns(), earlier(publish_ns, snapshot_ns)));
    }
}

/*
 * A descriptor table of our own, with nothing but the recording in it.  What
 * we open can then never be the number that the program expects next, nor do
 * we keep its pipes open, and it cannot close ours.
 */
static void
leave_descriptors(void)
{
    unsigned keep = (unsigned)recspace_descriptor();
    long err = os_call(SYS_close_range, keep == UINT_MAX ? 0 : keep + 1,
                       UINT_MAX, CLOSE_RANGE_UNSHARE, 0, 0, 0);

    if (err == 0 && keep != UINT_MAX && keep > 0)
        os_call(SYS_close_range, 0, keep - 1, 0, 0, 0, 0);
    scan_watch_use_descriptors(err == 0 ? os_gettid() : 0);
}

/* A thread inherits the real-time priority of whoever starts it. */
static void
leave_realtime(void)
{
    struct sched_param none = {.sched_priority = 0};
    long policy = os_call(SYS_sched_getscheduler, 0, 0, 0, 0, 0, 0);

    if ((policy & ~SCHED_RESET_ON_FORK) == SCHED_FIFO ||
        (policy & ~SCHED_RESET_ON_FORK) == SCHED_RR)
        os_call(SYS_sched_setscheduler, 0, SCHED_OTHER, (long)&none, 0, 0, 0);
}

/*
 * When main leaves by pthread_exit, a process ends with its last thread: libc
 * counts them.  It must not wait for us, nor may we be the one that runs the
 * handlers of exit.
 */
static void
count_thread(int n)
{
    if (glibc_threads)
        __atomic_fetch_add(glibc_threads, (uint32_t)n, __ATOMIC_SEQ_CST);
}

static void *
run(void *arg)
{
    (void)arg;
    self.guard = UINTPTR_MAX;
    self.is_own = 1;
    self.is_seen = 1;
    __atomic_store_n(&tid, (uint32_t)os_gettid(), __ATOMIC_RELEASE);
    leave_realtime();
    leave_descriptors();
    prctl(PR_SET_NAME, (unsigned long)"heapknot", 0, 0, 0);
    control_set_listening(1);
    serve();
    control_set_listening(0);
    if (boot_phase == PHASE_LIVE) { /* a rest, not the end */
        __atomic_store_n(&tid, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&state, NONE, __ATOMIC_RELEASE);
    }
    count_thread(1); /* libc takes it off again */
    return NULL;
}

static int
create(size_t stack_bytes)
{
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_t thread;
    int err;

    if (pthread_attr_init(&attr) != 0)
        return -1;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = ends_create_thread(&thread, &attr, run, NULL);
    if (!err)
        count_thread(-1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return err;
}

void
worker_prepare(void)
{
    glibc_threads = dlsym(RTLD_DEFAULT, "__nptl_nthreads");
}

void
worker_start(void)
{
    uint32_t none = NONE;

    if (!__atomic_compare_exchange_n(&state, &none, STARTING, 0,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    self.is_own = 1;
    /* A stack holds the program's thread-local variables too. */
    if (create(STACK_BYTES) != 0 && create(LARGE_STACK_BYTES) != 0) {
        opt.thread = 0;
        __atomic_store_n(&state, NONE, __ATOMIC_RELAXED);
        degrade("the agent's thread could not be started: the program's "
                "threads publish instead");
    }
    self.is_own = 0;
}

void
worker_reset(void)
{
    state = NONE;
    tid = is_resting = 0;
}

/* Until the kernel does not know it any more: the program is about to count
   its threads. */
void
worker_rest(void)
{
    uint64_t end = os_now_ns() + REST_WAIT_NS;
    uint32_t none = 0, id = __atomic_load_n(&tid, __ATOMIC_ACQUIRE);

    if (!id || !__atomic_compare_exchange_n(&is_resting, &none, 1, 0,
                                            __ATOMIC_SEQ_CST,
                                            __ATOMIC_RELAXED))
        return;
    scan_watch_stop(REST_WAIT_NS);
    while (os_call(SYS_tgkill, os_getpid(), id, 0, 0, 0, 0) == 0 &&
           os_now_ns() < end) {
        worker_stop();
        os_futex_wait(&is_resting, 1, REST_STEP_NS, 0);
    }
    __atomic_store_n(&is_resting, 0, __ATOMIC_RELEASE);
    scan_watch_go_on();
}

void
worker_stop(void)
{
    uint32_t *word = control_futex();

    if (word)
        os_futex_wake(word, 1, 1);
}
