/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * 11-scope.c -- a scope that releases what it acquired.
 *
 * Most leaks of references are not cycles: they are a return in the middle of
 * a function, added later by somebody who did not see what had to be released.
 * A variable that is declared with HK_AUTO drops its reference at the end of
 * its scope, by whatever way that is left: return, break, goto, the end.
 *
 * What goes out alive is moved out with hk_moveref(), which leaves NULL behind,
 * and NULL releases nothing.  So the last line of a function that makes
 * something says who owns it now.
 *
 * What to see: one function with four exits, taken each in turn, and nothing
 * left behind; a copy made in each turn of a loop; a result that survives.
 *
 * In Python: with open(path) as file, and contextlib.ExitStack.pop_all().
 */
#include "tour.h"

struct buffer {
    hk_object head;
    int size;
};

struct reply {
    hk_object head;
    struct buffer *header, *body;
};

static const hk_type_spec buffer_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "buffer",
    .size = sizeof(struct buffer),
    .flags = HK_TYPE_LEAF,
};

static const hk_field reply_fields[] = {
    {"header", HK_REF, offsetof(struct reply, header), 0},
    {"body", HK_REF, offsetof(struct reply, body), 0},
    {0}};

static const hk_type_spec reply_spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "reply",
    .size = sizeof(struct reply),
    .fields = reply_fields,
};

static hk_type *buffer_type, *reply_type;

static struct buffer *
read_buffer(int size)
{
    struct buffer *buffer = must(hk_new(buffer_type));

    buffer->size = size;
    return buffer;
}

/* The caller owns the reply.  NULL where the request is bad. */
static struct reply *
answer(int header_size, int body_size)
{
    HK_AUTO struct buffer *header = read_buffer(header_size);
    HK_AUTO struct reply *reply = NULL;
    struct reply *result = NULL;

    if (header->size == 0)
        return NULL; /* header goes */

    HK_AUTO struct buffer *body = read_buffer(body_size);

    if (body->size == 0)
        return NULL; /* header and body go */
    reply = must(hk_new(reply_type));
    hk_setref(&reply->header, header);
    if (body->size > 100)
        return NULL; /* all three go */
    hk_setref(&reply->body, body);
    hk_moveref(&result, &reply); /* out of the scope, alive */
    return result;
}

static void
try(int header_size, int body_size)
{
    HK_AUTO struct reply *reply = answer(header_size, body_size);

    printf("header %d, body %3d: %s", header_size, body_size,
           reply ? "a reply" : "no reply");
    printf(", alive %d buffers, %d replies\n", alive(buffer_type),
           alive(reply_type));
}

/* The size of the first buffer that is large enough. */
static int
first_of(int wanted)
{
    int size = 0;

    for (int i = 1;; i *= 2) {
        HK_AUTO struct buffer *buffer = read_buffer(i);

        size = buffer->size;
        if (size >= wanted)
            break; /* this one, too */
    }
    return size;
}

int
main(void)
{
    buffer_type = must(hk_type_register(&buffer_spec));
    reply_type = must(hk_type_register(&reply_spec));
    try(0, 0);
    try(1, 0);
    try(1, 101);
    try(1, 100);
    printf("left behind: %d buffers, %d replies\n", alive(buffer_type),
           alive(reply_type));
    printf("the loop found one of %d", first_of(50));
    printf(" and left %d\n", alive(buffer_type));
    return 0;
}
