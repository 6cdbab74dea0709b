/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fake-agent.c -- the agent's half of CONTROL in format/recording.h, for tests
 * of heapknot ctl.
 *
 *      fake-agent FILE MODE    makes FILE, prints "ready", logs requests
 *      fake-agent FILE become OTHER BUSY
 *
 * answer   does everything, says "did N ARGUMENT"
 * refuse   answers with EBUSY and a sentence
 * mute     hears, and never answers
 * deaf     has no thread that listens
 * die      dies of the first request
 * late     listens half a second from now
 * retired  has given up
 * become   FILE is there; each answer makes it what OTHER is, unless there is
 *          a file BUSY: then refuses
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "format/recording.h"

static const char *name, *after, *busy;

static uint64_t
now_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void
fill(struct hkr_header *h)
{
    memcpy(h->magic, HKR_MAGIC, 8);
    h->byte_order = HKR_BYTE_ORDER;
    h->version_major = HKR_VERSION_MAJOR;
    h->version_minor = HKR_VERSION_MINOR;
    h->header_bytes = HKR_HEADER_BYTES;
    h->control_offset = HKR_CONTROL_OFFSET;
    h->control_bytes = HKR_CONTROL_BYTES;
    h->chunk_bytes = HKR_CHUNK_BYTES;
    h->chunks_offset = HKR_CHUNKS_OFFSET;
    h->state = HKR_STATE_LIVE;
    h->start_realtime_ns = now_ns(CLOCK_REALTIME);
    h->start_monotonic_ns = now_ns(CLOCK_MONOTONIC);
    h->publish_interval_ns = 250000000;
    h->pid = (uint32_t)getpid();
    h->counter_count = 8;
    h->counters[0] = 3 << 20; /* live_bytes */
    h->counters[2] = 12345;   /* live_blocks */
}

/* Copies all but the control page, and says that the process lives. */
static void
become(struct hkr_control *c, const char *other)
{
    char *file = (char *)c - HKR_CONTROL_OFFSET;
    struct hkr_header *h = (struct hkr_header *)file;
    int to = open(name, O_RDWR), from = open(other, O_RDONLY);
    char page[4096];
    ssize_t n;

    for (off_t at = 0; (n = pread(from, page, sizeof page, at)) > 0; at += n)
        if (at != HKR_CONTROL_OFFSET
            && pwrite(to, page, (size_t)n, at) != n)
            abort();
    h->state = HKR_STATE_LIVE;
    h->pid = (uint32_t)getpid();
    close(to);
    close(from);
}

static void
answer(struct hkr_control *c, const char *mode, uint32_t request)
{
    if (strcmp(mode, "die") == 0)
        raise(SIGKILL);
    if (busy && access(busy, F_OK) != 0)
        become(c, after);
    if (strcmp(mode, "refuse") == 0 || (busy && access(busy, F_OK) == 0)) {
        c->status = EBUSY;
        snprintf(c->text, sizeof c->text, "a scan is running");
    } else {
        c->status = 0;
        snprintf(c->text, sizeof c->text, "did %u %.100s", c->command,
                 c->argument);
    }
    printf("request %u command %u argument %s\n", request, c->command,
           c->argument);
    fflush(stdout);
    __atomic_store_n(&c->answer, request, __ATOMIC_RELEASE);
    syscall(SYS_futex, &c->answer, FUTEX_WAKE, 1 << 30, NULL, NULL, 0);
}

static void
serve(struct hkr_control *c, const char *mode)
{
    uint32_t seen = c->request;

    for (;;) {
        uint32_t request = __atomic_load_n(&c->request, __ATOMIC_ACQUIRE);

        if (request == seen)
            syscall(SYS_futex, &c->request, FUTEX_WAIT, seen, NULL, NULL, 0);
        else {
            seen = request;
            answer(c, mode, request);
        }
    }
}

int
main(int argc, char **argv)
{
    int fresh = argc == 3 ? O_CREAT | O_EXCL : 0;
    int fd = argc > 2 ? open(argv[1], O_RDWR | fresh, 0600) : -1;
    char *p;
    struct hkr_control *c;

    if (fd < 0 || (fresh && ftruncate(fd, 4 * HKR_HEADER_BYTES) != 0))
        return 1;
    name = argv[1];
    if (argc == 5) {
        after = argv[3];
        busy = argv[4];
    }
    p = mmap(NULL, HKR_CHUNKS_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
             0);
    if (p == MAP_FAILED)
        return 1;
    c = (struct hkr_control *)(p + HKR_CONTROL_OFFSET);
    if (fresh)
        fill((struct hkr_header *)p);
    else
        become(c, name);
    if (strcmp(argv[2], "retired") == 0) {
        ((struct hkr_header *)p)->state = HKR_STATE_RETIRED;
        strcpy(((struct hkr_header *)p)->reason, "memory= is used up\033[0m");
    }
    c->listening = strcmp(argv[2], "answer") == 0 || !fresh
        || strcmp(argv[2], "refuse") == 0 || strcmp(argv[2], "mute") == 0
        || strcmp(argv[2], "die") == 0;
    puts("ready");
    fflush(stdout);
    if (strcmp(argv[2], "late") == 0) {
        usleep(500000);
        __atomic_store_n(&c->listening, 1, __ATOMIC_RELEASE);
    }
    if (strcmp(argv[2], "mute") == 0 || strcmp(argv[2], "deaf") == 0
        || strcmp(argv[2], "retired") == 0)
        pause();
    serve(c, argv[2]);
    return 0;
}
