/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * knotd.c -- options, the listening socket, start and stop.
 *
 *      knotd [--port=N] [--workers=N] [--ballast=N]
 *            [--bug=cycle|ref|malloc|cache ...]
 *
 * Listens on the loopback address only.  The main thread accepts, and deals
 * connections out to the workers in turn; SIGTERM and SIGINT end it.
 */
#define _GNU_SOURCE 1 /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "knotd.h"

enum { WORKERS_MAX = 64, BALLAST_MAX = 50 * 1000 * 1000 };

unsigned knotd_bugs;

struct options {
    int port, workers, ballast;
};

static bool
parse_number(const char *text, int low, int high, int *number)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < low || value > high)
        return false;
    *number = (int)value;
    return true;
}

static bool
parse_bug(const char *name)
{
    static const struct {
        const char *name;
        unsigned bug;
    } names[] = {{"none", 0},
                 {"cycle", BUG_CYCLE},
                 {"ref", BUG_REF},
                 {"malloc", BUG_MALLOC},
                 {"cache", BUG_CACHE}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i].name) == 0) {
            knotd_bugs |= names[i].bug;
            return true;
        }
    return false;
}

static bool
parse_option(const char *arg, struct options *options)
{
    if (strncmp(arg, "--port=", 7) == 0)
        return parse_number(arg + 7, 0, 65535, &options->port);
    if (strncmp(arg, "--workers=", 10) == 0)
        return parse_number(arg + 10, 1, WORKERS_MAX, &options->workers);
    if (strncmp(arg, "--ballast=", 10) == 0)
        return parse_number(arg + 10, 0, BALLAST_MAX, &options->ballast);
    if (strncmp(arg, "--bug=", 6) == 0)
        return parse_bug(arg + 6);
    return false;
}

static int
open_listener(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 512) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void
announce(int listener)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;

    getsockname(listener, (struct sockaddr *)&address, &bytes);
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

/* The signals that end the server, as something to poll; blocked before any
   thread starts, so that no worker is interrupted. */
static int
open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

static void
accept_all(int listener, struct worker *workers, int worker_count)
{
    static unsigned turn;
    int fd;

    while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
        worker_adopt(&workers[turn++ % (unsigned)worker_count], fd);
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
        poll(NULL, 0, 10); /* wait for some to leave, without spinning */
}

static void
serve(int listener, int signals, struct worker *workers, int worker_count)
{
    struct pollfd fds[] = {{.fd = listener, .events = POLLIN},
                           {.fd = signals, .events = POLLIN}};

    for (;;) {
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            return;
        if (fds[0].revents)
            accept_all(listener, workers, worker_count);
    }
}

static void
stop_workers(struct worker *workers, int count, int stop_fd)
{
    uint64_t one = 1;

    if (write(stop_fd, &one, sizeof one) != (ssize_t)sizeof one)
        abort(); /* an eventfd that is 0 takes 1 */
    for (int i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    hub_stop();
    topics_free();
    ballast_stop();
    for (int i = 0; i < count; i++)
        close(workers[i].epoll);
}

static int
run(const struct options *options)
{
    static struct worker workers[WORKERS_MAX];
    int signals = open_signals();
    int stop_fd = eventfd(0, EFD_CLOEXEC);
    int listener = open_listener(options->port);
    int started = 0;

    if (signals < 0 || stop_fd < 0 || listener < 0 || hub_start() < 0 ||
        ballast_start((size_t)options->ballast) < 0) {
        perror("knotd");
        return 1;
    }
    while (started < options->workers &&
           worker_start(&workers[started], stop_fd) == 0)
        started++;
    if (started) {
        announce(listener);
        hk_mark("serving");
        serve(listener, signals, workers, started);
        hk_mark("stopping");
    }
    stop_workers(workers, started, stop_fd);
    close(listener);
    close(stop_fd);
    close(signals);
    printf("stopped sessions %llu channels %llu\n",
           (unsigned long long)session_live(),
           (unsigned long long)channel_live());
    return started ? 0 : 1;
}

int
main(int argc, char **argv)
{
    struct options options = {.port = 7420, .workers = 2};

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i], &options)) {
            fprintf(stderr,
                    "usage: knotd [--port=N] [--workers=N] [--ballast=N] "
                    "[--bug=cycle|ref|malloc|cache]\n");
            return 2;
        }
    return run(&options);
}
