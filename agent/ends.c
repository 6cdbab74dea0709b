/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ends.c -- the hooks of family LIFE, LOAD and WAIT in tbl/interposed.h.
 *
 * Each publishes what there is to lose, then does what it is named after.
 *
 * Called by   the program.
 * Threads     any.
 * Fails       as the next function of that name does.
 */
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "agent/counters.h"
#include "agent/interpose.h"
#include "agent/life.h"
#include "agent/modules.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/scan_shield.h"
#include "agent/scan_watch.h"
#include "format/recording.h"

enum {
#define HK_INTERPOSED(name, FAMILY) NEXT_##name,
#include "tbl/interposed.h"
#undef HK_INTERPOSED
    NEXT_COUNT
};
static const char *const next_names[NEXT_COUNT] = {
#define HK_INTERPOSED(name, FAMILY) #name,
#include "tbl/interposed.h"
#undef HK_INTERPOSED
};
static void *next_functions[NEXT_COUNT];

static __attribute__((noinline, cold)) void *
ask(unsigned i)
{
    void *fn = dlsym(RTLD_NEXT, next_names[i]);

    __atomic_store_n(&next_functions[i], fn, __ATOMIC_RELAXED);
    return fn;
}

static inline void *
next_function(unsigned i)
{
    void *fn = __atomic_load_n(&next_functions[i], __ATOMIC_RELAXED);

    return __builtin_expect(fn != NULL, 1) ? fn : ask(i);
}

/* The next function called `name`. */
#define NEXT(name) ((__typeof__(&name))next_function(NEXT_##name))

/*
 * All at once: dlsym takes the loader's lock, which in a forked child may be
 * held for ever, and which a thread that is waited for in a constructor must
 * not want; it also forgets what dlerror would have said.
 */
void
ends_start(void)
{
    for (unsigned i = NEXT_pthread_create; i < NEXT_COUNT; i++)
        ask(i);
}

int
ends_create_thread(pthread_t *thread, const pthread_attr_t *attr,
                   void *(*start)(void *), void *arg)
{
    return NEXT(pthread_create)(thread, attr, start, arg);
}

HK_EXPORT int
pthread_create(pthread_t *thread, const pthread_attr_t *attr,
               void *(*start)(void *), void *arg)
{
    life_note_wait();
    return NEXT(pthread_create)(thread, attr, start, arg);
}

HK_EXPORT pid_t
fork(void)
{
    return life_is_in_hook() ? life_fork() : NEXT(fork)();
}

/* In a snapshot child a function that exits is one that faults: what is
   registered with atexit is not to be done for the program. */
HK_EXPORT void
exit(int status)
{
    shield_give_up();
    NEXT(exit)(status);
    __builtin_unreachable();
}

HK_EXPORT void
_exit(int status)
{
    shield_give_up();
    life_end(HKR_STATE_EXITED, 0);
    NEXT(_exit)(status);
    __builtin_unreachable();
}

HK_EXPORT void
_Exit(int status)
{
    shield_give_up();
    life_end(HKR_STATE_EXITED, 0);
    NEXT(_Exit)(status);
    __builtin_unreachable();
}

HK_EXPORT void
quick_exit(int status)
{
    shield_give_up();
    life_end(HKR_STATE_EXITED, 0);
    NEXT(quick_exit)(status);
    __builtin_unreachable();
}

HK_EXPORT void
abort(void)
{
    life_end(HKR_STATE_ABORTED, 0);
    NEXT(abort)();
    __builtin_unreachable();
}

/* An exec that is about to be; 1 if it is ours to undo. */
static int
before_exec(void)
{
    if (!life_is_ours()) {
        count_add(HKC_vforks, 1);
        return 0;
    }
    life_end(HKR_STATE_EXEC, 0);
    return 1;
}

static int
after_exec(int ours, int result)
{
    int saved_errno = errno;

    if (ours)
        scan_watch_go_on();
    if (ours && recfile_is_open())
        publish_resume();
    errno = saved_errno;
    return result;
}

#define EXEC(call)                         \
    do {                                   \
        int ours_ = before_exec();         \
        return after_exec(ours_, call);    \
    } while (0)

HK_EXPORT int
execve(const char *path, char *const argv[], char *const envp[])
{
    EXEC(NEXT(execve)(path, argv, envp));
}

HK_EXPORT int
execv(const char *path, char *const argv[])
{
    EXEC(NEXT(execv)(path, argv));
}

HK_EXPORT int
execvp(const char *file, char *const argv[])
{
    EXEC(NEXT(execvp)(file, argv));
}

HK_EXPORT int
execvpe(const char *file, char *const argv[], char *const envp[])
{
    EXEC(NEXT(execvpe)(file, argv, envp));
}

