/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_dl.c -- two plugins in turn at one address.
 *
 *      unwind_dl PLUGIN_A PLUGIN_B [ROUNDS]
 *
 * Their code is at the same places and their frames differ in size alone: what
 * was learnt about one is wrong of the other.  Every second visit the loader
 * works in another thread, so that the words of the last stack are still there
 * when the new plugin's stack comes to lie over them, and this thread has
 * allocated nothing in between.  stderr tells how often both lay at one
 * address.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sched.h>

#include "tests/victims/chain.h"

typedef void run_fn(void (*)(unsigned long), unsigned long);

struct visit {
    const char *path;
    void *plugin;
    run_fn *run;
    uintptr_t base;
};

/* What the other thread shall do: load or unload this one.  Both wait without
   a call that would need much stack. */
static struct visit *asked;          /* __atomic */
static struct visit *const no_visit; /* done */
static struct visit the_end;

static void
load(struct visit *visit)
{
    void *symbol;

    visit->plugin = dlopen(visit->path, RTLD_NOW);
    symbol = visit->plugin ? dlsym(visit->plugin, "plugin_run") : NULL;
    if (!symbol) {
        puts(dlerror());
        exit(1);
    }
    memcpy(&visit->run, &symbol, sizeof visit->run);
    visit->base = ((struct link_map *)visit->plugin)->l_addr;
}

static void
change(struct visit *visit)
{
    if (!visit->plugin) {
        load(visit);
    } else {
        dlclose(visit->plugin);
        visit->plugin = NULL;
    }
}

static struct visit *
wait_while(struct visit *what, bool is_equal)
{
    struct visit *now;

    while (now = __atomic_load_n(&asked, __ATOMIC_ACQUIRE),
           (now == what) == is_equal)
        sched_yield();
    return now;
}

static void
ask(struct visit *visit)
{
    __atomic_store_n(&asked, visit, __ATOMIC_RELEASE);
}

static void *
loader(void *arg)
{
    struct visit *visit;

    while (visit = wait_while(no_visit, true), visit != &the_end) {
        change(visit);
        ask(no_visit);
    }
    return arg;
}

static void
change_elsewhere(struct visit *visit)
{
    ask(visit);
    wait_while(no_visit, false);
}

/* What a plugin calls: the same stack three times, so that it is known. */
static NOIPA void
host(unsigned long bytes)
{
    CHAIN;

    for (volatile int i = 0; i < 3; i++)
        plant(bytes);
}

/* So far down that what visit() does otherwise leaves these words alone. */
static NOIPA void
far_down(run_fn *run, unsigned long bytes)
{
    CHAIN_AS("far_down");
    char room[4096];

    __asm__ volatile("" : : "r"(room) : "memory");
    {
        CHAIN_AS("plugin_run");
        {
            CHAIN_AS(bytes % 2 ? "a_outer" : "b_outer");
            {
                CHAIN_AS(bytes % 2 ? "a_inner" : "b_inner");

                run(host, bytes);
            }
        }
    }
}

static NOIPA uintptr_t
visit(const char *path, unsigned long bytes, bool is_elsewhere)
{
    CHAIN;
    struct visit visit = {.path = path};

    (is_elsewhere ? change_elsewhere : change)(&visit);
    far_down(visit.run, bytes);
    (is_elsewhere ? change_elsewhere : change)(&visit);
    return visit.base;
}

static NOIPA int
take_turns(char **paths, int rounds)
{
    CHAIN;
    int same = 0;

    for (int i = 0; i < rounds; i++) {
        uintptr_t a = visit(paths[0], 101, i % 2);

        same += visit(paths[1], 102, i % 2) == a;
    }
    return same;
}

int
main(int argc, char **argv)
{
    CHAIN;
    int rounds = argc > 3 ? atoi(argv[3]) : 1000, same;
    pthread_t thread;

    if (argc < 3)
        return 2;
    pthread_create(&thread, NULL, loader, NULL);
    same = take_turns(argv + 1, rounds);
    ask(&the_end);
    pthread_join(thread, NULL);
    fprintf(stderr, "at one address %d times of %d\n", same, rounds);
    printf("planted %llu\n", (unsigned long long)chain_planted);
    chain_write("main");
    return 0;
}
