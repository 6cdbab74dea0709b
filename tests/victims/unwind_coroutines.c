/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_coroutines.c -- stacks of one's own.
 *
 *      unwind_coroutines [ROUNDS [bare]]
 *
 * Coroutines by swapcontext, on stacks from malloc and from mmap, which are
 * given back and used again at the same address for another function; they
 * allocate and switch at many depths, and some go on in another thread.  With
 * bare also a switch of stacks written by hand, of which no table tells how to
 * unwind it.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "tests/victims/chain.h"

enum { SLOTS = 12, STACK = 64 * 1024, MAPPED = 8 };

struct coroutine {
    ucontext_t context, *back;
    struct chain chain, *chain_back;
    char *stack;
    uint64_t random;
    bool is_over;
};
static struct coroutine slots[SLOTS];

static NOIPA void
switch_to(struct coroutine *c, ucontext_t *from)
{
    c->back = from;
    c->chain_back = chain_here();
    chain_use(&c->chain);
    swapcontext(from, &c->context);
    chain_use(c->chain_back);
}

static NOIPA void
yield(struct coroutine *c)
{
    swapcontext(&c->context, c->back);
}

static NOIPA void
small(struct coroutine *c, uint32_t depth)
{
    CHAIN;

    plant(10);
    if (chain_random(&c->random) % 4 == 0)
        yield(c);
    if (depth)
        small(c, depth - 1);
    plant(11);
}

static NOIPA void
large(struct coroutine *c, uint32_t depth)
{
    CHAIN;
    char room[900];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(20);
    if (chain_random(&c->random) % 4 == 0)
        yield(c);
    if (depth)
        large(c, depth - 1);
    plant(21);
}

static NOIPA void
mixed(struct coroutine *c, uint32_t depth)
{
    CHAIN;
    char *room = __builtin_alloca(16 + chain_random(&c->random) % 300);

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(30);
    yield(c);
    if (depth)
        (depth % 2 ? small : large)(c, depth - 1);
    plant(31);
}

typedef void body(struct coroutine *, uint32_t);

static void
live(struct coroutine *c, body *run)
{
    run(c, 3 + chain_random(&c->random) % 12);
    c->is_over = true;
    yield(c);
}

/* The roots: what makecontext calls. */
#define ROOT(name, run)                                                    \
    static NOIPA void name(int slot)                                       \
    {                                                                      \
        CHAIN;                                                             \
        live(&slots[slot], run);                                           \
        __asm__ volatile("" : : : "memory");                               \
    }
ROOT(root_small, small)
ROOT(root_large, large)
ROOT(root_mixed, mixed)

static void
begin(int slot, uint64_t random)
{
    static void (*const roots[])(int) = {root_small, root_large, root_mixed};
    struct coroutine *c = &slots[slot];
    uint32_t root;

    c->random = random;
    root = chain_random(&c->random) % 3;
    c->chain.depth = 0;
    c->is_over = false;
    c->stack = slot < MAPPED ? mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                             : malloc(STACK);
    getcontext(&c->context);
    c->context.uc_stack.ss_sp = c->stack;
    c->context.uc_stack.ss_size = STACK;
    c->context.uc_link = NULL;
    makecontext(&c->context, (void (*)(void))roots[root], 1, slot);
}

static void
end(int slot)
{
    if (slot < MAPPED)
        munmap(slots[slot].stack, STACK);
    else
        free(slots[slot].stack);
    slots[slot].stack = NULL;
}

static NOIPA void
resume(int slot, uint64_t random)
{
    CHAIN;
    ucontext_t here;

    if (!slots[slot].stack)
        begin(slot, random);
    switch_to(&slots[slot], &here);
    plant(40);
    if (slots[slot].is_over)
        end(slot);
}

struct turn {
    int slot;
    uint64_t random;
};

static NOIPA void *
elsewhere(void *turn)
{
    CHAIN;

    resume(((struct turn *)turn)->slot, ((struct turn *)turn)->random);
    return NULL;
}

static NOIPA void
take_turns(int rounds)
{
    CHAIN;
    uint64_t random = 1;

    for (int i = 0; i < rounds; i++) {
        struct turn turn = {(int)(chain_random(&random) % SLOTS), random};
        pthread_t thread;

        if (i % 50) {
            resume(turn.slot, turn.random);
            continue;
        }
        pthread_create(&thread, NULL, elsewhere, &turn);
        pthread_join(thread, NULL);
    }
}

/* ---- by hand, without call frame information ---- */

#if defined(__x86_64__)
/* Calls run() on the stack that ends at top. */
void on_stack(void (*run)(void), char *top);
__asm__(".text\n.globl on_stack\n.type on_stack,@function\non_stack:\n"
        "push %rbx\nmov %rsp,%rbx\nmov %rsi,%rsp\ncall *%rdi\n"
        "mov %rbx,%rsp\npop %rbx\nret\n.size on_stack,.-on_stack\n");
#else
static NOIPA void
on_stack(void (*run)(void), char *top)
{
    (void)top;
    run();
    __asm__ volatile("" : : : "memory");
}
#endif

static NOIPA void
on_bare_stack(void)
{
    CHAIN;

    plant(50);
    plant(51);
}

static NOIPA void
on_other_bare_stack(void)
{
    CHAIN;
    char room[100];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(52);
}

static NOIPA void
switch_by_hand(int rounds)
{
    CHAIN;
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (int i = 0; i < rounds; i++) {
        struct chain chain = {0};

        plant(60);
        chain_use(&chain);
        on_stack(i % 3 ? on_bare_stack : on_other_bare_stack,
                 stack + STACK - i % 5 * 16);
        chain_use(NULL);
        plant(61);
    }
    munmap(stack, STACK);
}

int
main(int argc, char **argv)
{
    CHAIN;
    int rounds = argc > 1 ? atoi(argv[1]) : 4000;

    take_turns(rounds);
    if (argc > 2)
        switch_by_hand(rounds / 4);
    printf("planted %llu\n", (unsigned long long)chain_planted);
    chain_write("main");
    return 0;
}
