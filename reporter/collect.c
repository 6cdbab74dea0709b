/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * collect.c -- what one recording adds to an inventory.
 *
 * One cause is one issue: what cycles explain, the growth of their types and
 * of the paths that make their objects, is not said again.
 */
#include "reporter/inventory.h"

#include <stdio.h>
#include <string.h>

#include "reporter/fingerprint.h"
#include "reporter/mistakes.h"
#include "reporter/units.h"
#include "reporter/view.h"

#define TEXT_ROOM 512
#define NAMES_ROOM 4096
#define TITLE_ROOM 160

static const char *
type_name(const struct view *view, uint32_t type)
{
    return recording_string(view->rec, view->rec->types[type].name);
}

/* Adds a line, unless it is there or there is no room. */
static void
add_name(char *names, const char *name)
{
    size_t used = strlen(names), length = strlen(name);

    if (length == 0 || used + length + 2 > NAMES_ROOM)
        return;
    for (const char *at = names; *at; at += strcspn(at, "\n") + 1)
        if (strncmp(at, name, length) == 0 && at[length] == '\n')
            return;
    memcpy(names + used, name, length);
    memcpy(names + used + length, "\n", 2);
}

static void
add_functions(const struct view *view, uint32_t node, char *names)
{
    struct frames frames = {0};
    size_t count;

    frames_of(&view->names, node, &frames);
    count = frames_without_start(&frames);
    for (size_t i = 0; i < count; i++)
        add_name(names, frames.items[i].at.function);
    frames_free(&frames);
}

static void
add_cycle(struct inventory *inv, const struct view *view,
          const struct group *g, const char *file)
{
    const struct hkr_group *h = &g->head;
    char names[NAMES_ROOM] = "", list[TITLE_ROOM] = "", text[TEXT_ROOM];
    size_t used = 0;

    for (uint32_t i = 0; i < h->member_count; i++)
        add_name(names, type_name(view, g->members[i].type));
    for (const char *at = names; *at && used < sizeof list;
         at += strcspn(at, "\n") + 1)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%.*s",
                                 used ? ", " : "", (int)strcspn(at, "\n"),
                                 at);
    snprintf(text, sizeof text, "unreachable: %s of %s (%s), %s",
             units_plural(h->confirmed, "cycle"),
             units_plural(h->objects, "object"), list,
             units_bytes((double)(h->confirmed * h->instance_bytes
                                  + h->held_bytes)));
    inventory_issue(inv, ISSUE_CYCLE, h->fingerprint, text, names, file);
}

static void
add_type(struct inventory *inv, const struct view *view,
         const struct watched *w, const char *file)
{
    const struct type_growth *g = &w->type;
    const char *name = type_name(view, w->id);
    char text[TEXT_ROOM], deltas[TITLE_ROOM];

    if (g->verdict != TYPE_GROWING || verdict_in_a_cycle(view->rec, w->id))
        return;
    verdict_list_deltas(g, deltas, sizeof deltas);
    snprintf(text, sizeof text,
             "%.80s grows by %.0f a minute, %.0f -> %.0f (%s)", name,
             g->per_second * 60, g->values[0], g->values[g->count], deltas);
    inventory_issue(inv, ISSUE_TYPE, fingerprint_words("type", name), text,
                    name, file);
}

static void
add_path(struct inventory *inv, const struct view *view,
         const struct watched *w, const char *file)
{
    const struct path *p = &view->paths.items[w->id];
    const struct trend *t = &w->trend;
    char text[TEXT_ROOM], names[NAMES_ROOM] = "", title[TITLE_ROOM];

    if (t->kind != TREND_LEAK || verdict_group_of_path(view, w->id))
        return;
    frames_title(&view->names, p->node, title, sizeof title);
    add_functions(view, p->node, names);
    snprintf(text, sizeof text, "%s grows by %s, %s -> %s", title,
             units_rate(t->per_second), units_bytes(t->first),
             units_bytes(t->last));
    inventory_issue(inv, ISSUE_PATH, fingerprint_path(&view->names, p->node),
                    text, names, file);
}

/* Where the verdict knows a growth of all memory, it is that of no path. */
static void
add_memory(struct inventory *inv, const struct view *view, const char *file)
{
    for (size_t i = 0; i < view->verdict.count; i++) {
        const struct finding *f = &view->verdict.items[i];

        if (f->kind == FINDING_LEAK && f->path == FINDING_NO_PATH)
            inventory_issue(inv, ISSUE_MEMORY,
                            fingerprint_words("memory", ""), f->headline, "",
                            file);
    }
}

