/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_refs.c -- schema "heapknot-refs-1".  Keys are only ever added.
 *
 * The tree is a list in the order of the text, each node with the index of the
 * one above it: its depth is that of stacks, and readers have limits.
 */
#include "reporter/refs.h"

#include "reporter/json_parts.h"

#define SENTENCE_BYTES 256

static void
put_balance(json_t *o, uint64_t increments, uint64_t decrements)
{
    json_put(o, "balance", json_integer((json_int_t)(increments - decrements)));
    json_put_number(o, "increments", increments);
    json_put_number(o, "decrements", decrements);
}

/* From a node outwards, innermost first. */
static json_t *
path_frames(const struct ref_tree *t, uint32_t node)
{
    json_t *list = json_array();

    for (; node; node = t->nodes[node].parent)
        json_array_append_new(list, json_frame(&t->nodes[node].frame));
    return list;
}

static json_t *
taken_list(const struct ref_tree *t)
{
    json_t *list = json_array();

    for (size_t i = 0; i < t->taken_count; i++) {
        const struct ref_node *n = &t->nodes[t->taken[i]];
        json_t *o = json_object();

        json_put_number(o, "count", n->left);
        json_put(o, "birth", json_boolean(n->is_birth));
        json_put(o, "frames", path_frames(t, t->taken[i]));
        json_array_append_new(list, o);
    }
    return list;
}

/* A node and those that its line goes on with, outermost first. */
static void
append_node(const struct ref_tree *t, uint32_t node, json_t *above,
            json_t *list)
{
    const struct ref_node *n = &t->nodes[node];
    json_t *o = json_object(), *frames = json_array();
    size_t index = json_array_size(list);

    put_balance(o, n->increments, n->decrements);
    json_array_append_new(frames, json_frame(&n->frame));
    for (uint32_t i; (i = refs_folded(t, node)); node = i)
        json_array_append_new(frames, json_frame(&t->nodes[i].frame));
    n = &t->nodes[node];
    json_put(o, "own_balance",
             json_integer(n->has_own ? (json_int_t)(n->own_increments
                                                    - n->own_decrements)
                                     : 0));
    json_put(o, "above", above);
    json_put(o, "frames", frames);
    json_array_append_new(list, o);
    for (uint32_t i = n->first; i; i = t->nodes[i].next)
        if (t->nodes[i].is_shown)
            append_node(t, i, json_integer((json_int_t)index), list);
}

static json_t *
type_object(const struct view *view, struct ref_tree *t, size_t top)
{
    json_t *o = json_object(), *list = json_array();
    size_t more = refs_show(t, top);

    json_put(o, "type", json_text(recording_type_name(view->rec, t->type)));
    json_put_number(o, "live", t->live);
    put_balance(o, t->increments, t->decrements);
    json_put(o, "taken", taken_list(t));
    json_put_number(o, "matched_paths", t->matched_paths);
    json_put_number(o, "matched_pairs", t->matched_pairs);
    json_put_number(o, "paths_not_shown", more);
    for (uint32_t i = t->nodes[0].first; i; i = t->nodes[i].next)
        if (t->nodes[i].is_shown)
            append_node(t, i, json_null(), list);
    json_put(o, "tree", list);
    return o;
}

static json_t *
missing_list(const struct recording *rec)
{
    json_t *list = json_array();
    char text[SENTENCE_BYTES];

    for (size_t i = 0; refs_missing(rec, i, text, sizeof text); i++)
        json_array_append_new(list, json_text(text));
    return list;
}

static json_t *
losses_object(const struct recording *rec)
{
    json_t *o = json_object();

    json_put_number(o, "refs_lost", recording_counter(rec, COUNTER_refs_lost));
    json_put_number(o, "refs_given_up",
                    recording_counter(rec, COUNTER_refs_given_up));
    return o;
}

int
json_refs(const struct view *view, struct refs *refs, size_t top, FILE *file)
{
    struct json_out out;

    json_begin(&out, file);
    json_member(&out, "schema", json_text("heapknot-refs-1"));
    json_list_begin(&out, "types");
    for (size_t i = 0; i < refs->count; i++)
        json_list_add(&out, type_object(view, &refs->trees[i], top));
    json_list_end(&out);
    json_member(&out, "missing", missing_list(view->rec));
    json_member(&out, "losses", losses_object(view->rec));
    return json_end(&out);
}
