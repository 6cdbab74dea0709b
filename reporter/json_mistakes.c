/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_mistakes.c -- "mistakes" and "holds" of schema "heapknot-report-1".
 */
#include "reporter/mistakes.h"

#include <inttypes.h>

#include "reporter/fingerprint.h"
#include "reporter/json_parts.h"

static json_t *
seconds(uint64_t ns)
{
    return json_real((double)ns / 1e9);
}

static json_t *
type_name(const struct recording *rec, uint32_t type)
{
    return type ? json_text(recording_string(rec, rec->types[type].name))
                : json_null();
}

/* null: not known. */
static json_t *
stack_object(const struct view *view, const char *what, uint32_t stack)
{
    json_t *o;

    if (!stack)
        return json_null();
    o = json_object();
    json_put(o, "what", json_text(what));
    json_put_number(o, "stack", stack);
    json_put(o, "frames",
             json_frames(&view->names, view->rec->stacks[stack].node));
    return o;
}

static json_t *
mistake_object(const struct view *view, const struct hkr_mistake *m)
{
    const struct recording *rec = view->rec;
    json_t *o = json_object();
    char address[24];

    json_put(o, "kind", json_text(mistake_kind(m->kind)));
    json_put_fingerprint(o, fingerprint_mistake(&view->names, m));
    json_put(o, "sentence", json_text(recording_string(rec, m->what)));
    json_put(o, "type", type_name(rec, m->type));
    snprintf(address, sizeof address, "0x%" PRIx64, m->address);
    json_put(o, "address", m->address ? json_text(address) : json_null());
    json_put_number(o, "count", m->count);
    json_put(o, "first", seconds(m->first_ns));
    json_put(o, "last", seconds(m->last_ns));
    json_put(o, "here", stack_object(view, "here", m->here));
    json_put(o, "origin",
             stack_object(view, mistake_origin(m->kind), m->origin));
    json_put(o, "before", stack_object(view, mistake_last(m->kind), m->last));
    return o;
}

void
json_mistakes(const struct view *view, struct json_out *out)
{
    json_list_begin(out, "mistakes");
    for (uint32_t i = 1; i < view->rec->mistake_count; i++)
        if (view->rec->mistakes[i].kind)
            json_list_add(out, mistake_object(view, &view->rec->mistakes[i]));
    json_list_end(out);
}

static json_t *
hold_object(const struct view *view, const struct hkr_hold *h)
{
    const struct recording *rec = view->rec;
    json_t *o = json_object();

    json_put(o, "name", json_text(recording_string(rec, h->name)));
    json_put_fingerprint(o, fingerprint_hold(&view->names, h));
    json_put(o, "type", type_name(rec, h->type));
    json_put(o, "root", json_boolean(h->flags & HKR_HOLD_ROOT));
    json_put_number(o, "live", h->live);
    json_put_number(o, "ever", h->ever);
    json_put(o, "seconds",
             h->oldest_ns ? json_real(hold_seconds(rec, h)) : json_null());
    json_put_number(o, "stack", h->stack);
    json_put(o, "frames",
             json_frames(&view->names, rec->stacks[h->stack].node));
    return o;
}

void
json_holds(const struct view *view, struct json_out *out)
{
    json_list_begin(out, "holds");
    for (uint32_t i = 1; i < view->rec->hold_count; i++)
        if (view->rec->holds[i].live || view->rec->holds[i].ever)
            json_list_add(out, hold_object(view, &view->rec->holds[i]));
    json_list_end(out);
}
