/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * disturb_adopt.c -- objects that are adopted after they were allocated.
 *
 * The first block of the process, and another one, are objects that refer to
 * themselves: cycles, once nobody else does.  Where they were created is where
 * malloc was called, in first_maker and second_maker, and not where they were
 * adopted.  The very first stack has the smallest id that there is, which an
 * agent may take for a mark of its own, "not sampled".
 *
 * Allocates until stdin ends, so that scans have time.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "heapknot.h"

/* The makers are alike, and are not to become one. */
#if defined(__GNUC__) && !defined(__clang__)
#define NOIPA __attribute__((noipa))
#else
#define NOIPA __attribute__((noinline))
#endif

struct foreign {
    uint64_t references;
    struct foreign *self;
    char payload[100];
};

static const hk_field fields[] = {
    {"self", HK_REF, offsetof(struct foreign, self), 0},
    {NULL, HK_END, 0, 0},
};
static const hk_type_spec spec = {
    .struct_size = sizeof(hk_type_spec),
    .name = "foreign",
    .size = sizeof(struct foreign),
    .flags = HK_TYPE_FOREIGN,
    .fields = fields,
    .refcount_offset = offsetof(struct foreign, references),
    .refcount_width = sizeof(uint64_t),
};
static struct foreign *first, *second;

static struct foreign *
own_itself(struct foreign *object)
{
    if (!object)
        abort();
    object->references = 1;
    object->self = object;
    return object;
}

static NOIPA struct foreign *
first_maker(void)
{
    return own_itself(calloc(1, sizeof *first));
}

static NOIPA struct foreign *
second_maker(void)
{
    return own_itself(calloc(1, sizeof *second));
}

static __attribute__((constructor)) void
before_all(void)
{
    first = first_maker();
}

static NOIPA int
adopt_both(hk_type *type)
{
    int status = hk_adopt(first, type) | hk_adopt(second, type);

    first = second = NULL;
    return status;
}

static void
churn(void)
{
    for (int i = 0; i < 1000; i++) {
        void *block = malloc(64);

        __asm__ volatile("" : : "r"(block) : "memory");
        free(block);
    }
}

int
main(void)
{
    hk_type *type = hk_type_register(&spec);
    struct pollfd input = {.fd = 0, .events = POLLIN};

    second = second_maker();
    if (!type || adopt_both(type) != 0) {
        fprintf(stderr, "%s\n", hk_last_error());
        return 1;
    }
    while (poll(&input, 1, 1) == 0)
        churn();
    return 0;
}
