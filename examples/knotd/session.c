/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * session.c -- one connection: its channels, its socket, its outbound bytes.
 *
 * Any thread may send; only the session's worker reads, flushes and closes.
 * Sending to a closed session does nothing, so whoever holds a reference need
 * not ask first.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "knotd.h"

static const hk_field session_fields[] = {
    {"channels", HK_REF_ARRAY, offsetof(struct session, channels.items),
     offsetof(struct session, channels.count)},
    {NULL, HK_END, 0, 0},
};

static hk_type *session_type;

static void
session_dealloc(void *self)
{
    struct session *session = self;

    refset_clear(&session->channels);
    pthread_mutex_destroy(&session->lock);
    free(session->out);
    free(session);
}

static int
session_describe(const void *self, char *buf, size_t len)
{
    const struct session *session = self;

    return snprintf(buf, len, "session %llu%s",
                    (unsigned long long)session->id,
                    session->fd < 0 ? " (closed)" : "");
}

int
session_register(void)
{
    static const hk_type_spec spec = {
        .struct_size = sizeof(hk_type_spec),
        .name = "session",
        .size = sizeof(struct session),
        .header_offset = offsetof(struct session, header),
        .fields = session_fields,
        .dealloc = session_dealloc,
        .describe = session_describe,
    };

    session_type = hk_type_register(&spec);
    return session_type ? 0 : -1;
}

struct session *
session_new(uint64_t id, int fd, struct worker *worker)
{
    struct session *session = hk_new(session_type);

    if (!session)
        return NULL;
    pthread_mutex_init(&session->lock, NULL);
    session->id = id;
    session->fd = fd;
    session->worker = worker;
    return session;
}

/* Sends from bytes until the socket is full; how many went, -1: it is dead. */
static ssize_t
push_locked(struct session *session, const char *bytes, size_t count)
{
    size_t sent = 0;

    while (sent < count) {
        ssize_t n = send(session->fd, bytes + sent, count - sent,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? (ssize_t)sent : -1;
        sent += (size_t)n;
    }
    return (ssize_t)sent;
}

static bool
reserve_locked(struct session *session, size_t need)
{
    size_t capacity = session->out_capacity ? session->out_capacity : 512;
    char *out;

    while (capacity < need)
        capacity *= 2;
    if (capacity == session->out_capacity)
        return true;
    if (need > OUTBOUND_BYTES || !(out = realloc(session->out, capacity)))
        return false;
    session->out = out;
    session->out_capacity = capacity;
    return true;
}

static void
want_write_locked(struct session *session, bool want)
{
    if (session->want_write == want)
        return;
    session->want_write = want;
    worker_want_write(session, want);
}

/* A reader that is too slow: the worker will see the end of the stream. */
static void
overrun_locked(struct session *session)
{
    session->overrun = true;
    shutdown(session->fd, SHUT_RDWR);
}

static void
queue_locked(struct session *session, const char *bytes, size_t count)
{
    if (!reserve_locked(session, session->out_used + count)) {
        overrun_locked(session);
        return;
    }
    memcpy(session->out + session->out_used, bytes, count);
    session->out_used += count;
    want_write_locked(session, true);
}

void
session_send(struct session *session, const char *bytes, size_t count)
{
    ssize_t sent = 0;

    pthread_mutex_lock(&session->lock);
    if (session->fd >= 0 && !session->overrun) {
        if (session->out_used == 0)
            sent = push_locked(session, bytes, count);
        if (sent >= 0 && (size_t)sent < count)
            queue_locked(session, bytes + sent, count - (size_t)sent);
    }
    pthread_mutex_unlock(&session->lock);
}

void
session_sendf(struct session *session, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;
    int count;

    va_start(args, format);
    count = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (count > 0 && (size_t)count < sizeof line)
        session_send(session, line, (size_t)count);
}

void
session_flush(struct session *session)
{
    ssize_t sent;

    pthread_mutex_lock(&session->lock);
    sent = push_locked(session, session->out, session->out_used);
    if (sent > 0) {
        session->out_used -= (size_t)sent;
        memmove(session->out, session->out + sent, session->out_used);
    }
    if (sent < 0 || session->out_used == 0)
        want_write_locked(session, false);
    pthread_mutex_unlock(&session->lock);
}

void
session_close(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    if (session->fd >= 0)
        close(session->fd);
    session->fd = -1;
    pthread_mutex_unlock(&session->lock);
}

uint64_t
session_live(void)
{
    uint64_t created, destroyed, tracked;

    hk_type_counts(session_type, &created, &destroyed, &tracked);
    return created - destroyed;
}
