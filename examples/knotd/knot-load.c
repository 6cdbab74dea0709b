/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * knot-load.c -- clients for knotd: subscribe, publish, check, disconnect.
 *
 *      knot-load --port=N [--clients=N] [--seconds=S | --rounds=N] [--rate=N]
 *                [--messages=N] [--channels=N] [--abrupt=PERCENT] [--seed=N]
 *                [--latency]
 *
 * Each client is a thread that makes one connection after the other.  In a
 * round it subscribes to a channel, publishes to it, and waits for each of its
 * own messages to come back, whole and in order; then it writes to its inbox,
 * and leaves with QUIT, or abruptly: by RST or by half-closing.  The same seed
 * makes the same rounds.  --rate is messages a second of all clients together.
 *
 * Prints one line of counts, with --latency one of how long messages took to
 * come back, in us, then the server's STATS when everything that can go has
 * gone.  Exit 1 if a message was lost.
 */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "latency.h"

enum { CLIENTS_MAX = 256, INPUT_BYTES = 8192, WAIT_SECONDS = 10 };

static struct {
    int port, clients, seconds, rounds, rate, messages, channels, abrupt, seed;
    bool latency;
} options = {
    .clients = 8, .messages = 4, .channels = 16, .abrupt = 25, .seed = 1};

struct client {
    pthread_t thread;
    int number, fd;
    uint64_t random;
    uint64_t id; /* of the session */
    uint64_t connections, abrupt, published, received, lost;
    uint64_t due_ns; /* the next message, with --rate */
    struct latency latency;
    char in[INPUT_BYTES];
    size_t in_start, in_end;
};

static uint64_t end_ns;

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static unsigned
draw(struct client *client, int below)
{
    client->random = client->random * UINT64_C(6364136223846793005) +
                     UINT64_C(1442695040888963407);
    return (unsigned)(client->random >> 33) % (unsigned)below;
}

static int
open_connection(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)options.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = WAIT_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool
send_line(struct client *client, const char *line)
{
    size_t count = strlen(line);

    return send(client->fd, line, count, MSG_NOSIGNAL) == (ssize_t)count;
}

static bool
fill(struct client *client)
{
    size_t used = client->in_end - client->in_start;
    ssize_t n;

    memmove(client->in, client->in + client->in_start, used);
    client->in_start = 0;
    client->in_end = used;
    n = recv(client->fd, client->in + used, sizeof client->in - used, 0);
    if (n > 0)
        client->in_end += (size_t)n;
    return n > 0;
}

/* The next line without its end, valid until the next call; NULL: none came. */
static char *
read_line(struct client *client)
{
    for (;;) {
        char *start = client->in + client->in_start;
        char *end = memchr(start, '\n', client->in_end - client->in_start);

        if (end) {
            *end = '\0';
            client->in_start = (size_t)(end + 1 - client->in);
            return start;
        }
        if (!fill(client))
            return NULL;
    }
}

/* Reads until a line begins with this, counting messages of others. */
static char *
expect(struct client *client, const char *start)
{
    char *line;

    while ((line = read_line(client))) {
        if (strncmp(line, "MSG ", 4) == 0)
            client->received++;
        if (strncmp(line, start, strlen(start)) == 0)
            return line;
    }
    return NULL;
}

/* Waits until the next message is due.  When its time begins: a client that
   comes too late was held up by the one before, so that a stall of the server
   counts for all that it delays. */
static uint64_t
pace(struct client *client)
{
    uint64_t gap = UINT64_C(1000000000) * (uint64_t)options.clients;
    struct timespec due;

    if (!options.rate)
        return now_ns();
    client->due_ns += gap / (uint64_t)options.rate;
    if (now_ns() > client->due_ns)
        return client->due_ns;
    due.tv_sec = (time_t)(client->due_ns / UINT64_C(1000000000));
    due.tv_nsec = (long)(client->due_ns % UINT64_C(1000000000));
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
    return now_ns();
}

