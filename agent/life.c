/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * life.c -- fork, exec, exit, and who publishes meanwhile.
 *
 * A process is followed from birth: its first image has its recording at
 * once.  The agent's thread starts when the process is 200 ms old, busy,
 * multi-threaded or about to wait; until then the program's own threads
 * publish, now and then.  A forked child gets a recording of its own by the
 * same rule (most only exec), a new image by exec at once.
 *
 * Called by   hooks (the guard is held or taken here).
 * Threads     fork handlers run in the forking thread with our locks taken.
 * Fails       without a recording everything goes on unpublished.
 */
#include "agent/life.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "agent/balance.h"
#include "agent/counters.h"
#include "agent/lane.h"
#include "agent/lock.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/pool.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/scan.h"
#include "agent/scan_watch.h"
#include "agent/thread.h"
#include "agent/worker.h"

#define YOUNG_NS 200000000u
#define YOUNG_PUBLISH_NS 50000000u
#define BUSY_EVENTS 10000u
#define CHILD_EVENTS 1000u /* a forked child with fewer has little to tell */
#define END_WAIT_NS 500000000u
#define SCAN_WAIT_NS 250000000u /* for a scan's child to be gone */
#define FORK_WAIT_NS 100000000u

static int pid;
static int is_forked;
static uint64_t events;
static uint64_t published_ns;

int
life_is_ours(void)
{
    return os_getpid() == pid;
}

static int
is_followed(const char *what)
{
    return strcmp(opt.follow, "all") == 0 || strcmp(opt.follow, what) == 0;
}

static void
start_thread(void)
{
    if (worker_is_running() || !opt.thread || !life_is_ours())
        return;
    if (!recfile_is_open() && is_forked)
        publish_open();
    worker_start();
}

/* Without the agent's thread: publish from here, now and then. */
static void
publish_here(uint64_t now, uint64_t age)
{
    static uint64_t snapshot_ns;
    uint64_t wait = age < YOUNG_NS ? YOUNG_PUBLISH_NS : publish_interval_ns();

    if (now - published_ns < wait || !recfile_is_open() || !life_is_ours())
        return;
    published_ns = now;
    if (age >= YOUNG_NS && now - snapshot_ns >= opt.interval) {
        snapshot_ns = now;
        publish_snapshot(0, NULL, 0);
    } else {
        publish_now(0);
    }
}

void
life_tick(void)
{
    uint64_t n, now, age;

    if (__builtin_expect(worker_is_running(), 1)) {
        self.tick = UINT32_MAX;
        return;
    }
    n = __atomic_add_fetch(&events, THREAD_TICK, __ATOMIC_RELAXED);
    now = os_now_coarse_ns();
    age = now > boot_start_ns ? now - boot_start_ns : 0;
    if (opt.thread && (age >= YOUNG_NS || n >= BUSY_EVENTS))
        start_thread();
    else
        publish_here(now, age);
}

void
life_note_wait(void)
{
    int saved_errno = errno;

    if (worker_is_running() || !boot_is_recording() || !guard_enter())
        return;
    if (opt.thread && (!is_forked || recfile_is_open() ||
                       events >= CHILD_EVENTS))
        start_thread();
    guard_leave();
    errno = saved_errno;
}

void
life_rest(void)
{
    int saved_errno = errno;

    if (life_is_ours() && boot_is_recording() && guard_enter()) {
        worker_rest();
        self.tick = 0;
        guard_leave();
    }
    errno = saved_errno;
}

/* An end has several stages. */
static void
say_once_what_refs_missed(uint32_t state)
{
    static uint32_t is_said;

    if (state == HKR_STATE_EXITED && !is_forked
        && !__atomic_exchange_n(&is_said, 1, __ATOMIC_RELAXED))
        balance_say_unknown();
}

void
life_end(uint32_t state, uint32_t signal)
{
    int entered;

    if (!boot_is_recording() || !life_is_ours())
        return;
    entered = guard_enter();
    /* It would be a child that what is exec'ed, or init, knows nothing of. */
    if (state != HKR_STATE_CRASHED)
        scan_watch_stop(SCAN_WAIT_NS);
    if (!recfile_is_open() && is_forked && events >= CHILD_EVENTS &&
        state != HKR_STATE_EXEC)
        publish_open();
    if (recfile_is_open())
        publish_final(state, signal, END_WAIT_NS);
    say_once_what_refs_missed(state);
    if (entered)
        guard_leave();
}

