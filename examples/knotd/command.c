/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * command.c -- the line protocol.
 *
 *      SUB chan            OK SUB chan     then OLD chan payload, MSG ...
 *      UNSUB chan          OK UNSUB chan
 *      PUB chan payload    OK PUB count    chan may be @ID, a session's inbox
 *      PING                PONG
 *      STATS               STATS sessions N channels N published N
 *      QUIT                BYE
 *
 * A subscriber gets MSG chan payload, also for what it published itself.
 * Anything wrong is answered with ERR and a reason.
 */
#include <errno.h>
#include <string.h>

#include "knotd.h"

/* Cuts the first word off; what follows it. */
static char *
cut_word(char *line)
{
    char *rest = strchr(line, ' ');

    if (!rest)
        return line + strlen(line);
    *rest = '\0';
    return rest + 1;
}

static bool
name_is_good(struct session *session, const char *name)
{
    if (*name && strlen(name) < NAME_BYTES && !strchr(name, ' '))
        return true;
    session_sendf(session, "ERR a channel needs a name, under %d bytes\n",
                  NAME_BYTES);
    return false;
}

static void
subscribe(struct session *session, char *name)
{
    int error;

    if (!name_is_good(session, name))
        return;
    error = name[0] == '@' ? EACCES : hub_subscribe(session, name);
    if (error)
        session_sendf(session, "ERR SUB %s: %s\n", name, strerror(error));
}

static void
unsubscribe(struct session *session, char *name)
{
    int error;

    if (!name_is_good(session, name))
        return;
    error = hub_unsubscribe(session, name);
    if (error)
        session_sendf(session, "ERR UNSUB %s: %s\n", name, strerror(error));
    else
        session_sendf(session, "OK UNSUB %s\n", name);
}

static void
publish(struct session *session, char *name)
{
    char *payload = cut_word(name);
    int count;

    if (!name_is_good(session, name))
        return;
    count = hub_publish(session, name, payload);
    if (count < 0)
        session_sendf(session, "ERR PUB %s: %s\n", name, strerror(ENOMEM));
    else
        session_sendf(session, "OK PUB %d\n", count);
}

static void
ping(struct session *session, char *rest)
{
    (void)rest;
    session_sendf(session, "PONG\n");
}

static void
stats(struct session *session, char *rest)
{
    (void)rest;
    session_sendf(session, "STATS sessions %llu channels %llu published %llu\n",
                  (unsigned long long)session_live(),
                  (unsigned long long)channel_live(),
                  (unsigned long long)hub_published());
}

bool
command_run(struct session *session, char *line)
{
    static const struct {
        const char *verb;
        void (*run)(struct session *session, char *rest);
    } commands[] = {
        {"SUB", subscribe}, {"UNSUB", unsubscribe}, {"PUB", publish},
        {"PING", ping},     {"STATS", stats},
    };
    char *rest = cut_word(line);

    if (strcmp(line, "QUIT") == 0) {
        session_sendf(session, "BYE\n");
        return false;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(line, commands[i].verb) == 0) {
            commands[i].run(session, rest);
            return true;
        }
    session_sendf(session, "ERR unknown command\n");
    return true;
}