/* Publishes one message, and waits for it to come back whole. */
static bool
publish(struct client *client, const char *channel, int serial)
{
    char line[256], echo[256], body[128];
    char *got;
    int fill_bytes = 8 + (int)draw(client, 80);
    uint64_t start_ns;

    snprintf(body, sizeof body, "%llu/%d:%.*s", (unsigned long long)client->id,
             serial, fill_bytes,
             "the quick brown fox jumps over the lazy dog and "
             "the lazy dog dreams of the quick brown fox");
    snprintf(line, sizeof line, "PUB %s %s\n", channel, body);
    snprintf(echo, sizeof echo, "MSG %s %llu/%d:", channel,
             (unsigned long long)client->id, serial);
    start_ns = pace(client);
    client->published++;
    if (!send_line(client, line))
        return false;
    got = expect(client, echo);
    latency_add(&client->latency, now_ns() - start_ns);
    return got && strcmp(got + 5 + strlen(channel), body) == 0;
}

static bool
subscribe(struct client *client, const char *channel)
{
    char line[80];

    snprintf(line, sizeof line, "SUB %s\n", channel);
    return send_line(client, line) && expect(client, "OK SUB ");
}

static bool
unsubscribe(struct client *client, const char *channel)
{
    char line[80];

    snprintf(line, sizeof line, "UNSUB %s\n", channel);
    return send_line(client, line) && expect(client, "OK UNSUB ");
}

static bool
talk(struct client *client)
{
    char channel[32], inbox[32];
    int count = 1 + (int)draw(client, options.messages);

    snprintf(channel, sizeof channel, "room-%u",
             draw(client, options.channels));
    snprintf(inbox, sizeof inbox, "@%llu", (unsigned long long)client->id);
    if (!subscribe(client, channel))
        return false;
    for (int i = 0; i < count; i++)
        if (!publish(client, channel, i))
            return false;
    if (!publish(client, inbox, count))
        return false;
    return draw(client, 2) == 0 || unsubscribe(client, channel);
}

/* RST: the server learns by an error; half-close: by the end of the stream. */
static void
leave_abruptly(struct client *client)
{
    struct linger reset = {.l_onoff = 1, .l_linger = 0};

    client->abrupt++;
    if (draw(client, 2))
        setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    else {
        shutdown(client->fd, SHUT_WR);
        while (fill(client))
            client->in_start = client->in_end = 0;
    }
}

static bool
leave(struct client *client)
{
    if ((int)draw(client, 100) < options.abrupt) {
        leave_abruptly(client);
        return true;
    }
    return send_line(client, "QUIT\n") && expect(client, "BYE");
}

static bool
hello(struct client *client)
{
    char *line;

    client->in_start = client->in_end = 0;
    line = expect(client, "HELLO ");
    client->id = line ? strtoull(line + 6, NULL, 10) : 0;
    return line != NULL;
}

static bool
play_round(struct client *client)
{
    bool good;

    client->fd = open_connection();
    if (client->fd < 0)
        return false;
    client->connections++;
    good = hello(client) && talk(client) && leave(client);
    close(client->fd);
    return good;
}

static void *
run_client(void *arg)
{
    struct client *client = arg;
    int round = 0;

    client->due_ns = now_ns();
    while (options.rounds ? round < options.rounds : now_ns() < end_ns) {
        round++;
        if (play_round(client))
            continue;
        client->lost++;
        fprintf(stderr, "knot-load: client %d lost a message in round %d\n",
                client->number, round);
        break;
    }
    return NULL;
}

/* The server's counts, from a connection that has one session and one channel
   itself; asks again while abrupt ends are still on their way to it. */
