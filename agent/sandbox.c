/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sandbox.c -- has the program locked itself in?
 *
 * What        compares the seccomp filters of now with those at the start.  No
 *             filter can be asked what it does with a system call, and some
 *             kill.  One that was there at the start is its host's: containers
 *             refuse with an error.  One that the program has put on itself
 *             since was made for exactly what it does, and what else is done
 *             there is taken for an attack.
 * Called by   boot.c, scan_watch.c, scan_copy.c.
 * Threads     a filter is a thread's; each asks for itself.
 * Memory      on the stack.
 * Fails       without /proc nothing is known, and nothing said against it.
 */
#include "agent/sandbox.h"

#include <string.h>

#include "agent/os.h"

static int filters_at_start;

/* The number after a name, or 0. */
static int
number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    int n = 0;

    for (at = at ? at + strlen(name) : ""; *at == '\t' || *at == ' '; at++)
        continue;
    for (; *at >= '0' && *at <= '9'; at++)
        n = 10 * n + (*at - '0');
    return n;
}

/* Before Linux 5.9 one is as many as there may be. */
static int
count_filters(void)
{
    char text[4096];
    int count;

    if (os_slurp("/proc/thread-self/status", text, sizeof text) <= 0)
        return 0;
    count = number_after(text, "\nSeccomp_filters:");
    return count ? count : number_after(text, "\nSeccomp:") != 0;
}

void
sandbox_note(void)
{
    filters_at_start = count_filters();
}

int
sandbox_is_tightened(void)
{
    return count_filters() > filters_at_start;
}
