/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_frames.c -- frames of every shape that a compiler makes.
 *
 *      unwind_frames [ROUNDS]
 *
 * alloca, arrays of variable length, frames over 64 KiB, aligned locals, calls
 * that never return as the last instruction, tail calls, callbacks from libc,
 * mutual recursion, so many live values that rbp is one of them, and a walk
 * over a tree deeper than the agent's depth=, up and down.  Built with several
 * sets of flags.
 */
#define _GNU_SOURCE 1
#include <setjmp.h>
#include <stdalign.h>

#include "tests/victims/chain.h"

/* Keeps p, and what it points to, in memory. */
#define USED(p) __asm__ volatile("" : : "r"(p) : "memory")

static NOIPA uint64_t
leaf(uint64_t n)
{
    CHAIN;

    plant(1 + n % 100);
    return n * 31 + 7;
}

static NOIPA uint64_t
with_alloca(uint64_t n)
{
    CHAIN;
    char *room = __builtin_alloca(1 + n % 3000);

    USED(room);
    plant(30);
    return leaf(n);
}

static NOIPA uint64_t
with_array(uint64_t n)
{
    CHAIN;
    uint64_t sum = 0;

    for (uint64_t k = 1; k < 4; k++) {
        char array[k * (n % 500) + 1];

        USED(array);
        sum += leaf(n + k);
    }
    return sum;
}

static NOIPA uint64_t
with_large_frame(uint64_t n)
{
    CHAIN;
    char room[100000];

    USED(room);
    return leaf(n) + with_alloca(n);
}

static NOIPA uint64_t
with_aligned_local(uint64_t n)
{
    CHAIN;
    alignas(64) char room[128];

    USED(room);
    if ((uintptr_t)room % 64)
        _exit(97);
    return leaf(n) + with_array(n);
}

static NOIPA uint64_t
with_both(uint64_t n)
{
    CHAIN;
    alignas(32) char room[64];
    char *more = __builtin_alloca(1 + n % 777);

    USED(room);
    USED(more);
    return with_aligned_local(n) + with_large_frame(n);
}

/* Fourteen values live across two calls. */
static NOIPA uint64_t
with_many_values(uint64_t n, const uint64_t *v)
{
    CHAIN;
    uint64_t a = v[0] * n, b = v[1] ^ n, c = v[2] + n, d = v[3] - n;
    uint64_t e = v[4] * 3, f = v[5] * 5, g = v[6] * 7, h = v[7] * 11;
    uint64_t i = a ^ b, j = c ^ d, k = e ^ f, l = g ^ h, m = a + h;

    m += leaf(a & 7);
    a += b * c;
    d += e * f;
    m += leaf(d & 7) + with_both(n);
    return a + b + c + d + e + f + g + h + i + j + k + l + m;
}

/* Eight arguments: some are pushed. */
static NOIPA uint64_t
with_arguments(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
               uint64_t f, uint64_t g, uint64_t h)
{
    CHAIN;

    return leaf(a + b + c + d) + leaf(e + f + g + h);
}

static NOIPA uint64_t
pushing(uint64_t n)
{
    CHAIN;

    return with_arguments(n, 1, 2, 3, 4, 5, 6, 7) + leaf(n) +
           with_arguments(7, 6, 5, 4, 3, 2, 1, n);
}

/* ---- ends ---- */

static __thread jmp_buf home;

/* Nothing follows the call: the return address is in the next function. */
static NOIPA _Noreturn void
fail(uint64_t n)
{
    plant(200);
    leaf(n);
    longjmp(home, 1);
}

static NOIPA _Noreturn void
calls_noreturn_last(uint64_t n)
{
    chain_enter(__func__);
    plant(201);
    chain_enter("fail");
    fail(n);
}

static NOIPA uint64_t
catches(uint64_t n)
{
    CHAIN;

    if (setjmp(home) == 0)
        calls_noreturn_last(n);
    CHAIN_BACK;
    return leaf(n);
}

static NOIPA void
before_the_jump(void)
{
    CHAIN;
    char room[300];

    USED(room);
    plant(60);
}

/* Jumps to leaf, and so is not on its stack; unless nothing is optimised. */
static NOIPA uint64_t
tail_calls(uint64_t n)
{
#if defined(__OPTIMIZE__)
    chain_enter(__func__);
    before_the_jump();
    chain_here()->depth--;
#else
    CHAIN;
    before_the_jump();
#endif
    return leaf(n);
}

/* ---- recursion ---- */

static NOIPA uint64_t odd(uint64_t n);

static NOIPA uint64_t
even(uint64_t n)
{
    CHAIN;
    char room[40];

    USED(room);
    plant(70);
    return n == 0 ? 1 : odd(n - 1) + 1;
}

static NOIPA uint64_t
odd(uint64_t n)
{
    CHAIN;

    return n == 0 ? leaf(n) : even(n - 1) + leaf(1);
}

/* A tree of 2^12 leaves, some of them far down. */
static NOIPA uint64_t
walk_tree(uint64_t node, int depth, int longest)
{
    CHAIN;
    uint64_t sum = 0;

    if (depth == longest)
        return leaf(node);
    sum = walk_tree(node * 2, depth + 1, longest);
    if (depth % 16 == 0)
        sum += leaf(depth & 1);
    if (depth % 32 == 5)
        sum += walk_tree(node * 2 + 1, depth + 1, longest);
    return sum;
}

static NOIPA int
compare(const void *a, const void *b)
{
    CHAIN;

    plant(80);
    return *(const int *)a - *(const int *)b;
}

static NOIPA void
sorts(void)
{
    CHAIN;
    int values[40];

    for (int i = 0; i < 40; i++)
        values[i] = i * 7919 % 101;
    qsort(values, 40, sizeof values[0], compare);
}

static NOIPA uint64_t
once(uint64_t n)
{
    CHAIN;
    uint64_t v[8] = {n, 2, 3, 4, 5, 6, 7, n};

    sorts();
    return with_many_values(n, v) + pushing(n) + catches(n) + tail_calls(n) +
           odd(n % 40) + even(3) + walk_tree(1, 0, 20) +
           walk_tree(1, 0, (int)(n % 7) * 30 + 20);
}

int
main(int argc, char **argv)
{
    CHAIN;
    int rounds = argc > 1 ? atoi(argv[1]) : 60;
    uint64_t sum = 0;

    for (int i = 0; i < rounds; i++)
        sum += once((uint64_t)i * 37);
    printf("sum %llu, planted %llu\n", (unsigned long long)sum,
           (unsigned long long)chain_planted);
    chain_write("main");
    return 0;
}
