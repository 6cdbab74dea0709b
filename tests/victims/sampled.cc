/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sampled.cc -- makes blocks at known places, frees a known part of them, and
 * says of each place how many of which size.
 *
 *      sampled none|blocks|freed|threads|empty|fork TRUTH
 *      sampled busy|quiet              works until stdin ends
 *
 * none     nothing, to know what a program allocates anyway
 * blocks   every place in every depth, keeps some
 * freed    the same, keeps nothing
 * threads  by eight threads, which free one another's blocks
 * empty    as many threads, which do nothing
 * fork     half of it, then a child does the other half; TRUTH.child
 *
 * A path is a place and a number of frames `down` above it.  TRUTH gets lines
 * "PLACE DOWN BYTES ALLOCATIONS FREES".  The books are not kept in malloc's
 * memory.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLACE extern "C" __attribute__((noinline, used)) void *
#define MAKER(name, expression)                      \
    PLACE make_##name(size_t bytes);                 \
    PLACE make_##name(size_t bytes)                  \
    {                                                \
        void *p = expression;                        \
                                                     \
        __asm__ volatile("" : "+r"(p) : : "memory"); \
        return p;                                    \
    }

static void *
aligned(size_t bytes)
{
    void *p = nullptr;

    return posix_memalign(&p, 64, bytes) ? nullptr : p;
}

MAKER(m16, malloc(bytes))
MAKER(m24, malloc(bytes))
MAKER(m48, malloc(bytes))
MAKER(m100, malloc(bytes))
MAKER(m8k, malloc(bytes))
MAKER(m20k, malloc(bytes))
MAKER(m64k, malloc(bytes))
MAKER(m200k, malloc(bytes))
MAKER(m1m, malloc(bytes))
MAKER(m4m, malloc(bytes))
MAKER(mixed, malloc(bytes))
MAKER(calloc200, calloc(bytes / 8, 8))
MAKER(calloc1000, calloc(1, bytes))
MAKER(posix64, aligned(bytes))
MAKER(align4k, aligned_alloc(4096, bytes))
MAKER(new32, operator new(bytes))
MAKER(array500, new char[bytes])
MAKER(null300, realloc(nullptr, bytes))
MAKER(first, malloc(bytes / 4))
MAKER(grown2000, realloc(make_first(bytes), bytes))

enum how { FREE, DELETE, DELETE_ARRAY };
static const struct place {
    const char *name;
    void *(*make)(size_t);
    size_t bytes;
    unsigned blocks; /* of one path */
    how end;
} places[] = {
    {"make_m16", make_m16, 16, 10000, FREE},
    {"make_m24", make_m24, 24, 6000, FREE},
    {"make_m48", make_m48, 48, 4000, FREE},
    {"make_m100", make_m100, 100, 3000, FREE},
    {"make_m8k", make_m8k, 8192, 200, FREE},
    {"make_m20k", make_m20k, 20000, 100, FREE},
    {"make_m64k", make_m64k, 65536, 60, FREE},
    {"make_m200k", make_m200k, 200000, 40, FREE},
    {"make_m1m", make_m1m, 1 << 20, 24, FREE},
    {"make_m4m", make_m4m, 4 << 20, 8, FREE},
    {"make_mixed", make_mixed, 0, 800, FREE},
    {"make_calloc200", make_calloc200, 200, 2000, FREE},
    {"make_calloc1000", make_calloc1000, 1000, 600, FREE},
    {"make_posix64", make_posix64, 64, 3200, FREE},
    {"make_align4k", make_align4k, 4096, 200, FREE},
    {"make_new32", make_new32, 32, 4000, DELETE},
    {"make_array500", make_array500, 500, 1000, DELETE_ARRAY},
    {"make_null300", make_null300, 300, 1600, FREE},
    {"make_grown2000", make_grown2000, 2000, 400, FREE},
};
enum {
    PLACES = sizeof places / sizeof places[0],
    DEPTHS = 24,
    MORE = 8, /* times as many blocks where no frame is above */
    THREADS = 8,
    SIZES = 4
};
static const size_t mixed_sizes[SIZES] = {16, 1024, 50000, 200000};

struct count {
    uint64_t allocations, frees;
};
static struct {
    count of[PLACES][DEPTHS][SIZES];
} *truth;

struct kept {
    void *block;
    unsigned char place, depth, size;
};
enum { KEPT_MAX = 1300000 };
struct worker {
    kept *list; /* what it made */
    size_t used;
    unsigned number, share; /* does one block in share */
};
static int keeps_none;
static pthread_barrier_t barrier;

static void *
map(size_t bytes)
{
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        _exit(99);
    return p;
}

extern "C" __attribute__((noinline, used)) void *down(const place *, size_t,
                                                      unsigned);
