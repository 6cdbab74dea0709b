/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * chain.h -- programs that know their own call stacks.
 *
 * Every function that may be on the stack when plant() is called begins with
 * CHAIN; what CHAIN keeps is the truth to which a recorded stack is compared.
 * It asks no unwinder.  plant() allocates and frees, and books that under the
 * chain of names from itself to the root; chain_write() writes the book, of
 * which a line is
 *
 *      BLOCKS BYTES plant<inner<outer<main
 *
 * into the folder $CHAINS; without that there is no book.
 *
 * A thread has a chain, and so has a coroutine: chain_use() switches.
 *
 * Threads: all.  Memory: static.  Signal handlers may plant.
 */
#ifndef CHAIN_H
#define CHAIN_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__GNUC__) && !defined(__clang__)
#define NOIPA __attribute__((noipa))
#else
#define NOIPA __attribute__((noinline))
#endif

enum { CHAIN_MAX = 512, CHAIN_BOOK = 8192 };

struct chain {
    int depth;
    const char *names[CHAIN_MAX]; /* outermost first */
};

struct chain_entry {
    uint64_t hash;          /* __atomic, 0: free */
    uint64_t blocks, bytes; /* __atomic */
    int depth;
    const char *names[CHAIN_MAX];
};

static __thread struct chain chain_own;
static __thread struct chain *chain_current;
static struct chain_entry chain_book[CHAIN_BOOK];
static uint64_t chain_planted; /* __atomic */
static const char *chain_folder; /* NULL: nobody wants the book */
static uint64_t chain_inherited; /* of these, by the process that forked */

/* Never inlined: a coroutine may come back on another thread. */
static NOIPA __attribute__((unused)) struct chain *
chain_here(void)
{
    return chain_current ? chain_current : &chain_own;
}

static NOIPA __attribute__((unused)) void
chain_use(struct chain *chain)
{
    chain_current = chain;
}

static inline int
chain_enter(const char *name)
{
    struct chain *chain = chain_here();

    if (chain->depth == CHAIN_MAX) {
        puts("CHAIN_MAX");
        _exit(99);
    }
    chain->names[chain->depth] = name;
    return chain->depth++;
}

static inline void
chain_leave(const int *mark)
{
    chain_here()->depth = *mark;
}

/* CHAIN_AS: a frame of another name in a block of its own.  CHAIN_BACK: after a
   longjmp into this very function. */
#define CHAIN_FRAME(mark, name)                                            \
    __attribute__((cleanup(chain_leave), unused)) int mark =               \
        chain_enter(name)
#define CHAIN_MARK2(line) chain_mark_##line
#define CHAIN_MARK(line) CHAIN_MARK2(line)
#define CHAIN_AS(name) CHAIN_FRAME(CHAIN_MARK(__LINE__), name)
#define CHAIN CHAIN_FRAME(chain_mark, __func__)
#define CHAIN_BACK (chain_here()->depth = chain_mark + 1)

static uint64_t
chain_hash(const struct chain *chain)
{
    uint64_t hash = 14695981039346656037u;

    for (int i = 0; i < chain->depth; i++)
        for (const char *p = chain->names[i];; p++) {
            hash = (hash ^ (unsigned char)*p) * 1099511628211u;
            if (!*p)
                break;
        }
    return hash | 1;
}

static __attribute__((constructor)) void
chain_begin(void)
{
    chain_folder = getenv("CHAINS");
}

static __attribute__((unused)) void
chain_note(const struct chain *chain, size_t bytes)
{
    uint64_t hash;

    __atomic_fetch_add(&chain_planted, 1, __ATOMIC_RELAXED);
    if (!chain_folder)
        return;
    hash = chain_hash(chain);
    for (size_t i = hash, n = 0; n < CHAIN_BOOK; i++, n++) {
        struct chain_entry *entry = &chain_book[i % CHAIN_BOOK];
        uint64_t free_hash = 0;

        if (__atomic_compare_exchange_n(&entry->hash, &free_hash, hash, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            entry->depth = chain->depth;
            memcpy(entry->names, chain->names,
                   (size_t)chain->depth * sizeof chain->names[0]);
        } else if (free_hash != hash) {
            continue;
        }
        __atomic_fetch_add(&entry->blocks, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&entry->bytes, bytes, __ATOMIC_RELAXED);
        return;
    }
    puts("CHAIN_BOOK");
    _exit(99);
}

/* No CHAIN: it is in every chain. */
static NOIPA __attribute__((unused)) void
plant(size_t bytes)
{
    void *block = malloc(bytes);

    __asm__ volatile("" : : "r"(block) : "memory");
    chain_note(chain_here(), bytes);
    free(block);
    __asm__ volatile("" : : : "memory");
}

/* Writes the file ROLE into the folder $CHAINS: the pid, how many blocks this
   process planted, and the book, which a child has from its parent. */
static __attribute__((unused)) void
chain_write(const char *role)
{
    char path[4096];
    FILE *file;

    if (!chain_folder)
        return;
    snprintf(path, sizeof path, "%s/%s", chain_folder, role);
    file = fopen(path, "w");
    if (!file) {
        perror(path);
        _exit(98);
    }
    fprintf(file, "pid %ld\nplanted %llu\n", (long)getpid(),
            (unsigned long long)(chain_planted - chain_inherited));
    for (size_t i = 0; i < CHAIN_BOOK; i++) {
        const struct chain_entry *entry = &chain_book[i];

        if (!entry->hash)
            continue;
        fprintf(file, "%llu %llu plant", (unsigned long long)entry->blocks,
                (unsigned long long)entry->bytes);
        for (int k = entry->depth - 1; k >= 0; k--)
            fprintf(file, "<%s", entry->names[k]);
        fputc('\n', file);
    }
    fclose(file);
}

static __attribute__((unused)) uint32_t
chain_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

#endif
