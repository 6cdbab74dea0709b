/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 13-http-client.c -- the leak of an HTTP client, found and mended.
 *
 * A response reads its body from the connection, so it owns one.  A connection
 * knows the response that is being read from it, so that nobody else reads in
 * between: and if it owns that, every response that was not read to its end is
 * a cycle.  HTTP clients in many languages have had this leak, with sockets in
 * it.
 *
 * Here hk_gc_scan() finds it, as a test would: it looks and touches nothing.
 * The mended client is the same but for one field: the connection refers to its
 * response weakly.
 *
 * What to see: the leaking client leaves two objects for each request that was
 * given up; the scan counts them and they are all still there; with the weak
 * field nothing is left to find.  `heapknot run -- ./13-http-client --wait`
 * shows the same in `heapknot cycles`, with the stacks of whom to ask.
 *
 * In Python: gc.set_debug(gc.DEBUG_SAVEALL), or a test that asserts that
 * gc.collect() == 0.
 */
#include "tour.h"

#include <string.h>
#include <unistd.h>

enum { REQUESTS = 100 };

struct response {
    hk_object head;
    struct connection *connection; /* to read the body from */
    int unread_bytes;
};

/* Each client uses one of the two fields. */
struct connection {
    hk_object head;
    struct response *response; /* owned: the mistake */
    hk_weak *weak_response;    /* not owned: mended */
};

static const hk_field response_fields[] = {
    {"connection", HK_REF, offsetof(struct response, connection), 0}, {0}};
static const hk_field connection_fields[] = {
    {"response", HK_REF, offsetof(struct connection, response), 0},
    {"weak_response", HK_WEAKREF, offsetof(struct connection, weak_response),
     0},
    {0}};

static hk_type *response_type, *connection_type;

static hk_type *
make_type(const char *name, size_t size, const hk_field *fields)
{
    hk_type_spec spec = {
        .struct_size = sizeof(spec),
        .name = name,
        .size = size,
        .fields = fields,
    };

    return must(hk_type_register(&spec));
}

/* The caller owns the response, and through it the connection. */
static struct response *
get(int mended, int bytes)
{
    struct response *response = must(hk_new(response_type));
    struct connection *connection = must(hk_new(connection_type));

    if (mended)
        connection->weak_response = must(hk_weak_new(response, NULL, NULL));
    else
        hk_setref(&connection->response, response);
    hk_moveref(&response->connection, &connection);
    response->unread_bytes = bytes;
    return response;
}

/* All of it was read: the connection is free for the next one. */
static void
read_body(struct response *response)
{
    response->unread_bytes = 0;
    hk_clearref(&response->connection->response);
}

/* Every fourth answer is a page not found, whose body nobody reads. */
static void
work(int mended)
{
    for (int i = 0; i < REQUESTS; i++) {
        HK_AUTO struct response *response = get(mended, 512);

        if (i % 4 != 0)
            read_body(response);
    }
}

static void
show(const char *when)
{
    hk_gc_result result = {.struct_size = sizeof(result)};

    if (hk_gc_scan(2, &result) != 0)
        fprintf(stderr, "%s\n", hk_last_error());
    printf("%s: %d responses and %d connections alive, %d unreachable\n", when,
           alive(response_type), alive(connection_type),
           (int)result.unreachable);
}

int
main(int argc, char **argv)
{
    response_type =
        make_type("response", sizeof(struct response), response_fields);
    connection_type =
        make_type("connection", sizeof(struct connection), connection_fields);
    work(0);
    show("the client that leaks");
    show("after a scan");
    if (argc > 1 && strcmp(argv[1], "--wait") == 0)
        sleep(30); /* time for the agent to scan */
    printf("collected: %d\n", (int)hk_gc_collect(2));
    work(1);
    show("the mended client");
    return 0;
}
