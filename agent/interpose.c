/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * interpose.c -- the allocator's names, and nothing else: guard, call the next
 * one, hand over.
 *
 * Called by   the program, its libraries and the loader.
 * Threads     any, at any time, in signal handlers too.
 * Fails       as the next allocator does; what the agent cannot record is
 *             passed through.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account.h"
#include "agent/counters.h"
#include "agent/interpose.h"
#include "agent/real.h"
#include "agent/thread.h"

#define unlikely(x) __builtin_expect(!!(x), 0)

/* Allocators that place blocks 16 bytes apart have a class of 8 as well. */
#define SMALLEST 16u
static size_t smallest;
static size_t smallest_moved; /* what realloc(p, 0) asks for */

void
interpose_start(void)
{
    smallest = real_granule_shift() < 5 ? SMALLEST : 0;
    /* There it does not free p, but gives a block of its smallest class. */
    if (strcmp(real_allocator_name(), "mimalloc") == 0)
        smallest_moved = SMALLEST;
}

static inline size_t
at_least(size_t bytes)
{
    return bytes < smallest ? smallest : bytes;
}

static inline void
recorded(void *p, size_t bytes, const struct frame_record *caller)
{
    if (__builtin_expect(p != NULL, 1))
        account_alloc(p, bytes, caller);
    interpose_done();
}

static inline size_t
at_least_moved(size_t bytes)
{
    return bytes ? at_least(bytes) : smallest_moved;
}

/* Outside the guard, or inside: what the agent makes the loader allocate. */
static void *
unrecorded(void *p)
{
    if (p && self.is_own && boot_is_recording())
        account_own(p);
    return p;
}

static __attribute__((noinline, cold)) void *
malloc_slow(size_t bytes)
{
    return real_resolve() ? unrecorded(real.malloc(at_least(bytes)))
                          : arena_alloc(bytes, 0);
}

HK_EXPORT void *
malloc(size_t bytes)
{
    void *p;

    if (unlikely(!guard_enter()))
        return malloc_slow(bytes);
    p = real.malloc(at_least(bytes));
    recorded(p, bytes, FRAME_RECORD());
    return p;
}

static __attribute__((noinline, cold)) void *
calloc_slow(size_t count, size_t size)
{
    size_t bytes;

    if (real_resolve())
        return unrecorded(real.calloc(count, size));
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return arena_alloc(bytes, 0);
}

HK_EXPORT void *
calloc(size_t count, size_t size)
{
    size_t bytes;
    void *p;

    if (unlikely(!guard_enter()))
        return calloc_slow(count, size);
    if (unlikely(!__builtin_mul_overflow(count, size, &bytes) &&
                 bytes < smallest))
        p = real.calloc(1, smallest);
    else
        p = real.calloc(count, size);
    recorded(p, bytes, FRAME_RECORD());
    return p;
}

static __attribute__((noinline, cold)) void
free_slow(void *p)
{
    if (!arena_owns(p) && real_resolve())
        real.free(p);
}

HK_EXPORT void
free(void *p)
{
    if (unlikely(!p))
        return;
    if (unlikely(arena_owns(p) || !guard_enter())) {
        free_slow(p);
        return;
    }
    p = account_free(p);
    real.free(p);
    interpose_done();
}

/* Out of the arena, into the real allocator. */
static void *
arena_realloc(void *p, size_t bytes)
{
    size_t old = arena_size(p);
    void *q = malloc(bytes);

    if (q)
        memcpy(q, p, old < bytes ? old : bytes);
    return q;
}

static __attribute__((noinline, cold)) void *
realloc_slow(void *p, size_t bytes)
{
    if (p && arena_owns(p))
        return arena_realloc(p, bytes);
    if (real_resolve())
        return real.realloc(p, p ? at_least_moved(bytes) : at_least(bytes));
    return arena_alloc(bytes, 0);
}

/* realloc(p, 0) that returns NULL has freed p; other NULLs left it alone. */
static inline void *
move(void *p, size_t bytes, const struct frame_record *caller)
{
    uint64_t cell = account_move_before(p);
    void *q = real.realloc(p, at_least_moved(bytes));

    if (!q && !bytes)
        account_move_freed(p, cell);
    else
        account_move_after(p, cell, q, bytes, caller);
    return q;
}

