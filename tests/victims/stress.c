/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * stress.c -- what a scan has to get right while everything moves.
 *
 *      stress [--seed=N] [--threads=N] [--seconds=S | --steps=N] [--plants=N]
 *             [--rest=N] [--crowd=N] [--lost=N]
 *             [--ballast=MIB] [--tables]
 *
 * Each thread creates, links, moves, unlinks and drops objects in pools of its
 * own and shared ones (stress_pools.c), passes live cycles from holder to
 * holder (stress_twins.c), and at random moments plants a garbage cycle, up to
 * --plants of them (stress_shapes.c); from then on nobody touches that.
 *
 *      --rest      a thread pauses at one of so many points in its work
 *      --crowd     live objects between the members of a live cycle, so that
 *                  they are looked at one long after the other
 *      --lost      cycles of one object, planted at the start, between them,
 * too
 *      --ballast   memory between the objects of one thread and those of the
 *                  next, which makes copies of the process take longer
 *      --tables    no types that have a traverse function
 *
 * When the threads are done it prints the truth, one line a strongly connected
 * component of a shape:
 *
 *      cycle TYPE,TYPE... instances N objects M bytes B held H held-bytes HB
 *
 * objects, bytes and held are those of one instance; held is what else would go
 * with it, since nothing but this cycle keeps it.  Then
 *
 *      companion N     what hk_gc_scan() finds unreachable
 *      planted N       objects: the same number
 *      weakly N        longest time in ns for which a twin was garbage
 *      steps N         of all threads
 *      ready
 *
 * and after a line on stdin, when all that is alive has been taken apart,
 * "left N": the objects that are still there, plus COMMONS live ones.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stress.h"

enum { THREADS_MAX = 64, BALLAST_BYTES = 1 << 16 };

static struct {
    int seed, threads, seconds, steps, plants, ballast, crowd, lost;
    bool tables;
} options = {1, 8, 2, 0, 40, 0, 20000, 0, false};

static bool stopping; /* __atomic */
static struct worker workers[THREADS_MAX];

static void
plant(struct worker *worker)
{
    shape_plant(shape_at(chance(&worker->random, shapes_count())),
                &worker->random);
}

/* The moments at which a thread plants, somewhere in each of --plants equal
   parts of the first half of its steps or of the time.  Then every change in
   the number of lost cycles is an error. */
static uint64_t
moment(struct worker *worker, uint64_t begin, int planted)
{
    uint64_t all = options.steps
                       ? (uint64_t)options.steps
                       : (uint64_t)options.seconds * UINT64_C(1000000000);
    uint64_t part = all / 2 / ((uint64_t)options.plants + 1) + 1;

    if (planted == options.plants)
        return UINT64_MAX;
    return begin + part * (uint64_t)planted +
           chance_next(&worker->random) % part;
}

/* From this thread's arena; it stays. */
static void
take_ballast(void)
{
    size_t count = ((size_t)options.ballast << 4) / (size_t)options.threads;

    for (size_t i = 0; i < count; i++) {
        char *block = malloc(BALLAST_BYTES);

        if (!block)
            give_up("malloc");
        memset(block, 1, BALLAST_BYTES);
    }
}

static void *
work(void *arg)
{
    struct worker *worker = arg;
    uint64_t begin = options.steps ? 0 : chance_now_ns();
    uint64_t next = moment(worker, begin, 0);
    int planted = 0;

    take_ballast();
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED) &&
           (!options.steps || worker->steps < (uint64_t)options.steps)) {
        if ((options.steps ? worker->steps : chance_now_ns()) >= next) {
            plant(worker);
            next = moment(worker, begin, ++planted);
        }
        if (chance(&worker->random, 6) == 0)
            twin_step(worker);
        else
            pool_step(worker);
        worker->steps++;
        chance_yield(&worker->random);
    }
    return NULL;
}

static void
run(void)
{
    pthread_t threads[THREADS_MAX];

    for (int t = 0; t < options.threads; t++) {
        workers[t].random = chance_seed(options.seed, t);
        if (pthread_create(&threads[t], NULL, work, &workers[t]) != 0)
            give_up("pthread_create");
    }
    if (!options.steps)
        nanosleep(&(struct timespec){.tv_sec = options.seconds}, NULL);
    if (!options.steps)
        __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int t = 0; t < options.threads; t++)
        pthread_join(threads[t], NULL);
}

/* ---- the truth ---------------------------------------------------------- */

static uint64_t
count_left(void)
{
    const struct kind *kind;
    uint64_t left = 0, tracked;

    for (int k = 0; (kind = kind_at(k)); k++) {
        hk_type_counts(kind->type, NULL, NULL, &tracked);
        left += tracked;
    }
    return left;
}

static void
print_truth(void)
{
    hk_gc_result found = {.struct_size = sizeof found};
    uint64_t steps = 0;

    if (hk_gc_scan(2, &found) != 0)
        give_up("hk_gc_scan");
    for (int t = 0; t < options.threads; t++)
        steps += workers[t].steps;
    shapes_print();
    printf("companion %zu\nplanted %ju\nweakly %ju\nsteps %ju\nready\n",
           found.unreachable, (uintmax_t)shapes_planted(),
           (uintmax_t)twins_weakly_ns(), (uintmax_t)steps);
    fflush(stdout);
}

static void
wait_for_a_line(void)
{
    char byte;

    while (read(0, &byte, 1) > 0 && byte != '\n')
        ;
}

/* ---- main --------------------------------------------------------------- */

static bool
parse_option(const char *arg)
{
    const struct {
        const char *name;
        int *value;
        int low, high;
    } table[] = {
        {"--seed=", &options.seed, 0, INT32_MAX},
        {"--threads=", &options.threads, 1, THREADS_MAX},
        {"--seconds=", &options.seconds, 0, 1000000},
        {"--steps=", &options.steps, 0, INT32_MAX},
        {"--plants=", &options.plants, 0, 1000000},
        {"--crowd=", &options.crowd, 0, 100000000},
        {"--lost=", &options.lost, 0, 1000000},
        {"--ballast=", &options.ballast, 0, 65536},
        {"--rest=", &chance_rest, 1, INT32_MAX},
    };

    if (strcmp(arg, "--tables") == 0)
        return options.tables = true;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t length = strlen(table[i].name);

        if (strncmp(arg, table[i].name, length) != 0)
            continue;
        *table[i].value = atoi(arg + length);
        return *table[i].value >= table[i].low &&
               *table[i].value <= table[i].high;
    }
    return false;
}

int
main(int argc, char **argv)
{
    uint64_t random;

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i])) {
            fprintf(stderr, "stress: %s makes no sense\n", argv[i]);
            return 2;
        }
    random = chance_seed(options.seed, THREADS_MAX);
    shapes_make((uint64_t)options.seed, options.tables);
    pools_make(options.tables);
    twins_make(&random, options.crowd, options.lost);
    run();
    print_truth();
    wait_for_a_line();
    for (int t = 0; t < options.threads; t++)
        private_end(&workers[t]);
    pools_end();
    twins_end();
    shapes_free_weaks();
    printf("left %ju\n", (uintmax_t)count_left());
    return 0;
}
