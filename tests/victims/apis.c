/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * apis.c -- every allocation function, at its corners.
 *
 * The expectations are those of glibc 2.36, of the C standard and POSIX where
 * they say enough.  Prints one line for each function, and exits with 1 if an
 * expectation failed; then stderr says which.  Functions that this libc lacks
 * (an agent may offer them all the same) are called where they are found.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Called through pointers that the compiler cannot see through: it would know
   these functions and take calls away. */
static struct {
    void *(*malloc)(size_t);
    void *(*calloc)(size_t, size_t);
    void *(*realloc)(void *, size_t);
    void *(*reallocarray)(void *, size_t, size_t);
    void (*free)(void *);
    int (*posix_memalign)(void **, size_t, size_t);
    void *(*aligned_alloc)(size_t, size_t);
    void *(*memalign)(size_t, size_t);
    void *(*valloc)(size_t);
    void *(*pvalloc)(size_t);
    size_t (*usable)(void *);
} volatile api = {malloc,        calloc,   realloc, reallocarray, free,
                  posix_memalign, aligned_alloc, memalign, valloc, pvalloc,
                  malloc_usable_size};

static const size_t sizes[] = {1,    7,     8,     15,     16,     17,    24,
                               25,   64,    100,   1023,   1024,   1032,  1033,
                               4096, 65536, 131071, 131072, 200000, 3000000};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2 + 1,
                                    (size_t)PTRDIFF_MAX + 1,
                                    (size_t)PTRDIFF_MAX - 4096};
enum { IMPOSSIBLE = sizeof impossible / sizeof impossible[0] };

static int failures;

static void
check(bool good, int line, const char *what)
{
    if (good)
        return;
    failures++;
    fprintf(stderr, "apis.c:%d: failed: %s\n", line, what);
}

#define CHECK(condition) check(condition, __LINE__, #condition)

/* errno before, and after a success still. */
enum { UNTOUCHED = 1234 };
#define KEEPS_ERRNO(statement)          \
    do {                                \
        errno = UNTOUCHED;              \
        statement;                      \
        CHECK(errno == UNTOUCHED);      \
    } while (0)
#define FAILS_WITH(code, expression)    \
    do {                                \
        errno = 0;                      \
        CHECK((expression) == NULL);    \
        CHECK(errno == (code));         \
    } while (0)

static void
fill(void *block, size_t bytes, unsigned seed)
{
    unsigned char *p = block;

    for (size_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)(seed + i * 7);
}

static bool
is_filled(const void *block, size_t bytes, unsigned seed)
{
    const unsigned char *p = block;

    for (size_t i = 0; i < bytes; i++)
        if (p[i] != (unsigned char)(seed + i * 7))
            return false;
    return true;
}

static bool
is_zero(const void *block, size_t bytes)
{
    const unsigned char *p = block;

    for (size_t i = 0; i < bytes; i++)
        if (p[i])
            return false;
    return true;
}

static bool
is_aligned(const void *block, size_t alignment)
{
    return block && (uintptr_t)block % alignment == 0;
}

static void
test_malloc(void)
{
    void *blocks[SIZES];
    void *a, *b;

    for (int i = 0; i < SIZES; i++) {
        KEEPS_ERRNO(blocks[i] = api.malloc(sizes[i]));
        CHECK(is_aligned(blocks[i], 16));
        CHECK(api.usable(blocks[i]) >= sizes[i]);
        fill(blocks[i], sizes[i], (unsigned)i);
    }
    for (int i = 0; i < SIZES; i++) {
        CHECK(is_filled(blocks[i], sizes[i], (unsigned)i));
        KEEPS_ERRNO(api.free(blocks[i]));
    }
    KEEPS_ERRNO(a = api.malloc(0));
    KEEPS_ERRNO(b = api.malloc(0));
    CHECK(a && b && a != b);
    api.free(a);
    api.free(b);
    for (int i = 0; i < IMPOSSIBLE; i++)
        FAILS_WITH(ENOMEM, api.malloc(impossible[i]));
    KEEPS_ERRNO(api.free(NULL));
}

