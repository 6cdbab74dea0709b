/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * interpose_cxx.c -- operator new and delete, where they do not reach malloc.
 *
 * libstdc++'s operators call malloc and free, and are passed through: the
 * block is recorded there.  jemalloc, tcmalloc and mimalloc bring operators
 * that do not, and those are recorded here.  The next operator is asked of
 * the loader by name; a C program that loads C++ later has it only in the
 * scope of that library, so libstdc++ itself is asked too.
 *
 * Called by   C++ programs.
 * Threads     the look-up is idempotent.
 * Fails       as the next operator does.  Where there is none at all, malloc
 *             and free stand in.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "agent/account.h"
#include "agent/interpose.h"
#include "agent/modules.h"
#include "agent/real.h"

struct next {
    void *fn;         /* NULL: not asked yet; MISSING: there is none */
    int is_malloc;    /* it reaches malloc and free by itself */
    uint32_t modules; /* that were loaded when it was missing */
};
#define MISSING ((void *)1)

#define OPERATORS(X) \
    X(_Znwm)                               \
    X(_Znam)                               \
    X(_ZnwmRKSt9nothrow_t)                 \
    X(_ZnamRKSt9nothrow_t)                 \
    X(_ZnwmSt11align_val_t)                \
    X(_ZnamSt11align_val_t)                \
    X(_ZnwmSt11align_val_tRKSt9nothrow_t)  \
    X(_ZnamSt11align_val_tRKSt9nothrow_t)  \
    X(_ZdlPv)                              \
    X(_ZdaPv)                              \
    X(_ZdlPvm)                             \
    X(_ZdaPvm)                             \
    X(_ZdlPvRKSt9nothrow_t)                \
    X(_ZdaPvRKSt9nothrow_t)                \
    X(_ZdlPvSt11align_val_t)               \
    X(_ZdaPvSt11align_val_t)               \
    X(_ZdlPvmSt11align_val_t)              \
    X(_ZdaPvmSt11align_val_t)              \
    X(_ZdlPvSt11align_val_tRKSt9nothrow_t) \
    X(_ZdaPvSt11align_val_tRKSt9nothrow_t)

enum {
#define X(mangled) NEXT##mangled,
    OPERATORS(X)
#undef X
    NEXT_COUNT
};
static struct next nexts[NEXT_COUNT];

static void *
ask(const char *name)
{
    void *fn = dlsym(RTLD_NEXT, name), *lib;

    if (fn)
        return fn;
    lib = dlopen("libstdc++.so.6", RTLD_NOLOAD | RTLD_LAZY);
    fn = lib ? dlsym(lib, name) : NULL; /* and so lib stays */
    return fn ? fn : MISSING;
}

static __attribute__((noinline, cold)) void *
find_slow(struct next *next, const char *name)
{
    Dl_info info;
    void *fn = ask(name);

    next->modules = modules_count();
    next->is_malloc = fn == MISSING || !dladdr(fn, &info) ||
                      !info.dli_fname ||
                      (!strstr(info.dli_fname, "jemalloc") &&
                       !strstr(info.dli_fname, "tcmalloc") &&
                       !strstr(info.dli_fname, "mimalloc"));
    __atomic_store_n(&next->fn, fn, __ATOMIC_RELEASE);
    return fn;
}

/* A name that is missing is asked for again once something was loaded: its
   library may have come. */
static inline void *
find(struct next *next, const char *name)
{
    void *fn = __atomic_load_n(&next->fn, __ATOMIC_ACQUIRE);

    if (__builtin_expect(fn != NULL && fn != MISSING, 1))
        return fn;
    return fn && next->modules == modules_count() ? fn
                                                  : find_slow(next, name);
}

void
interpose_cxx_start(void)
{
    static const char *const names[NEXT_COUNT] = {
#define X(mangled) #mangled,
        OPERATORS(X)
#undef X
    };

    for (unsigned i = 0; i < NEXT_COUNT; i++)
        if (find_slow(&nexts[i], names[i]) == MISSING)
            return; /* a C program */
}

/* Those allocators place blocks 8 bytes apart unless asked for 16, and a sized
   delete must name the same size. */
static inline size_t
at_least(size_t bytes)
{
    return bytes < 16 ? 16 : bytes;
}

/* Without any operator new: memory or NULL, as the nothrow forms return. */
static void *
plain_new(size_t bytes, size_t alignment)
{
    void *p = NULL;

    if (alignment <= 16)
        return malloc(bytes ? bytes : 1);
    return posix_memalign(&p, alignment, bytes ? bytes : 1) ? NULL : p;
}

