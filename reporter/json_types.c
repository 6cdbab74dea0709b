/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_types.c -- "types" of schema "heapknot-report-1".
 */
#include "reporter/json_parts.h"

#include <math.h>

#include "reporter/view.h"

static const char *
trend_word(const struct trend *t)
{
    static const char *const words[] = {"too-short", "flat",   "grew",
                                        "startup",   "filled", "idle",
                                        "filling",   "leak"};

    return t ? words[t->kind] : NULL;
}

void
json_put_trend(json_t *o, const struct trend *t)
{
    json_put(o, "trend", json_text(trend_word(t)));
    json_put(o, "per_second", json_real(t ? t->per_second : 0));
}

/* null: not looked at. */
static json_t *
growth_object(const struct watched *w)
{
    const struct type_growth *g;
    json_t *o, *values, *deltas;

    if (!w)
        return json_null();
    g = &w->type;
    o = json_object();
    values = json_array();
    deltas = json_array();
    for (size_t i = 0; g->count && i <= g->count; i++)
        json_array_append_new(values, json_bytes(g->values[i]));
    for (size_t i = 0; i < g->count; i++)
        json_array_append_new(deltas,
                              json_bytes(g->values[i + 1] - g->values[i]));
    json_put(o, "verdict", json_text(intervals_word(g->verdict)));
    json_put(o, "per_minute", json_real(g->per_second * 60));
    json_put(o, "by", json_text(g->by_marks ? "marks" : "windows"));
    json_put(o, "since", json_real(g->since));
    json_put(o, "until", json_real(g->until));
    json_put(o, "values", values);
    json_put(o, "deltas", deltas);
    json_put(o, "t", isfinite(g->t) ? json_real(g->t) : json_null());
    json_put(o, "load", json_real(g->load));
    return o;
}

static json_t *
type_object(const struct view *view, uint32_t i)
{
    const struct hkr_type *t = &view->rec->types[i];
    const struct watched *w = growth_type(&view->growth, i);
    uint64_t live = counts_live_objects(&view->now.types[i]);
    uint64_t first = counts_live_objects(&view->first.types[i]);
    json_t *o = json_object();

    json_put(o, "name", json_text(recording_string(view->rec, t->name)));
    json_put_number(o, "live", live);
    json_put_number(o, "created", t->created);
    json_put_number(o, "destroyed", t->destroyed);
    json_put(o, "delta", json_integer((json_int_t)(live - first)));
    json_put_number(o, "tracked", t->tracked);
    json_put_number(o, "size", t->size_bytes);
    json_put(o, "leaf", json_boolean(t->flags & HKR_TYPE_LEAF));
    json_put(o, "foreign", json_boolean(t->flags & HKR_TYPE_FOREIGN));
    json_put_trend(o, w ? &w->trend : NULL);
    json_put(o, "growth", growth_object(w));
    return o;
}

void
json_type_list(const struct view *view, struct json_out *out)
{
    json_list_begin(out, "types");
    for (uint32_t i = 1; i < view->rec->type_count; i++)
        json_list_add(out, type_object(view, i));
    json_list_end(out);
}
