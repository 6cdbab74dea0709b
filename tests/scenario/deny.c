/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * deny.c -- runs a command in which a system call is refused.
 *
 *      deny scan-clone|thread|CALL COMMAND [ARGUMENT ...]
 *
 * By a seccomp filter, as a container might: scan-clone refuses a clone of
 * which nobody is told (exit signal 0, no CLONE_VM), thread those of threads
 * by clone3 and clone (EAGAIN), others the call of their name (EPERM).
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)                    \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, \
             (unsigned)offsetof(struct seccomp_data, field))
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)
#define ALLOW               BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE(error) \
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((error)&0xffff))

/* clone3 is not there for libc, which then uses clone. */
static struct sock_filter scan_clone[] = {
    LOAD(nr),       UNLESS(SYS_clone3, 1),
    REFUSE(ENOSYS), UNLESS(SYS_clone, 4),
    LOAD(args[0]),  BPF_STMT(BPF_ALU | BPF_AND | BPF_K, CSIGNAL | CLONE_VM),
    UNLESS(0, 1),   REFUSE(EPERM),
    ALLOW,
};
static struct sock_filter thread[] = {
    LOAD(nr),
    UNLESS(SYS_clone3, 1),
    REFUSE(ENOSYS),
    UNLESS(SYS_clone, 4),
    LOAD(args[0]),
    BPF_STMT(BPF_ALU | BPF_AND | BPF_K, CLONE_THREAD),
    UNLESS(CLONE_THREAD, 1),
    REFUSE(EAGAIN),
    ALLOW,
};
static struct sock_filter one_call[] = {
    LOAD(nr),
    UNLESS(0, 1),
    REFUSE(EPERM),
    ALLOW,
};

static const struct {
    const char *name;
    unsigned number;
} calls[] = {
    {"memfd", SYS_memfd_create},
    {"fallocate", SYS_fallocate},
    {"process_vm_readv", SYS_process_vm_readv},
    {"membarrier", SYS_membarrier},
    {"chdir", SYS_chdir},
    {"close_range", SYS_close_range},
    {"pidfd_send_signal", SYS_pidfd_send_signal},
    {"prctl", SYS_prctl},
    {"prlimit64", SYS_prlimit64},
    {"sched_setscheduler", SYS_sched_setscheduler},
    {"setitimer", SYS_setitimer},
    {"setpriority", SYS_setpriority},
    {"sigaltstack", SYS_sigaltstack},
};

#define PROGRAM(filter)                          \
    (struct sock_fprog)                          \
    {                                            \
        sizeof filter / sizeof filter[0], filter \
    }

static struct sock_fprog
choose(const char *name)
{
    if (strcmp(name, "scan-clone") == 0)
        return PROGRAM(scan_clone);
    if (strcmp(name, "thread") == 0)
        return PROGRAM(thread);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
        if (strcmp(name, calls[i].name) == 0) {
            one_call[1].k = calls[i].number;
            return PROGRAM(one_call);
        }
    return (struct sock_fprog){0, NULL};
}

int
main(int argc, char **argv)
{
    struct sock_fprog program = {0, NULL};

    if (argc > 2)
        program = choose(argv[1]);
    if (!program.filter) {
        fprintf(stderr, "usage: deny CALL COMMAND [ARGUMENT ...]\n");
        return 2;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        perror("deny: seccomp");
        return 77;
    }
    execvp(argv[2], argv + 2);
    perror(argv[2]);
    return 127;
}
