/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_gone.c -- memory that could be read a moment ago.
 *
 *      unwind_gone [ROUNDS]
 *
 * Two stacks lie side by side, and both are used.  Then one of them is taken
 * away, and a function made at run time, of which no table tells, calls back on
 * the other with a frame pointer that leads into what is gone: an unwinder that
 * remembers what it could read is killed there.
 */
#define _GNU_SOURCE 1
#include <sys/mman.h>

#include "tests/victims/chain.h"

enum { HALF = 32 * 1024, NEAR = 64 };

static char *stacks, *code;

static NOIPA void
at_the_bottom(void)
{
    CHAIN;

    plant(10);
    plant(11);
}

#if defined(__x86_64__)
/* push %rbp; push %rbx; mov %rsp,%rbx; mov %rsi,%rsp; mov %rdx,%rbp;
   call *%rdi; mov %rbx,%rsp; pop %rbx; pop %rbp; ret */
static const unsigned char bytes[] = {
    0x55, 0x53, 0x48, 0x89, 0xe3, 0x48, 0x89, 0xf4, 0x48, 0x89, 0xd5,
    0xff, 0xd7, 0x48, 0x89, 0xdc, 0x5b, 0x5d, 0xc3};

static NOIPA void
run_on(char *top, char *frame_pointer)
{
    void (*run)(void (*)(void), char *, char *);
    struct chain chain = {0};

    memcpy(&run, &code, sizeof run);
    chain_use(&chain);
    run(at_the_bottom, top, frame_pointer);
    chain_use(NULL);
}
#else
static const unsigned char bytes[] = {0};

static NOIPA void
run_on(char *top, char *frame_pointer)
{
    struct chain chain = {0};

    (void)top;
    (void)frame_pointer;
    chain_use(&chain);
    at_the_bottom();
    chain_use(NULL);
}
#endif

static NOIPA void
once(int i)
{
    CHAIN;
    char *upper = stacks + HALF, *end = upper + HALF;
    uintptr_t *guess = (uintptr_t *)(upper + NEAR);

    /* While all is there, the frame pointer leads to words that make sense. */
    guess[0] = (uintptr_t)(guess + 4);
    guess[1] = (uintptr_t)code + 13;
    guess[4] = 0;
    guess[5] = 0;
    run_on(end, end - 16);
    run_on(upper, (char *)guess);
    if (i % 2) {
        mprotect(upper, HALF, PROT_NONE);
    } else {
        munmap(upper, HALF);
    }
    run_on(upper, (char *)guess);
    run_on(upper - 128, (char *)guess);
    plant(20);
    if (mmap(upper, HALF, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != upper)
        _exit(95);
}

int
main(int argc, char **argv)
{
    CHAIN;
    int rounds = argc > 1 ? atoi(argv[1]) : 100;

    stacks = mmap(NULL, 2 * HALF, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stacks == MAP_FAILED || code == MAP_FAILED)
        return 3;
    memcpy(code, bytes, sizeof bytes);
    for (int i = 0; i < rounds; i++)
        once(i);
    printf("planted %llu\n", (unsigned long long)chain_planted);
    chain_write("main");
    return 0;
}
