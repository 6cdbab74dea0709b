/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * doctor_install.c -- could a program be recorded here?
 *
 * The answer is tried, not guessed: this program runs itself under the agent.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "reporter/agentlib.h"
#include "reporter/doctor.h"
#include "reporter/explain.h"
#include "reporter/locate.h"

#define TRY_SECONDS 10

static int
examine_agent(char *agent, size_t size)
{
    char why[LOCATE_PATH_BYTES + 256];

    if (agentlib_find(agent, size, why, sizeof why) != 0) {
        doctor_say(BAD, "%s", why);
        return -1;
    }
    doctor_say(OK, "the agent is %s", agent);
    return 0;
}

static void
examine_unwinder(void)
{
    void *h = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);

    if (h)
        doctor_say(OK, "libunwind.so.8 can be loaded");
    else
        doctor_say(BAD, "no call stacks without libunwind: %s (Debian: "
                   "libunwind8)", dlerror());
    if (h)
        dlclose(h);
}

static void
examine_folder(void)
{
    struct statvfs space;
    struct statfs kind;
    char buf[40];
    uint64_t bytes;

    if (access(".", W_OK) != 0) {
        doctor_say(BAD, "recordings go to this folder unless output= says "
                   "otherwise, and it cannot be written: %s",
                   strerror(errno));
        return;
    }
    if (statvfs(".", &space) != 0)
        return;
    bytes = (uint64_t)space.f_bavail * space.f_frsize;
    doctor_say(bytes < 64u << 20 ? NOTE : OK,
               "this folder can be written, with %s free (a recording takes "
               "at most max_file=, 256MiB)",
               explain_bytes(buf, sizeof buf, bytes));
    if (statfs(".", &kind) == 0 && kind.f_type == NFS_SUPER_MAGIC)
        doctor_say(NOTE, "this folder is on NFS: better put recordings on a "
                   "local disk or /dev/shm");
}

static void
examine_kernel(void)
{
    FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");
    int mode = 0;

    if (f && fscanf(f, "%d", &mode) == 1 && mode == 2)
        doctor_say(BAD, "vm.overcommit_memory is 2: the agent's tables, which "
                   "are reserved but not used, count as memory");
    else
        doctor_say(OK, "address space can be reserved "
                   "(vm.overcommit_memory=%d)", mode);
    if (f)
        fclose(f);
}

static void
examine_limits(void)
{
    struct rlimit limit;
    char buf[40];

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        doctor_say(NOTE, "address space is limited to %s (ulimit -v): the "
                   "agent may not get its tables",
                   explain_bytes(buf, sizeof buf, limit.rlim_cur));
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0
        && limit.rlim_cur != RLIM_INFINITY)
        doctor_say(NOTE, "files are limited to %s (ulimit -f): recordings "
                   "end there",
                   explain_bytes(buf, sizeof buf, limit.rlim_cur));
}

/* ---- the trial ---------------------------------------------------------- */

static void
become_trial(const char *agent, const char *recording, int err)
{
    char options[LOCATE_PATH_BYTES + 16];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    snprintf(options, sizeof options, "output=%s", recording);
    setenv("LD_PRELOAD", agent, 1);
    setenv("HEAPKNOT_OPTIONS", options, 1);
    dup2(null, 0);
    dup2(null, 1);
    dup2(err, 2);
    close(err);
    execl("/proc/self/exe", "heapknot", "--help", (char *)NULL);
    _exit(127);
}

/* What it wrote on stderr, and its status; -1: it did not end in time. */
static int
watch_trial(pid_t child, int from, char *text, size_t size)
{
    time_t end = time(NULL) + TRY_SECONDS;
    size_t used = 0;
    int status;

    for (;;) {
        struct pollfd p = { .fd = from, .events = POLLIN };
        ssize_t n;

        if (time(NULL) > end) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return -1;
        }
        if (poll(&p, 1, 1000) <= 0)
            continue;
        n = read(from, text + used, size - 1 - used);
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return waitpid(child, &status, 0) == child ? status : -1;
}

static void
judge_trial(int status, const char *text, const char *recording)
{
    if (status == -1)
        doctor_say(BAD, "a program under the agent did not end within %d s",
                   TRY_SECONDS);
    else if (strstr(text, "cannot be preloaded"))
        doctor_say(BAD, "the loader refuses the agent: %s", text);
    else if (status != 0)
        doctor_say(BAD, "a program under the agent failed (status 0x%x): %s",
                   (unsigned)status, text);
    else if (!locate_is_recording(recording))
        doctor_say(BAD, "a program under the agent left no recording%s%s",
                   *text ? ": " : "", text);
    else
        doctor_say(OK, "a program was run under the agent and recorded");
    if (status == 0 && *text && locate_is_recording(recording))
        doctor_say(NOTE, "the agent said: %s", text);
}

static void
try_recording(const char *agent)
{
    const char *tmp = getenv("TMPDIR");
    char folder[LOCATE_PATH_BYTES - 16], file[LOCATE_PATH_BYTES];
    char text[1024] = "";
    int fds[2];
    pid_t child;

    snprintf(folder, sizeof folder, "%s/heapknot-doctor.XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder) || pipe(fds) != 0) {
        doctor_say(NOTE, "not tried: cannot make a folder below %s: %s",
                   tmp && *tmp ? tmp : "/tmp", strerror(errno));
        return;
    }
    snprintf(file, sizeof file, "%s/try.hk", folder);
    fflush(stdout);
    child = fork();
    if (child == 0)
        become_trial(agent, file, fds[1]);
    close(fds[1]);
    if (child > 0)
        judge_trial(watch_trial(child, fds[0], text, sizeof text), text, file);
    close(fds[0]);
    unlink(file);
    rmdir(folder);
}

void
doctor_installation(void)
{
    char agent[LOCATE_PATH_BYTES];
    int has_agent = examine_agent(agent, sizeof agent) == 0;

    examine_unwinder();
    examine_folder();
    examine_kernel();
    examine_limits();
    if (has_agent)
        try_recording(agent);
}
