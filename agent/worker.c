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
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>

#include "agent/control.h"
#include "agent/counters.h"
#include "agent/meta.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/recspace.h"
#include "agent/retire.h"
#include "agent/scan.h"
#include "agent/thread.h"

#define STACK_BYTES (256u << 10)
#define NO_FILE_WAIT_NS 1000000000u

enum { NONE, STARTING, RUNNING, FAILED };
static uint32_t state;

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

static void
serve(void)
{
    uint64_t publish_ns = 0, snapshot_ns = 0, now;
    char text[128];

    while (boot_phase == PHASE_LIVE) {
        if (control_is_asked())
            control_answer();
        now = os_now_ns();
        if (now >= snapshot_ns) {
            meta_measure();
            publish_snapshot(0, NULL, opt.publish);
            snapshot_ns = now + opt.interval;
            publish_ns = now + publish_interval_ns();
        } else if (now >= publish_ns) {
            publish_now(opt.publish);
            publish_ns = now + publish_interval_ns();
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

    if (keep == UINT_MAX) {
        os_call(SYS_close_range, 0, UINT_MAX, CLOSE_RANGE_UNSHARE, 0, 0, 0);
        return;
    }
    if (os_call(SYS_close_range, keep + 1, UINT_MAX, CLOSE_RANGE_UNSHARE, 0,
                0, 0) == 0 &&
        keep > 0)
        os_call(SYS_close_range, 0, keep - 1, 0, 0, 0, 0);
}

static void *
run(void *arg)
{
    (void)arg;
    self.guard = UINTPTR_MAX;
    self.is_own = 1;
    self.is_seen = 1;
    leave_descriptors();
    prctl(PR_SET_NAME, (unsigned long)"heapknot", 0, 0, 0);
    control_set_listening(1);
    serve();
    control_set_listening(0);
    return NULL;
}

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *),
                      void *);

static int
create(void)
{
    static create_fn *next;
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_t thread;
    int err;

    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    if (!next || pthread_attr_init(&attr) != 0)
        return -1;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = next(&thread, &attr, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return err;
}

void
worker_start(void)
{
    uint32_t none = NONE;

    if (!__atomic_compare_exchange_n(&state, &none, STARTING, 0,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    self.is_own = 1;
    if (create() != 0) {
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
}

void
worker_stop(void)
{
    uint32_t *word = control_futex();

    if (word)
        os_futex_wake(word, 1, 1);
}
