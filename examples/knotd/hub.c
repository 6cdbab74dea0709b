/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * hub.c -- who is there, and who listens to what.
 *
 * Two tables are the roots of everything: sessions by id, and the directory
 * of listed channels by name; each entry holds a reference.  A listed channel
 * leaves the directory with its last subscriber.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "knotd.h"

enum { BUCKETS = 1024 };

static pthread_mutex_t hub_lock = PTHREAD_MUTEX_INITIALIZER;
static struct session *sessions[BUCKETS];  /* by id */
static struct channel *directory[BUCKETS]; /* by name */
static uint64_t last_id;
static uint64_t published;

int
hub_start(void)
{
    return session_register() < 0 || channel_register() < 0 ? -1 : 0;
}

static struct channel **
directory_place(const char *name)
{
    uint32_t hash = 2166136261u;

    for (const char *c = name; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return &directory[hash % BUCKETS];
}

static struct channel *
find_listed_locked(const char *name)
{
    struct channel *channel = *directory_place(name);

    while (channel && strcmp(channel->name, name) != 0)
        channel = channel->next_listed;
    return channel;
}

static struct session *
find_session_locked(uint64_t id)
{
    struct session *session = sessions[id % BUCKETS];

    while (session && session->id != id)
        session = session->next_by_id;
    return session;
}

/* "@7" is the inbox of session 7, any other name is in the directory. */
static struct channel *
find_channel_locked(const char *name)
{
    struct session *session;

    if (name[0] != '@')
        return find_listed_locked(name);
    session = find_session_locked(strtoull(name + 1, NULL, 10));
    return session ? session->channels.items[0] : NULL;
}

/* The directory keeps the reference of channel_new. */
static struct channel *
list_new_locked(const char *name)
{
    struct channel **place = directory_place(name);
    struct channel *channel = channel_new(name, true);

    if (channel) {
        channel->next_listed = *place;
        *place = channel;
    }
    return channel;
}

static void
unlist_locked(struct channel *channel)
{
    struct channel **place = directory_place(channel->name);

    while (*place != channel)
        place = &(*place)->next_listed;
    *place = channel->next_listed;
    hk_decref(channel);
}

/* Both ends of a subscription. */
static int
tie_locked(struct session *session, struct channel *channel)
{
    if (refset_add(&session->channels, channel) < 0)
        return ENOMEM;
    if (refset_add(&channel->subscribers, session) < 0) {
        refset_remove(&session->channels, channel);
        hk_decref(channel);
        return ENOMEM;
    }
    return 0;
}

static void
untie_locked(struct session *session, struct channel *channel)
{
    struct session *subscriber = refset_remove(&channel->subscribers, session);
    struct channel *subscribed = refset_remove(&session->channels, channel);

    if (channel->listed && channel->subscribers.count == 0)
        unlist_locked(channel);
    hk_decref(subscribed);
    hk_decref(subscriber);
}

/* The reference of the result belongs to the table. */
static struct session *
join_locked(int fd, struct worker *worker)
{
    struct session *session = session_new(++last_id, fd, worker);
    struct channel *inbox = session ? channel_new("inbox", false) : NULL;
    int error = inbox ? tie_locked(session, inbox) : ENOMEM;

    hk_xdecref(inbox);
    if (error) {
        hk_xdecref(session);
        return NULL;
    }
    session->next_by_id = sessions[session->id % BUCKETS];
    sessions[session->id % BUCKETS] = session;
    return session;
}

struct session *
hub_join(int fd, struct worker *worker)
{
    struct session *session;

    pthread_mutex_lock(&hub_lock);
    session = join_locked(fd, worker);
    pthread_mutex_unlock(&hub_lock);
    return session;
}

/*
 * An orderly end and an abrupt one should do the same.  With --bug=cycle the
 * abrupt one leaves the channels that others can see, and forgets the inbox:
 * session and inbox then hold each other, and nobody else holds them.
 */
static void
untie_all_locked(struct session *session, bool orderly)
{
    size_t keep = !orderly && (knotd_bugs & BUG_CYCLE) ? 1 : 0;

    while (session->channels.count > keep)
        untie_locked(session,
                     session->channels.items[session->channels.count - 1]);
}

static void
leave_locked(struct session *session, bool orderly)
{
    struct session **place = &sessions[session->id % BUCKETS];

    while (*place != session)
        place = &(*place)->next_by_id;
    *place = session->next_by_id;
    untie_all_locked(session, orderly);
    hk_decref(session);
}

void
hub_leave(struct session *session, bool orderly)
{
    session_close(session);
    pthread_mutex_lock(&hub_lock);
    leave_locked(session, orderly);
    pthread_mutex_unlock(&hub_lock);
}

void
hub_stop(void)
{
    for (int i = 0; i < BUCKETS; i++)
        while (sessions[i])
            hub_leave(sessions[i], true);
}

/* A newcomer hears what was said last. */
static void
replay_locked(struct session *session, const struct channel *channel)
{
    unsigned count = channel->retained_count;
    unsigned first = count > RETAINED_LINES ? count - RETAINED_LINES : 0;

    for (unsigned i = first; i < count; i++)
        session_sendf(session, "OLD %s", channel->retained[i % RETAINED_LINES]);
}

static int
subscribe_locked(struct session *session, const char *name)
{
    struct channel *channel = find_listed_locked(name);
    int error;

    if (channel && refset_has(&session->channels, channel))
        return EEXIST;
    if (!channel && !(channel = list_new_locked(name)))
        return ENOMEM;
    error = tie_locked(session, channel);
    if (!error) {
        session_sendf(session, "OK SUB %s\n", name);
        replay_locked(session, channel);
    } else if (channel->subscribers.count == 0)
        unlist_locked(channel);
    return error;
}

int
hub_subscribe(struct session *session, const char *name)
{
    int error;

    pthread_mutex_lock(&hub_lock);
    error = subscribe_locked(session, name);
    pthread_mutex_unlock(&hub_lock);
    return error;
}

int
hub_unsubscribe(struct session *session, const char *name)
{
    struct channel *channel;
    int error = ENOENT;

    pthread_mutex_lock(&hub_lock);
    channel = find_listed_locked(name);
    if (channel && refset_has(&session->channels, channel)) {
        untie_locked(session, channel);
        error = 0;
    }
    pthread_mutex_unlock(&hub_lock);
    return error;
}

/*
 * A line for the log: who said how much.  There is no log in this example,
 * so it is made, measured and freed; with --bug=malloc it is not freed.
 */
static size_t
audit_message(const struct session *from, const char *line)
{
    size_t bytes = strlen(line) + 64;
    char *audit = malloc(bytes);
    int used;

    if (!audit)
        return 0;
    used = snprintf(audit, bytes, "session=%llu bytes=%zu line=%s",
                    (unsigned long long)from->id, strlen(line), line);
    if (!(knotd_bugs & BUG_MALLOC))
        free(audit);
    return (size_t)used;
}

/* Retains the line and gives the subscribers of this moment, with a reference
   each, so that sending needs no hub; NULL if there are none, or no memory. */
static void **
receivers_locked(struct session *from, const char *name, const char *line,
                 int *count)
{
    struct channel *channel = find_channel_locked(name);
    void **receivers;

    *count = 0;
    if (!channel || channel->subscribers.count == 0)
        return NULL;
    *count = -1;
    receivers = malloc(channel->subscribers.count * sizeof *receivers);
    if (!receivers || !channel_retain(channel, line) ||
        !audit_message(from, line)) {
        free(receivers);
        return NULL;
    }
    *count = (int)channel->subscribers.count;
    for (int i = 0; i < *count; i++)
        receivers[i] = hk_newref(channel->subscribers.items[i]);
    return receivers;
}

/* With --bug=ref the reference of a publisher who hears itself is kept. */
static void
deliver(const struct session *from, struct session *to, const char *message)
{
    session_send(to, message, strlen(message));
    if (to == from && (knotd_bugs & BUG_REF))
        return;
    hk_decref(to);
}

int
hub_publish(struct session *from, const char *name, const char *payload)
{
    char message[LINE_BYTES + 16];
    void **receivers;
    int count;

    snprintf(message, sizeof message, "MSG %s %s\n", name, payload);
    pthread_mutex_lock(&hub_lock);
    receivers = receivers_locked(from, name, message + 4, &count);
    published++;
    pthread_mutex_unlock(&hub_lock);
    if (knotd_bugs & BUG_CACHE)
        topics_render(from->id, name);
    for (int i = 0; i < count; i++)
        deliver(from, receivers[i], message);
    free(receivers);
    return count;
}

uint64_t
hub_published(void)
{
    uint64_t count;

    pthread_mutex_lock(&hub_lock);
    count = published;
    pthread_mutex_unlock(&hub_lock);
    return count;
}
