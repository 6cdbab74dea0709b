/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_parse.c -- frames of the results region, copied and checked.
 *
 * Called by   scan.c; census.c and groups.c for labels; unit tests.
 * Threads     one at a time.
 * Memory      a static buffer for one frame.
 * Fails       see scan_parse.h.
 * Invariants  nothing outside of the region is read, and what was checked does
 *             not change any more.
 */
#include "agent/scan_parse.h"

#include <stddef.h>
#include <string.h>

union frame { /* the largest of either kind */
    struct result_head head;
    struct result_cycle cycle;
    struct result_census census;
    char cycle_bytes[sizeof(struct result_cycle) +
                     SCAN_MEMBERS_SHOWN * sizeof(struct hkr_member) +
                     SCAN_EDGES_SHOWN * sizeof(struct hkr_edge) +
                     2 * SCAN_SITES_MAX * sizeof(struct hkr_site)];
    char census_bytes[SCAN_CENSUS_BYTES];
};

static union frame frame;
static const struct results *results;
static uint64_t room;
static uint64_t next; /* offset of the frame that comes next */

void
parse_begin(const struct results *r, uint64_t bytes)
{
    results = r;
    room = bytes;
    next = sizeof *r;
}

/* Of the whole frame at an offset; bytes 0: there is none. */
static struct result_head
head_at(uint64_t at)
{
    uint64_t used = __atomic_load_n(&results->used, __ATOMIC_ACQUIRE);
    struct result_head h = {0, 0};

    if (used > room || at % 8 || at < sizeof *results || at > used ||
        used - at < sizeof h)
        return h;
    memcpy(&h, (const char *)results + at, sizeof h);
    __asm__ volatile("" : "+m"(h)); /* from now on this copy */
    if (h.bytes < sizeof h || h.bytes % 8 || h.bytes > used - at)
        h.bytes = 0;
    return h;
}

const char *
parse_label(uint32_t at)
{
    static char text[SCAN_LABEL_BYTES];
    struct result_head h = head_at(at);
    size_t length;

    if (!h.bytes || h.kind != RESULT_LABEL)
        return NULL;
    length = h.bytes - sizeof h;
    if (length > sizeof text - 1)
        length = sizeof text - 1;
    memcpy(text, (const char *)results + at + sizeof h, length);
    text[length] = '\0';
    return text;
}

/* ---- frames ------------------------------------------------------------- */

static int
is_whole_cycle(const struct result_cycle *c)
{
    return c->head.bytes >= sizeof *c &&
           c->member_count <= SCAN_MEMBERS_SHOWN &&
           c->edge_count <= SCAN_EDGES_SHOWN &&
           c->created_count <= SCAN_SITES_MAX &&
           c->released_count <= SCAN_SITES_MAX &&
           result_cycle_bytes(c->member_count, c->edge_count,
                              (uint64_t)c->created_count +
                                  c->released_count) == c->head.bytes;
}

/* Takes `bytes` off what is left; 0: it is less. */
static int
take_off(uint64_t *left, uint64_t bytes)
{
    if (bytes > *left)
        return 0;
    *left -= bytes;
    return 1;
}

static int
is_whole_census(const struct result_census *c)
{
    uint64_t left = c->head.bytes;
    const char *at = (const char *)(c + 1);

    if (!take_off(&left, sizeof *c) ||
        c->census.bytes != c->head.bytes - sizeof c->head ||
        !take_off(&left,
                  c->census.referrer_count * sizeof(struct hkr_referrer)))
        return 0;
    at += c->census.referrer_count * sizeof(struct hkr_referrer);
    for (uint32_t i = 0; i < c->census.path_count; i++) {
        const struct hkr_path *path = (const void *)at;

        if (!take_off(&left, sizeof *path) ||
            !take_off(&left, path->step_count * sizeof(struct hkr_step)))
            return 0;
        at += sizeof *path + path->step_count * sizeof(struct hkr_step);
    }
    return left == 0;
}

/* Copies it; 1: it is what it should be. */
static int
take(struct result_head h, uint64_t at)
{
    if (h.bytes > sizeof frame || h.kind == RESULT_LABEL)
        return 0;
    memcpy(&frame, (const char *)results + at, h.bytes);
    frame.head = h;
    if (h.kind == RESULT_CYCLE)
        return is_whole_cycle(&frame.cycle);
    return h.kind == RESULT_CENSUS && is_whole_census(&frame.census);
}

const struct result_head *
parse_next(void)
{
    struct result_head h;

    while ((h = head_at(next)).bytes) {
        uint64_t at = next;

        next += h.bytes;
        if (take(h, at))
            return &frame.head;
    }
    return NULL;
}
