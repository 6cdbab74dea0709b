/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_throw.cc -- exceptions through 30 frames from 8 threads.
 *
 *      unwind_throw [ROUNDS]
 *
 * Every frame allocates on the way in, in a destructor while the stack is
 * unwound, and in a handler; the frames are of four shapes, and some handlers
 * throw on.
 */
#include <pthread.h>

#include "tests/victims/chain.h"

namespace {

enum { THREADS = 8, DEEP = 30 };

int rounds = 40;

struct error {
    int level;
    char text[100];
};

struct holder {
    size_t bytes;
    explicit holder(size_t n) : bytes(n) {}
    NOIPA ~holder();
};

holder::~holder()
{
    CHAIN_AS("holder::~holder");
    plant(bytes);
}

uint64_t level_small(unsigned level, uint64_t seed);
uint64_t level_large(unsigned level, uint64_t seed);
uint64_t level_aligned(unsigned level, uint64_t seed);
uint64_t level_alloca(unsigned level, uint64_t seed);

/* Inlined into each. */
inline __attribute__((always_inline)) uint64_t
go_deeper(unsigned level, uint64_t seed)
{
    if (level == 0)
        throw error{0, "bottom"};
    switch (chain_random(&seed) % 4) {
    case 0:
        return level_small(level - 1, seed) + 1;
    case 1:
        return level_large(level - 1, seed) + 2;
    case 2:
        return level_aligned(level - 1, seed) + 3;
    default:
        return level_alloca(level - 1, seed) + 4;
    }
}

NOIPA uint64_t
level_small(unsigned level, uint64_t seed)
{
    CHAIN;
    holder last(40 + level);

    plant(10 + level);
    return go_deeper(level, seed);
}

NOIPA uint64_t
level_large(unsigned level, uint64_t seed)
{
    CHAIN;
    volatile char room[5000];
    holder last(140 + level);

    room[level] = 1;
    plant(110 + level);
    return go_deeper(level, seed) + room[level];
}

NOIPA uint64_t
level_aligned(unsigned level, uint64_t seed)
{
    CHAIN;
    alignas(64) volatile char room[128];

    room[level] = 1;
    try {
        holder last(240 + level);

        plant(210 + level);
        return go_deeper(level, seed) + room[level];
    } catch (error &e) {
        plant(220 + level);
        e.level++;
        throw;
    }
}

NOIPA uint64_t
level_alloca(unsigned level, uint64_t seed)
{
    CHAIN;
    volatile char *room =
        static_cast<volatile char *>(__builtin_alloca(16 + seed % 700));

    room[0] = 1;
    try {
        plant(310 + level);
        return go_deeper(level, seed) + static_cast<uint64_t>(room[0]);
    } catch (const error &e) {
        error another = e;

        plant(320 + level);
        another.level += 100;
        throw another;
    }
}

NOIPA void *
throw_often(void *arg)
{
    CHAIN;
    uint64_t seed = reinterpret_cast<uintptr_t>(arg);
    uintptr_t caught = 0;

    for (int i = 0; i < rounds; i++) {
        try {
            chain_random(&seed);
            go_deeper(DEEP, seed);
        } catch (const error &) {
            plant(5);
            caught++;
        }
    }
    return reinterpret_cast<void *>(caught);
}

} /* namespace */

int
main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    uintptr_t caught = 0;

    if (argc > 1)
        rounds = atoi(argv[1]);
    for (uintptr_t t = 0; t < THREADS; t++)
        pthread_create(&threads[t], nullptr, throw_often,
                       reinterpret_cast<void *>(t % 2 + 1));
    for (pthread_t thread : threads) {
        void *result;

        pthread_join(thread, &result);
        caught += reinterpret_cast<uintptr_t>(result);
    }
    printf("caught %lu, planted %lu\n", static_cast<unsigned long>(caught),
           static_cast<unsigned long>(chain_planted));
    chain_write("main");
    return 0;
}
