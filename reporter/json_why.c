/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_why.c -- schema "heapknot-why-1".  Keys are only ever added.
 */
#include "reporter/why.h"

#include <inttypes.h>
#include <stdlib.h>

#include "reporter/json_parts.h"

static json_t *
type_text(const struct recording *rec, uint32_t type)
{
    return json_text(recording_string(rec, rec->types[type].name));
}

static json_t *
label_text(const struct recording *rec, uint32_t label)
{
    return label ? json_text(recording_string(rec, label)) : json_null();
}

static json_t *
address_text(uint64_t address)
{
    char text[24];

    snprintf(text, sizeof text, "0x%" PRIx64, address);
    return json_text(text);
}

static json_t *
step_object(const struct why *why, const struct hkr_step *s)
{
    const struct recording *rec = why->view->rec;
    json_t *o = json_object();

    json_put(o, "type", type_text(rec, s->type));
    json_put(o, "address", address_text(s->address));
    json_put(o, "label", label_text(rec, s->label));
    json_put(o, "index", s->index < 0 ? json_null() : json_integer(s->index));
    json_put(o, "note", s->note ? json_text(recording_string(rec, s->note))
                                : json_null());
    json_put_number(o, "stack", s->created);
    json_put(o, "created",
             json_frames(&why->view->names, rec->stacks[s->created].node));
    return o;
}

static json_t *
path_object(const struct why *why, const struct census_path *p)
{
    json_t *o = json_object(), *steps = json_array();

    for (uint32_t i = 0; i < p->head.step_count; i++)
        json_array_append_new(steps, step_object(why, &p->steps[i]));
    json_put_number(o, "references", p->head.refcount);
    json_put_number(o, "known", p->head.known);
    json_put_number(o, "left_out", p->head.left_out);
    json_put(o, "steps", steps);
    return o;
}

static void
write_paths(const struct why *why, struct json_out *out)
{
    json_list_begin(out, "paths");
    if (why->path)
        json_list_add(out, path_object(why, why->path));
    for (uint32_t i = 0; !why->path && i < why->census->head.path_count; i++)
        json_list_add(out, path_object(why, &why->census->paths[i]));
    json_list_end(out);
}

static void
write_referrers(const struct why *why, struct json_out *out)
{
    const struct recording *rec = why->view->rec;
    struct hkr_referrer *list = census_referrers(why->census);
    char name[CENSUS_NAME_BYTES];

    json_list_begin(out, "referrers");
    for (uint32_t i = 0; list && i < why->census->head.referrer_count; i++) {
        json_t *o = json_object();

        census_field_name(rec, list[i].from, list[i].label, name,
                          sizeof name);
        json_put(o, "field", json_text(name));
        json_put(o, "type", type_text(rec, list[i].from));
        json_put(o, "label", label_text(rec, list[i].label));
        json_put_number(o, "edges", list[i].edges);
        json_put_number(o, "sole", list[i].sole);
        json_list_add(out, o);
    }
    json_list_end(out);
    free(list);
}

static void
write_holds(const struct why *why, struct json_out *out)
{
    const struct recording *rec = why->view->rec;

    json_list_begin(out, "holds");
    for (uint32_t i = 1; i < rec->hold_count; i++) {
        const struct hkr_hold *h = &rec->holds[i];
        json_t *o;

        if (h->type != why->type || !h->live)
            continue;
        o = json_object();
        json_put(o, "name", json_text(recording_string(rec, h->name)));
        json_put_number(o, "live", h->live);
        json_put_number(o, "stack", h->stack);
        json_list_add(out, o);
    }
    json_list_end(out);
}

static json_t *
sum_object(const struct census_sum *s)
{
    json_t *o = json_object();

    json_put_number(o, "references", s->references);
    json_put_number(o, "fields", s->fields);
    json_put_number(o, "other_fields", s->other_fields);
    json_put_number(o, "holds", s->holds);
    json_put(o, "holds_unsure", json_boolean(s->holds_unsure));
    json_put_number(o, "unknown", s->unknown);
    json_put_number(o, "excess", s->excess);
    return o;
}

int
json_why(const struct why *why, FILE *file)
{
    const struct recording *rec = why->view->rec;
    const struct hkr_census *h = &why->census->head;
    struct census_sum sum = census_sum_of(rec, why->census);
    char text[WHY_HEADLINE_BYTES];
    struct json_out out;

    why_headline(why, text, sizeof text);
    json_begin(&out, file);
    json_member(&out, "schema", json_text("heapknot-why-1"));
    json_member(&out, "headline", json_text(text));
    json_member(&out, "type", type_text(rec, why->type));
    json_member(&out, "address",
                why->path ? address_text(why->address) : json_null());
    json_member(&out, "time", json_real(census_seconds(rec, why->census)));
    json_member(&out, "asked", json_boolean(why->asked));
    json_member(&out, "objects", json_number(h->objects));
    json_member(&out, "unreachable", json_number(h->lost));
    json_member(&out, "outside", json_number(h->outside));
    json_member(&out, "sum", sum_object(&sum));
    write_referrers(why, &out);
    write_holds(why, &out);
    write_paths(why, &out);
    return json_end(&out);
}
