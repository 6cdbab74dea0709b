/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * os.c -- system calls without libc's errno, cancellation or locks.
 *
 * Called by   everything in the agent, and by the snapshot child.
 * Threads     no state.
 * Fails       with the kernel's negative errno value.
 */
#include "agent/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
long
os_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10),
                       "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
long
os_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;

    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return x0;
}
#else
#error "no system call sequence for this architecture"
#endif

static uint64_t
clock_ns(clockid_t clock)
{
    struct timespec t;

    /* The vdso answers without entering the kernel, and cannot fail. */
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t
os_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t
os_now_coarse_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC_COARSE);
}

uint64_t
os_realtime_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

uint64_t
os_thread_cpu_ns(void)
{
    return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t
os_process_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static int
is_error(long result)
{
    return result < 0 && result > -4096;
}

static void *
map(size_t bytes, int flags, int fd, uint64_t offset)
{
    long p = os_call(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, flags,
                     fd, (long)offset);

    return is_error(p) ? NULL : (void *)p;
}

void *
os_map(size_t bytes)
{
    return map(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void *
os_map_unforked(size_t bytes)
{
    void *p = os_map(bytes);

    if (p)
        os_call(SYS_madvise, (long)p, (long)bytes, MADV_DONTFORK, 0, 0, 0);
    return p;
}

void *
os_map_shared(size_t bytes)
{
    return map(bytes, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void *
os_map_file(int fd, uint64_t offset, size_t bytes)
{
    return map(bytes, MAP_SHARED, fd, offset);
}

void
os_unmap(void *p, size_t bytes)
{
    if (p)
        os_call(SYS_munmap, (long)p, (long)bytes, 0, 0, 0, 0);
}

int
os_getpid(void)
{
    return (int)os_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

int
os_gettid(void)
{
    return (int)os_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

int
os_open(const char *path, int flags, int mode)
{
    return (int)os_call(SYS_openat, AT_FDCWD, (long)path, flags, mode, 0, 0);
}

int
os_close(int fd)
{
    return (int)os_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

int
os_fstat(int fd, struct stat *st)
{
    return (int)os_call(SYS_fstat, fd, (long)st, 0, 0, 0, 0);
}

long
os_read(int fd, void *buf, size_t n)
{
    return os_call(SYS_read, fd, (long)buf, (long)n, 0, 0, 0);
}

long
os_write(int fd, const void *buf, size_t n)
{
    return os_call(SYS_write, fd, (long)buf, (long)n, 0, 0, 0);
}

long
os_pread(int fd, void *buf, size_t n, uint64_t offset)
{
    return os_call(SYS_pread64, fd, (long)buf, (long)n, (long)offset, 0, 0);
}

/* For file systems without fallocate: write a byte into every block, as
   posix_fallocate does; blocks that exist keep their content. */
static int
allocate_by_writing(int fd, uint64_t bytes)
{
    struct stat st;
    uint64_t at;
    int err = os_fstat(fd, &st);

    if (err)
        return err;
    for (at = (uint64_t)st.st_size; at < bytes; at += 4096) {
        uint64_t end = at + 4096 < bytes ? at + 4095 : bytes - 1;
        long n = os_call(SYS_pwrite64, fd, (long)"", 1, (long)end, 0, 0);

        if (n < 0)
            return (int)n;
    }
    return 0;
}

int
os_allocate(int fd, uint64_t bytes)
{
    int err;

    do
        err = (int)os_call(SYS_fallocate, fd, 0, 0, (long)bytes, 0, 0);
    while (err == -EINTR);
    if (err == -EOPNOTSUPP || err == -ENOSYS)
        return allocate_by_writing(fd, bytes);
    return err;
}

int
os_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns, int shared)
{
    int op = FUTEX_WAIT | (shared ? 0 : FUTEX_PRIVATE_FLAG);
    struct timespec t, *tp = NULL;

    if (timeout_ns != UINT64_MAX) {
        t.tv_sec = (time_t)(timeout_ns / 1000000000u);
        t.tv_nsec = (long)(timeout_ns % 1000000000u);
        tp = &t;
    }
    return (int)os_call(SYS_futex, (long)word, op, value, (long)tp, 0, 0);
}

int
os_futex_wake(uint32_t *word, int count, int shared)
{
    int op = FUTEX_WAKE | (shared ? 0 : FUTEX_PRIVATE_FLAG);

    return (int)os_call(SYS_futex, (long)word, op, count, 0, 0, 0);
}

long
os_slurp(const char *path, char *buf, size_t size)
{
    int fd = os_open(path, O_RDONLY | O_CLOEXEC, 0);
    size_t n = 0;

    if (fd < 0)
        return fd;
    while (n + 1 < size) {
        long r = os_read(fd, buf + n, size - 1 - n);

        if (r <= 0)
            break;
        n += (size_t)r;
    }
    os_close(fd);
    buf[n] = '\0';
    return (long)n;
}

uint64_t
os_rss_bytes(void)
{
    char buf[128];
    const char *p = buf;
    uint64_t pages = 0;

    if (os_slurp("/proc/self/statm", buf, sizeof(buf)) <= 0)
        return 0;
    while (*p && *p != ' ')
        p++;
    while (*p == ' ')
        p++;
    while (*p >= '0' && *p <= '9')
        pages = pages * 10 + (uint64_t)(*p++ - '0');
    return pages * 4096;
}

/* The kernel reads eight bytes, aligned, and then finds that the first argument
   makes no sense (Abseil's AddressIsReadable does so). */
int
os_is_readable(uintptr_t p)
{
    return os_call(SYS_rt_sigprocmask, -1, (long)(p & ~(uintptr_t)7), 0, 8, 0,
                   0) != -EFAULT;
}
