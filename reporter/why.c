/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * why.c -- see why.h.
 */
#include "reporter/why.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "reporter/units.h"

#define HEX "0123456789abcdefABCDEF"

int
why_is_address(const char *word, uint64_t *address)
{
    size_t digits = strlen(word) - 2;

    if (word[0] != '0' || (word[1] != 'x' && word[1] != 'X')
        || digits == 0 || digits > 16 || strspn(word + 2, HEX) != digits)
        return 0;
    *address = strtoull(word + 2, NULL, 16);
    return 1;
}

uint32_t
why_type(const struct recording *rec, const char *name)
{
    uint32_t found = 0;

    for (uint32_t i = 1; i < rec->type_count && *name; i++)
        if (strcmp(recording_string(rec, rec->types[i].name), name) == 0
            && (!found || census_of(rec, i)))
            found = i;
    return found;
}

enum why_result
why_find(const struct view *view, const char *word, struct why *out)
{
    const struct recording *rec = view->rec;

    *out = (struct why){.view = view};
    if (why_is_address(word, &out->address)) {
        out->path = census_path_to(rec, out->address, &out->census);
        if (!out->path)
            return WHY_NO_PATH;
        out->type = out->path->steps[out->path->head.step_count - 1].type;
        return WHY_FOUND;
    }
    out->type = why_type(rec, word);
    if (!out->type)
        return WHY_NO_TYPE;
    out->census = census_of(rec, out->type);
    return out->census ? WHY_FOUND : WHY_NO_CENSUS;
}

/* The field that is the only reference to most objects; NULL: none is to at
   least half of them. */
static const struct hkr_referrer *
holder_of_most(const struct census *c)
{
    const struct hkr_referrer *most = NULL;

    for (uint32_t i = 0; i < c->head.referrer_count; i++)
        if (!most || c->referrers[i].sole > most->sole)
            most = &c->referrers[i];
    return most && most->sole
                   && most->sole >= census_live(c) - census_live(c) / 2
               ? most
               : NULL;
}

/* Have most of the reachable ones references that are not known? */
static int
is_mostly_outside(const struct census *c)
{
    return c->head.outside >= census_live(c) - census_live(c) / 2;
}

static const struct hkr_referrer *
field_with_most(const struct census *c)
{
    const struct hkr_referrer *most = NULL;

    for (uint32_t i = 0; i < c->head.referrer_count; i++)
        if (!most || c->referrers[i].edges > most->edges)
            most = &c->referrers[i];
    return most;
}

static const char *
plural_of(uint64_t n)
{
    return n == 1 ? "reference that is no field of a registered object"
                  : "references that are no field of a registered object";
}

/* "2 references that are no field of a registered object, and no named hold";
   text is used from its beginning. */
static void
say_outside(const struct recording *rec, uint32_t type, uint64_t unknown,
            char *text, size_t size)
{
    uint64_t holds = census_holds(rec, type);

    if (holds)
        snprintf(text, size,
                 "held from outside: %s %s; %s of such objects stand%s",
                 units_count(unknown), plural_of(unknown),
                 units_plural(holds, "named hold"), holds == 1 ? "s" : "");
    else
        snprintf(text, size, "held from outside: %s %s, and no named hold",
                 units_count(unknown), plural_of(unknown));
}

static void
say_holder(const struct why *why, char *text, size_t size)
{
    const struct recording *rec = why->view->rec;
    const struct census *c = why->census;
    const struct hkr_referrer *alone = holder_of_most(c);
    const struct hkr_referrer *most = field_with_most(c);
    char name[CENSUS_NAME_BYTES];
    struct census_sum s = census_sum_of(rec, c);

    if (alone) {
        census_field_name(rec, alone->from, alone->label, name, sizeof name);
        snprintf(text, size, "%s of them held only by %s",
                 units_count(alone->sole < census_live(c) ? alone->sole
                                                          : census_live(c)),
                 name);
    } else if (most && !is_mostly_outside(c)
               && most->edges >= s.holds + s.unknown) {
        census_field_name(rec, most->from, most->label, name, sizeof name);
        snprintf(text, size, "most references are %s (%s of %s)", name,
                 units_count(most->edges),
                 units_count(s.references + s.excess));
    } else {
        say_outside(rec, why->type, s.holds + s.unknown, text, size);
    }
}

static void
say_type(const struct why *why, char *text, size_t size)
{
    const struct census *c = why->census;
    const char *name = recording_type_name(why->view->rec, why->type);
    uint64_t live = census_live(c);
    char holder[WHY_HEADLINE_BYTES - 128];

    if (c->head.objects == 0) {
        snprintf(text, size, "%.80s: there was no such object", name);
    } else if (live == 0) {
        snprintf(text, size,
                 "%.80s: %s, all unreachable: see heapknot cycles", name,
                 units_plural(c->head.objects, "object"));
    } else {
        say_holder(why, holder, sizeof holder);
        snprintf(text, size, "%.80s: %s live, %s", name,
                 units_plural(live, "object"), holder);
    }
}

static void
say_object(const struct why *why, char *text, size_t size)
{
    const struct recording *rec = why->view->rec;
    const struct hkr_path *p = &why->path->head;
    const struct hkr_step *steps = why->path->steps;
    const struct hkr_step *last = &steps[p->step_count - 1];
    char holder[WHY_HEADLINE_BYTES - 128];
    const char *name = recording_type_name(rec, last->type);

    if (p->step_count == 1) {
        say_outside(rec, last->type,
                    p->refcount > p->known ? p->refcount - p->known : 0,
                    holder, sizeof holder);
        snprintf(text, size, "%.80s 0x%" PRIx64 ": %s", name, last->address,
                 holder);
    } else {
        snprintf(text, size,
                 "%.80s 0x%" PRIx64 ": reachable from %.80s 0x%" PRIx64
                 ", %s away",
                 name, last->address, recording_type_name(rec, steps->type),
                 steps->address,
                 units_plural((uint64_t)p->step_count - 1 + p->left_out,
                              "step"));
    }
}

void
why_headline(const struct why *why, char *text, size_t size)
{
    if (why->path)
        say_object(why, text, size);
    else
        say_type(why, text, size);
}