static struct lock *const fork_locks[] = {&lock_publish, &lock_modules,
                                          &lock_intern, &lock_strings,
                                          &lock_index, &lock_unwind,
                                          &lock_notes};
#define FORK_LOCKS (sizeof(fork_locks) / sizeof(fork_locks[0]))
#define FORK_POOL 0x80000000u

/* Ours were registered before the program's, so prepare runs after its, and
   what those allocate is still recorded.  Several threads may fork at once:
   what each has taken is its own. */
static void
before_fork(void)
{
    self.fork_locks = 0;
    for (size_t i = 0; i < FORK_LOCKS; i++)
        self.fork_locks |=
            (uint32_t)lock_take(fork_locks[i], FORK_WAIT_NS) << i;
    self.fork_stripes = balance_before_fork(self.guard ? 0 : FORK_WAIT_NS);
    if (self.guard) /* from a signal handler: the pool may be in our hands */
        return;
    self.fork_locks |= FORK_POOL;
    pool_before_fork();
}

static void
after_fork_parent(void)
{
    if (self.fork_locks & FORK_POOL)
        pool_after_fork_parent();
    balance_after_fork_parent(self.fork_stripes);
    for (size_t i = FORK_LOCKS; i-- > 0;)
        if (self.fork_locks & 1u << i)
            lock_release(fork_locks[i]);
}

static void
after_fork_child(void)
{
    if (self.fork_locks & FORK_POOL)
        pool_after_fork_child();
    lock_reset_all();
    balance_after_fork_child(self.fork_stripes);
    lane_reset();
    recfile_abandon();
    publish_reset();
    worker_reset();
    scan_reset();
    pid = os_getpid();
    is_forked = 1;
    events = 0;
    self.tick = 0;
    boot_start_ns = os_now_ns();
    boot_start_realtime_ns = os_realtime_ns();
    if (!is_followed("fork"))
        __atomic_store_n(&boot_phase, PHASE_OFF, __ATOMIC_RELAXED);
}

int
life_is_in_hook(void)
{
    if (!boot_is_recording() || !self.guard)
        return 0;
    if (!guard_enter())
        return 1;
    guard_leave(); /* it was stale */
    return 0;
}

int
life_fork(void)
{
    int child, saved_errno;

    before_fork();
    child = _Fork();
    saved_errno = errno;
    if (child == 0)
        after_fork_child();
    else
        after_fork_parent();
    errno = saved_errno;
    return child;
}

/* Takes the agent out of LD_PRELOAD, for programs that are exec'ed. */
static void
leave_environment(void)
{
    extern char **environ;
    static const char name[] = "libheapknot-agent.so";
    char *at = NULL, *from, *to;

    for (char **e = environ; e && *e && !at; e++)
        if (strncmp(*e, "LD_PRELOAD=", 11) == 0)
            at = *e + 11;
    from = at ? strstr(at, name) : NULL;
    if (!from)
        return;
    to = from + sizeof(name) - 1;
    while (from > at && from[-1] != ':' && from[-1] != ' ')
        from--;
    if (*to == ':' || *to == ' ')
        to++;
    memmove(from, to, strlen(to) + 1);
}

static void
crashed(int number)
{
    life_end(HKR_STATE_CRASHED, (uint32_t)number);
    os_call(SYS_tgkill, os_getpid(), os_gettid(), number, 0, 0, 0);
}

/* SA_RESETHAND: the signal then does what it would have done. */
static void
watch_crashes(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGSYS,
                                SIGTERM, SIGINT, SIGHUP, SIGQUIT};
    struct sigaction now, ours;

    memset(&ours, 0, sizeof(ours));
    ours.sa_handler = crashed;
    ours.sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK;
    for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
        if (sigaction(fatal[i], NULL, &now) == 0 &&
            now.sa_handler == SIG_DFL)
            sigaction(fatal[i], &ours, NULL);
}

void
life_start(void)
{
    pid = os_getpid();
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
    if (!is_followed("exec"))
        leave_environment();
    if (opt.on_crash)
        watch_crashes();
}
