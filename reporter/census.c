/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * census.c -- see census.h.
 *
 * Numbers come from a file that is not trusted: sums stop at their largest
 * value, and differences at 0.
 */
#include "reporter/census.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is looked at for a name; bounds the time that a broken recording
   takes. */
#define PATHS_LOOKED 256u
#define STEPS_LOOKED 64u

static uint64_t
plus(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t
minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

const struct census *
census_of(const struct recording *rec, uint32_t type)
{
    const struct census *found = NULL;

    for (size_t i = 0; type && i < rec->census_count; i++) {
        const struct census *c = &rec->censuses[i];

        if (c->head.type == type
            && (!found || c->head.scan >= found->head.scan))
            found = c;
    }
    return found;
}

const struct census_path *
census_path_to(const struct recording *rec, uint64_t address,
               const struct census **census)
{
    const struct census_path *found = NULL;

    for (size_t i = 0; i < rec->census_count; i++) {
        const struct census *c = &rec->censuses[i];

        for (uint32_t k = 0; k < c->head.path_count; k++) {
            const struct census_path *p = &c->paths[k];

            if (p->steps[p->head.step_count - 1].address != address
                || (found && c->head.scan <= (*census)->head.scan))
                continue;
            found = p;
            *census = c;
        }
    }
    return found;
}

double
census_seconds(const struct recording *rec, const struct census *c)
{
    return (double)rec->scans[c->head.scan].time_ns / 1e9;
}

uint64_t
census_live(const struct census *c)
{
    return minus(c->head.objects, c->head.lost);
}

static int
is_field(const struct recording *rec, const struct hkr_referrer *r,
         uint32_t from, uint32_t label)
{
    return r->from == from
        && (r->label == label
            || strcmp(recording_string(rec, r->label),
                      recording_string(rec, label))
                == 0);
}

static uint64_t
listed_edges(const struct census *c)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < c->head.referrer_count; i++)
        sum = plus(sum, c->referrers[i].edges);
    return sum;
}

int
census_field(const struct recording *rec, const struct census *c,
             uint32_t from, uint32_t label, struct hkr_referrer *out)
{
    int found = 0;

    *out = (struct hkr_referrer){.from = from, .label = label};
    for (uint32_t i = 0; i < c->head.referrer_count; i++) {
        const struct hkr_referrer *r = &c->referrers[i];

        if (is_field(rec, r, from, label)) {
            out->edges = plus(out->edges, r->edges);
            out->sole = plus(out->sole, r->sole);
            found = 1;
        }
    }
    /* a field that is not listed has no edges, if all are listed */
    return found || listed_edges(c) >= c->head.known ? 0 : -1;
}

static int
compare(const void *va, const void *vb)
{
    const struct hkr_referrer *a = va, *b = vb;

    if (a->edges != b->edges)
        return a->edges < b->edges ? 1 : -1;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return (a->label > b->label) - (a->label < b->label);
}

struct hkr_referrer *
census_referrers(const struct census *c)
{
    uint32_t n = c->head.referrer_count;
    struct hkr_referrer *list = calloc((size_t)n + 1, sizeof *list);

    if (list && n) {
        memcpy(list, c->referrers, n * sizeof *list);
        qsort(list, n, sizeof *list, compare);
    }
    return list;
}

static int
has_index(const struct census_path *p, uint32_t from, uint32_t label)
{
    for (uint32_t s = 1; s < p->head.step_count && s < STEPS_LOOKED; s++)
        if (p->steps[s].index >= 0 && p->steps[s].label == label
            && p->steps[s - 1].type == from)
            return 1;
    return 0;
}

/* Does a path go through this field with an index? */
static int
is_array(const struct recording *rec, uint32_t from, uint32_t label)
{
    uint32_t looked = 0;

    for (size_t i = 0; i < rec->census_count; i++)
        for (uint32_t k = 0; k < rec->censuses[i].head.path_count; k++)
            if (looked++ == PATHS_LOOKED)
                return 0;
            else if (has_index(&rec->censuses[i].paths[k], from, label))
                return 1;
    return 0;
}

void
census_field_name(const struct recording *rec, uint32_t from, uint32_t label,
                  char *text, size_t size)
{
    const char *name = recording_string(rec, label);

    snprintf(text, size, "%.70s.%.70s%s", recording_type_name(rec, from),
             *name ? name : "?", is_array(rec, from, label) ? "[]" : "");
}

uint64_t
census_holds(const struct recording *rec, uint32_t type)
{
    uint64_t sum = 0;

    for (uint32_t i = 1; type && i < rec->hold_count; i++)
        if (rec->holds[i].type == type)
            sum = plus(sum, rec->holds[i].live);
    return sum;
}

/* HOLD is newer than the scan, so its numbers may not fit. */
struct census_sum
census_sum_of(const struct recording *rec, const struct census *c)
{
    struct census_sum s = {.references = c->head.references};
    uint64_t edges, rest, holds = census_holds(rec, c->head.type);

    s.fields = listed_edges(c);
    s.other_fields = minus(c->head.known, s.fields);
    edges = plus(s.fields, s.other_fields);
    s.excess = minus(edges, s.references);
    rest = minus(s.references, edges);
    s.holds_unsure = holds > rest;
    s.holds = s.holds_unsure ? rest : holds;
    s.unknown = rest - s.holds;
    return s;
}

static int
percent(uint64_t part, uint64_t all)
{
    return all ? (int)((double)part * 100 / (double)all + 0.5) : 0;
}

/* One more part of the list in text. */
static void
add_share(char *text, size_t size, const char *name, uint64_t part,
          uint64_t all)
{
    size_t used = strlen(text);

    if (percent(part, all))
        snprintf(text + used, size - used, "%s%s %d %%", used ? ", " : "",
                 name, percent(part, all));
}

int
census_held_by(const struct recording *rec, uint32_t type, char *text,
               size_t size)
{
    const struct census *c = census_of(rec, type);
    struct hkr_referrer *list = c ? census_referrers(c) : NULL;
    struct census_sum s;
    char name[CENSUS_NAME_BYTES];
    uint64_t all;

    *text = '\0';
    if (!list)
        return -1;
    s = census_sum_of(rec, c);
    all = plus(s.references, s.excess);
    for (uint32_t i = 0; i < c->head.referrer_count && i < 2; i++) {
        census_field_name(rec, list[i].from, list[i].label, name,
                          sizeof name);
        add_share(text, size, name, list[i].edges, all);
    }
    add_share(text, size, "named holds", s.holds, all);
    add_share(text, size, "unknown", s.unknown, all);
    free(list);
    return *text ? 0 : -1;
}
