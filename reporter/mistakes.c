/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * mistakes.c -- see mistakes.h: words and order, for text and JSON.
 */
#include "reporter/mistakes.h"

#include <stdlib.h>

const char *
mistake_kind(uint32_t kind)
{
    static const char *const words[] = {
        [HKR_MISTAKE_UNDERFLOW] = "underflow",
        [HKR_MISTAKE_DEAD] = "dead",
        [HKR_MISTAKE_SATURATED] = "saturated",
        [HKR_MISTAKE_NULL] = "null",
        [HKR_MISTAKE_NO_TYPE] = "no-type",
        [HKR_MISTAKE_TRACKED_TWICE] = "tracked-twice",
        [HKR_MISTAKE_ADOPTED_TWICE] = "adopted-twice",
        [HKR_MISTAKE_FREED] = "freed",
        [HKR_MISTAKE_PUT_TWICE] = "put-twice",
        [HKR_MISTAKE_TOO_MANY_EDGES] = "too-many-edges",
        [HKR_MISTAKE_UNRAISABLE] = "unraisable"};

    return kind && kind < sizeof words / sizeof *words ? words[kind]
                                                       : "unknown";
}

const char *
mistake_origin(uint32_t kind)
{
    return kind == HKR_MISTAKE_PUT_TWICE ? "held" : "created";
}

const char *
mistake_last(uint32_t kind)
{
    if (kind == HKR_MISTAKE_PUT_TWICE)
        return "put";
    return kind == HKR_MISTAKE_DEAD ? "died" : "last release";
}

static const struct hkr_hold *sorting;

static int
compare(const void *va, const void *vb)
{
    const struct hkr_hold *a = &sorting[*(const uint32_t *)va];
    const struct hkr_hold *b = &sorting[*(const uint32_t *)vb];

    if (a->oldest_ns != b->oldest_ns)
        return a->oldest_ns < b->oldest_ns ? -1 : 1;
    return (b->live > a->live) - (b->live < a->live);
}

uint32_t *
holds_standing(const struct recording *rec, size_t *count)
{
    uint32_t *ids = calloc(rec->hold_count, sizeof *ids);

    *count = 0;
    for (uint32_t i = 1; ids && i < rec->hold_count; i++)
        if (rec->holds[i].live && !(rec->holds[i].flags & HKR_HOLD_ROOT))
            ids[(*count)++] = i;
    sorting = rec->holds;
    if (*count)
        qsort(ids, *count, sizeof *ids, compare);
    return ids;
}

double
hold_seconds(const struct recording *rec, const struct hkr_hold *h)
{
    uint64_t now = rec->header.published_ns;

    return h->oldest_ns && now > h->oldest_ns
               ? (double)(now - h->oldest_ns) / 1e9
               : 0;
}
