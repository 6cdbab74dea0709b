/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_diff.c -- schema "heapknot-diff-1".  Keys are only ever added.
 */
#include "reporter/render.h"

#include "reporter/json_parts.h"

static json_t *
moment_object(const struct moment *m)
{
    json_t *o = json_object();

    json_put(o, "file", json_text(m->names.rec->path));
    json_put(o, "moment", json_text(m->label));
    json_put(o, "time", json_real((double)m->state.time_ns / 1e9));
    json_put_number(o, "pid", m->names.rec->header.pid);
    return o;
}

static json_t *
difference(uint64_t a, uint64_t b)
{
    return json_integer((json_int_t)(b - a));
}

static json_t *
change_object(const struct stack_counts *a, const struct stack_counts *b)
{
    json_t *o = json_object();

    json_put(o, "live_bytes",
             difference(counts_live_bytes(a), counts_live_bytes(b)));
    json_put(o, "live_blocks",
             difference(counts_live_blocks(a), counts_live_blocks(b)));
    json_put(o, "allocations", difference(a->allocations, b->allocations));
    json_put(o, "frees", difference(a->frees, b->frees));
    json_put(o, "allocated_bytes",
             difference(a->allocated_bytes, b->allocated_bytes));
    return o;
}

/* Of the change; null where it is exact. */
static void
put_change_interval(json_t *o, const struct diff_path *p)
{
    struct estimate e = {.sampled = diff_path_is_sampled(p)};
    double change = (double)diff_path_bytes(p);
    struct interval i = {change - p->error, change + p->error, 1};

    json_put_interval(o, &e, &i);
    json_put(o, "within_error",
             e.sampled ? json_boolean(diff_path_is_unsure(p)) : json_null());
}

static void
write_changed_types(const struct diff *diff, struct json_out *out)
{
    json_list_begin(out, "types");
    for (size_t i = 0; i < diff->type_count; i++) {
        const struct diff_type *t = &diff->types[i];
        json_t *o = json_object();

        json_put(o, "name", json_text(t->name));
        json_put(o, "live", difference(counts_live_objects(&t->a),
                                       counts_live_objects(&t->b)));
        json_put(o, "created", difference(t->a.created, t->b.created));
        json_put(o, "destroyed",
                 difference(t->a.destroyed, t->b.destroyed));
        json_list_add(out, o);
    }
    json_list_end(out);
}

int
json_diff(const struct diff *diff, size_t top, FILE *file)
{
    struct json_out out;

    json_begin(&out, file);
    json_member(&out, "schema", json_text("heapknot-diff-1"));
    json_member(&out, "from", moment_object(diff->a));
    json_member(&out, "to", moment_object(diff->b));
    json_member(&out, "matched_by",
                json_text(diff->by_names ? "names" : "addresses"));
    json_member(&out, "totals",
                change_object(&diff->total_a, &diff->total_b));
    json_list_begin(&out, "stacks");
    for (size_t i = 0; i < diff->path_count && (!top || i < top); i++) {
        const struct diff_path *p = &diff->paths[i];
        json_t *o = change_object(&p->a, &p->b);

        json_put_number(o, "id", p->stack);
        put_change_interval(o, p);
        json_put(o, "frames", json_frames(p->names, p->node));
        json_list_add(&out, o);
    }
    json_list_end(&out);
    write_changed_types(diff, &out);
    return json_end(&out);
}
