/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_service.c -- a service that does something just while it is scanned.
 *
 *      scan_service WHAT [ARGUMENT]
 *
 * The traverse of its objects, which runs in the snapshot child, tells by
 * shared memory that a scan is under way and who scans, and goes on until it is
 * released.  So whatever WHAT does is done during a scan: background scans are
 * to be frequent.  Prints what came of it, the same each time.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "heapknot.h"

enum { GATES = 100, THREADS = 1000, ROUNDS = 5, NOBODY = 65534 };

struct gate {
    hk_object header;
};

static struct {
    int inside;  /* a scan is under way */
    int release; /* it need not wait any more */
    int scans;   /* begun */
    pid_t scanner;
    int handled; /* signals, in any process */
} *shared;

static const char *argument;
static int is_endless;
static struct gate *gates[GATES];

/* ---- the scan ----------------------------------------------------------- */

static double
cpu_seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Waits awake, and for less than what is taken for a loop. */
static int
traverse(void *self, hk_visit_fn visit, void *arg)
{
    double end = cpu_seconds() + (is_endless ? 1e9 : 0.3);

    (void)visit;
    (void)arg;
    __atomic_store_n(&shared->scanner, (pid_t)syscall(SYS_getpid),
                     __ATOMIC_RELAXED);
    if (self == gates[0])
        __atomic_add_fetch(&shared->scans, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&shared->inside, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&shared->release, __ATOMIC_ACQUIRE) &&
           cpu_seconds() < end)
        continue;
    return 0;
}

static void
make_gates(void)
{
    hk_type_spec spec = {
        .struct_size = sizeof spec,
        .name = "gate",
        .size = sizeof(struct gate),
        .header_offset = offsetof(struct gate, header),
        .traverse = traverse,
    };
    hk_type *type = hk_type_register(&spec);

    for (int i = 0; i < GATES; i++)
        gates[i] = hk_new(type);
}

static void
nap(long milliseconds)
{
    struct timespec t = {milliseconds / 1000,
                         milliseconds % 1000 * 1000000};

    while (nanosleep(&t, &t) != 0)
        continue;
}

static pid_t
await_scan(void)
{
    while (!__atomic_load_n(&shared->inside, __ATOMIC_ACQUIRE))
        nap(1);
    return __atomic_load_n(&shared->scanner, __ATOMIC_RELAXED);
}

static void
release(void)
{
    __atomic_store_n(&shared->release, 1, __ATOMIC_RELEASE);
}

/* So many more have begun. */
static void
await_scans(int more)
{
    int enough = __atomic_load_n(&shared->scans, __ATOMIC_RELAXED) + more;

    release();
    while (__atomic_load_n(&shared->scans, __ATOMIC_RELAXED) < enough)
        nap(1);
}

static int
is_there(pid_t pid)
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}

static void
await_end(pid_t pid)
{
    while (is_there(pid))
        nap(1);
}

/* A number of a file of /proc after a text, or -1. */
static long
number_in(pid_t pid, const char *file, const char *after)
{
    char path[64], line[512];
    long number = -1;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, after, strlen(after)) == 0)
            number = strtol(line + strlen(after), NULL, 10);
    if (f)
        fclose(f);
    return number;
}

/* ---- children and signals ----------------------------------------------- */

static void
on_signal(int number)
{
    (void)number;
    __atomic_add_fetch(&shared->handled, 1, __ATOMIC_RELAXED);
}

static pid_t
fork_child(int status, long after_ms)
{
    pid_t pid = fork();

    if (pid == 0) {
        nap(after_ms);
        _exit(status);
    }
    return pid;
}

