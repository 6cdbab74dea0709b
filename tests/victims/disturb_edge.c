/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * disturb_edge.c -- a stack that ends where its mapping ends.
 *
 * A function that switches to a stack of its own by hand keeps a frame whose
 * CFA, as its CFI has it, lies beyond the new stack.  With the first call in
 * the last words of the mapping, and nothing mapped behind it, an unwinder that
 * takes the page behind the stack pointer's for granted reads what is not
 * there, and the program dies in malloc.
 */
#define _GNU_SOURCE 1
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = 65536, ROUNDS = 3, FURTHEST = 256 };

static int runs;

static __attribute__((noinline)) void
body(void)
{
    void *block = malloc(33);

    __asm__ volatile("" : : "r"(block) : "memory");
    free(block);
    runs++;
}

/* Calls with the stack pointer at top; rsp waits where calls preserve it. */
static __attribute__((noinline)) void
on_stack(char *top, void (*function)(void))
{
#if defined(__x86_64__)
    __asm__ volatile("mov %%rsp, %%rbx\n\t"
                     "mov %0, %%rsp\n\t"
                     "call *%1\n\t"
                     "mov %%rbx, %%rsp"
                     : "+r"(top), "+r"(function)
                     :
                     : "rbx", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
                       "r10", "r11", "cc", "memory");
#else
    (void)top;
    function();
#endif
}

int
main(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *map =
        mmap(NULL, BYTES + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED ||
        mprotect(map, BYTES, PROT_READ | PROT_WRITE) != 0) {
        perror("a stack");
        return 1;
    }
    for (int i = 0; i < ROUNDS; i++)
        for (int room = 0; room <= FURTHEST; room += 16) {
            on_stack(map + BYTES - room, body);
            body();
        }
    printf("allocated %d times\n", runs);
    return 0;
}
