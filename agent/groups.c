/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * groups.c -- ten thousand equal leaks are one entry.
 *
 * What        adds up the cycles of a scan by shape, keeps one example of
 *             each shape, and writes the stream FIND of the recording.
 * Called by   scan.c.
 * Threads     one at a time (lock_scan; writing: lock_publish).
 * Memory      pool.
 * Fails       by leaving out, which groups_end tells.
 * Invariants  groups[] and table agree: table holds 1 + index, places is more
 *             than twice the number of groups.
 */
#include "agent/groups.h"

#include <string.h>

#include "agent/notes.h"
#include "agent/pool.h"
#include "agent/recfile.h"
#include "agent/strings.h"

#define SITES_KEPT 256u

struct sites {
    struct hkr_site *list;
    uint32_t count, room, last;
};

struct group {
    struct hkr_group head; /* as it is written, but for lengths */
    struct hkr_group_more more;
    struct hkr_member *members;
    struct hkr_edge *edges;
    struct sites created, released;
    uint32_t notes[SCAN_MEMBERS_SHOWN + 1];
    int is_new; /* members tell births as records do */
};

static struct group *groups;
static uint32_t group_count, group_room;
static uint32_t *table;
static uint32_t places;
static int is_cut, is_partial;

/* ---- look-up by shape --------------------------------------------------- */

static uint32_t *
place_of(uint64_t shape)
{
    uint32_t at = (uint32_t)shape & (places - 1);

    while (table[at] && groups[table[at] - 1].head.fingerprint != shape)
        at = (at + 1) & (places - 1);
    return &table[at];
}

static int
rebuild_table(uint32_t count)
{
    uint32_t *bigger = pool_zalloc((size_t)count * sizeof *bigger);

    if (!bigger)
        return -1;
    pool_free(table);
    table = bigger;
    places = count;
    for (uint32_t i = 0; i < group_count; i++)
        *place_of(groups[i].head.fingerprint) = i + 1;
    return 0;
}

static int
make_room(void)
{
    uint32_t room = group_room ? 2 * group_room : 64;
    struct group *bigger;

    if (group_count < group_room)
        return 0;
    bigger = pool_realloc(groups, (size_t)room * sizeof *groups);
    if (!bigger)
        return -1;
    groups = bigger;
    if (rebuild_table(4 * room))
        return -1;
    group_room = room;
    return 0;
}

static struct group *
find_or_make(uint64_t shape)
{
    uint32_t *place = table ? place_of(shape) : NULL;
    struct group *g;

    if (place && *place)
        return &groups[*place - 1];
    if (make_room())
        return NULL;
    g = &groups[group_count++];
    memset(g, 0, sizeof *g);
    g->head.fingerprint = shape;
    *place_of(shape) = group_count;
    return g;
}

/* ---- sites -------------------------------------------------------------- */

static struct hkr_site *
add_site(struct sites *s, uint32_t stack, uint32_t type)
{
    uint32_t room = s->room ? 2 * s->room : 8;
    struct hkr_site *bigger;

    if (s->count == s->room) {
        bigger = pool_realloc(s->list, room * sizeof *s->list);
        if (!bigger)
            return NULL;
        s->list = bigger;
        s->room = room;
    }
    s->list[s->count].stack = stack;
    s->list[s->count].type = type;
    s->list[s->count].count = 0;
    return &s->list[s->count++];
}

/* Cycles of one shape come from few places, and mostly in the same order: the
   search starts behind the last hit. */
static struct hkr_site *
find_site(struct sites *s, uint32_t stack, uint32_t type)
{
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t at = s->last + 1 + i;
        struct hkr_site *site;

        while (at >= s->count)
            at -= s->count;
        site = &s->list[at];
        if (site->stack == stack && site->type == type) {
            s->last = at;
            return site;
        }
    }
    /* The last place is for those that find none. */
    if (s->count >= SITES_KEPT - 1 && (stack || type))
        return find_site(s, 0, 0);
    return add_site(s, stack, type);
}

static void
add_sites(struct sites *s, const struct hkr_site *from, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct hkr_site *site = find_site(s, from[i].stack, from[i].type);

        if (site)
            site->count += from[i].count;
    }
}

static void
clear_sites(struct sites *s)
{
    s->count = 0;
    s->last = 0;
}

static void
sort_sites(struct sites *s)
{
    for (uint32_t i = 1; i < s->count; i++) {
        struct hkr_site site = s->list[i];
        uint32_t at = i;

        for (; at > 0 && s->list[at - 1].count < site.count; at--)
            s->list[at] = s->list[at - 1];
        s->list[at] = site;
    }
}

/* ---- a scan ------------------------------------------------------------- */

