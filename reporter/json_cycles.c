/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_cycles.c -- "cycles" of schema "heapknot-report-1".
 */
#include "reporter/scans.h"

#include <inttypes.h>

#include "reporter/advice.h"
#include "reporter/json_parts.h"

static double
seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static json_t *
type_text(const struct recording *rec, uint32_t type)
{
    return json_text(recording_string(rec, rec->types[type].name));
}

static json_t *
member_list(const struct recording *rec, const struct group *g)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < g->head.member_count; i++) {
        const struct hkr_member *m = &g->members[i];
        json_t *o = json_object();

        json_put(o, "type", type_text(rec, m->type));
        json_put_number(o, "refcount", m->refcount);
        json_put_number(o, "known", m->known);
        json_put_number(o, "bytes", m->bytes);
        json_put(o, "born",
                 recording_has(rec, 3)
                     ? json_real((double)advice_born_ms(g, i) / 1e3)
                     : json_null());
        json_put(o, "note", g->notes && g->notes[i]
                                ? json_text(recording_string(rec, g->notes[i]))
                                : json_null());
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *
edge_list(const struct recording *rec, const struct group *g)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < g->head.edge_count; i++) {
        const struct hkr_edge *e = &g->edges[i];
        json_t *o = json_object();

        json_put_number(o, "from", e->from);
        json_put_number(o, "to", e->to);
        json_put(o, "label", json_text(recording_string(rec, e->label)));
        json_put(o, "index", e->index < 0 ? json_null()
                                          : json_integer(e->index));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *
site_list(const struct view *view, const struct hkr_site *sites,
          uint32_t count)
{
    const struct recording *rec = view->rec;
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++) {
        json_t *o = json_object();

        json_put_number(o, "count", sites[i].count);
        json_put(o, "type", type_text(rec, sites[i].type));
        json_put_number(o, "stack", sites[i].stack);
        json_put(o, "frames",
                 json_frames(&view->names, rec->stacks[sites[i].stack].node));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *
weak_or_null(enum advice_weak weak)
{
    if (weak == ADVICE_WEAK_UNKNOWN)
        return json_null();
    return json_boolean(weak == ADVICE_WEAK_SAFE);
}

static json_t *
field_text(const struct recording *rec, const struct advice_field *f)
{
    char name[ADVICE_NAME_BYTES];

    advice_field_name(rec, f, name, sizeof name);
    return json_text(name);
}

/* What weak_ok was judged by; null: no census tells. */
static json_t *
evidence_object(const struct recording *rec, const struct advice_field *f)
{
    json_t *o;

    if (!f->counted)
        return json_null();
    o = json_object();
    json_put(o, "type", type_text(rec, f->to));
    json_put_number(o, "live", f->live);
    json_put_number(o, "referred", f->referred);
    json_put_number(o, "held_alone", f->sole);
    return o;
}

/* Fields that break it alone, and those that have to be cleared together. */
static void
put_fields(json_t *o, const struct recording *rec, const struct advice *a)
{
    json_t *alone = json_array(), *set = json_array();

    for (uint32_t i = 0; i < a->field_count; i++)
        if (a->fields[i].breaks)
            json_array_append_new(alone, field_text(rec, &a->fields[i]));
    for (uint32_t i = 0; i < a->set_count; i++)
        json_array_append_new(set, field_text(rec, &a->fields[a->set[i]]));
    json_put(o, "alone", alone);
    json_put(o, "set", set);
    json_put(o, "set_complete", json_boolean(!a->set_cut));
}

static void
put_weak(json_t *o, const struct recording *rec, const struct advice *a)
{
    const struct advice_field *instead = advice_weak_instead(a);

    json_put(o, "weak_ok", weak_or_null(a->weak));
    json_put(o, "evidence", evidence_object(rec, &a->fields[a->set[0]]));
    json_put(o, "weak_instead",
             instead ? field_text(rec, instead) : json_null());
}

/* null: no cycle is complete in what is shown. */
static json_t *
break_object(const struct view *view, const struct group *g)
{
    const struct recording *rec = view->rec;
    const struct advice_field *f;
    json_t *o = json_null();
    struct advice a;

    if (advice_make(view, g, &a))
        return NULL;
    if (a.set_count) {
        f = &a.fields[a.set[0]];
        o = json_object();
        json_put(o, "field", field_text(rec, f));
        json_put(o, "type", type_text(rec, f->from));
        json_put(o, "label", json_text(recording_string(rec, f->label)));
        json_put_number(o, "edges", f->edges);
        json_put(o, "back", json_boolean(advice_is_back(f)));
        put_fields(o, rec, &a);
        put_weak(o, rec, &a);
        json_put(o, "clear_in",
                 a.clear_in[0] ? json_text(a.clear_in) : json_null());
        json_put(o, "of_part", json_boolean(a.part));
    }
    advice_free(&a);
    return o;
}

static json_t *
retained_object(const struct hkr_group *h)
{
    json_t *o = json_object();

    json_put_number(o, "objects", advice_retained_objects(h));
    json_put_number(o, "bytes", advice_retained_bytes(h));
    return o;
}

static json_t *
age_object(const struct recording *rec, const struct group *g)
{
    double oldest, youngest;
    json_t *o;

    if (advice_ages(rec, g, &oldest, &youngest))
        return json_null();
    o = json_object();
    json_put(o, "oldest", json_real(oldest));
    json_put(o, "youngest", json_real(youngest));
    return o;
}

static json_t *
rate_or_null(const struct recording *rec, const struct group *g)
{
    double rate, over;

    return advice_rate(rec, g, &rate, &over) ? json_null() : json_real(rate);
}

static json_t *
group_object(const struct view *view, const struct group *g)
{
    const struct hkr_group *h = &g->head;
    json_t *o = json_object();
    char fingerprint[20];

    snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, h->fingerprint);
    json_put(o, "fingerprint", json_text(fingerprint));
    json_put(o, "state", json_text(h->confirmed ? "confirmed" : "suspect"));
    json_put_number(o, "instances", h->instances);
    json_put_number(o, "confirmed", h->confirmed);
    json_put_number(o, "objects", h->objects);
    json_put_number(o, "bytes", h->instance_bytes);
    json_put_number(o, "held_objects", h->held_objects);
    json_put_number(o, "held_bytes", h->held_bytes);
    json_put(o, "first_seen", json_real(seconds(h->first_seen_ns)));
    json_put_number(o, "first_scan", h->first_scan);
    json_put_number(o, "last_scan", h->last_scan);
    json_put(o, "members", member_list(view->rec, g));
    json_put(o, "edges", edge_list(view->rec, g));
    json_put(o, "created", site_list(view, g->created, h->created_count));
    json_put(o, "last_release",
             site_list(view, g->released, h->released_count));
    json_put(o, "break", break_object(view, g));
    json_put(o, "retained", retained_object(h));
    json_put(o, "age", age_object(view->rec, g));
    json_put(o, "rate_per_minute", rate_or_null(view->rec, g));
    return o;
}

void
json_groups(const struct view *view, size_t top, struct json_out *out)
{
    json_list_begin(out, "cycles");
    for (size_t i = 0; i < view->rec->group_count && (!top || i < top); i++)
        json_list_add(out, group_object(view, &view->rec->groups[i]));
    json_list_end(out);
}
