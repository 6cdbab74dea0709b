/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * unwind_jit.c -- code that no table describes.
 *
 *      unwind_jit LAZY_PLUGIN [ROUNDS]
 *
 * Functions written into memory at run time, which call back: with a frame
 * pointer, whose stack is to be complete; without one, or with something else
 * in rbp, where only what is inside them is known; all of them at one address
 * in turn.  And functions of LAZY_PLUGIN that are bound when they are first
 * called, one of them by a resolver that allocates inside the loader.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <sys/mman.h>

#include "tests/victims/chain.h"

static char *code;

static NOIPA void
from_jit(void)
{
    CHAIN;

    plant(10);
    plant(11);
}

static NOIPA void
from_unknown(void)
{
    CHAIN;

    plant(12);
}

static NOIPA void
from_other_unknown(void)
{
    CHAIN;
    char room[200];

    __asm__ volatile("" : : "r"(room) : "memory");
    plant(13);
}

#if defined(__x86_64__)
static void
write_and_call(const void *bytes, size_t count, void (*argument)(void))
{
    void (*run)(void (*)(void));

    memcpy(code, bytes, count);
    memcpy(&run, &code, sizeof run);
    run(argument);
    __asm__ volatile("" : : : "memory");
}
#define WRITE_AND_CALL(argument, ...)                                      \
    write_and_call((const unsigned char[]){__VA_ARGS__},                   \
                   sizeof((const unsigned char[]){__VA_ARGS__}), argument)

/* push %rbp; mov %rsp,%rbp; sub $room,%rsp; call *%rdi; leave; ret */
#define WITH_FRAME_POINTER(room)                                           \
    WRITE_AND_CALL(from_jit, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec,     \
                   room, 0xff, 0xd7, 0xc9, 0xc3)
/* sub $room,%rsp; nop ...; call *%rdi; add $room,%rsp; ret */
#define WITHOUT(room, argument)                                            \
    WRITE_AND_CALL(argument, 0x48, 0x83, 0xec, room, 0x90, 0x90, 0x90,     \
                   0x90, 0xff, 0xd7, 0x48, 0x83, 0xc4, room, 0xc3)
/* push %rbp; mov $0x123,%ebp; nop; nop; call *%rdi; pop %rbp; ret */
#define WITH_NONSENSE(argument)                                            \
    WRITE_AND_CALL(argument, 0x55, 0xbd, 0x23, 0x01, 0x00, 0x00, 0x90,     \
                   0x90, 0xff, 0xd7, 0x5d, 0xc3)
#else
#define WITH_FRAME_POINTER(room) from_jit()
#define WITHOUT(room, argument) argument()
#define WITH_NONSENSE(argument) argument()
#endif

static NOIPA void
without_frame_pointer(void)
{
    struct chain chain = {0};

    chain_use(&chain);
    WITHOUT(8, from_unknown);
    WITHOUT(72, from_other_unknown);
    WITH_NONSENSE(from_unknown);
    chain_use(NULL);
}

static NOIPA void
just_in_time(void)
{
    CHAIN;

    {
#if defined(__x86_64__)
        CHAIN_AS("[jit]"); /* as unwind.t writes what has no module */
#endif

        WITH_FRAME_POINTER(0);
        WITH_FRAME_POINTER(16);
        WITH_FRAME_POINTER(96);
    }
    without_frame_pointer();
    plant(14);
}

/* ---- bound when first called ---- */

static NOIPA void
from_callee(void)
{
    CHAIN_AS("lazy_callee");
    {
        CHAIN;

        plant(20);
    }
}

/* Between the resolver and lazy_run is the loader. */
static NOIPA void
from_resolver(void)
{
    CHAIN_AS("lazy_resolver");
    {
        CHAIN;

        plant(21);
        plant(22);
    }
}

static NOIPA void
bind_lazily(const char *path)
{
    CHAIN;
    void (*run)(void (*)(void), void (*)(void));
    void *plugin = dlopen(path, RTLD_LAZY), *symbol;

    symbol = plugin ? dlsym(plugin, "lazy_run") : NULL;
    if (!symbol) {
        puts(dlerror());
        exit(1);
    }
    memcpy(&run, &symbol, sizeof run);
    {
        CHAIN_AS("lazy_run");

        run(from_callee, from_resolver);
        run(from_callee, from_resolver);
    }
    dlclose(plugin);
}

int
main(int argc, char **argv)
{
    CHAIN;
    int rounds = argc > 2 ? atoi(argv[2]) : 300;

    if (argc < 2)
        return 2;
    code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code == MAP_FAILED)
        return 3;
    for (int i = 0; i < rounds; i++)
        just_in_time();
    for (int i = 0; i < 50; i++)
        bind_lazily(argv[1]);
    printf("planted %llu\n", (unsigned long long)chain_planted);
    chain_write("main");
    return 0;
}
