/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * check.c -- see check.h.
 */
#include "reporter/check.h"

#include <stdlib.h>
#include <string.h>

#include "reporter/leb.h"
#include "reporter/model.h"
#include "reporter/read.h"

int
check_is_lenient(const struct recording *rec)
{
    return rec->torn || rec->truncated;
}

/* An id that must be below `limit`; 0 or -1. */
int
check_id(const struct recording *rec, uint32_t *id, uint64_t limit,
         const char *what, struct fail *why)
{
    if (*id < limit)
        return 0;
    if (check_is_lenient(rec)) {
        *id = 0;
        return 0;
    }
    return fail_set(why,
                    "%s is damaged: %s refers to %u, but there are only %llu; "
                    "it cannot be read",
                    rec->path, what, *id, (unsigned long long)limit);
}

int
check_string(const struct recording *rec, uint32_t *id, const char *what,
             struct fail *why)
{
    return *id ? check_id(rec, id, rec->string_bytes, what, why) : 0;
}

static int
check_modules(struct recording *rec, struct fail *why)
{
    for (uint32_t i = 1; i < rec->module_count; i++) {
        struct hkr_module *m = &rec->modules[i];

        if (check_string(rec, &m->path, "the path of a module", why))
            return -1;
        if (m->build_id_bytes > sizeof m->build_id) {
            if (!check_is_lenient(rec))
                return fail_set(why,
                                "%s is damaged: module %u has a build-id "
                                "of %u bytes",
                                rec->path, i, m->build_id_bytes);
            m->build_id_bytes = 0;
        }
    }
    return 0;
}

static int
check_nodes(struct recording *rec, struct fail *why)
{
    for (uint32_t i = 1; i < rec->node_count; i++) {
        struct hkr_node *n = &rec->nodes[i];

        if (check_id(rec, &n->parent, i, "a node's parent", why)
            || check_id(rec, &n->module, rec->module_count,
                        "the module of a node", why))
            return -1;
    }
    return 0;
}

static int
check_stacks(struct recording *rec, struct fail *why)
{
    for (uint32_t i = 1; i < rec->stack_count; i++)
        if (check_id(rec, &rec->stacks[i].node, rec->node_count,
                     "the node of a stack", why))
            return -1;
    return 0;
}

static int
check_mistakes(struct recording *rec, struct fail *why)
{
    static const char stack[] = "the stack of a mistake";

    for (uint32_t i = 1; i < rec->mistake_count; i++) {
        struct hkr_mistake *m = &rec->mistakes[i];

        if (check_string(rec, &m->what, "the sentence of a mistake", why)
            || check_id(rec, &m->type, rec->type_count,
                        "the type of a mistake", why)
            || check_id(rec, &m->here, rec->stack_count, stack, why)
            || check_id(rec, &m->origin, rec->stack_count, stack, why)
            || check_id(rec, &m->last, rec->stack_count, stack, why))
            return -1;
    }
    return 0;
}

static int
check_holds(struct recording *rec, struct fail *why)
{
    for (uint32_t i = 1; i < rec->hold_count; i++) {
        struct hkr_hold *h = &rec->holds[i];

        if (check_string(rec, &h->name, "the name of a hold", why)
            || check_id(rec, &h->type, rec->type_count, "the type of a hold",
                        why)
            || check_id(rec, &h->stack, rec->stack_count,
                        "the stack of a hold", why))
            return -1;
    }
    return 0;
}

static int
check_balances(struct recording *rec, struct fail *why)
{
    for (uint32_t i = 1; i < rec->balance_count; i++) {
        struct hkr_balance *b = &rec->balances[i];

        if (check_id(rec, &b->type, rec->type_count, "the type of a balance",
                     why)
            || check_id(rec, &b->stack, rec->stack_count,
                        "the stack of a balance", why))
            return -1;
    }
    return 0;
}

