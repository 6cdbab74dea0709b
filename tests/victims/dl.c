/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * dl.c -- plugins that come and go.
 *
 *      dl PLUGIN_A PLUGIN_B [lazy|deepbind]
 *
 * Opens and closes the two in turn, 30 times each, while threads allocate.
 * Every time the plugin allocates, the host frees; the host allocates, the
 * plugin frees; and one block a round outlives its plugin.  deepbind opens
 * with RTLD_DEEPBIND: the plugin then calls libc's malloc past every preload.
 * stderr tells how often both lay at one address.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 30 };

static bool stopping; /* __atomic */
static void *orphans[2 * ROUNDS];
static int orphan_count;

static void *
churn(void *arg)
{
    while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
        void *block = malloc(77);

        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
    }
    return arg;
}

static void *
must_find(void *plugin, const char *name)
{
    void *symbol = dlsym(plugin, name);

    if (!symbol) {
        printf("dlsym %s: %s\n", name, dlerror());
        exit(1);
    }
    return symbol;
}

/* ISO C has no cast from void * to a function. */
#define FIND(plugin, function)                                             \
    do {                                                                   \
        void *symbol_ = must_find(plugin, "plugin_" #function);            \
        memcpy(&function, &symbol_, sizeof symbol_);                       \
    } while (0)

static bool
use(void *plugin, char expected)
{
    const char *(*name)(void);
    void *(*make)(size_t);
    void (*free)(void *);
    void *(*kept)(void);
    char *block;
    bool good;

    FIND(plugin, name);
    FIND(plugin, make);
    FIND(plugin, free);
    FIND(plugin, kept);
    good = name()[0] == expected && kept() != NULL;
    for (size_t bytes = 1; bytes < 3000; bytes += 97) {
        block = make(bytes);
        good = good && block && block[bytes - 1] == expected;
        block = realloc(block, 2 * bytes);
        good = good && block && block[bytes - 1] == expected;
        free(block);
    }
    orphans[orphan_count++] = make(50);
    return good;
}

static uintptr_t
visit(const char *path, int flags, char expected)
{
    void *plugin = dlopen(path, flags);
    uintptr_t base;

    if (!plugin) {
        printf("dlopen: %s\n", dlerror());
        exit(1);
    }
    base = ((struct link_map *)plugin)->l_addr;
    if (!use(plugin, expected)) {
        printf("plugin %c: wrong\n", expected);
        exit(1);
    }
    if (dlclose(plugin) != 0) {
        printf("dlclose: %s\n", dlerror());
        exit(1);
    }
    return base;
}

int
main(int argc, char **argv)
{
    bool deep = argc > 3 && strcmp(argv[3], "deepbind") == 0;
    bool lazy = argc > 3 && strcmp(argv[3], "lazy") == 0;
    int flags = (lazy ? RTLD_LAZY : RTLD_NOW) | (deep ? RTLD_DEEPBIND : 0);
    pthread_t threads[2];
    int same = 0, alive = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: dl PLUGIN_A PLUGIN_B [lazy|deepbind]\n");
        return 2;
    }
    for (int t = 0; t < 2; t++)
        pthread_create(&threads[t], NULL, churn, NULL);
    for (int i = 0; i < ROUNDS; i++)
        same += visit(argv[1], flags, 'a') == visit(argv[2], flags, 'b');
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    for (int t = 0; t < 2; t++)
        pthread_join(threads[t], NULL);
    for (int i = 0; i < orphan_count; i++) {
        alive += orphans[i] != NULL;
        free(orphans[i]);
    }
    printf("rounds %d, blocks that outlived their plugin %d\n", ROUNDS, alive);
    fprintf(stderr, "at one address %d times of %d\n", same, ROUNDS);
    return 0;
}