static void
add_mistake(struct inventory *inv, const struct view *view,
            const struct hkr_mistake *m, const char *file)
{
    const char *what = recording_string(view->rec, m->what);
    const char *type = type_name(view, m->type);
    uint32_t node = view->rec->stacks[m->here].node;
    char text[TEXT_ROOM], names[NAMES_ROOM] = "", title[TITLE_ROOM];

    frames_title(&view->names, node, title, sizeof title);
    add_name(names, what);
    add_name(names, type);
    add_functions(view, node, names);
    snprintf(text, sizeof text, "%.160s%s%.80s, by %s, %s", what,
             *type ? ": " : "", type, title, units_plural(m->count, "time"));
    inventory_issue(inv, ISSUE_MISTAKE, fingerprint_mistake(&view->names, m),
                    text, names, file);
}

static void
add_live(struct inventory *inv, const struct view *view, const char *file,
         uint64_t max_live)
{
    uint64_t bytes = recording_counter(view->rec, COUNTER_live_bytes);
    uint64_t blocks = recording_counter(view->rec, COUNTER_live_blocks);
    char text[TEXT_ROOM];

    if (max_live == 0 || bytes <= max_live)
        return;
    snprintf(text, sizeof text, "%s in %s live at the end, more than %s",
             units_bytes((double)bytes), units_plural(blocks, "block"),
             units_bytes((double)max_live));
    inventory_issue(inv, ISSUE_LIVE, fingerprint_words("live", ""), text, "",
                    file);
}

static void
add_types(struct inventory *inv, const struct view *view, const char *file)
{
    struct stocks types = {0};

    for (uint32_t i = 1; i < view->rec->type_count; i++) {
        char *name = (char *)(uintptr_t)type_name(view, i);
        struct stock s = {fingerprint_words("type", name), name,
                          counts_live_objects(&view->now.types[i]),
                          (char *)(uintptr_t)file};

        inventory_stock(inv, &types, &s);
    }
    inventory_merge(inv, &inv->types, &types);
}

static void
add_holds(struct inventory *inv, const struct view *view, const char *file)
{
    struct stocks holds = {0};

    for (uint32_t i = 1; i < view->rec->hold_count; i++) {
        const struct hkr_hold *h = &view->rec->holds[i];
        char text[TITLE_ROOM];
        struct stock s = {fingerprint_hold(&view->names, h), text, h->live,
                          (char *)(uintptr_t)file};

        if (h->flags & HKR_HOLD_ROOT)
            continue;
        snprintf(text, sizeof text, "\"%.60s\" %.60s",
                 recording_string(view->rec, h->name),
                 type_name(view, h->type));
        inventory_stock(inv, &holds, &s);
    }
    inventory_merge(inv, &inv->holds, &holds);
}

static void
add_judged(struct inventory *inv, const struct view *view, const char *file)
{
    const struct recording *rec = view->rec;
    struct judged j = {(char *)(uintptr_t)file, view_state(view),
                       rec->header.pid, view_ran_seconds(view),
                       view->growth.total.kind != TREND_TOO_SHORT
                           && view->growth.snapshots >= TREND_SNAPSHOTS_MIN,
                       rec->type_count <= 1, view_has_losses(view)};

    for (uint32_t i = 1; i < rec->scan_count; i++)
        j.scanned |= rec->scans[i].status == HKR_SCAN_DONE
            || rec->scans[i].status == HKR_SCAN_TRUNCATED;
    inventory_judged(inv, &j);
}

void
inventory_add(struct inventory *inv, const struct view *view,
              const char *file, uint64_t max_live)
{
    const struct recording *rec = view->rec;

    for (size_t i = 0; i < rec->group_count; i++)
        if (rec->groups[i].head.confirmed)
            add_cycle(inv, view, &rec->groups[i], file);
    for (size_t i = 0; i < view->growth.type_count; i++)
        add_type(inv, view, &view->growth.types[i], file);
    for (size_t i = 0; i < view->growth.path_count; i++)
        add_path(inv, view, &view->growth.paths[i], file);
    add_memory(inv, view, file);
    for (uint32_t i = 1; i < rec->mistake_count; i++)
        if (rec->mistakes[i].kind)
            add_mistake(inv, view, &rec->mistakes[i], file);
    add_live(inv, view, file, max_live);
    add_types(inv, view, file);
    add_holds(inv, view, file);
    add_judged(inv, view, file);
}
