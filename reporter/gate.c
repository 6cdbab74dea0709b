/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * gate.c -- see gate.h: the comparison.
 */
#include "reporter/gate.h"

#include <inttypes.h>
#include <string.h>

#define TEXT_ROOM 512

static void
classify(struct gate *gate, struct issue *issue)
{
    if (gate->has_base
        && inventory_find(&gate->base, issue->kind, issue->fingerprint))
        issue->state = ISSUE_KNOWN;
    else if (ignore_matches(&gate->ignores, issue))
        issue->state = ISSUE_IGNORED;
    else
        issue->state = ISSUE_NEW;
}

static int
has_line(const char *lines, const char *line)
{
    size_t n = strlen(line);

    for (; *lines; lines += strcspn(lines, "\n"), lines += *lines == '\n')
        if (strncmp(lines, line, n) == 0
            && (lines[n] == '\n' || lines[n] == '\0'))
            return 1;
    return 0;
}

/* Is it said already that there are more of this type? */
static int
is_explained(const struct gate *gate, const struct stock *type)
{
    for (size_t i = 0; i < gate->now.issue_count; i++) {
        const struct issue *s = &gate->now.issues[i];

        if (s->kind == ISSUE_TYPE && s->fingerprint == type->fingerprint)
            return 1;
        if (s->kind == ISSUE_CYCLE && s->state != ISSUE_KNOWN
            && has_line(s->names, type->name))
            return 1;
    }
    return 0;
}

static int
is_more(const struct gate *gate, uint64_t now, uint64_t before)
{
    double limit = (double)before * (1 + gate->tolerance);
    double least = (double)before + GATE_LEFT_MIN;

    return (double)now > (limit > least ? limit : least);
}

static void
compare_stocks(struct gate *gate, const struct stocks *now,
               const struct stocks *base, enum issue_kind kind)
{
    for (size_t i = 0; i < now->count; i++) {
        const struct stock *s = &now->items[i];
        uint64_t before = inventory_live(base, s->fingerprint);
        char text[TEXT_ROOM];
        struct issue *issue;

        if (!is_more(gate, s->live, before)
            || (kind == ISSUE_LEFT && is_explained(gate, s)))
            continue;
        snprintf(text, sizeof text,
                 "%.160s: %" PRIu64 " %s at the end, %" PRIu64
                 " in the baseline",
                 s->name, s->live, kind == ISSUE_LEFT ? "live" : "not put",
                 before);
        issue = inventory_issue(&gate->now, kind, s->fingerprint, text,
                                s->name, s->file);
        if (issue)
            classify(gate, issue);
    }
}

void
gate_compare(struct gate *gate)
{
    for (size_t i = 0; i < gate->now.issue_count; i++)
        classify(gate, &gate->now.issues[i]);
    if (gate->has_base) {
        compare_stocks(gate, &gate->now.types, &gate->base.types,
                       ISSUE_LEFT);
        compare_stocks(gate, &gate->now.holds, &gate->base.holds,
                       ISSUE_HOLD);
    }
    for (size_t i = 0; i < gate->now.issue_count; i++)
        gate->counts[gate->now.issues[i].state]++;
}

void
gate_free(struct gate *gate)
{
    inventory_free(&gate->now);
    inventory_free(&gate->base);
    ignore_free(&gate->ignores);
}
