/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * control.c -- the client's half of CONTROL in format/recording.h.
 *
 * Two clients take turns by flock.  All waiting ends: the futex is waited on
 * in short pieces, between which the process is looked for.
 */
#include "reporter/control.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "reporter/locate.h"

#define PIECE_NS UINT64_C(100000000)
#define LISTENING_NS UINT64_C(2000000000) /* a young process's thread */

static uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
pause_for(uint64_t ns)
{
    struct timespec t = { (time_t)(ns / 1000000000u),
                          (long)(ns % 1000000000u) };

    nanosleep(&t, NULL);
}

static int fail(struct control *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static int
fail(struct control *c, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(c->why, sizeof c->why, format, args);
    va_end(args);
    return -1;
}

/* What others wrote must not drive the terminal. */
static void
clean(char *text, size_t size)
{
    text[size - 1] = '\0';
    for (; *text; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
    }
}

/* ---- opening ------------------------------------------------------------ */

static int
check_header(struct control *c, const char *path, const struct stat *st)
{
    const struct hkr_header *h = &c->header;

    if (pread(c->fd, &c->header, sizeof c->header, 0)
            != (ssize_t)sizeof c->header
        || memcmp(h->magic, HKR_MAGIC, sizeof h->magic) != 0)
        return fail(c, "%s is not a recording of heapknot", path);
    if (h->byte_order != HKR_BYTE_ORDER)
        return fail(c, "%s comes from a machine of the other byte order",
                    path);
    if (h->version_major > HKR_VERSION_MAJOR)
        return fail(c, "%s has format %u.%u, newer than this heapknot (%u.%u)",
                    path, h->version_major, h->version_minor,
                    HKR_VERSION_MAJOR, HKR_VERSION_MINOR);
    if (h->control_bytes < sizeof(struct hkr_control)
        || h->control_offset % 4096 != 0
        || (uint64_t)h->control_offset + h->control_bytes
            > (uint64_t)st->st_size)
        return fail(c, "%s is damaged: it has no control page", path);
    clean(c->header.reason, sizeof c->header.reason);
    return 0;
}

static int
map_page(struct control *c, const char *path)
{
    void *p = mmap(NULL, sizeof(struct hkr_control), PROT_READ | PROT_WRITE,
                   MAP_SHARED, c->fd, (off_t)c->header.control_offset);

    if (p == MAP_FAILED)
        return fail(c, "cannot map %s: %s", path, strerror(errno));
    c->page = p;
    return 0;
}

int
control_open(struct control *c, const char *path, int pid, int writable)
{
    struct stat st;

    memset(c, 0, sizeof *c);
    c->fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (c->fd < 0 && (errno == EACCES || errno == EPERM || errno == EROFS))
        return fail(c, "%s: %s (who may write the recording may control the "
                    "agent)", path, strerror(errno));
    if (c->fd < 0)
        return fail(c, "%s: %s", path, strerror(errno));
    if (fstat(c->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        control_close(c);
        return fail(c, "%s is not a file, so not a recording", path);
    }
    if (check_header(c, path, &st) != 0
        || (writable && map_page(c, path) != 0)) {
        control_close(c);
        return -1;
    }
    c->pid = pid ? pid : (int)c->header.pid;
    return 0;
}

void
control_close(struct control *c)
{
    if (c->page)
        munmap(c->page, sizeof(struct hkr_control));
    if (c->fd >= 0)
        close(c->fd);
    c->page = NULL;
    c->fd = -1;
}

int
control_is_alive(const struct control *c)
{
    char path[LOCATE_PATH_BYTES];
    struct stat ours, theirs;

    if (c->pid <= 0)
        return 0;
    switch (locate_recording(c->pid, path, sizeof path)) {
    case LOCATE_FOUND:
        return fstat(c->fd, &ours) == 0 && stat(path, &theirs) == 0
            && ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
    case LOCATE_DENIED:
        return -1;
    default:
        return 0;
    }
}

/* ---- asking ------------------------------------------------------------- */

static const char *
describe_end(uint32_t state)
{
    switch (state) {
    case HKR_STATE_EXITED:
        return "it has exited";
    case HKR_STATE_EXEC:
        return "it has become another program";
    case HKR_STATE_ABORTED:
        return "it has aborted";
    case HKR_STATE_CRASHED:
        return "it has crashed";
    default:
        return "it is gone";
    }
}

static int
fail_gone(struct control *c)
{
    if (pread(c->fd, &c->header, sizeof c->header, 0) < 0)
        return fail(c, "process %d cannot answer", c->pid);
    return fail(c, "process %d cannot answer: %s", c->pid,
                describe_end(c->header.state));
}

static int
wait_listening(struct control *c)
{
    uint64_t end = now_ns() + LISTENING_NS;

    while (!__atomic_load_n(&c->page->listening, __ATOMIC_ACQUIRE)) {
        if (control_is_alive(c) == 0)
            return fail_gone(c);
        if (c->header.state == HKR_STATE_RETIRED)
            return fail(c, "the agent of process %d has given up: %s", c->pid,
                        c->header.reason);
        if (now_ns() >= end)
            return fail(c, "the agent of process %d has no thread that could "
                        "answer (thread=off, or it could not be started)",
                        c->pid);
        pause_for(PIECE_NS / 2);
    }
    return 0;
}

static int
take_turn(struct control *c, uint64_t end)
{
    while (flock(c->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fail(c, "cannot lock the recording: %s", strerror(errno));
        if (now_ns() >= end)
            return fail(c, "another heapknot ctl is using the agent of "
                        "process %d", c->pid);
        pause_for(PIECE_NS / 5);
    }
    return 0;
}

static uint32_t
send(struct control *c, enum hkr_command command, const char *argument)
{
    uint32_t number = __atomic_load_n(&c->page->request, __ATOMIC_RELAXED) + 1;

    snprintf(c->page->argument, sizeof c->page->argument, "%s",
             argument ? argument : "");
    c->page->command = command;
    __atomic_store_n(&c->page->request, number, __ATOMIC_RELEASE);
    syscall(SYS_futex, &c->page->request, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return number;
}

static int
wait_answer(struct control *c, uint32_t number, uint64_t end)
{
    static const struct timespec piece = { 0, (long)PIECE_NS };
    uint32_t seen;

    for (;;) {
        seen = __atomic_load_n(&c->page->answer, __ATOMIC_ACQUIRE);
        if (seen == number)
            return 0;
        if (control_is_alive(c) == 0)
            return fail_gone(c);
        if (now_ns() >= end)
            return fail(c, "the agent of process %d did not answer in time",
                        c->pid);
        syscall(SYS_futex, &c->page->answer, FUTEX_WAIT, seen, &piece, NULL,
                0);
    }
}

static int
take_answer(struct control *c)
{
    memcpy(&c->answer, c->page, sizeof c->answer);
    clean(c->answer.text, sizeof c->answer.text);
    if (c->answer.status == 0)
        return 0;
    if (c->answer.text[0])
        return fail(c, "%.400s", c->answer.text);
    return fail(c, "%s", strerror((int)c->answer.status));
}

int
control_ask(struct control *c, enum hkr_command command, const char *argument,
            uint64_t timeout_ns)
{
    uint64_t end = now_ns() + timeout_ns;
    int result;

    if (control_is_alive(c) == 0)
        return fail_gone(c);
    if (wait_listening(c) != 0 || take_turn(c, end) != 0)
        return -1;
    result = wait_answer(c, send(c, command, argument), end);
    if (result == 0)
        result = take_answer(c);
    flock(c->fd, LOCK_UN);
    return result;
}