static void
waits(void)
{
    siginfo_t info = {.si_pid = 0};
    int status = 0, foreign = 0, phantoms = 0;
    pid_t pid;

    signal(SIGCHLD, on_signal);
    await_scan();
    phantoms += wait(NULL) != -1 || errno != ECHILD;
    phantoms += waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD;
    phantoms += waitpid(0, NULL, WNOHANG) != -1 || errno != ECHILD;
    phantoms += waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != -1;
    pid = fork_child(3, 20);
    while (waitpid(-1, &status, 0) != pid)
        foreign += errno != EINTR;
    foreign += WEXITSTATUS(status) != 3;
    pid = fork_child(4, 20);
    while (waitid(P_ALL, 0, &info, WEXITED) != 0)
        continue;
    foreign += info.si_pid != pid || info.si_status != 4;
    printf("phantoms %d, foreign %d\n", phantoms, foreign);
    release();
    await_end(shared->scanner);
    await_scans(3);
    printf("signals %d\n", shared->handled);
}

/* Those who ask for any child whatever get that one, too. */
static void
wall(void)
{
    pid_t scanner = await_scan();

    printf("not waited for: %d\n",
           (int)waitpid(-1, NULL, __WALL | WNOHANG));
    kill(scanner, SIGKILL);
    printf("%s\n", waitpid(-1, NULL, __WALL) == scanner
                       ? "the child of the scan"
                       : "another child");
    await_scans(2);
    puts("scans go on");
}

static void
choose_next_pid(pid_t pid)
{
    FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");

    if (!f || fprintf(f, "%d", (int)pid - 1) < 0 || fclose(f) != 0)
        exit(77);
}

/* A child of the program's own with the number that the scan's child had. */
static void
same_number(void)
{
    pid_t scanner = await_scan(), pid;
    int status = -1, is_own;

    kill(scanner, SIGKILL);
    waitpid(scanner, NULL, __WALL);
    choose_next_pid(scanner);
    pid = fork_child(3, 200);
    if (pid != scanner)
        exit(77);
    nap(600);
    is_own = waitpid(pid, &status, 0) == pid;
    printf("waited for %s, status %d\n", is_own ? "the own child" : "nobody",
           WEXITSTATUS(status));
    await_scans(1);
}

static void
signals(void)
{
    static const int all[] = {SIGHUP,  SIGINT,  SIGTERM, SIGUSR1, SIGALRM,
                              SIGABRT, SIGSEGV, SIGILL,  SIGTSTP, SIGQUIT};
    int count = (int)(sizeof all / sizeof *all);

    setpgid(0, 0);
    for (int i = 0; i < count; i++)
        signal(all[i], on_signal);
    await_scan();
    for (int i = 0; i < count; i++)
        kill(0, all[i]);
    release();
    await_end(shared->scanner);
    printf("handled %s\n", shared->handled == count ? "once each" : "oddly");
    await_scans(1);
}

/* ---- ends --------------------------------------------------------------- */

static void
become_other(pid_t scanner)
{
    char pid[16];

    setenv("LD_PRELOAD", "", 1);
    snprintf(pid, sizeof pid, "%d", (int)scanner);
    execl("/proc/self/exe", "scan_service", "after-exec", pid, (char *)NULL);
}

static void
exec_now(void)
{
    become_other(await_scan());
}

static void
after_exec(void)
{
    printf("the scan's child %s\n",
           is_there((pid_t)strtol(argument, NULL, 10)) ? "is left"
                                                       : "is gone");
    printf("children: %s\n",
           waitpid(-1, NULL, __WALL | WNOHANG) == -1 ? "none" : "some");
}

static void
exec_fails(void)
{
    await_scan();
    execl("/no/such/program", "x", (char *)NULL);
    puts(strerror(errno));
    await_scans(2);
    puts("scans go on");
}

/* For who watches from outside: the scan goes on. */
static void
linger(void)
{
    printf("scanned by %d\n", (int)await_scan());
    fflush(stdout);
    while (getchar() != EOF)
        continue;
}

/* ---- rights and rooms --------------------------------------------------- */

static void
become_nobody(void)
{
    if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
        setresuid(NOBODY, NOBODY, NOBODY) != 0)
        exit(77);
}

