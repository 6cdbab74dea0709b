/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * census.c -- keeps the censuses of a scan for the recording.
 *
 * Called by   scan.c.
 * Threads     one at a time.
 * Memory      pool; at most WISH_TYPES frames of some KiB.
 * Fails       by leaving out.
 * Invariants  a frame was checked to be whole before it is kept.
 */
#include "agent/census.h"

#include <string.h>

#include "agent/notes.h"
#include "agent/pool.h"
#include "agent/recfile.h"
#include "agent/strings.h"
#include "lib/registry.h"

#define GROWN_TYPES 8u
#define GROWN_LEAST 100u /* objects */
#define EVERY_SCANS 10u

static uint64_t first_live[65536]; /* 1 + objects when a type was first seen */
static uint16_t last_watched[WISH_TYPES];
static uint32_t last_count, scans_since;
static struct hkr_census *frames[WISH_TYPES];
static uint32_t frame_count;

/* ---- what to watch ------------------------------------------------------ */

static int
is_watched(const struct scan_wish *wish, uint16_t type)
{
    for (uint32_t i = 0; i < wish->watched_count; i++)
        if (wish->watched[i] == type)
            return 1;
    return 0;
}

static void
watch(struct scan_wish *wish, uint16_t type)
{
    if (type && wish->watched_count < WISH_TYPES && !is_watched(wish, type))
        wish->watched[wish->watched_count++] = type;
}

static uint64_t
growth(const hk_type *type)
{
    struct shard_count sum;

    type_counts(type, &sum);
    if (!first_live[type->id])
        first_live[type->id] = 1 + sum.tracked;
    return 1 + sum.tracked > first_live[type->id]
               ? 1 + sum.tracked - first_live[type->id]
               : 0;
}

static uint16_t
most_grown(const struct scan_wish *wish)
{
    uint32_t types = type_count();
    uint64_t most = GROWN_LEAST - 1;
    uint16_t found = 0;

    for (uint32_t id = 1; id <= types; id++) {
        const hk_type *type = type_get(id);
        uint64_t grown = type ? growth(type) : 0;

        if (grown > most && !is_watched(wish, (uint16_t)id)) {
            most = grown;
            found = (uint16_t)id;
        }
    }
    return found;
}

static int
has_changed(const struct scan_wish *wish)
{
    for (uint32_t i = 0; i < wish->watched_count; i++) {
        uint32_t k = 0;

        while (k < last_count && last_watched[k] != wish->watched[i])
            k++;
        if (k == last_count)
            return 1;
    }
    return 0;
}

static void
watch_cycles(uint16_t type, void *arg)
{
    watch(arg, type);
}

void
census_wish(struct scan_wish *wish, uint16_t asked)
{
    watch(wish, asked);
    for (uint32_t i = 0; i < GROWN_TYPES; i++)
        watch(wish, most_grown(wish));
    groups_each_type(watch_cycles, wish);
    scans_since++;
    wish->has_census = wish->watched_count &&
                       (asked || has_changed(wish) ||
                        scans_since > EVERY_SCANS);
    if (!wish->has_census)
        wish->watched_count = 0;
}

/* ---- frames ------------------------------------------------------------- */

static void
drop_frames(void)
{
    while (frame_count)
        pool_free(frames[--frame_count]);
}

void
census_begin(void)
{
    drop_frames();
}

/* Puts ids of strings where offsets of labels are. */
static void
name_labels(struct hkr_census *c, groups_label_fn label)
{
    struct hkr_referrer *referrers = (struct hkr_referrer *)(c + 1);
    struct hkr_path *path =
        (struct hkr_path *)(void *)(referrers + c->referrer_count);

    for (uint32_t i = 0; i < c->referrer_count; i++) {
        const char *text = label(referrers[i].label);

        referrers[i].label = text ? strings_add(text) : 0;
    }
    for (uint32_t i = 0; i < c->path_count; i++) {
        struct hkr_step *steps = (struct hkr_step *)(path + 1);

        for (uint32_t k = 0; k < path->step_count; k++) {
            const char *text = label(steps[k].label);

            steps[k].label = text ? strings_add(text) : 0;
            steps[k].note =
                notes_string((const void *)(uintptr_t)steps[k].address);
        }
        path = (struct hkr_path *)(void *)(steps + path->step_count);
    }
}

void
census_add(const struct result_census *c, groups_label_fn label)
{
    struct hkr_census *copy;

    if (frame_count == WISH_TYPES)
        return;
    copy = pool_alloc(c->census.bytes);
    if (!copy)
        return;
    memcpy(copy, &c->census, c->census.bytes);
    name_labels(copy, label);
    frames[frame_count++] = copy;
}

/* What was watched counts as known from now on. */
static void
remember(void)
{
    last_count = 0;
    for (uint32_t i = 0; i < frame_count; i++)
        last_watched[last_count++] = (uint16_t)frames[i]->type;
    scans_since = 0;
}

int
census_write(uint32_t scan, uint16_t asked)
{
    if (!frame_count)
        return 0;
    if (!recfile_stream_begin(HKR_GRPH))
        return -1;
    for (uint32_t i = 0; i < frame_count; i++) {
        frames[i]->scan = scan;
        frames[i]->flags = frames[i]->type == asked ? HKR_CENSUS_ASKED : 0;
        if (!recfile_stream_write(HKR_GRPH, frames[i], frames[i]->bytes)) {
            recfile_stream_cancel(HKR_GRPH);
            return -1;
        }
    }
    recfile_stream_commit(HKR_GRPH);
    remember();
    drop_frames();
    return 0;
}

/* Nothing is given back: see suspects_reset. */
void
census_reset(void)
{
    frame_count = last_count = scans_since = 0;
}
