/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * rawclone.c -- children that no fork handler has heard of.
 *
 * A child by the bare clone system call, without atfork handlers, allocates a
 * million times and ends by _exit; another is killed.  Neither may write into
 * its parent's recording.  Afterwards here() makes 50 blocks.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static __attribute__((noinline)) void
in_child(void)
{
    for (int i = 0; i < 1000000; i++) {
        void *block = malloc(64);

        __asm__ volatile("" : "+r"(block) : : "memory");
        free(block);
    }
}

static __attribute__((noinline)) void *
here(void)
{
    void *block = malloc(500);

    __asm__ volatile("" : "+r"(block) : : "memory");
    return block;
}

int
main(void)
{
    void *blocks[50];
    int status = 0;

    for (int n = 0; n < 2; n++) {
        long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

        if (pid == 0) {
            in_child();
            if (n)
                kill(getpid(), SIGKILL);
            _exit(11);
        }
        waitpid((pid_t)pid, &status, 0);
        printf("child %d: %d\n", n,
               WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    }
    for (int i = 0; i < 50; i++)
        blocks[i] = here();
    printf("%d\n", blocks[49] != NULL);
    return 0;
}