static void
drop_rights(void)
{
    await_scan();
    become_nobody();
    release();
    await_end(shared->scanner);
    await_scans(2);
    puts("scans go on");
}

/* Of a scan that does not come to an end by itself. */
static void
drop_rights_hung(void)
{
    pid_t scanner = await_scan();

    become_nobody();
    await_end(scanner);
    puts("the scan has ended");
}

static void
drop_rights_exec(void)
{
    pid_t scanner = await_scan();

    become_nobody();
    become_other(scanner);
}

static void
jail(void)
{
    char folder[] = "/tmp/scan_service.XXXXXX";

    await_scan();
    if (!mkdtemp(folder) || chdir(folder) != 0 || chroot(".") != 0 ||
        rmdir("/") == 0)
        exit(77);
    await_scans(2);
    puts("scans go on");
}

static void
namespaces(void)
{
    int mount = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

    await_scan();
    printf("setns %s\n", setns(mount, CLONE_NEWNS) == 0 ? "done"
                                                        : strerror(errno));
    printf("unshare %s\n",
           unshare(CLONE_NEWUSER) == 0 ? "done" : strerror(errno));
    await_scans(2);
    puts("scans go on");
}

static void
scans(void)
{
    await_scans(3);
}

/* For a while there would be some. */
static void
denied(void)
{
    nap(600);
    printf("%s", shared->scans ? "there are scans\n" : "");
}

/* As a program does that knows all of its system calls: no process is ever made
   here, and who makes one is an intruder. */
static void
sandbox(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_VM, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};

    await_scans(1);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_TSYNC, &filter) != 0)
        exit(77);
    nap(400);
    puts("alive");
}

/* As the OOM killer does it, and seen by the agent only. */
static void
killed(void)
{
    kill(await_scan(), SIGKILL);
    await_scans(2);
    puts("scans go on");
}

static void
dumpable(void)
{
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    await_scans(2);
    puts("scans go on");
}

static void
processes(void)
{
    struct rlimit limit = {0, 0};
    int before;

    await_scans(1);
    become_nobody();
    getrlimit(RLIMIT_NPROC, &limit);
    limit.rlim_cur = 1;
    setrlimit(RLIMIT_NPROC, &limit);
    await_end(shared->scanner);
    before = shared->scans;
    nap(400);
    printf("scans %d\n", shared->scans - before);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NPROC, &limit);
    await_scans(2);
    puts("scans go on");
}

/* 200 MiB are left, and the program needs 150 of it. */
static void
space(void)
{
    struct rlimit limit;
    char *mine;

    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur =
        (rlim_t)(number_in(getpid(), "status", "VmSize:") + 200 * 1024) << 10;
    setrlimit(RLIMIT_AS, &limit);
    await_scan();
    mine = malloc((size_t)150 << 20);
    puts(mine ? "there is room" : "no room");
    free(mine);
    release();
    await_scans(2);
    puts("scans go on");
}

static void
close_all(void)
{
    int out = dup(1);

    await_scan();
    for (int fd = 0; fd < 1024; fd++)
        if (fd != out)
            close(fd);
    dprintf(out, "next %d\n", open("/dev/null", O_RDONLY | O_CLOEXEC));
    release();
    await_end(shared->scanner);
    await_scans(2);
    dprintf(out, "next %d\n", open("/dev/null", O_RDONLY | O_CLOEXEC));
}

/* ---- threads ------------------------------------------------------------ */

static pthread_barrier_t start, stop;
static int interrupted;

static void *
work(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct timespec t = {0, 1000000};

        pthread_barrier_wait(&start);
        if (nanosleep(&t, NULL) != 0)
            __atomic_add_fetch(&interrupted, 1, __ATOMIC_RELAXED);
        free(malloc(100));
        pthread_barrier_wait(&stop);
    }
    return arg;
}

