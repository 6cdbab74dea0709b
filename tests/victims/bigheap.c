/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * bigheap.c -- a service whose heap is large, busy and of constant size.
 *
 *      bigheap [--mib=N] [--cycles=N] [--churn=N] [--seed=N]
 *
 * Half of --mib is objects of 128 bytes, in families of eight that refer to one
 * another at random, each held by a global table; half is blocks of 64 to 4096
 * bytes.  Some --cycles of two objects are dropped: there is something to find.
 * Then it prints "ready", and each millisecond replaces --churn families and
 * as many blocks by others of the same size, until a line comes on stdin; then
 * "steps N".  What is live never grows, nor do the places where it is made.
 */
#define _GNU_SOURCE 1
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heapknot.h"

enum { LINKS = 2, FAMILY = 8, BLOCK_BYTES_MAX = 4096, BLOCK_BYTES_MEAN = 2080 };

struct object {
    hk_object header;
    struct object *link[LINKS];
    unsigned char payload[96];
};
_Static_assert(sizeof(struct object) == 128, "as the head says");

static const hk_field fields[] = {
    {"link", HK_REF_INLINE, offsetof(struct object, link), LINKS},
    {NULL, HK_END, 0, 0},
};

static struct {
    int mib, cycles, churn, seed;
} options = {64, 100, 20, 1};

static hk_type *type;
static struct object **objects;
static void **blocks;
static uint32_t *block_bytes;
static size_t object_count, block_count;
static uint64_t state;

static size_t
draw(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 16) % below;
}

static void *
checked(void *memory)
{
    if (memory)
        return memory;
    fputs("bigheap: out of memory\n", stderr);
    exit(1);
}

static struct object *
object_new(void)
{
    return checked(hk_new(type));
}

static void
block_new(size_t i)
{
    blocks[i] = checked(malloc(block_bytes[i]));
    memset(blocks[i], 1, block_bytes[i]);
}

static void
make_family(struct object **family)
{
    for (int i = 0; i < FAMILY; i++)
        family[i] = object_new();
    for (int i = 0; i < FAMILY * LINKS; i++)
        hk_setref(&family[i / LINKS]->link[i % LINKS], family[draw(FAMILY)]);
}

static void
end_family(struct object **family)
{
    for (int i = 0; i < FAMILY * LINKS; i++)
        hk_clearref(&family[i / LINKS]->link[i % LINKS]);
    for (int i = 0; i < FAMILY; i++)
        hk_decref(family[i]);
}

static void
drop_cycle(void)
{
    struct object *a = object_new(), *b = object_new();

    a->link[0] = b;
    b->link[0] = a;
    hk_incref(a);
    hk_decref(a);
}

static void
fill(void)
{
    size_t bytes = (size_t)options.mib << 19;

    object_count = bytes / sizeof(struct object); /* a multiple of FAMILY */
    block_count = bytes / BLOCK_BYTES_MEAN;
    objects = checked(calloc(object_count, sizeof *objects));
    blocks = checked(calloc(block_count, sizeof *blocks));
    block_bytes = checked(calloc(block_count, sizeof *block_bytes));
    for (size_t i = 0; i < object_count; i += FAMILY)
        make_family(objects + i);
    for (size_t i = 0; i < block_count; i++) {
        block_bytes[i] = 64 + (uint32_t)draw(BLOCK_BYTES_MAX - 63);
        block_new(i);
    }
    for (int i = 0; i < options.cycles; i++)
        drop_cycle();
}

static uint64_t
churn(void)
{
    struct pollfd line = {.fd = 0, .events = POLLIN};
    uint64_t steps = 0;

    for (; poll(&line, 1, 1) == 0; steps++)
        for (int n = 0; n < options.churn; n++) {
            size_t i = draw(block_count);
            struct object **family =
                objects + FAMILY * draw(object_count / FAMILY);

            free(blocks[i]);
            block_new(i);
            end_family(family);
            make_family(family);
        }
    return steps;
}

static bool
parse_option(const char *arg)
{
    return sscanf(arg, "--mib=%d", &options.mib) == 1 ||
           sscanf(arg, "--cycles=%d", &options.cycles) == 1 ||
           sscanf(arg, "--churn=%d", &options.churn) == 1 ||
           sscanf(arg, "--seed=%d", &options.seed) == 1;
}

int
main(int argc, char **argv)
{
    hk_type_spec spec = {.struct_size = sizeof spec,
                         .name = "object",
                         .size = sizeof(struct object),
                         .fields = fields};

    for (int i = 1; i < argc; i++)
        if (!parse_option(argv[i]) || options.mib < 1) {
            fprintf(stderr, "bigheap: %s makes no sense\n", argv[i]);
            return 2;
        }
    state = ((uint64_t)options.seed << 16) + 88172645463325252;
    type = checked(hk_type_register(&spec));
    fill();
    puts("ready");
    fflush(stdout);
    printf("steps %ju\n", (uintmax_t)churn());
    return 0;
}
