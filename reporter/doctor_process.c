/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * doctor_process.c -- is this process recorded, and if not, why?
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reporter/doctor.h"
#include "reporter/locate.h"
#include "reporter/target.h"

#define ENVIRON_BYTES (128u << 10)

/* A file of /proc/PID, with a NUL behind it; length or -1. */
static ssize_t
slurp(int pid, const char *file, char *buf, size_t size)
{
    char path[64];
    size_t used = 0;
    ssize_t n = 0;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    while (used < size - 1
           && (n = read(fd, buf + used, size - 1 - used)) > 0)
        used += (size_t)n;
    close(fd);
    buf[used] = '\0';
    return n < 0 ? -1 : (ssize_t)used;
}

/* The value of a variable in NUL-separated pairs, or NULL. */
static const char *
variable(const char *pairs, ssize_t length, const char *name)
{
    size_t n = strlen(name);
    const char *end = pairs + length;

    for (; pairs < end; pairs += strlen(pairs) + 1) {
        if (strncmp(pairs, name, n) == 0 && pairs[n] == '=')
            return pairs + n + 1;
    }
    return NULL;
}

static int
is_secure(int pid)
{
    Elf64_auxv_t auxv[64];
    ssize_t n = slurp(pid, "auxv", (char *)auxv, sizeof auxv);

    for (ssize_t i = 0; i < n / (ssize_t)sizeof *auxv; i++) {
        if (auxv[i].a_type == AT_SECURE)
            return auxv[i].a_un.a_val != 0;
    }
    return 0;
}

/* A path of LD_PRELOAD means a file in the process's own root. */
static void
examine_preload_file(int pid, const char *preload)
{
    const char *name = strstr(preload, LOCATE_AGENT_NAME);
    const char *start = name;
    char path[LOCATE_PATH_BYTES];

    while (start > preload && start[-1] != ':' && start[-1] != ' ')
        start--;
    snprintf(path, sizeof path, "/proc/%d/root%.*s", pid,
             (int)(name - start + (int)strcspn(name, ": ")), start);
    if (*start == '/' && access(path, F_OK) != 0)
        doctor_say(BAD, "the agent that LD_PRELOAD names is not there for the "
                   "process (a container, a chroot?): %s", strerror(errno));
    else
        doctor_say(BAD, "the loader did not load the agent: its message went "
                   "to the stderr of the process");
}

static void
explain_not_loaded(int pid)
{
    char path[64], why[128];

    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    if (is_secure(pid))
        doctor_say(BAD, "it runs with raised privileges (setuid, setgid or "
                   "file capabilities): the loader ignores LD_PRELOAD");
    else if (target_obstacle(path, why, sizeof why))
        doctor_say(BAD, "the agent cannot get into it: %s", why);
    else {
        char *environment = malloc(ENVIRON_BYTES);
        ssize_t n = environment
            ? slurp(pid, "environ", environment, ENVIRON_BYTES) : -1;
        const char *preload =
            n < 0 ? NULL : variable(environment, n, "LD_PRELOAD");

        if (n < 0)
            doctor_say(NOTE, "its environment cannot be read: %s",
                       strerror(errno));
        else if (!preload || !strstr(preload, LOCATE_AGENT_NAME))
            doctor_say(BAD, "it was started without heapknot run (LD_PRELOAD "
                       "%s)", preload ? "names other libraries"
                                      : "is not set");
        else
            examine_preload_file(pid, preload);
        free(environment);
    }
}

static void
explain_no_recording(int pid)
{
    char *environment = malloc(ENVIRON_BYTES);
    char cwd[LOCATE_PATH_BYTES], link[64];
    const char *options = NULL;
    ssize_t n = environment
        ? slurp(pid, "environ", environment, ENVIRON_BYTES) : -1;

    if (n >= 0)
        options = variable(environment, n, "HEAPKNOT_OPTIONS");
    snprintf(link, sizeof link, "/proc/%d/cwd", pid);
    n = readlink(link, cwd, sizeof cwd - 1);
    cwd[n < 0 ? 0 : n] = '\0';
    doctor_say(BAD, "the agent is there, but no recording: it could not be "
               "made, was given up (the reason went to stderr), or follow= "
               "excludes this process");
    doctor_say(NOTE, "HEAPKNOT_OPTIONS=%s, in folder %s",
               options ? options : "", cwd);
    if (n > 0 && access(cwd, W_OK) != 0)
        doctor_say(NOTE, "that folder cannot be written from here: %s",
                   strerror(errno));
    free(environment);
}

void
doctor_process(int pid)
{
    char path[LOCATE_PATH_BYTES], agent[LOCATE_PATH_BYTES];

    switch (locate_mapped_agent(pid, agent, sizeof agent)) {
    case LOCATE_NO_PROCESS:
        doctor_say(BAD, "there is no process %d", pid);
        return;
    case LOCATE_DENIED:
        doctor_say(BAD, "may not look into process %d: %s", pid,
                   "it belongs to another user");
        return;
    case LOCATE_NONE:
        doctor_say(BAD, "process %d is not recorded: the agent is not in it",
                   pid);
        explain_not_loaded(pid);
        return;
    case LOCATE_FOUND:
        break;
    }
    doctor_say(OK, "process %d has the agent %s", pid, agent);
    if (locate_recording(pid, path, sizeof path) == LOCATE_FOUND)
        doctor_say(OK, "its recording is %s", path);
    else
        explain_no_recording(pid);
}
