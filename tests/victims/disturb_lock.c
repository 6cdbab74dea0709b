/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * disturb_lock.c -- a program that locks its memory.
 *
 * mlockall(MCL_CURRENT | MCL_FUTURE) makes what is mapped later resident at
 * once: an agent that reserves tables for the largest case, and relies on pages
 * that nobody touches, then takes gigabytes, or its memory runs out.
 *
 * Prints "locked", waits for a line or the end of stdin, so that an agent has
 * time for its own work, and prints "resident KIB".  Status 77: not permitted.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCKS = 100000 };

/* Of the kernel; without stdio, which allocates. */
static long
resident_kib(void)
{
    char text[4096] = "";
    const char *line;
    int fd = open("/proc/self/status", O_RDONLY);

    if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
        return -1;
    close(fd);
    line = strstr(text, "VmRSS:");
    return line ? strtol(line + 6, NULL, 10) : -1;
}

static void
keep(int count)
{
    while (count--) {
        void *block = malloc(100);

        __asm__ volatile("" : : "r"(block) : "memory");
    }
}

int
main(void)
{
    char c;

    keep(1000);
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        perror("mlockall");
        return 77;
    }
    keep(BLOCKS);
    puts("locked");
    fflush(stdout);
    while (read(0, &c, 1) > 0 && c != '\n')
        keep(1);
    keep(BLOCKS);
    printf("resident %ld\n", resident_kib());
    return 0;
}