HK_EXPORT void *
realloc(void *p, size_t bytes)
{
    void *q;

    if (unlikely((p && arena_owns(p)) || !guard_enter()))
        return realloc_slow(p, bytes);
    if (p) {
        q = move(p, bytes, FRAME_RECORD());
        interpose_done();
        return q;
    }
    q = real.realloc(NULL, at_least(bytes));
    recorded(q, bytes, FRAME_RECORD());
    return q;
}

HK_EXPORT void *
reallocarray(void *p, size_t count, size_t size)
{
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(p, bytes);
}

HK_EXPORT void cfree(void *p);
HK_EXPORT void
cfree(void *p)
{
    free(p);
}

HK_EXPORT void free_sized(void *p, size_t bytes);
HK_EXPORT void
free_sized(void *p, size_t bytes)
{
    (void)bytes;
    free(p);
}

HK_EXPORT void free_aligned_sized(void *p, size_t alignment, size_t bytes);
HK_EXPORT void
free_aligned_sized(void *p, size_t alignment, size_t bytes)
{
    (void)alignment;
    (void)bytes;
    free(p);
}

/* jemalloc's free of a known size.  The size that it has been told may be less
   than what we asked for, so it is left to find out. */
HK_EXPORT void sdallocx(void *p, size_t bytes, int flags);
HK_EXPORT void
sdallocx(void *p, size_t bytes, int flags)
{
    (void)bytes;
    if (!real_resolve() || !real.dallocx || arena_owns(p)) {
        free(p);
    } else if (guard_enter()) {
        account_free_now(p);
        real.dallocx(p, flags);
        interpose_done();
    } else {
        real.dallocx(p, flags);
    }
}

static int
is_power_of_two(size_t n)
{
    return n && (n & (n - 1)) == 0;
}

static int
early_posix_memalign(void **out, size_t alignment, size_t bytes)
{
    int saved_errno = errno;
    void *p;

    if (real_resolve())
        return real.posix_memalign(out, alignment, at_least(bytes));
    if (!is_power_of_two(alignment) || alignment % sizeof(void *))
        return EINVAL;
    p = arena_alloc(bytes, alignment);
    errno = saved_errno;
    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

HK_EXPORT int
posix_memalign(void **out, size_t alignment, size_t bytes)
{
    int err;

    if (unlikely(!guard_enter()))
        return early_posix_memalign(out, alignment, bytes);
    err = real.posix_memalign(out, alignment, at_least(bytes));
    recorded(err ? NULL : *out, bytes, FRAME_RECORD());
    return err;
}

/* The aligned_alloc family: one shape, five names. */
#define ALIGNED(name, parameters, arguments, early, want)        \
    HK_EXPORT void *name parameters                              \
    {                                                            \
        void *p;                                                 \
                                                                 \
        if (unlikely(!guard_enter()))                            \
            return real_resolve() ? real.name arguments : early; \
        p = real.name arguments;                                 \
        recorded(p, want, FRAME_RECORD());                             \
        return p;                                                \
    }
ALIGNED(aligned_alloc, (size_t alignment, size_t bytes),
        (alignment, at_least(bytes)), arena_alloc(bytes, alignment), bytes)
ALIGNED(memalign, (size_t alignment, size_t bytes),
        (alignment, at_least(bytes)), arena_alloc(bytes, alignment), bytes)
ALIGNED(valloc, (size_t bytes), (at_least(bytes)), arena_alloc(bytes, 4096),
        bytes)
ALIGNED(pvalloc, (size_t bytes), (at_least(bytes)), arena_alloc(bytes, 4096),
        bytes)

HK_EXPORT size_t
malloc_usable_size(void *p)
{
    if (unlikely(!p))
        return 0;
    if (unlikely(arena_owns(p)))
        return arena_size(p);
    if (unlikely(!boot_is_recording()))
        return real_resolve() ? real.usable_size(p) : 0;
    /* Who counts its own memory asks just before it frees. */
    account_expect_free(p);
    return real.usable_size(p);
}