extern "C" __attribute__((noinline, used)) void *
down(const place *s, size_t bytes, unsigned depth)
{
    void *p = depth ? down(s, bytes, depth - 1) : s->make(bytes);

    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static void
fill_path(worker *w, unsigned at, unsigned depth)
{
    const place *s = &places[at];
    unsigned n = s->blocks * (depth == 0 ? MORE : 1) / w->share;

    for (unsigned i = 0; i < n; i++) {
        unsigned size = s->bytes ? 0 : i % SIZES;
        size_t bytes = s->bytes ? s->bytes : mixed_sizes[size];
        void *p = down(s, bytes, depth);

        if (!p || w->used == KEPT_MAX)
            _exit(98);
        __atomic_fetch_add(&truth->of[at][depth][size].allocations, 1,
                           __ATOMIC_RELAXED);
        w->list[w->used++] = {p, (unsigned char)at, (unsigned char)depth,
                              (unsigned char)size};
    }
}

static void
fill_all(worker *w)
{
    for (unsigned depth = 0; depth < DEPTHS; depth++)
        for (unsigned at = 0; at < PLACES; at++)
            fill_path(w, at, depth);
}

static void
drop(const kept *k)
{
    switch (places[k->place].end) {
    case FREE: free(k->block); break;
    case DELETE: operator delete(k->block); break;
    case DELETE_ARRAY: delete[](char *)k->block; break;
    }
    __atomic_fetch_add(&truth->of[k->place][k->depth][k->size].frees, 1,
                       __ATOMIC_RELAXED);
}

/* Two in five; of every sixth depth all; of every sixth another none. */
static int
is_dropped(const kept *k, size_t i)
{
    if (keeps_none || k->depth % 6 == 4)
        return 1;
    return k->depth % 6 != 1 && (i / SIZES) % 5 < 2;
}

static void
drop_some(worker *w)
{
    for (size_t i = 0; i < w->used; i++)
        if (is_dropped(&w->list[i], i))
            drop(&w->list[i]);
}

static worker workers[THREADS];

static void *
work(void *arg)
{
    worker *w = (worker *)arg;

    if (w->list)
        fill_all(w);
    pthread_barrier_wait(&barrier);
    if (w->list)
        drop_some(&workers[(w->number + 1) % THREADS]);
    pthread_barrier_wait(&barrier);
    return nullptr;
}

static void
run_threads(int is_empty)
{
    pthread_t t[THREADS];
    pthread_attr_t attr;

    /* Small stacks are all kept for the next thread, with what is allocated
       for them. */
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 256 << 10);
    pthread_barrier_init(&barrier, nullptr, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = {nullptr, 0, i, THREADS};
        if (!is_empty)
            workers[i].list = (kept *)map(KEPT_MAX * sizeof(kept));
    }
    for (unsigned i = 0; i < THREADS; i++)
        if (pthread_create(&t[i], &attr, work, &workers[i]))
            _exit(97);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], nullptr);
}

static void
write_line(int fd, const char *name, unsigned depth, size_t bytes,
           uint64_t allocations, uint64_t frees)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%s %u %zu %llu %llu\n", name, depth,
                     bytes, (unsigned long long)allocations,
                     (unsigned long long)frees);

    if (write(fd, line, (size_t)n) != n)
        _exit(96);
}

static void
write_truth(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    for (unsigned at = 0; at < PLACES; at++)
        for (unsigned d = 0; d < DEPTHS; d++)
            for (unsigned i = 0; i < SIZES; i++) {
                const count *c = &truth->of[at][d][i];
                size_t bytes = places[at].bytes;

                if (!c->allocations)
                    continue;
                write_line(fd, places[at].name, d,
                           bytes ? bytes : mixed_sizes[i], c->allocations,
                           c->frees);
                if (places[at].make == make_grown2000)
                    write_line(fd, "make_first", d, bytes / 4,
                               c->allocations, c->allocations);
            }
    close(fd);
}

static __attribute__((noinline)) void
run_half(const char *file)
{
    worker w = {(kept *)map(KEPT_MAX * sizeof(kept)), 0, 0, 2};

    fill_all(&w);
    drop_some(&w);
    write_truth(file);
}

/* The child goes on with a copy of the books, at the same place: optimised,
   it would have a call for each half, and so two paths. */
static __attribute__((noinline, optimize("O0"))) void
run_fork(const char *file)
{
    char name[4096];
    int status = 0;
    pid_t child = 0;

    for (int half = 0; half < 2; half++) {
        if (half == 1) {
            void *mine = map(sizeof(*truth));

            memcpy(mine, truth, sizeof(*truth));
            child = fork();
            if (child != 0)
                break;
            truth = (decltype(truth))mine;
            if (snprintf(name, sizeof name, "%s.child", file) >=
                (int)sizeof name)
                _exit(94);
            file = name;
        }
        run_half(file);
    }
    if (child < 0 || (child && (waitpid(child, &status, 0) != child || status)))
        _exit(95);
}

static int
is_over(void)
{
    struct pollfd p = {0, POLLIN, 0};

    return poll(&p, 1, 0) > 0;
}

/* Makes and frees as fast as it can, on all depths. */
static void
run_busy(void)
{
    for (unsigned i = 0;; i++) {
        if (i % 4096 == 0 && is_over())
            return;
        free(down(&places[i % 4], places[i % 4].bytes, i / 4 % DEPTHS));
    }
}

/* A thousand blocks, then only arithmetic. */
static void
run_quiet(void)
{
    volatile unsigned x = 1;

    for (unsigned i = 0; i < 1000; i++)
        down(&places[2], places[2].bytes, i % DEPTHS);
    for (;;) {
        for (unsigned i = 0; i < 10000000; i++)
            x = x * 1103515245u + 12345u;
        if (is_over())
            return;
    }
}

int
main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    const char *file = argc > 2 ? argv[2] : "/dev/null";
    worker w = {nullptr, 0, 0, 1};

    truth = (decltype(truth))map(sizeof(*truth));
    keeps_none = strcmp(what, "freed") == 0;
    if (strcmp(what, "blocks") == 0 || keeps_none) {
        w.list = (kept *)map(KEPT_MAX * sizeof(kept));
        fill_all(&w);
        drop_some(&w);
        write_truth(file);
    } else if (strcmp(what, "threads") == 0 || strcmp(what, "empty") == 0) {
        run_threads(*what == 'e');
        write_truth(file);
    } else if (strcmp(what, "fork") == 0) {
        run_fork(file);
    } else if (strcmp(what, "busy") == 0) {
        run_busy();
    } else if (strcmp(what, "quiet") == 0) {
        run_quiet();
    } else if (strcmp(what, "none") == 0) {
        write_truth(file);
    } else {
        return 2;
    }
    return 0;
}
