/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * ballast.c -- objects that are only there: as many as a large service has,
 * each with two references to others at random, so that a scan has work.
 */
#include <stdlib.h>

#include "knotd.h"

struct ballast {
    hk_object header;
    struct ballast *left, *right;
};

static const hk_field fields[] = {
    {"left", HK_REF, offsetof(struct ballast, left), 0},
    {"right", HK_REF, offsetof(struct ballast, right), 0},
    {0}};

static struct ballast **all;
static size_t count;

static struct ballast *
draw(uint64_t *random)
{
    *random = *random * UINT64_C(6364136223846793005) +
              UINT64_C(1442695040888963407);
    return hk_newref(all[(*random >> 16) % count]);
}

int
ballast_start(size_t wanted)
{
    hk_type_spec spec = {.struct_size = sizeof spec,
                         .name = "ballast",
                         .size = sizeof(struct ballast),
                         .fields = fields};
    hk_type *type = hk_type_register(&spec);
    uint64_t random = 1;

    all = calloc(wanted, sizeof *all);
    if (!type || !all)
        return -1;
    for (; count < wanted; count++)
        if (!(all[count] = hk_new(type)))
            return -1;
    for (size_t i = 0; i < count; i++) {
        all[i]->left = draw(&random);
        all[i]->right = draw(&random);
    }
    return 0;
}

/* Random references make cycles: all are opened first. */
void
ballast_stop(void)
{
    for (size_t i = 0; i < count; i++) {
        hk_clearref(&all[i]->left);
        hk_clearref(&all[i]->right);
    }
    for (size_t i = 0; i < count; i++)
        hk_decref(all[i]);
    free(all);
}