static void
threads(void)
{
    static pthread_t thread[THREADS];
    pthread_attr_t small;

    pthread_barrier_init(&start, NULL, THREADS + 1);
    pthread_barrier_init(&stop, NULL, THREADS + 1);
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&thread[i], &small, work, NULL) != 0)
            exit(77);
    for (int i = 0; i < ROUNDS; i++) {
        shared->release = shared->inside = 0;
        await_scan();
        pthread_barrier_wait(&start);
        pthread_barrier_wait(&stop);
        release();
        await_end(shared->scanner);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    printf("%d scans, %d calls interrupted\n", ROUNDS, interrupted);
}

/* ---- what the child is -------------------------------------------------- */

static long
count_files(pid_t pid)
{
    char path[64], command[96];
    struct stat st;

    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    snprintf(command, sizeof command, "/proc/%d/fd/.", (int)pid);
    return stat(path, &st) == 0 && stat(command, &st) == 0 ? (long)st.st_size
                                                           : -1;
}

/* Of the agent's thread, which may hurry while it makes the copy. */
static int
agent_policy(void)
{
    char path[64], name[32];
    int policy = -1;

    for (pid_t id = getpid() + 1; id < getpid() + 1000 && policy < 0; id++) {
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/task/%d/comm", (int)id);
        f = fopen(path, "r");
        if (f && fgets(name, sizeof name, f) &&
            strcmp(name, "heapknot\n") == 0)
            policy = sched_getscheduler(id) & ~SCHED_RESET_ON_FORK;
        if (f)
            fclose(f);
    }
    return policy;
}

/* Since Linux 6.2 the size of the folder is how many there are. */
static void
manners(void)
{
    char path[64], cwd[64] = "";
    struct stat st;
    pid_t scanner = await_scan();

    snprintf(path, sizeof path, "/proc/%d/cwd", (int)scanner);
    printf("nice %d, policy %d, oom %ld, tracer %ld, threads %ld\n",
           getpriority(PRIO_PROCESS, (id_t)scanner),
           sched_getscheduler(scanner), number_in(scanner, "oom_score_adj", ""),
           number_in(scanner, "status", "TracerPid:"),
           number_in(scanner, "status", "Threads:"));
    printf("core %ld, descriptors %ld, ",
           number_in(scanner, "limits", "Max core file size"),
           count_files(scanner));
    printf("folder %s\n", readlink(path, cwd, sizeof cwd - 1) > 0 ? cwd : "?");
    snprintf(path, sizeof path, "/proc/%d/maps", (int)scanner);
    printf("owner of its memory %s\n",
           stat(path, &st) != 0 ? "?" : st.st_uid == 0 ? "root" : "nobody");
    printf("policy of its parent %d\n", agent_policy());
}

static void
manners_of_nobody(void)
{
    become_nobody();
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    manners();
}

/* ------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*act)(void);
} acts[] = {
    {"waits", waits},
    {"wall", wall},
    {"same-number", same_number},
    {"signals", signals},
    {"exec", exec_now},
    {"after-exec", after_exec},
    {"exec-fails", exec_fails},
    {"exit", (void (*)(void))await_scan},
    {"linger", linger},
    {"drop-rights", drop_rights},
    {"drop-rights-hung", drop_rights_hung},
    {"drop-rights-exec", drop_rights_exec},
    {"jail", jail},
    {"namespaces", namespaces},
    {"sandbox", sandbox},
    {"killed", killed},
    {"dumpable", dumpable},
    {"processes", processes},
    {"space", space},
    {"close-all", close_all},
    {"threads", threads},
    {"manners", manners},
    {"manners-of-nobody", manners_of_nobody},
    {"scans", scans},
    {"denied", denied},
};

int
main(int argc, char **argv)
{
    argument = argc > 2 ? argv[2] : "";
    is_endless = argc > 1 && strstr(argv[1], "-hung") != NULL;
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    make_gates();
    for (size_t i = 0; argc > 1 && i < sizeof acts / sizeof *acts; i++)
        if (strcmp(acts[i].name, argv[1]) == 0 && acts[i].act)
            acts[i].act();
    fflush(stdout);
    return 0;
}
