/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cli.c -- messages, and the ways in which a user names a recording.
 */
#include "reporter/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reporter/locate.h"
#include "reporter/read.h"

static void
complain(const char *cmd, const char *format, va_list args)
{
    fflush(stdout); /* keeps the order where both go to one place */
    fprintf(stderr, cmd ? "heapknot %s: " : "heapknot: ", cmd);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void
cli_error(const char *cmd, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    complain(cmd, format, args);
    va_end(args);
}

int
cli_usage_error(const char *cmd, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    complain(cmd, format, args);
    va_end(args);
    if (cmd)
        fprintf(stderr, "see heapknot %s --help\n", cmd);
    else
        fputs("see heapknot --help\n", stderr);
    return HK_EXIT_USAGE;
}

int
cli_pid(const char *file_or_pid)
{
    char *end;
    long pid;
    struct stat st;

    if (file_or_pid[0] < '0' || file_or_pid[0] > '9')
        return 0;
    errno = 0;
    pid = strtol(file_or_pid, &end, 10);
    if (*end || errno || pid <= 0 || pid > 1 << 30)
        return 0;
    return stat(file_or_pid, &st) == 0 ? 0 : (int)pid;
}

static int
find_by_pid(int pid, char *path, size_t path_bytes, char *why,
            size_t why_bytes)
{
    switch (locate_recording(pid, path, path_bytes)) {
    case LOCATE_FOUND:
        return 0;
    case LOCATE_NO_PROCESS:
        snprintf(why, why_bytes, "no process %d, and no file of that name",
                 pid);
        break;
    case LOCATE_DENIED:
        snprintf(why, why_bytes,
                 "may not look into process %d (it belongs to another user)",
                 pid);
        break;
    case LOCATE_NONE:
        snprintf(why, why_bytes,
                 "process %d is not being recorded (heapknot doctor %d says "
                 "why)", pid, pid);
        break;
    }
    return HK_EXIT_UNREADABLE;
}

int
cli_find_recording(const char *file_or_pid, char *path, size_t path_bytes,
                   char *why, size_t why_bytes)
{
    int pid = cli_pid(file_or_pid);

    if (pid)
        return find_by_pid(pid, path, path_bytes, why, why_bytes);
    if (access(file_or_pid, R_OK) != 0) {
        snprintf(why, why_bytes, "%s: %s", file_or_pid, strerror(errno));
        return HK_EXIT_UNREADABLE;
    }
    snprintf(path, path_bytes, "%s", file_or_pid);
    return 0;
}

int
cli_open_recording(const char *file_or_pid, struct recording **out)
{
    char path[LOCATE_PATH_BYTES], why[LOCATE_PATH_BYTES + 128];
    struct fail fail;

    memset(&fail, 0, sizeof fail);
    if (cli_find_recording(file_or_pid, path, sizeof path, why, sizeof why)) {
        cli_error(NULL, "%s", why);
        return HK_EXIT_UNREADABLE;
    }
    if (recording_open(path, out, &fail) == 0)
        return 0;
    cli_error(NULL, "%s", fail.text);
    return HK_EXIT_UNREADABLE;
}