void
groups_begin(int in_part)
{
    is_cut = 0;
    is_partial = in_part;
    for (uint32_t i = 0; i < group_count && !in_part; i++) {
        clear_sites(&groups[i].created);
        clear_sites(&groups[i].released);
    }
}

static void
take_notes(struct group *g, uint32_t count)
{
    g->more.note_count = 0;
    memset(g->notes, 0, sizeof g->notes);
    for (uint32_t i = 0; i < count; i++) {
        g->notes[i] =
            notes_string((const void *)(uintptr_t)g->members[i].address);
        if (g->notes[i])
            g->more.note_count = count;
    }
}

/* The first of its shape in this scan shows what they all look like. */
static void
keep_example(struct group *g, const struct result_cycle *c,
             groups_label_fn label)
{
    const struct hkr_member *members = (const void *)(c + 1);
    const struct hkr_edge *edges =
        (const void *)(members + c->member_count);
    struct hkr_member *m = pool_realloc(
        g->members, (c->member_count + 1) * sizeof *m);
    struct hkr_edge *e;

    if (m)
        g->members = m;
    e = pool_realloc(g->edges, (c->edge_count + 1) * sizeof *e);
    if (e)
        g->edges = e;
    if (!m || !e) {
        g->head.member_count = g->head.edge_count = 0;
        return;
    }
    memcpy(m, members, c->member_count * sizeof *m);
    memcpy(e, edges, c->edge_count * sizeof *e);
    for (uint32_t i = 0; i < c->edge_count; i++) {
        const char *text = e[i].label ? label(e[i].label) : NULL;

        e[i].label = text ? strings_add(text) : 0;
    }
    take_notes(g, c->member_count);
    g->head.member_count = c->member_count;
    g->head.edge_count = c->edge_count;
    g->head.instance_bytes = c->bytes;
    g->head.objects = c->objects;
    g->is_new = 1;
}

void
groups_add(const struct result_cycle *c, const struct suspect *s,
           uint32_t scan, groups_label_fn label)
{
    const struct hkr_site *created =
        (const void *)((const char *)(c + 1) +
                       c->member_count * sizeof(struct hkr_member) +
                       c->edge_count * sizeof(struct hkr_edge));
    struct group *g = find_or_make(c->shape);

    if (!g || !s) {
        is_cut = 1;
        return;
    }
    if (c->member_count)
        keep_example(g, c, label);
    g->head.last_scan = scan;
    if (is_partial && s->first_scan != scan)
        return;
    add_sites(&g->created, created, c->created_count);
    add_sites(&g->released, created + c->created_count, c->released_count);
}

static void
drop_group(struct group *g)
{
    pool_free(g->members);
    pool_free(g->edges);
    pool_free(g->created.list);
    pool_free(g->released.list);
}

static void
forget_empty(void)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < group_count; i++) {
        if (groups[i].head.instances)
            groups[kept++] = groups[i];
        else
            drop_group(&groups[i]);
    }
    group_count = kept;
    memset(table, 0, places * sizeof *table);
    for (uint32_t i = 0; i < kept; i++)
        *place_of(groups[i].head.fingerprint) = i + 1;
}

struct moment {
    uint32_t clock_ms;
    uint64_t time_ns;
};

/* A birth, as the recording tells time; 0: before this process began. */
static uint64_t
birth_ns(const struct moment *m, uint32_t birth_ms)
{
    uint64_t ago = birth_ms < m->clock_ms
                       ? (m->clock_ms - birth_ms) * UINT64_C(1000000)
                       : 0;

    return m->time_ns > ago ? m->time_ns - ago : 0;
}

static void
note_times(struct group *g, const struct suspect *s, const struct moment *m)
{
    struct hkr_group *h = &g->head;
    struct hkr_group_more *more = &g->more;
    uint64_t oldest = birth_ns(m, s->oldest_ms);
    uint64_t youngest = birth_ns(m, s->youngest_ms);

    if (!h->first_scan) {
        h->first_scan = s->first_scan;
        h->first_seen_ns = s->first_seen_ms * UINT64_C(1000000);
    }
    if (s->confirmed_ms && !h->confirmed_ns)
        h->confirmed_ns = s->confirmed_ms * UINT64_C(1000000);
    if (!h->instances || oldest < more->oldest_ns)
        more->oldest_ns = oldest;
    if (!h->instances || youngest > more->youngest_ns)
        more->youngest_ns = youngest;
}

static void
count(const struct suspect *s, void *arg)
{
    struct hkr_group *h;
    uint32_t *place = table ? place_of(s->shape) : NULL;

    if (!place || !*place) {
        is_cut = 1;
        return;
    }
    note_times(&groups[*place - 1], s, arg);
    h = &groups[*place - 1].head;
    h->instances++;
    h->confirmed += s->confirmed_ms != 0;
    h->held_objects += s->held_objects;
    h->held_bytes += s->held_bytes;
    groups[*place - 1].more.nested_bytes += s->nested_bytes;
}