int
check_tables(struct recording *rec, struct fail *why)
{
    if (check_modules(rec, why) || check_nodes(rec, why)
        || check_stacks(rec, why))
        return -1;
    for (uint32_t i = 1; i < rec->type_count; i++)
        if (check_string(rec, &rec->types[i].name, "the name of a type", why))
            return -1;
    for (uint32_t i = 1; i < rec->scan_count; i++)
        if (check_string(rec, &rec->scans[i].culprit,
                         "the culprit of a scan", why)
            || check_string(rec, &rec->scans[i].reason,
                            "the reason of a scan", why))
            return -1;
    return check_mistakes(rec, why) || check_holds(rec, why)
            || check_balances(rec, why)
        ? -1
        : 0;
}

/* Walks `count` entries of `numbers` numbers behind their ids; *at moves on.
   0, or -1 if they are not right. */
static int
walk_deltas(const uint8_t **at, const uint8_t *end, uint32_t count,
            int numbers, uint32_t limit)
{
    uint64_t id = 0, value;

    for (uint32_t i = 0; i < count; i++) {
        if (leb_read(at, end, &value) || value == 0 || value >= limit - id)
            return -1;
        id += value;
        for (int k = 0; k < numbers; k++)
            if (leb_read(at, end, &value))
                return -1;
    }
    return 0;
}

/* The snapshot at `at`, with `left` bytes; its length, or 0. */
static size_t
unpack_snapshot(struct recording *rec, const uint8_t *at, size_t left,
                struct snapshot *out)
{
    struct hkr_snapshot *h = &out->head;
    const uint8_t *p = at + sizeof *h;

    if (left < sizeof *h)
        return 0;
    memcpy(h, at, sizeof *h);
    if (h->bytes < sizeof *h || h->bytes % 8 || h->bytes > left)
        return 0;
    out->end = at + h->bytes;
    out->stack_deltas = p;
    if (walk_deltas(&p, out->end, h->stack_count, 4, rec->stack_count))
        return 0;
    out->type_deltas = p;
    if (walk_deltas(&p, out->end, h->type_count, 2, rec->type_count))
        return 0;
    if (h->name && h->name >= rec->string_bytes)
        h->name = 0;
    return h->bytes;
}

static size_t
count_frames(const uint8_t *bytes, size_t count, size_t least)
{
    size_t at = 0, n = 0;
    uint32_t length;

    while (count - at >= least) {
        memcpy(&length, bytes + at, sizeof length);
        if (length < least || length > count - at)
            break;
        at += length;
        n++;
    }
    return n;
}

int
check_bad_frame(const struct recording *rec, const char *what, size_t number,
                size_t offset, struct fail *why)
{
    return fail_set(why,
                    "%s is damaged: %s %zu (at byte %zu of its stream) makes "
                    "no sense; it cannot be read",
                    rec->path, what, number, offset);
}

int
check_timeline(struct recording *rec, size_t bytes, struct fail *why)
{
    size_t n = count_frames(rec->time, bytes, sizeof(struct hkr_snapshot));
    size_t at = 0;
    uint64_t last_ns = 0;

    rec->snapshots = calloc(n + 1, sizeof *rec->snapshots);
    if (!rec->snapshots)
        return fail_memory(why, rec->path);
    while (at < bytes) {
        struct snapshot *s = &rec->snapshots[rec->snapshot_count];
        size_t used = rec->snapshot_count < n
            ? unpack_snapshot(rec, rec->time + at, bytes - at, s)
            : 0;

        if (used == 0 || s->head.time_ns < last_ns) {
            if (check_is_lenient(rec))
                break;
            return check_bad_frame(rec, "snapshot", rec->snapshot_count, at,
                                   why);
        }
        last_ns = s->head.time_ns;
        rec->snapshot_count++;
        at += used;
    }
    return 0;
}

/* Do the parts of a group fit into its frame? */
static int
group_fits(const struct hkr_group *h, size_t left, uint64_t *sites_end)
{
    uint64_t need = sizeof *h;

    need += (uint64_t)h->member_count * sizeof(struct hkr_member);
    need += (uint64_t)h->edge_count * sizeof(struct hkr_edge);
    need += ((uint64_t)h->created_count + h->released_count)
        * sizeof(struct hkr_site);
    *sites_end = need;
    return h->bytes % 8 == 0 && h->bytes <= left && need <= h->bytes;
}