HK_EXPORT int
fexecve(int fd, char *const argv[], char *const envp[])
{
    EXEC(NEXT(fexecve)(fd, argv, envp));
}

HK_EXPORT int
execveat(int dir, const char *path, char *const argv[], char *const envp[],
         int flags)
{
    EXEC(NEXT(execveat)(dir, path, argv, envp, flags));
}

/* The arguments of execl and its like, as an array on the stack.  Where the
   first is NULL no other follows. */
#define COLLECT(argv, first, args, count)                    \
    char *argv[(count) + 2];                                 \
    argv[0] = (char *)(uintptr_t)(first);                    \
    for (size_t i_ = 0; argv[i_]; i_++)                      \
        argv[i_ + 1] = va_arg(args, char *)

static size_t
count_arguments(const char *first, va_list args)
{
    size_t n = 0;

    if (first)
        while (va_arg(args, char *))
            n++;
    return n;
}

HK_EXPORT int
execl(const char *path, const char *first, ...)
{
    va_list args;
    size_t count;

    va_start(args, first);
    count = count_arguments(first, args);
    va_end(args);
    va_start(args, first);
    COLLECT(argv, first, args, count);
    va_end(args);
    return execv(path, argv);
}

HK_EXPORT int
execlp(const char *file, const char *first, ...)
{
    va_list args;
    size_t count;

    va_start(args, first);
    count = count_arguments(first, args);
    va_end(args);
    va_start(args, first);
    COLLECT(argv, first, args, count);
    va_end(args);
    return execvp(file, argv);
}

HK_EXPORT int
execle(const char *path, const char *first, ...)
{
    va_list args;
    size_t count;
    char *const *envp;

    va_start(args, first);
    count = count_arguments(first, args);
    va_end(args);
    va_start(args, first);
    COLLECT(argv, first, args, count);
    envp = va_arg(args, char *const *);
    va_end(args);
    return execve(path, argv, envp);
}

/* A process with more than one thread may not enter a user namespace, nor one
   that shares its working directory a mount namespace.  The agent's thread
   comes back at the next occasion. */
#define NEEDS_ONE_THREAD \
    (CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM)

HK_EXPORT int
unshare(int flags)
{
    if (flags & NEEDS_ONE_THREAD)
        life_rest();
    return NEXT(unshare)(flags);
}

HK_EXPORT int
setns(int fd, int type)
{
    life_rest();
    return NEXT(setns)(fd, type);
}

/* The tables of the agent are address space for the most part, which must not
   be filled: what is there now is locked as it is touched. */
HK_EXPORT int
mlockall(int flags)
{
    int result;

    if (!boot_is_recording() || !(flags & MCL_CURRENT) ||
        flags & ~(MCL_CURRENT | MCL_FUTURE))
        return NEXT(mlockall)(flags);
    result = NEXT(mlockall)(MCL_CURRENT | MCL_ONFAULT);
    if (result == 0 && flags & MCL_FUTURE)
        result = NEXT(mlockall)(MCL_FUTURE);
    return result;
}

HK_EXPORT int
dlclose(void *handle)
{
    int result = NEXT(dlclose)(handle);

    if (boot_is_recording() && guard_enter()) {
        int saved_errno = errno;

        modules_note_dlclose();
        errno = saved_errno;
        guard_leave();
    }
    return result;
}

/* Calls in which services wait.  No thread of ours may be there yet. */
#define WAIT(result, name, parameters, arguments) \
    HK_EXPORT result name parameters              \
    {                                             \
        life_note_wait();                         \
        return NEXT(name) arguments;              \
    }
WAIT(int, epoll_wait, (int fd, struct epoll_event *e, int n, int timeout),
     (fd, e, n, timeout))
WAIT(int, epoll_pwait,
     (int fd, struct epoll_event *e, int n, int timeout, const sigset_t *s),
     (fd, e, n, timeout, s))
WAIT(int, poll, (struct pollfd *p, nfds_t n, int timeout), (p, n, timeout))
WAIT(int, ppoll,
     (struct pollfd *p, nfds_t n, const struct timespec *t, const sigset_t *s),
     (p, n, t, s))
WAIT(int, select,
     (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t),
     (n, r, w, e, t))
WAIT(int, pselect,
     (int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *t,
      const sigset_t *s),
     (n, r, w, e, t, s))
WAIT(int, accept, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
WAIT(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags),
     (fd, a, n, flags))
WAIT(int, sigsuspend, (const sigset_t *s), (s))
WAIT(int, pause, (void), ())
WAIT(unsigned, sleep, (unsigned seconds), (seconds))
WAIT(int, nanosleep, (const struct timespec *t, struct timespec *rest),
     (t, rest))
WAIT(int, clock_nanosleep,
     (clockid_t c, int flags, const struct timespec *t, struct timespec *rest),
     (c, flags, t, rest))
