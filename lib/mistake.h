/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * mistake.h -- what a program does wrong with its objects, and telling it.
 */
#ifndef HK_LIB_MISTAKE_H
#define HK_LIB_MISTAKE_H

#include <stdint.h>

#include "heapknot.h"

/*
 * Reports one mistake of kind HK_ERROR_*: to the program's hk_error_fn or else
 * on stderr, and to the recording with the stacks at hand.  object is the
 * struct; it is only compared and printed, never followed; type may be NULL;
 * slot is the object's record, or 0.  Of an object without a record the
 * quarantine is asked.  The format says what was done, as in "tracked twice":
 * type and address are added.  Keeps errno and the thread's sentence.
 * Returns, unless HK_ABORT_ON_ERROR is set.
 */
void mistake(int kind, const void *object, const hk_type *type, uint32_t slot,
             const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Where it began and what came last, as stacks; 0: unknown. */
struct mistake_past {
    uint32_t origin; /* creation, or the hold that was put twice */
    uint32_t last;   /* last release, death, or the first put */
};
/* The same, of whoever knows the past. */
void mistake_after(int kind, const void *object, const hk_type *type,
                   struct mistake_past past, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/*
 * What the publisher reads: mistakes of one kind, type and place are counted
 * together.  Under the agent only.
 */
#define MISTAKES_MAX 256u
#define MISTAKE_WHAT_BYTES 96

struct mistake_record {
    uint32_t state; /* 0: free or being filled, 1: whole; stored last */
    int32_t kind;
    uint32_t type;      /* id, or 0 */
    uint32_t here;      /* stack of the mistake */
    struct mistake_past past;
    uint64_t count;
    uint32_t first_ms, last_ms; /* host_now_ms() */
    const void *object;         /* of the first one */
    char what[MISTAKE_WHAT_BYTES]; /* without type and address */
};
uint32_t mistake_count(void); /* 0 .. mistake_count() - 1 were begun */
/* NULL while it is not whole. */
const struct mistake_record *mistake_get(uint32_t index);
uint64_t mistake_total(void); /* ever */
uint64_t mistake_lost(void);  /* that found no place */

#endif