static void
test_calloc(void)
{
    for (int i = 0; i < SIZES; i++) {
        void *block;

        api.free(memset(api.malloc(sizes[i]), 0xee, sizes[i]));
        KEEPS_ERRNO(block = api.calloc(1, sizes[i]));
        CHECK(block && is_zero(block, sizes[i]));
        api.free(block);
        KEEPS_ERRNO(block = api.calloc(sizes[i], 3));
        CHECK(block && is_zero(block, 3 * sizes[i]));
        api.free(block);
    }
    for (int i = 0; i < 3; i++) {
        void *block = api.calloc(i == 1, i == 2);

        CHECK(block != NULL);
        api.free(block);
    }
    FAILS_WITH(ENOMEM, api.calloc(SIZE_MAX / 2, 3));
    FAILS_WITH(ENOMEM, api.calloc(2, SIZE_MAX));
    FAILS_WITH(ENOMEM, api.calloc((size_t)1 << 33, (size_t)1 << 33));
    FAILS_WITH(ENOMEM, api.calloc(1, SIZE_MAX));
}

static void
test_realloc(void)
{
    void *block = NULL;
    size_t old = 0;

    for (int i = 0; i < 3 * SIZES; i++) {
        size_t bytes = sizes[(i * 7) % SIZES];

        KEEPS_ERRNO(block = api.realloc(block, bytes));
        CHECK(is_aligned(block, 16) && api.usable(block) >= bytes);
        CHECK(is_filled(block, old < bytes ? old : bytes, (unsigned)i - 1));
        fill(block, bytes, (unsigned)i);
        old = bytes;
    }
    for (int i = 0; i < IMPOSSIBLE; i++) {
        FAILS_WITH(ENOMEM, api.realloc(block, impossible[i]));
        CHECK(is_filled(block, old, 3 * SIZES - 1));
        FAILS_WITH(ENOMEM, api.realloc(NULL, impossible[i]));
    }
    KEEPS_ERRNO(CHECK(api.realloc(block, 0) == NULL));
    KEEPS_ERRNO(block = api.realloc(NULL, 0));
    CHECK(block != NULL);
    api.free(block);
}

static void
test_reallocarray(void)
{
    void *block;

    KEEPS_ERRNO(block = api.reallocarray(NULL, 10, 30));
    CHECK(is_aligned(block, 16) && api.usable(block) >= 300);
    fill(block, 300, 5);
    KEEPS_ERRNO(block = api.reallocarray(block, 1000, 30));
    CHECK(block && is_filled(block, 300, 5));
    FAILS_WITH(ENOMEM, api.reallocarray(block, SIZE_MAX / 2, 3));
    FAILS_WITH(ENOMEM, api.reallocarray(block, SIZE_MAX, 2));
    FAILS_WITH(ENOMEM, api.reallocarray(NULL, SIZE_MAX, 2));
    CHECK(is_filled(block, 300, 5));
    KEEPS_ERRNO(CHECK(api.reallocarray(block, 0, 30) == NULL));
}

static void
test_posix_memalign(void)
{
    static const size_t wrong[] = {0, 1, 2, 3, 4, 7, 12, 24, 100, 4097};
    void *block;

    for (size_t alignment = sizeof(void *); alignment <= 65536; alignment *= 2)
        for (int i = 0; i < SIZES; i += 3) {
            KEEPS_ERRNO(
                CHECK(api.posix_memalign(&block, alignment, sizes[i]) == 0));
            CHECK(is_aligned(block, alignment));
            CHECK(api.usable(block) >= sizes[i]);
            fill(block, sizes[i], 3);
            KEEPS_ERRNO(api.free(block));
        }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        block = &failures;
        KEEPS_ERRNO(CHECK(api.posix_memalign(&block, wrong[i], 8) == EINVAL));
        CHECK(block == &failures);
    }
    for (int i = 0; i < IMPOSSIBLE; i++) {
        block = &failures;
        CHECK(api.posix_memalign(&block, 64, impossible[i]) == ENOMEM);
        CHECK(block == &failures);
    }
    CHECK(api.posix_memalign(&block, 64, 0) == 0);
    CHECK(is_aligned(block, 64));
    api.free(block);
}

/* glibc 2.36: both are one, and round a wrong alignment up. */
static void
test_aligned(void *(*aligned)(size_t, size_t))
{
    void *block;

    for (size_t alignment = 1; alignment <= 65536; alignment *= 2) {
        KEEPS_ERRNO(block = aligned(alignment, 3 * alignment));
        CHECK(is_aligned(block, alignment < 16 ? 16 : alignment));
        fill(block, 3 * alignment, 9);
        block = api.realloc(block, 7 * alignment);
        CHECK(block && is_filled(block, 3 * alignment, 9));
        api.free(block);
    }
    block = aligned(24, 100);
    CHECK(is_aligned(block, 32));
    api.free(block);
    block = aligned(64, 0);
    CHECK(is_aligned(block, 64));
    api.free(block);
    FAILS_WITH(EINVAL, aligned(SIZE_MAX / 2 + 2, 8));
    for (int i = 0; i < IMPOSSIBLE; i++)
        FAILS_WITH(ENOMEM, aligned(64, impossible[i]));
}