#define NEW(mangled, parameters, types, arguments, alignment)             \
    HK_EXPORT void *mangled parameters;                                   \
    HK_EXPORT void *mangled parameters                                    \
    {                                                                     \
        struct next *next = &nexts[NEXT##mangled];                        \
        void *fn = find(next, #mangled), *p;                              \
        size_t wanted;                                                    \
                                                                          \
        if (fn == MISSING)                                                \
            return plain_new(bytes, alignment);                           \
        if (next->is_malloc)                                              \
            return ((void *(*)types)fn)arguments;                         \
        wanted = bytes;                                                   \
        bytes = at_least(bytes);                                          \
        /* Outside the guard: it may throw, and runs the new handler. */  \
        p = ((void *(*)types)fn)arguments;                                \
        if (p && guard_enter()) {                                         \
            account_alloc(p, wanted, FRAME_RECORD());                     \
            interpose_done();                                             \
        }                                                                 \
        return p;                                                         \
    }

#define DELETE(mangled, parameters, types, arguments)                     \
    HK_EXPORT void mangled parameters;                                    \
    HK_EXPORT void mangled parameters                                     \
    {                                                                     \
        struct next *next = &nexts[NEXT##mangled];                        \
        void *fn = find(next, #mangled);                                  \
                                                                          \
        if (fn == MISSING) {                                              \
            free(p);                                                      \
            return;                                                       \
        }                                                                 \
        if (p && !next->is_malloc && guard_enter()) {                     \
            account_free_now(p);                                          \
            interpose_done();                                             \
        }                                                                 \
        ((void (*)types)fn)arguments;                                     \
    }

#define NT const void *nothrow
NEW(_Znwm, (size_t bytes), (size_t), (bytes), 0)
NEW(_Znam, (size_t bytes), (size_t), (bytes), 0)
NEW(_ZnwmRKSt9nothrow_t, (size_t bytes, NT), (size_t, const void *),
    (bytes, nothrow), 0)
NEW(_ZnamRKSt9nothrow_t, (size_t bytes, NT), (size_t, const void *),
    (bytes, nothrow), 0)
NEW(_ZnwmSt11align_val_t, (size_t bytes, size_t align), (size_t, size_t),
    (bytes, align), align)
NEW(_ZnamSt11align_val_t, (size_t bytes, size_t align), (size_t, size_t),
    (bytes, align), align)
NEW(_ZnwmSt11align_val_tRKSt9nothrow_t, (size_t bytes, size_t align, NT),
    (size_t, size_t, const void *), (bytes, align, nothrow), align)
NEW(_ZnamSt11align_val_tRKSt9nothrow_t, (size_t bytes, size_t align, NT),
    (size_t, size_t, const void *), (bytes, align, nothrow), align)

DELETE(_ZdlPv, (void *p), (void *), (p))
DELETE(_ZdaPv, (void *p), (void *), (p))
DELETE(_ZdlPvm, (void *p, size_t bytes), (void *, size_t),
       (p, next->is_malloc ? bytes : at_least(bytes)))
DELETE(_ZdaPvm, (void *p, size_t bytes), (void *, size_t),
       (p, next->is_malloc ? bytes : at_least(bytes)))
DELETE(_ZdlPvRKSt9nothrow_t, (void *p, NT), (void *, const void *),
       (p, nothrow))
DELETE(_ZdaPvRKSt9nothrow_t, (void *p, NT), (void *, const void *),
       (p, nothrow))
DELETE(_ZdlPvSt11align_val_t, (void *p, size_t align), (void *, size_t),
       (p, align))
DELETE(_ZdaPvSt11align_val_t, (void *p, size_t align), (void *, size_t),
       (p, align))
DELETE(_ZdlPvmSt11align_val_t, (void *p, size_t bytes, size_t align),
       (void *, size_t, size_t),
       (p, next->is_malloc ? bytes : at_least(bytes), align))
DELETE(_ZdaPvmSt11align_val_t, (void *p, size_t bytes, size_t align),
       (void *, size_t, size_t),
       (p, next->is_malloc ? bytes : at_least(bytes), align))
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, NT),
       (void *, size_t, const void *), (p, align, nothrow))
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, (void *p, size_t align, NT),
       (void *, size_t, const void *), (p, align, nothrow))