static void
count_all(uint32_t clock_ms, uint64_t time_ns)
{
    struct moment m = {clock_ms, time_ns};

    for (uint32_t i = 0; i < group_count; i++) {
        struct hkr_group *h = &groups[i].head;

        h->instances = h->confirmed = 0;
        h->held_objects = h->held_bytes = 0;
        groups[i].more.nested_bytes = 0;
    }
    suspects_each(count, &m);
}

/* Of what was born before this process began: at its start. */
static void
date_members(struct group *g, const struct moment *m)
{
    uint32_t now_ms = (uint32_t)(m->time_ns / 1000000);

    for (uint32_t i = 0; g->is_new && i < g->head.member_count; i++) {
        int64_t ago = (int32_t)(m->clock_ms - g->members[i].born_ms);

        g->members[i].born_ms =
            ago > (int64_t)now_ms ? 0 : now_ms - (uint32_t)ago;
    }
    g->is_new = 0;
}

void
groups_end(struct groups_tally *tally, uint32_t clock_ms, uint64_t time_ns)
{
    memset(tally, 0, sizeof *tally);
    count_all(clock_ms, time_ns);
    if (group_count > GROUPS_KEPT)
        forget_empty();
    for (uint32_t i = 0; i < group_count; i++) {
        struct hkr_group *h = &groups[i].head;

        if (!groups[i].more.first_instances)
            groups[i].more.first_instances = h->instances;
        date_members(&groups[i], &(struct moment){clock_ms, time_ns});
        h->state = h->confirmed ? HKR_GROUP_CONFIRMED : HKR_GROUP_SUSPECT;
        tally->groups += h->instances != 0;
        tally->confirmed += h->confirmed != 0;
        sort_sites(&groups[i].created);
        sort_sites(&groups[i].released);
    }
    tally->is_cut = is_cut || tally->groups > GROUPS_WRITTEN;
}

void
groups_each_type(void (*fn)(uint16_t type, void *arg), void *arg)
{
    for (uint32_t i = 0; i < group_count; i++)
        for (uint32_t k = 0; groups[i].head.instances &&
                             k < groups[i].head.member_count; k++)
            fn((uint16_t)groups[i].members[k].type, arg);
}

/* ---- the recording ------------------------------------------------------ */

static uint32_t
shown(const struct sites *s)
{
    return s->count < GROUPS_SITES_SHOWN ? s->count : GROUPS_SITES_SHOWN;
}

static int
write_group(const struct group *g)
{
    struct hkr_group h = g->head;
    size_t members = h.member_count * sizeof *g->members;
    size_t edges = h.edge_count * sizeof *g->edges;
    size_t created, released;
    size_t notes =
        (g->more.note_count + g->more.note_count % 2) * sizeof *g->notes;

    h.created_count = shown(&g->created);
    h.released_count = shown(&g->released);
    created = h.created_count * sizeof *g->created.list;
    released = h.released_count * sizeof *g->released.list;
    h.bytes = (uint32_t)(sizeof h + members + edges + created + released +
                         sizeof g->more + notes);
    return recfile_stream_write(HKR_FIND, &h, sizeof h) &&
           (!members ||
            recfile_stream_write(HKR_FIND, g->members, members)) &&
           (!edges || recfile_stream_write(HKR_FIND, g->edges, edges)) &&
           (!created ||
            recfile_stream_write(HKR_FIND, g->created.list, created)) &&
           (!released ||
            recfile_stream_write(HKR_FIND, g->released.list, released)) &&
           recfile_stream_write(HKR_FIND, &g->more, sizeof g->more) &&
           (!notes || recfile_stream_write(HKR_FIND, g->notes, notes));
}

/* Confirmed ones first, so that a limit hits the doubtful. */
static int
write_state(uint32_t state, uint32_t *left)
{
    for (uint32_t i = 0; i < group_count && *left; i++) {
        const struct group *g = &groups[i];

        if (!g->head.instances || g->head.state != state)
            continue;
        if (!write_group(g))
            return 0;
        --*left;
    }
    return 1;
}

int
groups_write(void)
{
    uint32_t left = GROUPS_WRITTEN;

    if (!recfile_stream_begin(HKR_FIND))
        return -1;
    if (!write_state(HKR_GROUP_CONFIRMED, &left) ||
        !write_state(HKR_GROUP_SUSPECT, &left)) {
        recfile_stream_cancel(HKR_FIND);
        return -1;
    }
    recfile_stream_commit(HKR_FIND);
    return 0;
}

/* Nothing is given back: see suspects_reset. */
void
groups_reset(void)
{
    groups = NULL;
    group_count = group_room = 0;
    table = NULL;
    places = 0;
    is_cut = 0;
}
