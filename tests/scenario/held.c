/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * held.c -- sessions, and who holds each of them is known.
 *
 * Of 14 live ones 12 are in hub.sessions, 4 of these in channel.subscribers,
 * too, and one of them is held by name; one is held by name alone, and one by
 * a variable.  The hub and the channel are held by variables.  Then 5 pairs of
 * a session and its peer are lost; each peer was linked back to its session
 * later.  Prints the address of hub.sessions[7] and of the one that a variable
 * holds, and waits until stdin ends.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "heapknot.h"

enum { SESSIONS = 12, SUBSCRIBERS = 4, LOST = 5 };

struct session {
    hk_object header;
    struct session *peer;
};
struct hub {
    hk_object header;
    struct session *sessions[SESSIONS];
};
struct channel {
    hk_object header;
    struct session *subscribers[SUBSCRIBERS];
};
struct peer {
    hk_object header;
    struct session *session;
};

static const hk_field session_fields[] = {
    {"peer", HK_REF, offsetof(struct session, peer), 0},
    {NULL, HK_END, 0, 0}};
static const hk_field hub_fields[] = {
    {"sessions", HK_REF_INLINE, offsetof(struct hub, sessions), SESSIONS},
    {NULL, HK_END, 0, 0}};
static const hk_field channel_fields[] = {
    {"subscribers", HK_REF_INLINE, offsetof(struct channel, subscribers),
     SUBSCRIBERS},
    {NULL, HK_END, 0, 0}};
static const hk_field peer_fields[] = {
    {"session", HK_REF, offsetof(struct peer, session), 0},
    {NULL, HK_END, 0, 0}};

static hk_type *types[4];
static struct hub *hub;
static struct channel *channel;
static struct session *mine;
static hk_token tokens[2];

static hk_type *
register_type(const char *name, size_t size, const hk_field *fields)
{
    hk_type_spec spec = {.struct_size = sizeof spec,
                         .name = name,
                         .size = size,
                         .fields = fields};
    hk_type *type = hk_type_register(&spec);

    if (!type)
        exit(1);
    return type;
}

__attribute__((noinline)) static void *
make(hk_type *type)
{
    void *object = hk_new(type);

    if (!object)
        exit(1);
    return object;
}

static void
fill(void)
{
    for (int i = 0; i < SESSIONS; i++)
        hub->sessions[i] = make(types[0]);
    for (int i = 0; i < SUBSCRIBERS; i++)
        channel->subscribers[i] = hk_newref(hub->sessions[i]);
    hk_hold(hub->sessions[5], &tokens[0], "worker queue");
    mine = make(types[0]);
    hk_hold(mine, &tokens[1], "worker queue");
    hk_decref(mine);
    mine = make(types[0]);
}

/* The back edge leads to a session that is some milliseconds older. */
__attribute__((noinline)) static void
lose(void)
{
    struct session *session = make(types[0]);
    struct peer *peer;

    usleep(20000);
    peer = make(types[3]);
    session->peer = (struct session *)(void *)peer;
    peer->session = hk_newref(session);
    hk_decref(session);
}

static int
watch_stdin(void)
{
    int waiting = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN};

    if (waiting < 0 || epoll_ctl(waiting, EPOLL_CTL_ADD, 0, &event) != 0)
        exit(1);
    return waiting;
}

int
main(void)
{
    int waiting = watch_stdin();

    types[0] = register_type("session", sizeof(struct session),
                             session_fields);
    types[1] = register_type("hub", sizeof(struct hub), hub_fields);
    types[2] = register_type("channel", sizeof(struct channel),
                             channel_fields);
    types[3] = register_type("peer", sizeof(struct peer), peer_fields);
    hub = make(types[1]);
    channel = make(types[2]);
    fill();
    for (int i = 0; i < LOST; i++)
        lose();
    printf("0x%lx 0x%lx\n", (unsigned long)hub->sessions[7],
           (unsigned long)mine);
    fflush(stdout);
    /* as a service waits, so that the agent gets its thread */
    while (epoll_wait(waiting, &(struct epoll_event){0}, 1, 100) == 0)
        continue;
    return 0;
}
