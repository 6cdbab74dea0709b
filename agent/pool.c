/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * pool.c -- metadata of varying size: the private jemalloc and its walls.
 *
 * What       pool_* hands out memory of a jemalloc that nobody else can see;
 *            hkjx_* are the imports that agent/private-jemalloc.sh gave it in
 *            place of libc's, so that no setting of the user, no hook and no
 *            thread of its own comes with it.
 * Called by  the agent's thread and rare slow paths, inside the guard.
 * Threads    any; jemalloc locks for itself.
 * Memory     its own mappings, one arena; nothing until the first call, since
 *            jemalloc's constructor is cut out as well.
 * Fails      with NULL.
 * Invariant  the pool's locks are taken last and given back first.
 */
#include "agent/pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* The private jemalloc, as far as it is used. */
void *hkj_malloc(size_t bytes);
void *hkj_calloc(size_t count, size_t bytes);
void *hkj_realloc(void *p, size_t bytes);
void hkj_free(void *p);
int hkj_mallctl(const char *name, void *old, size_t *old_size, void *value,
                size_t value_size);

/* What it sees instead of libc. */
char *hkjx_secure_getenv(const char *name);
ssize_t hkjx_readlink(const char *path, char *buf, size_t size);
int hkjx_pthread_atfork(void (*before)(void), void (*in_parent)(void),
                        void (*in_child)(void));
int hkjx_atexit(void (*fn)(void));
void *hkjx_dlsym(void *handle, const char *name);
int hkjx_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                        void *(*fn)(void *), void *arg);
int hkjx__Unwind_Backtrace(void *fn, void *arg);
uintptr_t hkjx__Unwind_GetIP(void *context);

/* One arena: few threads come here.  Pages go back to the kernel after a
   second, not sooner, because a publication needs again what the last one
   freed.  No sbrk: the break is the program's. */
static const char settings[] =
    "narenas:1,background_thread:false,abort:false,abort_conf:false,"
    "dss:disabled,thp:never,metadata_thp:disabled,retain:false,"
    "oversize_threshold:0,dirty_decay_ms:1000,muzzy_decay_ms:0,"
    "lg_tcache_max:12";

static void (*fork_before)(void);
static void (*fork_in_parent)(void);
static void (*fork_in_child)(void);

void *
pool_alloc(size_t bytes)
{
    int saved = errno;
    void *p = hkj_malloc(bytes);
    errno = saved;
    return p;
}

void *
pool_zalloc(size_t bytes)
{
    int saved = errno;
    void *p = hkj_calloc(1, bytes);
    errno = saved;
    return p;
}

void *
pool_realloc(void *p, size_t bytes)
{
    int saved = errno;
    void *q = hkj_realloc(p, bytes);
    errno = saved;
    return q;
}

void
pool_free(void *p)
{
    int saved = errno;
    hkj_free(p);
    errno = saved;
}

size_t
pool_resident_bytes(void)
{
    int saved = errno;
    uint64_t epoch = 1; /* any write makes the statistics new */
    size_t resident = 0, size = sizeof resident;

    if (fork_before == NULL) /* unused: asking would make it ready */
        return 0;
    hkj_mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    if (hkj_mallctl("stats.resident", &resident, &size, NULL, 0) != 0)
        resident = 0;
    errno = saved;
    return resident;
}

void
pool_before_fork(void)
{
    if (fork_before != NULL)
        fork_before();
}

void
pool_after_fork_parent(void)
{
    if (fork_in_parent != NULL)
        fork_in_parent();
}

void
pool_after_fork_child(void)
{
    if (fork_in_child != NULL)
        fork_in_child();
}

/* The only way to set up this jemalloc, and it is ours. */
char *
hkjx_secure_getenv(const char *name)
{
    return strcmp(name, "MALLOC_CONF") == 0 ? (char *)settings : NULL;
}

/* There is no /etc/malloc.conf. */
ssize_t
hkjx_readlink(const char *path, char *buf, size_t size)
{
    (void)path;
    (void)buf;
    (void)size;
    errno = ENOENT;
    return -1;
}

/* Kept for pool_*_fork: libc would run them in its own order. */
int
hkjx_pthread_atfork(void (*before)(void), void (*in_parent)(void),
                    void (*in_child)(void))
{
    fork_before = before;
    fork_in_parent = in_parent;
    fork_in_child = in_child;
    return 0;
}

int
hkjx_atexit(void (*fn)(void))
{
    (void)fn;
    return 0;
}

/* It would only look for the pthread_create behind a wrapper of its own. */
void *
hkjx_dlsym(void *handle, const char *name)
{
    (void)handle;
    (void)name;
    return NULL;
}

int
hkjx_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                    void *(*fn)(void *), void *arg)
{
    (void)thread;
    (void)attr;
    (void)fn;
    (void)arg;
    return EAGAIN;
}

/* Its heap profiler, never switched on, would have libgcc_s loaded. */
int
hkjx__Unwind_Backtrace(void *fn, void *arg)
{
    (void)fn;
    (void)arg;
    return 5; /* _URC_END_OF_STACK */
}

uintptr_t
hkjx__Unwind_GetIP(void *context)
{
    (void)context;
    return 0;
}
