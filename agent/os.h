/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * os.h -- what the agent asks of the kernel, by raw system calls.
 *
 * None of these changes errno, allocates, or takes a lock of libc.  They
 * return what the kernel returns: a negative errno value on failure.
 */
#ifndef HK_AGENT_OS_H
#define HK_AGENT_OS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

struct stat;
struct timespec;

long os_call(long number, long a, long b, long c, long d, long e, long f);

uint64_t os_now_ns(void);        /* CLOCK_MONOTONIC (vdso) */
uint64_t os_now_coarse_ns(void); /* the same, to the tick, cheaper */
uint64_t os_realtime_ns(void);
uint64_t os_thread_cpu_ns(void);
uint64_t os_process_cpu_ns(void);

/* Anonymous zeroed NORESERVE memory, or NULL. */
void *os_map(size_t bytes);
/* The same, of which a forked child gets nothing. */
void *os_map_unforked(size_t bytes);
void *os_map_shared(size_t bytes); /* shared with children */
void os_unmap(void *p, size_t bytes);
void *os_map_file(int fd, uint64_t offset, size_t bytes);

int os_getpid(void);
int os_gettid(void);
int os_open(const char *path, int flags, int mode);
int os_close(int fd);
int os_fstat(int fd, struct stat *st);
long os_read(int fd, void *buf, size_t n);
long os_write(int fd, const void *buf, size_t n);
long os_pread(int fd, void *buf, size_t n, uint64_t offset);
/* Space for [0, bytes) of the file; 0 or -errno. */
int os_allocate(int fd, uint64_t bytes);

/* Waits while *word == value, at most timeout_ns (UINT64_MAX: for ever).
   shared: the word lies in memory that other processes map. */
int os_futex_wait(uint32_t *word, uint32_t value, uint64_t timeout_ns,
                  int shared);
int os_futex_wake(uint32_t *word, int count, int shared);

/* Can a byte be read at p?  A system call. */
int os_is_readable(uintptr_t p);

/* Reads a small file of /proc into buf, NUL-terminated; bytes or -errno. */
long os_slurp(const char *path, char *buf, size_t size);
uint64_t os_rss_bytes(void);

#endif
