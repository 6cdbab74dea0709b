/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwinder.c -- open libunwind and turn some of its imports around.
 *
 * Called by   capture.c, once.
 * Threads     one, at start; the redirected functions run in any.
 * Memory      none.
 * Fails       NULL: without libunwind stacks have one frame.
 */
#include "agent/unwinder.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/imports.h"
#include "agent/lock.h"
#include "agent/modules.h"
#include "agent/os.h"
#include "agent/thread.h"

#define NO_PIPE (INT_MAX - 1) /* a number that no descriptor has */
#define PAGE_BYTES 4096u
#define LOCK_WAIT_NS 2000000000u

static long
result_of(long result)
{
    if (result >= 0 || result < -4095)
        return result;
    errno = (int)-result;
    return -1;
}

static int
no_pipe2(int fds[2], int flags)
{
    (void)flags;
    fds[0] = fds[1] = NO_PIPE;
    return 0;
}

static long
is_readable(uintptr_t p)
{
    int ok = os_is_readable(p);

    errno = ok ? 0 : EFAULT;
    return ok ? 1 : -1;
}

static ssize_t
no_read(int fd, void *buf, size_t bytes)
{
    if (fd != NO_PIPE)
        return (ssize_t)result_of(os_read(fd, buf, bytes));
    errno = EAGAIN;
    return -1;
}

static ssize_t
no_write(int fd, const void *buf, size_t bytes)
{
    if (fd == NO_PIPE)
        return is_readable((uintptr_t)buf);
    return (ssize_t)result_of(os_write(fd, buf, bytes));
}

static long
no_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    if (number == SYS_write && a == NO_PIPE)
        return is_readable((uintptr_t)b);
    return result_of(os_call(number, a, b, c, d, e, f));
}

static int
no_close(int fd)
{
    return fd == NO_PIPE ? 0 : (int)result_of(os_close(fd));
}

static int
no_open(const char *path, int flags)
{
    (void)path;
    (void)flags;
    errno = ENOENT;
    return -1;
}

/*
 * The data that libunwind gives its callback begins with the address it looks
 * for.  The loader is asked with lock_modules only: fork takes that, so that no
 * child finds the loader's lock taken by a thread that it does not have.
 */
static int
iterate(int (*visit)(struct dl_phdr_info *, size_t, void *), void *data)
{
    struct dl_phdr_info info;
    uintptr_t address = data ? *(const uintptr_t *)data : 0;

    if (address < PAGE_BYTES) /* the end of a stack */
        return 0;
    if (!modules_describe(address, &info)) {
        modules_refresh_for(address);
        if (!modules_describe(address, &info))
            return 0;
    }
    return visit(&info, sizeof(info), data);
}

/* One lock of ours for all of libunwind's, which it takes with signals masked.
   After so long a time we go on without it. */
static int
take_mutex(void *mutex)
{
    (void)mutex;
    if (self.unwind_depth++ == 0)
        self.has_unwind = (uint8_t)lock_take(&lock_unwind, LOCK_WAIT_NS);
    return 0;
}

static int
give_mutex(void *mutex)
{
    (void)mutex;
    if (--self.unwind_depth == 0 && self.has_unwind)
        lock_release(&lock_unwind);
    return 0;
}

struct redirect {
    const char *name;
    void *to;
};
static const struct redirect redirects[] = {
    {"pipe2", no_pipe2},   {"read", no_read},       {"write", no_write},
    {"close", no_close},   {"syscall", no_syscall}, {"open", no_open},
    {"open64", no_open},   {"dl_iterate_phdr", iterate},
    {"pthread_mutex_lock", take_mutex}, {"pthread_mutex_unlock", give_mutex},
};

static void
redirect(const char *name, uintptr_t *slot, void *arg)
{
    uintptr_t page = (uintptr_t)slot & ~(uintptr_t)(PAGE_BYTES - 1);

    (void)arg;
    for (size_t i = 0; i < sizeof(redirects) / sizeof(redirects[0]); i++)
        if (strcmp(name, redirects[i].name) == 0 &&
            os_call(SYS_mprotect, (long)page, PAGE_BYTES,
                    PROT_READ | PROT_WRITE, 0, 0, 0) == 0)
            *slot = (uintptr_t)redirects[i].to;
}

void *
unwinder_open(void)
{
    void *lib = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
    struct link_map *map;

    if (lib && dlinfo(lib, RTLD_DI_LINKMAP, &map) == 0)
        imports_visit(map->l_ld, map->l_addr, redirect, NULL);
    return lib;
}
