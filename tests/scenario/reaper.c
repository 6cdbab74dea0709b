/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * reaper.c -- a supervisor to whom orphans go.
 *
 *      reaper [trace] COMMAND [ARGUMENT ...]
 *
 * Runs the command, waits for whatever there is to wait for, and tells how many
 * that were, and how many of those are not its own child.  With trace it is
 * also a debugger that wants to see each new thread and process.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int
start(char **command, int is_traced)
{
    int gate[2];
    char go = 0;
    pid_t pid;

    if (pipe(gate) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        close(gate[1]);
        if (read(gate[0], &go, 1) < 0)
            _exit(126);
        close(gate[0]);
        execvp(command[0], command);
        _exit(127);
    }
    close(gate[0]);
    if (is_traced &&
        ptrace(PTRACE_SEIZE, pid, NULL,
               PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                   PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL) != 0)
        return -1;
    close(gate[1]);
    return pid;
}

/* A stop for an event, or for a signal that it shall get. */
static void
go_on(pid_t pid, int status)
{
    int signal = status >> 16 ? 0 : WSTOPSIG(status);

    ptrace(PTRACE_CONT, pid, NULL, signal);
}

/* Threads of the command are told of too where they are traced. */
static int
is_thread_of(pid_t pid, int is_traced, int status)
{
    return is_traced && WIFEXITED(status) && pid > 0;
}

int
main(int argc, char **argv)
{
    int is_traced = argc > 1 && strcmp(argv[1], "trace") == 0;
    int reaped = 0, unknown = 0, result = 2, status;
    pid_t pid, own;

    if (argc < 2 + is_traced)
        return 2;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    own = start(argv + 1 + is_traced, is_traced);
    if (own < 0) {
        perror("reaper");
        return 77;
    }
    while ((pid = waitpid(-1, &status, is_traced ? __WALL : 0)) > 0 ||
           errno == EINTR) {
        if (WIFSTOPPED(status)) {
            go_on(pid, status);
            continue;
        }
        if (pid == own)
            result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        else if (is_thread_of(pid, is_traced, status))
            continue;
        reaped++;
        unknown += pid != own;
    }
    printf("reaped %d, of them unknown %d\n", reaped, unknown);
    return result;
}
