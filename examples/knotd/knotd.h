/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * knotd.h -- a small publish/subscribe server whose objects heapknot can see.
 *
 *      worker ── lines ──▶ command ──▶ hub ──▶ channel ⇄ session ──▶ socket
 *
 * A session (one connection) holds references to its channels, a channel
 * holds references to its subscribers: a cycle by design, which whoever ends
 * a connection has to open again.  Each session also owns a channel of its
 * own, its inbox, which is in no directory.
 *
 * LOCKS, in the order in which they may be taken:
 *      hub      directory, table of sessions, all sets of references, the
 *               lines retained by channels
 *      session  its socket and its outbound buffer
 *
 * WHO FREES.  Sessions and channels live by their reference count.  Neither
 * dealloc takes a lock, so the last reference may be dropped anywhere.
 */
#ifndef KNOTD_H
#define KNOTD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heapknot.h"

enum {
    LINE_BYTES = 1024,          /* longest line of a client */
    NAME_BYTES = 48,            /* longest name of a channel, with its NUL */
    RETAINED_LINES = 8,         /* lines a channel keeps for newcomers */
    OUTBOUND_BYTES = 256 * 1024 /* a slower reader than that is cut off */
};

/* --bug=: what this server does wrong on purpose; may be given repeatedly. */
enum bug {
    BUG_CYCLE = 1,  /* an abrupt disconnect leaves the inbox subscribed */
    BUG_REF = 2,    /* a publisher who hears itself is never released */
    BUG_MALLOC = 4, /* the audit line of a message is not freed */
    BUG_CACHE = 8   /* no bug: a cache that fills to its limit and stops */
};
extern unsigned knotd_bugs; /* of enum bug */

/* ---- refset.c: an array of strong references ---------------------------- */

struct refset {
    void **items;
    size_t count, capacity;
};

/* Takes a reference; -1 without memory. */
int refset_add(struct refset *set, void *obj);
/* Gives the set's reference to the caller; NULL if it is not there. */
void *refset_remove(struct refset *set, const void *obj);
bool refset_has(const struct refset *set, const void *obj);
/* Drops all references and the memory. */
void refset_clear(struct refset *set);

/* ---- channel.c ---------------------------------------------------------- */

struct channel {
    hk_object header;
    struct refset subscribers;     /* of struct session */
    struct channel *next_listed;   /* in the directory */
    bool listed;                   /* false: an inbox */
    unsigned retained_count;       /* lines ever retained */
    char *retained[RETAINED_LINES];
    char name[NAME_BYTES];
};

int channel_register(void);
struct channel *channel_new(const char *name, bool listed);
/* Keeps a copy of the line, in place of the oldest; false without memory. */
bool channel_retain(struct channel *channel, const char *line);
uint64_t channel_live(void);

/* ---- session.c ---------------------------------------------------------- */

struct worker;

struct session {
    hk_object header;
    struct refset channels; /* of struct channel; the first is the inbox */
    uint64_t id;
    struct session *next_by_id; /* in the hub's table */
    struct worker *worker;      /* whose thread alone reads and closes */

    pthread_mutex_t lock; /* for what follows, up to the blank line */
    int fd;               /* -1: closed */
    bool want_write;
    bool overrun;
    char *out; /* bytes not yet sent: out_used of out_capacity */
    size_t out_used, out_capacity;

    size_t in_used; /* the worker's own */
    char in[LINE_BYTES];
};

int session_register(void);
struct session *session_new(uint64_t id, int fd, struct worker *worker);
/* Sends or queues; silently nothing on a closed session. */
void session_send(struct session *session, const char *bytes, size_t count);
void session_sendf(struct session *session, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Sends what is queued, now that the socket takes more. */
void session_flush(struct session *session);
void session_close(struct session *session);
uint64_t session_live(void);

/* ---- hub.c: who is there, and who listens to what ----------------------- */

int hub_start(void);
/* Ends all sessions that are left and frees everything. */
void hub_stop(void);
/* A new session with its inbox, in the table; NULL without memory. */
struct session *hub_join(int fd, struct worker *worker);
/* Takes the session out of everything and drops the table's reference. */
void hub_leave(struct session *session, bool orderly);
/* 0, EEXIST, ENOENT, ENOMEM. */
int hub_subscribe(struct session *session, const char *name);
int hub_unsubscribe(struct session *session, const char *name);
/* Delivers to all subscribers of a channel ("@7": the inbox of session 7);
   how many there are, or -1 without memory. */
int hub_publish(struct session *from, const char *name, const char *payload);
uint64_t hub_published(void);

/* ---- topics.c: rendered topics, a bounded cache ------------------------- */

void topics_render(uint64_t session_id, const char *channel);
void topics_free(void);

/* ---- ballast.c: objects that are only there ----------------------------- */

/* -1 without memory. */
int ballast_start(size_t wanted);
void ballast_stop(void);

/* ---- command.c ---------------------------------------------------------- */

/* Runs one line; false if the client said goodbye. */
bool command_run(struct session *session, char *line);

/* ---- worker.c ----------------------------------------------------------- */

struct worker {
    pthread_t thread;
    int epoll;
};

int worker_start(struct worker *worker, int stop_fd);
/* Hands over a fresh connection; closes it when that fails. */
void worker_adopt(struct worker *worker, int fd);
/* The worker wants to hear when the session's socket takes more. */
void worker_want_write(struct session *session, bool want);

#endif
