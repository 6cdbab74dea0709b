/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * real.c -- find the allocator behind us (RTLD_NEXT, so that a program on
 * jemalloc, tcmalloc or mimalloc keeps it).
 *
 * Called by   interpose.c until it has succeeded, boot.c.
 * Threads     the first caller resolves; others meanwhile use the arena.
 * Memory      the static arena, bumped atomically, never given back.
 * Fails       a missing malloc retires the agent; other names that an
 *             allocator lacks are made from those it has.
 */
#include "agent/real.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/modules.h"
#include "agent/retire.h"

#define ARENA_ALIGN 16u

struct real real;
static uint32_t is_resolving, is_resolved;
char real_arena[ARENA_BYTES] __attribute__((aligned(64)));
static uint32_t arena_used;
static const char *allocator = "unknown";

/* The size is kept in the word before the block. */
void *
arena_alloc(size_t bytes, size_t alignment)
{
    uintptr_t at;
    size_t need;
    uint32_t old;

    if (alignment < ARENA_ALIGN)
        alignment = ARENA_ALIGN;
    if (bytes > ARENA_BYTES || alignment > 4096) {
        errno = ENOMEM;
        return NULL;
    }
    need = (ARENA_ALIGN + alignment + bytes + 15) & ~(size_t)15;
    old = __atomic_fetch_add(&arena_used, (uint32_t)need, __ATOMIC_RELAXED);
    if (old + need > ARENA_BYTES) {
        __atomic_fetch_sub(&arena_used, (uint32_t)need, __ATOMIC_RELAXED);
        errno = ENOMEM;
        return NULL;
    }
    at = ((uintptr_t)real_arena + old + ARENA_ALIGN + alignment - 1) &
         ~(uintptr_t)(alignment - 1);
    ((size_t *)at)[-1] = bytes;
    count_add(HKC_arena_blocks, 1);
    return (void *)at;
}

size_t
arena_size(const void *p)
{
    return ((const size_t *)p)[-1];
}

static int
fallback_posix_memalign(void **out, size_t alignment, size_t bytes)
{
    void *p = real.memalign ? real.memalign(alignment, bytes) : NULL;

    if (!p)
        return ENOMEM;
    *out = p;
    return 0;
}

static void *
fallback_memalign(size_t alignment, size_t bytes)
{
    void *p = NULL;
    int err = real.posix_memalign(
        &p, alignment < sizeof(p) ? sizeof(p) : alignment, bytes);

    if (err)
        errno = err;
    return p;
}

static void *
fallback_valloc(size_t bytes)
{
    return real.memalign((size_t)getpagesize(), bytes);
}

static void *
fallback_pvalloc(size_t bytes)
{
    size_t page = (size_t)getpagesize();

    return real.memalign(page, (bytes + page - 1) & ~(page - 1));
}

static size_t
fallback_usable_size(void *p)
{
    (void)p;
    return 0;
}

#define NEXT(member, name) (*(void **)&t.member = dlsym(RTLD_NEXT, name))

static struct real
ask_loader(void)
{
    struct real t = {0};

    NEXT(calloc, "calloc");
    NEXT(realloc, "realloc");
    NEXT(free, "free");
    NEXT(posix_memalign, "posix_memalign");
    NEXT(aligned_alloc, "aligned_alloc");
    NEXT(memalign, "memalign");
    NEXT(valloc, "valloc");
    NEXT(pvalloc, "pvalloc");
    NEXT(usable_size, "malloc_usable_size");
    NEXT(dallocx, "dallocx");
    NEXT(malloc, "malloc");
    if (!t.posix_memalign)
        t.posix_memalign = fallback_posix_memalign;
    if (!t.memalign)
        t.memalign = fallback_memalign;
    if (!t.aligned_alloc)
        t.aligned_alloc = t.memalign;
    if (!t.valloc)
        t.valloc = fallback_valloc;
    if (!t.pvalloc)
        t.pvalloc = fallback_pvalloc;
    if (!t.usable_size)
        t.usable_size = fallback_usable_size;
    return t;
}

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static void
name_allocator(void)
{
    static const char *const known[] = {"jemalloc", "tcmalloc", "mimalloc"};
    Dl_info info;

    if (!dladdr((void *)real.malloc, &info) || !info.dli_fname)
        return;
    allocator = base_name(info.dli_fname);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strstr(allocator, known[i]))
            allocator = known[i];
    if (strncmp(allocator, "libc.so", 7) == 0 ||
        strncmp(allocator, "libc-", 5) == 0)
        allocator = "glibc";
}

int
real_resolve(void)
{
    struct real t;

    if (__atomic_load_n(&is_resolved, __ATOMIC_ACQUIRE))
        return 1;
    if (__atomic_exchange_n(&is_resolving, 1, __ATOMIC_ACQUIRE))
        return 0;
    t = ask_loader();
    if (!t.malloc || !t.calloc || !t.realloc || !t.free) {
        retire("no allocator found behind the agent");
        return 0;
    }
    real = t;
    name_allocator();
    __atomic_store_n(&is_resolved, 1, __ATOMIC_RELEASE);
    return 1;
}

const char *
real_allocator_name(void)
{
    return allocator;
}

unsigned
real_granule_shift(void)
{
    return strcmp(allocator, "glibc") == 0 ? 5 : 4;
}

/* An executable that takes malloc's address has an entry for it without having
   a malloc: an undefined symbol with a value. */
int
real_is_bypassed(void)
{
    void *fn = dlsym(RTLD_DEFAULT, "malloc");
    const ElfW(Sym) *symbol = NULL;
    Dl_info info;

    if (modules_is_agent((uintptr_t)fn))
        return 0;
    return !dladdr1(fn, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
           symbol->st_shndx != SHN_UNDEF;
}
