/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_traverse.c -- callbacks that do what they must not.
 *
 *      scan_traverse KIND
 *
 * There is a lost cycle of two objects of the type "good", whatever else
 * happens.  The type "culprit" has one object; for the kinds that begin with
 * "size" it hangs off that cycle.  Its traverse, or its extra_size, does what
 * KIND says; of "sealed" there is an object of the type "gone", whose page
 * nobody may read.  Prints "ready", waits until stdin ends, and tells whether
 * anything has happened to this process.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heapknot.h"

struct node {
    hk_object header;
    struct node *next, *side;
};

enum { DEEP = 20000, FRAME = 64 }; /* 2 MiB of stack */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile char *gone; /* a page of a file that is empty */
static volatile int zero;
static const char *kind;
static pid_t program;
static int *calls; /* shared: of callbacks in this process */

static const hk_field fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0},
    {"side", HK_REF, offsetof(struct node, side), 0},
    {NULL, HK_END, 0, 0},
};

/* ---- what they do ------------------------------------------------------- */

static void
loop(void)
{
    for (;;)
        __asm__ volatile("");
}

static void
lock(void)
{
    pthread_mutex_lock(&mutex);
}

static void
segv(void)
{
    *(volatile int *)(intptr_t)(zero + 8) = 1;
}

static void
bus(void)
{
    zero += *gone;
}

static void
fpe(void)
{
    raise(SIGFPE);
}

static void
ill(void)
{
    __builtin_trap();
}

static void
trap(void)
{
    raise(SIGTRAP);
}

static unsigned
dive(unsigned depth)
{
    volatile unsigned char frame[FRAME];

    frame[depth % FRAME] = 1;
    return depth == 0 ? 0 : dive(depth - 1) + frame[depth % FRAME];
}

static void
deep(void)
{
    zero += dive(DEEP) == 1;
}

static void
endless(void)
{
    zero += dive(-1u) == 1;
}

static void
leave(void)
{
    exit(0);
}

static void
leave_now(void)
{
    _exit(0);
}

static const struct {
    const char *name;
    void (*act)(void);
} kinds[] = {
    {"loop", loop}, {"lock", lock}, {"segv", segv},   {"bus", bus},
    {"fpe", fpe},   {"ill", ill},   {"trap", trap},   {"abort", abort},
    {"deep", deep}, {"endless", endless}, {"size-segv", segv},
    {"size-loop", loop}, {"exit", leave}, {"_exit", leave_now},
    {"sealed", NULL}, {"none", NULL},
};

static void
act(void)
{
    if (getpid() == program)
        ++*calls;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, kind) == 0 && kinds[i].act)
            kinds[i].act();
}

static int
traverse(void *self, hk_visit_fn visit, void *arg)
{
    if (strncmp(kind, "size", 4) != 0)
        act();
    return visit(((struct node *)self)->next, "next", -1, arg);
}

static size_t
extra_size(const void *self)
{
    (void)self;
    act();
    return 0;
}

/* ---- objects ------------------------------------------------------------ */

static hk_type *
make_type(const char *name, int is_good)
{
    hk_type_spec spec = {
        .struct_size = sizeof spec,
        .name = name,
        .size = sizeof(struct node),
        .header_offset = offsetof(struct node, header),
    };

    if (is_good)
        spec.fields = fields;
    else
        spec.traverse = traverse;
    if (strncmp(kind, "size", 4) == 0 && !is_good)
        spec.extra_size = extra_size;
    return hk_type_register(&spec);
}

static struct node *
make(hk_type *type)
{
    struct node *n = hk_new(type);

    if (!n)
        abort();
    return n;
}

/* Takes the caller's reference to what shall hang off it, or NULL. */
static void
lose_cycle(hk_type *type, struct node *side)
{
    struct node *a = make(type), *b = make(type);

    hk_setref(&a->next, b);
    hk_setref(&b->next, a);
    a->side = side;
    hk_decref(a);
    hk_decref(b);
}

static void *
hold(void *barrier)
{
    pthread_mutex_lock(&mutex);
    pthread_barrier_wait(barrier);
    for (;;)
        pause();
    return NULL;
}

static void
hold_mutex(void)
{
    static pthread_barrier_t barrier;
    pthread_t thread;

    pthread_barrier_init(&barrier, NULL, 2);
    if (pthread_create(&thread, NULL, hold, &barrier) != 0)
        abort();
    pthread_barrier_wait(&barrier);
}

/* Of this process only. */
static void
at_exit(void)
{
    if (getpid() != program)
        ++*calls;
}

/* An object in a page of its own, which nobody may read then. */
static void
make_sealed(hk_type *type)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    hk_init(page, type);
    hk_track(page);
    mprotect(page, 4096, PROT_NONE);
}

static void *
map_empty_file(void)
{
    FILE *empty = tmpfile();

    return empty ? mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(empty), 0)
                 : NULL;
}

int
main(int argc, char **argv)
{
    struct node *culprit;
    int is_size;

    kind = argc > 1 ? argv[1] : "none";
    is_size = strncmp(kind, "size", 4) == 0;
    program = getpid();
    calls = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    gone = map_empty_file();
    atexit(at_exit);
    hold_mutex();
    culprit = make(make_type("culprit", 0));
    lose_cycle(make_type("good", 1), is_size ? culprit : NULL);
    if (strcmp(kind, "sealed") == 0)
        make_sealed(make_type("gone", 0));
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        continue;
    printf("callbacks here %d, children %s\n", *calls,
           waitpid(-1, NULL, WNOHANG) == -1 ? "none" : "some");
    return culprit->next != NULL;
}
