/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * tour.h -- three words that every lesson uses.
 */
#ifndef TOUR_H
#define TOUR_H

#include <heapknot.h>
#include <stdio.h>
#include <stdlib.h>

/* What hk_type_register or hk_new returned; ends the lesson if that failed. */
static inline void *
must(void *made)
{
    if (!made) {
        fprintf(stderr, "%s\n", hk_last_error());
        exit(1);
    }
    return made;
}

/* Objects of a type that were created and have not died. */
static inline int
alive(const hk_type *type)
{
    uint64_t created, destroyed;

    hk_type_counts(type, &created, &destroyed, NULL);
    return (int)(created - destroyed);
}

static inline const char *
yes_no(int answer)
{
    return answer ? "yes" : "no";
}

#endif
