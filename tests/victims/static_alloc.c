/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * static_alloc.c -- a program with an allocator of its own inside.
 *
 * Its malloc stands before every preloaded one, and libc uses it too: an agent
 * sees nothing of it, and has to notice and to say so.  The allocator is the
 * simplest that is correct: blocks of powers of two, a free list for each
 * size, one spin lock, memory from an array.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 26, SMALLEST = 5, ARENA_BYTES = 64 << 20 };

struct head { /* 16 bytes before each block */
    size_t class;
    struct head *next;
};

static _Alignas(64) unsigned char arena[ARENA_BYTES];
static size_t arena_used;
static struct head *free_lists[CLASSES];
static bool locked;
static unsigned long own_calls;

static void
lock(void)
{
    while (__atomic_test_and_set(&locked, __ATOMIC_ACQUIRE))
        ;
}

static void
unlock(void)
{
    __atomic_clear(&locked, __ATOMIC_RELEASE);
}

static size_t
class_of(size_t bytes)
{
    size_t need = bytes + sizeof(struct head);
    size_t class = SMALLEST;

    if (bytes > ARENA_BYTES)
        return CLASSES;
    while (class < CLASSES && ((size_t)1 << class) < need)
        class++;
    return class;
}

static struct head *
take_locked(size_t class)
{
    struct head *head = free_lists[class];

    own_calls++;
    if (head) {
        free_lists[class] = head->next;
        return head;
    }
    if (arena_used + ((size_t)1 << class) > ARENA_BYTES)
        return NULL;
    head = (struct head *)(void *)(arena + arena_used);
    arena_used += (size_t)1 << class;
    head->class = class;
    return head;
}

void *
malloc(size_t bytes)
{
    size_t class = class_of(bytes);
    struct head *head = NULL;

    if (class < CLASSES) {
        lock();
        head = take_locked(class);
        unlock();
    }
    if (!head) {
        errno = ENOMEM;
        return NULL;
    }
    return head + 1;
}

void
free(void *block)
{
    struct head *head = (struct head *)block - 1;

    if (!block)
        return;
    lock();
    head->next = free_lists[head->class];
    free_lists[head->class] = head;
    unlock();
}

/* The compiler would make a call of calloc from malloc and memset. */
__attribute__((optimize("no-tree-loop-distribute-patterns"))) static void
zero(unsigned char *bytes, size_t count)
{
    for (volatile size_t i = 0; i < count; i++)
        bytes[i] = 0;
}

void *
calloc(size_t count, size_t each)
{
    size_t bytes;
    void *block;

    if (__builtin_mul_overflow(count, each, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    block = malloc(bytes);
    if (block)
        zero(block, bytes);
    return block;
}

void *
realloc(void *block, size_t bytes)
{
    struct head *head = (struct head *)block - 1;
    size_t old = block ? ((size_t)1 << head->class) - sizeof *head : 0;
    void *grown;

    if (block && bytes <= old)
        return block;
    grown = malloc(bytes);
    if (grown && block) {
        memcpy(grown, block, old);
        free(block);
    }
    return grown;
}

static void *
churn(void *arg)
{
    long sum = 0;

    for (unsigned n = 0; n < 20000; n++) {
        unsigned char *block = malloc(1 + n % 777);

        if (!block)
            return NULL;
        block[0] = (unsigned char)n;
        block = realloc(block, 1 + n % 1777);
        sum += block ? block[0] : 1000;
        free(block);
    }
    return sum == *(long *)arg ? arg : NULL;
}

int
main(void)
{
    long expected = 0;
    pthread_t threads[4];
    int good = 0;

    for (unsigned n = 0; n < 20000; n++)
        expected += (unsigned char)n;
    for (int t = 0; t < 4; t++)
        pthread_create(&threads[t], NULL, churn, &expected);
    for (int t = 0; t < 4; t++) {
        void *result;

        pthread_join(threads[t], &result);
        good += result != NULL;
    }
    printf("threads %d of 4, allocator of my own: %s\n", good,
           own_calls > 80000 ? "used" : "not used");
    return good == 4 ? 0 : 1;
}
