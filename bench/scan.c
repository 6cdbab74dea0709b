/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan.c -- a program to be scanned: objects, a heap beside them, and threads
 * that see how long they are held up.
 *
 *      scan [--objects=N] [--edges=N] [--held=outside|array|walk]
 *           [--garbage=PERCENT] [--heap=MIB] [--huge] [--watch]
 *
 * The objects are those of graph.h.  --heap is memory that was written to, in
 * 4 KiB pages or in huge ones.  Prints "ready PID RESIDENT-MIB REAL-TIME" (1:
 * the threads have that priority), then obeys:
 *
 *      begin   forget the gaps so far           begun
 *      end     the longest since, in ns         gaps CLOCK FAULT WRITE
 *      clone   make and end a bare clone        clone NS
 *
 * until the end of its input.
 */
#define _GNU_SOURCE 1
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "graph.h"
#include "scan_gaps.h"

#define HUGE_BYTES ((size_t)2 << 20)

static struct {
    struct graph_plan graph;
    long heap_mib;
    int is_huge, watches;
} options = {.graph = {.edges = 2}};

/* ---- options ------------------------------------------------------------ */

static int
parse_held(const char *name)
{
    static const char *const names[] = {"outside", "array", "walk"};

    for (int i = 0; i < 3; i++)
        if (!strcmp(name, names[i])) {
            options.graph.held = (enum graph_held)i;
            return 1;
        }
    return 0;
}

static int
parse_option(const char *arg)
{
    struct graph_plan *g = &options.graph;

    if (!strcmp(arg, "--huge"))
        return options.is_huge = 1;
    if (!strcmp(arg, "--watch"))
        return options.watches = 1;
    if (!strncmp(arg, "--held=", 7))
        return parse_held(arg + 7);
    return sscanf(arg, "--objects=%ld", &g->count) == 1 ||
           sscanf(arg, "--edges=%d", &g->edges) == 1 ||
           sscanf(arg, "--garbage=%d", &g->garbage) == 1 ||
           sscanf(arg, "--heap=%ld", &options.heap_mib) == 1;
}

static int
is_sensible(void)
{
    const struct graph_plan *g = &options.graph;

    return g->count >= 0 && g->edges >= (g->held == GRAPH_WALK ? 2 : 0) &&
           g->edges <= GRAPH_EDGES_MAX && options.heap_mib >= 0 &&
           g->garbage >= 0 && g->garbage < 100 &&
           !(g->garbage && (g->held == GRAPH_WALK || !g->edges));
}

/* ---- a heap ------------------------------------------------------------- */

static void
fill_heap(size_t bytes)
{
    size_t room = bytes + HUGE_BYTES;
    char *p = mmap(NULL, room, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        abort();
    madvise(p, room, options.is_huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    p += -(uintptr_t)p % HUGE_BYTES;
    memset(p, 1, bytes);
}

static long
resident_mib(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%ld %ld", &pages, &resident) != 2)
        abort();
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE) >> 20;
}

/* ---- what it is told ---------------------------------------------------- */

/* As the agent clones, and nothing else.  The number of ns that it took. */
static double
clone_once(void)
{
    sigset_t all, before;
    double start;
    long pid;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    start = bench_now_ns();
    pid = syscall(SYS_clone, CLONE_FILES | CLONE_FS, 0, 0, 0, 0);
    if (pid == 0)
        syscall(SYS_exit_group, 0);
    start = bench_now_ns() - start;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        waitpid((pid_t)pid, NULL, __WALL);
    return pid < 0 ? -1 : start;
}

static void
obey(const char *command)
{
    uint64_t gaps[GAPS_KINDS];

    if (!strcmp(command, "begin\n")) {
        gaps_begin();
        printf("begun\n");
    } else if (!strcmp(command, "end\n")) {
        gaps_end(gaps);
        printf("gaps %llu %llu %llu\n", (unsigned long long)gaps[GAPS_CLOCK],
               (unsigned long long)gaps[GAPS_FAULT],
               (unsigned long long)gaps[GAPS_WRITE]);
    } else if (!strcmp(command, "clone\n")) {
        printf("clone %.0f\n", clone_once());
    } else {
        printf("what?\n");
    }
    fflush(stdout);
}

int
main(int argc, char **argv)
{
    struct pollfd input = {.events = POLLIN};
    int real_time = 0;
    char line[80];

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i]) || !is_sensible()) {
            fprintf(stderr, "scan: cannot use %s\n", argv[i]);
            return 2;
        }
    if (options.graph.count)
        graph_build(&options.graph);
    if (options.heap_mib)
        fill_heap((size_t)options.heap_mib << 20);
    if (options.watches)
        real_time = gaps_start();
    printf("ready %ld %ld %d\n", (long)getpid(), resident_mib(), real_time);
    fflush(stdout);
    setvbuf(stdin, NULL, _IONBF, 0);
    /* poll: the agent's thread starts where a program waits. */
    while (poll(&input, 1, -1) > 0 && fgets(line, sizeof line, stdin))
        obey(line);
    return 0;
}