static bool
print_stats(struct client *client)
{
    static const char rest[] = "STATS sessions 1 channels 1 ";
    uint64_t patience_ns = now_ns() + UINT64_C(2000000000);
    struct timespec pause = {.tv_nsec = 20000000};
    char *line;

    client->fd = open_connection();
    if (client->fd < 0 || !hello(client))
        return false;
    do {
        nanosleep(&pause, NULL);
        line = send_line(client, "STATS\n") ? expect(client, "STATS ") : NULL;
    } while (line && strncmp(line, rest, sizeof rest - 1) != 0 &&
             now_ns() < patience_ns);
    if (line)
        printf("%s\n", line);
    send_line(client, "QUIT\n");
    expect(client, "BYE");
    close(client->fd);
    return line != NULL;
}

static bool
parse_option(const char *arg)
{
    const struct {
        const char *name;
        int *value;
        int low, high;
    } table[] = {
        {"--port=", &options.port, 1, 65535},
        {"--clients=", &options.clients, 1, CLIENTS_MAX},
        {"--seconds=", &options.seconds, 0, 1000000},
        {"--rounds=", &options.rounds, 0, 100000000},
        {"--rate=", &options.rate, 0, 10000000},
        {"--messages=", &options.messages, 1, 1000000},
        {"--channels=", &options.channels, 1, 1000000},
        {"--abrupt=", &options.abrupt, 0, 100},
        {"--seed=", &options.seed, 0, INT32_MAX},
    };

    if (strcmp(arg, "--latency") == 0)
        return options.latency = true;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t length = strlen(table[i].name);
        char *end;
        long value;

        if (strncmp(arg, table[i].name, length) != 0)
            continue;
        value = strtol(arg + length, &end, 10);
        *table[i].value = (int)value;
        return end > arg + length && !*end && value >= table[i].low &&
               value <= table[i].high;
    }
    return false;
}

static void
add_up(struct client *sum, const struct client *client)
{
    sum->connections += client->connections;
    sum->abrupt += client->abrupt;
    sum->published += client->published;
    sum->received += client->received;
    sum->lost += client->lost;
    latency_merge(&sum->latency, &client->latency);
}

static void
print_latency(const struct latency *latency)
{
    printf("latency messages %llu p50 %.1f p99 %.1f p99.9 %.1f max %.1f\n",
           (unsigned long long)latency->count,
           (double)latency_percentile(latency, 0.5) / 1e3,
           (double)latency_percentile(latency, 0.99) / 1e3,
           (double)latency_percentile(latency, 0.999) / 1e3,
           (double)latency->max_ns / 1e3);
}

static void
run_all(struct client *clients, struct client *sum)
{
    for (int i = 0; i < options.clients; i++) {
        clients[i].number = i;
        clients[i].random = (uint64_t)options.seed * 1000003u + (unsigned)i;
        draw(&clients[i], 2);
        if (pthread_create(&clients[i].thread, NULL, run_client,
                           &clients[i]) != 0) {
            perror("knot-load: pthread_create");
            exit(1);
        }
    }
    for (int i = 0; i < options.clients; i++) {
        pthread_join(clients[i].thread, NULL);
        add_up(sum, &clients[i]);
    }
}

int
main(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX], sum;
    uint64_t start_ns = now_ns();

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i])) {
            fprintf(stderr, "knot-load: cannot use %s\n", argv[i]);
            return 2;
        }
    if (!options.port) {
        fprintf(stderr, "knot-load: --port= is needed\n");
        return 2;
    }
    if (!options.seconds && !options.rounds)
        options.seconds = 2;
    end_ns = start_ns + UINT64_C(1000000000) * (uint64_t)options.seconds;
    run_all(clients, &sum);
    printf("connections %llu abrupt %llu published %llu received %llu "
           "lost %llu seconds %.2f\n",
           (unsigned long long)sum.connections, (unsigned long long)sum.abrupt,
           (unsigned long long)sum.published, (unsigned long long)sum.received,
           (unsigned long long)sum.lost, (double)(now_ns() - start_ns) / 1e9);
    if (options.latency)
        print_latency(&sum.latency);
    if (!print_stats(&sum))
        sum.lost++;
    return sum.lost ? 1 : 0;
}