static int
check_sites(struct recording *rec, struct hkr_site *sites, uint32_t count,
            struct fail *why)
{
    for (uint32_t i = 0; i < count; i++)
        if (check_id(rec, &sites[i].stack, rec->stack_count,
                     "a cycle's stack", why)
            || check_id(rec, &sites[i].type, rec->type_count,
                        "a cycle's type", why))
            return -1;
    return 0;
}

static int
check_group(struct recording *rec, struct group *g, struct fail *why)
{
    struct hkr_group *h = &g->head;

    for (uint32_t i = 0; i < h->member_count; i++)
        if (check_id(rec, &g->members[i].type, rec->type_count,
                     "a cycle's member", why)
            || (g->notes && check_string(rec, &g->notes[i],
                                         "the note of a member", why)))
            return -1;
    for (uint32_t i = 0; i < h->edge_count; i++)
        if (check_id(rec, &g->edges[i].from, h->member_count,
                     "an edge of a cycle", why)
            || check_id(rec, &g->edges[i].to, h->member_count,
                        "an edge of a cycle", why)
            || check_string(rec, &g->edges[i].label, "the label of an edge",
                            why))
            return -1;
    if (h->edge_count && !h->member_count)
        return fail_set(why, "%s is damaged: a cycle has edges but no members",
                        rec->path);
    return check_sites(rec, g->created, h->created_count, why)
        || check_sites(rec, g->released, h->released_count, why)
        ? -1
        : 0;
}

/* What follows the sites since version 1.3; 1, or 0: it does not fit. */
static int
unpack_more(const struct recording *rec, uint8_t *p, uint64_t left,
            struct group *g)
{
    if (!recording_has(rec, 3))
        return 1;
    if (left < sizeof g->more)
        return 0;
    memcpy(&g->more, p, sizeof g->more);
    left -= sizeof g->more;
    if (g->more.note_count)
        g->notes = (uint32_t *)(void *)(p + sizeof g->more);
    return g->more.note_count <= left / sizeof *g->notes
           && (!g->notes || g->more.note_count == g->head.member_count);
}

/* rec->find comes from malloc and frames are multiples of 8: the casts below
   keep to the alignment of the structs. */
static size_t
unpack_group(struct recording *rec, size_t at, size_t left, struct group *g)
{
    uint8_t *p = rec->find + at;
    uint64_t sites_end;

    if (left < sizeof g->head)
        return 0;
    memcpy(&g->head, p, sizeof g->head);
    if (!group_fits(&g->head, left, &sites_end))
        return 0;
    p += sizeof g->head;
    g->members = (struct hkr_member *)(void *)p;
    p += g->head.member_count * sizeof *g->members;
    g->edges = (struct hkr_edge *)(void *)p;
    p += g->head.edge_count * sizeof *g->edges;
    g->created = (struct hkr_site *)(void *)p;
    p += g->head.created_count * sizeof *g->created;
    g->released = (struct hkr_site *)(void *)p;
    p += g->head.released_count * sizeof *g->released;
    return unpack_more(rec, p, g->head.bytes - sites_end, g) ? g->head.bytes
                                                             : 0;
}

int
check_findings(struct recording *rec, size_t bytes, struct fail *why)
{
    size_t n = count_frames(rec->find, bytes, sizeof(struct hkr_group));
    size_t at = 0;

    rec->groups = calloc(n + 1, sizeof *rec->groups);
    if (!rec->groups)
        return fail_memory(why, rec->path);
    while (at < bytes) {
        struct group *g = &rec->groups[rec->group_count];
        size_t used = rec->group_count < n
            ? unpack_group(rec, at, bytes - at, g)
            : 0;

        if (used == 0) {
            if (check_is_lenient(rec))
                break;
            return check_bad_frame(rec, "cycle group", rec->group_count, at,
                                   why);
        }
        if (check_group(rec, g, why))
            return -1;
        rec->group_count++;
        at += used;
    }
    return 0;
}
