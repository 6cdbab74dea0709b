/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.c -- a thread with an epoll, and the sessions that are its own.
 *
 * A session stays with one worker, which alone reads it and closes it: an
 * event can therefore name the session by a pointer without a reference.
 * Other threads only send, and ask for EPOLLOUT under the session's lock.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "knotd.h"

enum { EVENTS = 64 };

void
worker_want_write(struct session *session, bool want)
{
    struct epoll_event event = {
        .events = want ? EPOLLIN | EPOLLOUT : EPOLLIN,
        .data.ptr = session,
    };

    epoll_ctl(session->worker->epoll, EPOLL_CTL_MOD, session->fd, &event);
}

/* Runs every whole line in the buffer; false at QUIT. */
static bool
run_lines(struct session *session)
{
    char *start = session->in;
    char *end;
    bool stay = true;

    while (stay && (end = memchr(start, '\n',
                                 session->in_used -
                                     (size_t)(start - session->in)))) {
        *end = '\0';
        if (end > start && end[-1] == '\r')
            end[-1] = '\0';
        stay = command_run(session, start);
        start = end + 1;
    }
    session->in_used -= (size_t)(start - session->in);
    memmove(session->in, start, session->in_used);
    return stay;
}

enum verdict { STAY, ORDERLY, ABRUPT };

/* A client that goes without QUIT, or sends a line that does not fit, has
   ended abruptly. */
static enum verdict
read_session(struct session *session)
{
    size_t room = sizeof session->in - session->in_used;
    ssize_t n = recv(session->fd, session->in + session->in_used, room,
                     MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? STAY : ABRUPT;
    if (n == 0)
        return ABRUPT;
    session->in_used += (size_t)n;
    if (!run_lines(session))
        return ORDERLY;
    return session->in_used == sizeof session->in ? ABRUPT : STAY;
}

static void
handle(const struct epoll_event *event)
{
    struct session *session = event->data.ptr;
    enum verdict verdict = STAY;

    if (event->events & EPOLLOUT)
        session_flush(session);
    if (event->events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        verdict = read_session(session);
    if (verdict != STAY)
        hub_leave(session, verdict == ORDERLY);
}

/* The event without a session is the order to stop. */
static void *
work(void *arg)
{
    struct worker *worker = arg;
    struct epoll_event events[EVENTS];

    for (;;) {
        int count = epoll_wait(worker->epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            if (!events[i].data.ptr)
                return NULL;
            handle(&events[i]);
        }
    }
}

int
worker_start(struct worker *worker, int stop_fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    int error;

    worker->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (worker->epoll < 0)
        return -1;
    error = epoll_ctl(worker->epoll, EPOLL_CTL_ADD, stop_fd, &event);
    if (!error)
        error = pthread_create(&worker->thread, NULL, work, worker);
    if (error)
        close(worker->epoll);
    return error ? -1 : 0;
}

void
worker_adopt(struct worker *worker, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    struct session *session;
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    session = hub_join(fd, worker);
    if (!session) {
        close(fd);
        return;
    }
    /* Before the worker knows it: afterwards it may be gone. */
    session_sendf(session, "HELLO %llu\n", (unsigned long long)session->id);
    event.data.ptr = session;
    if (epoll_ctl(worker->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        hub_leave(session, true);
}
