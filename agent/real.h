/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * real.h -- the next allocator in line, and the arena until it is known.
 *
 * dlsym itself may allocate, so until it has answered every request comes
 * from a static arena.  Arena blocks are recognised for ever: free() of one
 * does nothing, realloc() copies it out.
 */
#ifndef HK_AGENT_REAL_H
#define HK_AGENT_REAL_H

#include <stddef.h>
#include <stdint.h>

struct real {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*usable_size)(void *);
    void (*dallocx)(void *, int); /* jemalloc's, or NULL */
};
extern struct real real;

/* 1 once the table is filled.  Asks the loader the first time; another
   thread that comes meanwhile gets 0 and uses the arena. */
int real_resolve(void);

/* "glibc", "jemalloc", "tcmalloc", "mimalloc" or the object's name. */
const char *real_allocator_name(void);
/* log2 of the smallest distance between two blocks. */
unsigned real_granule_shift(void);
/* Does the executable have an allocator inside, so that ours is not seen?
   After modules_refresh. */
int real_is_bypassed(void);

void *arena_alloc(size_t bytes, size_t alignment); /* zeroed; NULL: full */
extern char real_arena[];
#define ARENA_BYTES (256u << 10)

static inline int
arena_owns(const void *p)
{
    return (uintptr_t)p - (uintptr_t)real_arena < ARENA_BYTES;
}

size_t arena_size(const void *p);

#endif
