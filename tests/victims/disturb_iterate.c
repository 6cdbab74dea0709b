/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * disturb_iterate.c -- a thread that is waited for under the loader's lock.
 *
 * The callback of dl_iterate_phdr, which holds that lock, waits for a thread
 * that calls malloc from code made at run time, in no object: an agent that
 * asks the loader which object this is waits for the lock, and the program
 * hangs.  glibc 2.35 and later can be asked without (_dl_find_object); with an
 * older one the program says so and ends with 77.
 */
#define _GNU_SOURCE 1
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PLACES = 20, PLACE_BYTES = 64 };

/* Calls its first argument with its second one, in a standard frame. */
#if defined(__x86_64__)
static const unsigned char code[] = {
    0x55,             /* push %rbp */
    0x48, 0x89, 0xe5, /* mov %rsp, %rbp */
    0x48, 0x89, 0xf8, /* mov %rdi, %rax */
    0x48, 0x89, 0xf7, /* mov %rsi, %rdi */
    0xff, 0xd0,       /* call *%rax */
    0x5d,             /* pop %rbp */
    0xc3,             /* ret */
};
#elif defined(__aarch64__)
static const unsigned code[] = {
    0xa9bf7bfd, /* stp x29, x30, [sp, #-16]! */
    0x910003fd, /* mov x29, sp */
    0xaa0003e9, /* mov x9, x0 */
    0xaa0103e0, /* mov x0, x1 */
    0xd63f0120, /* blr x9 */
    0xa8c17bfd, /* ldp x29, x30, [sp], #16 */
    0xd65f03c0, /* ret */
};
#else
static const unsigned char code[1];
#endif

static char *memory;
static int allocated;

static void *
call_all(void *arg)
{
    for (int i = 0; i < PLACES; i++) {
        void *(*run)(void *(*)(size_t), size_t);
        char *place = memory + i * PLACE_BYTES;
        void *block;

        memcpy(&run, &place, sizeof run);
        block = run(malloc, 100);
        allocated += block != NULL;
        free(block);
    }
    return arg;
}

static int
wait_inside(struct dl_phdr_info *info, size_t size, void *arg)
{
    pthread_t thread;

    (void)info;
    (void)size;
    (void)arg;
    if (pthread_create(&thread, NULL, call_all, NULL) == 0)
        pthread_join(thread, NULL);
    return 1;
}

int
main(void)
{
    size_t bytes = (size_t)PLACES * PLACE_BYTES;

    if (sizeof code == 1 || !dlsym(RTLD_DEFAULT, "_dl_find_object")) {
        puts("no _dl_find_object, or another processor");
        return 77;
    }
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        puts("no memory that can be written and run");
        return 77;
    }
    for (int i = 0; i < PLACES; i++)
        memcpy(memory + i * PLACE_BYTES, code, sizeof code);
    __builtin___clear_cache(memory, memory + bytes);
    dl_iterate_phdr(wait_inside, NULL);
    printf("%d of %d allocated\n", allocated, PLACES);
    return 0;
}