static void
test_aligned_alloc(void)
{
    test_aligned(api.aligned_alloc);
}

static void
test_memalign(void)
{
    test_aligned(api.memalign);
}

static void
test_valloc(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (int i = 0; i < SIZES; i++) {
        void *block;

        KEEPS_ERRNO(block = api.valloc(sizes[i]));
        CHECK(is_aligned(block, page) && api.usable(block) >= sizes[i]);
        fill(block, sizes[i], 1);
        api.free(block);
    }
    for (int i = 0; i < IMPOSSIBLE; i++)
        FAILS_WITH(ENOMEM, api.valloc(impossible[i]));
}

static void
test_pvalloc(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (int i = 0; i < SIZES; i++) {
        size_t whole = (sizes[i] + page - 1) / page * page;
        void *block;

        KEEPS_ERRNO(block = api.pvalloc(sizes[i]));
        CHECK(is_aligned(block, page) && api.usable(block) >= whole);
        fill(block, whole, 1);
        api.free(block);
    }
    for (int i = 0; i < IMPOSSIBLE; i++)
        FAILS_WITH(ENOMEM, api.pvalloc(impossible[i]));
}

/* A block may be written up to its usable size, and grown from there. */
static void
test_usable_size(void)
{
    CHECK(api.usable(NULL) == 0);
    for (int i = 0; i < SIZES; i++) {
        void *block = api.malloc(sizes[i]);
        size_t usable;

        KEEPS_ERRNO(usable = api.usable(block));
        CHECK(usable >= sizes[i] && usable < 2 * sizes[i] + 8192);
        fill(block, usable, 4);
        block = api.realloc(block, usable + 1);
        CHECK(block && is_filled(block, usable, 4));
        api.free(block);
    }
}

/* Things of libc that allocate inside it, and are freed by us. */
static void
test_libc(void)
{
    char *text = strdup("something"), *line = NULL, *path, *memory = NULL;
    size_t bytes = 0;
    FILE *file;

    CHECK(text && strcmp(text, "something") == 0);
    api.free(text);
    CHECK(asprintf(&line, "%s %d", "words", 5) == 7);
    api.free(line);
    path = realpath("/", NULL);
    CHECK(path && strcmp(path, "/") == 0);
    api.free(path);
    file = open_memstream(&memory, &bytes);
    for (int i = 0; file && i < 1000; i++)
        fprintf(file, "%04d ", i);
    CHECK(file && fclose(file) == 0 && bytes == 5000);
    api.free(memory);
}

/* Named by the C standard of 2023, or by old programs. */
static void
test_missing(void)
{
    void (*free_sized)(void *, size_t);
    void (*free_aligned_sized)(void *, size_t, size_t);
    void (*cfree)(void *);
    void *symbol;

    if ((symbol = dlsym(RTLD_DEFAULT, "free_sized"))) {
        memcpy(&free_sized, &symbol, sizeof symbol);
        KEEPS_ERRNO(free_sized(NULL, 0));
        KEEPS_ERRNO(free_sized(api.malloc(77), 77));
    }
    if ((symbol = dlsym(RTLD_DEFAULT, "free_aligned_sized"))) {
        memcpy(&free_aligned_sized, &symbol, sizeof symbol);
        KEEPS_ERRNO(free_aligned_sized(NULL, 0, 0));
        KEEPS_ERRNO(free_aligned_sized(api.aligned_alloc(64, 128), 64, 128));
    }
    if ((symbol = dlsym(RTLD_DEFAULT, "cfree"))) {
        memcpy(&cfree, &symbol, sizeof symbol);
        KEEPS_ERRNO(cfree(NULL));
        KEEPS_ERRNO(cfree(api.malloc(77)));
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} tests[] = {
    {"malloc, free", test_malloc},
    {"calloc", test_calloc},
    {"realloc", test_realloc},
    {"reallocarray", test_reallocarray},
    {"posix_memalign", test_posix_memalign},
    {"aligned_alloc", test_aligned_alloc},
    {"memalign", test_memalign},
    {"valloc", test_valloc},
    {"pvalloc", test_pvalloc},
    {"malloc_usable_size", test_usable_size},
    {"libc's own", test_libc},
    {"free_sized, free_aligned_sized, cfree", test_missing},
};

int
main(void)
{
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
        int before = failures;

        tests[i].run();
        printf("%s: %s\n", tests[i].name,
               failures == before ? "as expected" : "FAILED");
    }
    return failures ? 1 : 0;
}
