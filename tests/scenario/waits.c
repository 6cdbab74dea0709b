/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * waits.c -- a program that waits for any child, while scans run.
 *
 * It has objects to scan, and for 1.5 s makes children of its own and waits
 * with waitpid(-1), also for those that there are not.  A child of somebody
 * else's, or a SIGCHLD for it, would show.  (With __WALL one is seen, as
 * debuggers ask; docs/harm.md says so.)
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "heapknot.h"

struct thing {
    hk_object header;
    struct thing *next;
};

static const hk_field fields[] = {
    {"next", HK_REF, offsetof(struct thing, next), 0},
    {NULL, HK_END, 0, 0},
};
static const hk_type_spec spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "thing",
    .size = sizeof(struct thing),
    .header_offset = offsetof(struct thing, header),
    .fields = fields,
};
static volatile sig_atomic_t told;

static void
on_child(int number)
{
    (void)number;
    told++;
}

static struct thing *
make_list(hk_type *type, int length)
{
    struct thing *list = NULL;

    while (length--) {
        struct thing *thing = hk_new(type);

        if (!thing)
            abort();
        thing->next = list;
        list = thing;
    }
    return list;
}

static double
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int
main(void)
{
    struct timespec pause = {.tv_nsec = 2000000};
    hk_type *type = hk_type_register(&spec);
    struct thing *list = make_list(type, 2000);
    int foreign = 0, phantom = 0, own = 0, made = 0;
    double end = now() + 1.5;

    signal(SIGCHLD, on_child);
    while (now() < end) {
        int status;
        pid_t pid, seen;

        if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
            phantom++;
        if (++made % 10) {
            nanosleep(&pause, NULL);
            continue;
        }
        pid = fork();
        if (pid == 0)
            _exit(3);
        do
            seen = waitpid(-1, &status, 0);
        while (seen < 0 && errno == EINTR);
        own += seen == pid && WEXITSTATUS(status) == 3;
        foreign += seen != pid;
    }
    printf("foreign children %d, phantoms %d, signals %s\n", foreign, phantom,
           told == own ? "as many as children" : "of others");
    return list == NULL;
}
