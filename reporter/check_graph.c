/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * check_graph.c -- the censuses of GRPH.  See check.h.
 *
 * Frames are walked twice: the first time they are only measured, so that the
 * paths of all of them are one array.
 */
#include "reporter/check.h"

#include <stdlib.h>
#include <string.h>

#include "reporter/fail.h"
#include "reporter/model.h"

/* What is left of a frame behind its head and its referrers, or NULL. */
static uint8_t *
find_paths(uint8_t *at, size_t left, struct hkr_census *h)
{
    if (left < sizeof *h)
        return NULL;
    memcpy(h, at, sizeof *h);
    if (h->bytes < sizeof *h || h->bytes % 8 || h->bytes > left
        || h->referrer_count
            > (h->bytes - sizeof *h) / sizeof(struct hkr_referrer))
        return NULL;
    return at + sizeof *h + h->referrer_count * sizeof(struct hkr_referrer);
}

/* The path at *at, which moves on; 0 or -1. */
static int
take_path(uint8_t **at, const uint8_t *end, struct census_path *out)
{
    size_t left = (size_t)(end - *at);

    if (left < sizeof out->head)
        return -1;
    memcpy(&out->head, *at, sizeof out->head);
    left -= sizeof out->head;
    if (out->head.step_count == 0
        || out->head.step_count > left / sizeof *out->steps)
        return -1;
    *at += sizeof out->head;
    out->steps = (struct hkr_step *)(void *)*at;
    *at += out->head.step_count * sizeof *out->steps;
    return 0;
}

/* The length of the frame at `at`, or 0 if it is not right. */
static size_t
measure_census(uint8_t *at, size_t left, size_t *paths)
{
    struct hkr_census h;
    struct census_path path;
    uint8_t *p = find_paths(at, left, &h);

    for (uint32_t i = 0; p && i < h.path_count; i++)
        if (take_path(&p, at + h.bytes, &path))
            return 0;
    if (!p)
        return 0;
    *paths += h.path_count;
    return h.bytes;
}

/* How many bytes hold frames that are right. */
static size_t
measure(const struct recording *rec, size_t bytes, size_t *frames,
        size_t *paths)
{
    size_t at = 0, used;

    *frames = *paths = 0;
    while (at < bytes
           && (used = measure_census(rec->graph + at, bytes - at, paths))) {
        at += used;
        ++*frames;
    }
    return at;
}

static int
check_steps(struct recording *rec, struct census_path *path,
            struct fail *why)
{
    for (uint32_t i = 0; i < path->head.step_count; i++) {
        struct hkr_step *s = &path->steps[i];

        if (check_id(rec, &s->type, rec->type_count, "the type of a step",
                     why)
            || check_string(rec, &s->label, "the label of a step", why)
            || check_string(rec, &s->note, "the note of a step", why)
            || check_id(rec, &s->created, rec->stack_count,
                        "the stack of a step", why))
            return -1;
    }
    return 0;
}

static int
check_census(struct recording *rec, struct census *c, struct fail *why)
{
    if (check_id(rec, &c->head.type, rec->type_count, "the type of a census",
                 why)
        || check_id(rec, &c->head.scan, rec->scan_count,
                    "the scan of a census", why))
        return -1;
    for (uint32_t i = 0; i < c->head.referrer_count; i++)
        if (check_id(rec, &c->referrers[i].from, rec->type_count,
                     "the type of a referrer", why)
            || check_string(rec, &c->referrers[i].label,
                            "the label of a referrer", why))
            return -1;
    for (uint32_t i = 0; i < c->head.path_count; i++)
        if (check_steps(rec, &c->paths[i], why))
            return -1;
    return 0;
}

/* rec->graph comes from malloc and all parts are multiples of 8: casts keep to
   the alignment of the structs. */
static void
unpack_census(uint8_t *at, size_t left, struct census *c,
              struct census_path *paths)
{
    uint8_t *p = find_paths(at, left, &c->head);

    c->referrers = (struct hkr_referrer *)(void *)(at + sizeof c->head);
    c->paths = paths;
    for (uint32_t i = 0; i < c->head.path_count; i++)
        take_path(&p, at + c->head.bytes, &paths[i]);
}

int
check_graph(struct recording *rec, size_t bytes, struct fail *why)
{
    size_t frames, paths, good = measure(rec, bytes, &frames, &paths);
    size_t at = 0, path = 0;

    if (good < bytes && !check_is_lenient(rec))
        return check_bad_frame(rec, "census", frames, good, why);
    rec->censuses = calloc(frames + 1, sizeof *rec->censuses);
    rec->census_paths = calloc(paths + 1, sizeof *rec->census_paths);
    if (!rec->censuses || !rec->census_paths)
        return fail_memory(why, rec->path);
    while (at < good) {
        struct census *c = &rec->censuses[rec->census_count];

        unpack_census(rec->graph + at, good - at, c,
                      rec->census_paths + path);
        if (check_census(rec, c, why))
            return -1;
        rec->census_count++;
        path += c->head.path_count;
        at += c->head.bytes;
    }
    return 0;
}
