/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * baseline.c -- what was known before, from a recording or from JSON.
 *
 * Of JSON only what is understood is taken; a member of another shape is as if
 * it were not there, except that the schema must be one of ours.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "reporter/fingerprint.h"
#include "reporter/gate.h"
#include "reporter/read.h"
#include "reporter/view.h"

/* "" for what is no string. */
static const char *
text_of(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));

    return text ? text : "";
}

static void
add_known(struct inventory *base, enum issue_kind kind, const json_t *o)
{
    uint64_t fingerprint;

    if (kind < ISSUE_LEFT
        && fingerprint_parse(text_of(o, "fingerprint"), &fingerprint) == 0)
        inventory_issue(base, kind, fingerprint, "", "", "");
}

/* The issues of a check, whatever became of them there. */
static void
add_issues(struct inventory *base, const json_t *list)
{
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o) {
        const char *word = text_of(o, "kind");

        add_known(base, issue_of_word(word, strlen(word)), o);
    }
}

/* Entries of a report in which `key` is `value`. */
static void
add_entries(struct inventory *base, enum issue_kind kind, const json_t *list,
            const char *key, const char *value)
{
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o)
        if (!key || strcmp(text_of(o, key), value) == 0)
            add_known(base, kind, o);
}

static void
add_stocks(struct inventory *base, struct stocks *to, const json_t *list)
{
    struct stocks stocks = {0};
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o) {
        char *name = (char *)(uintptr_t)text_of(o, "name");
        json_int_t live = json_integer_value(json_object_get(o, "live"));
        struct stock s = {fingerprint_words("type", name), name,
                          live > 0 ? (uint64_t)live : 0, name};

        if (to == &base->holds
            && (fingerprint_parse(text_of(o, "fingerprint"), &s.fingerprint)
                || json_is_true(json_object_get(o, "root"))))
            continue;
        inventory_stock(base, &stocks, &s);
    }
    inventory_merge(base, to, &stocks);
}

/* A report says of its types by name whether they grow. */
static void
add_types(struct inventory *base, const json_t *list)
{
    size_t i;
    json_t *o;

    json_array_foreach(list, i, o)
        if (strcmp(text_of(o, "trend"), "leak") == 0)
            inventory_issue(base, ISSUE_TYPE,
                            fingerprint_words("type", text_of(o, "name")), "",
                            "", "");
}

static void
add_report(struct inventory *base, const json_t *o)
{
    const json_t *timeline = json_object_get(o, "timeline");

    add_entries(base, ISSUE_CYCLE, json_object_get(o, "cycles"), "state",
                "confirmed");
    add_entries(base, ISSUE_PATH, json_object_get(o, "stacks"), "trend",
                "leak");
    add_entries(base, ISSUE_MISTAKE, json_object_get(o, "mistakes"), NULL,
                "");
    add_types(base, json_object_get(o, "types"));
    if (strcmp(text_of(timeline, "trend"), "leak") == 0)
        inventory_issue(base, ISSUE_MEMORY, fingerprint_words("memory", ""),
                        "", "", "");
}

static int
load_json(const char *path, struct inventory *base, struct fail *why)
{
    json_error_t error;
    json_t *o = json_load_file(path, 0, &error);
    const char *schema = text_of(o, "schema");
    int result = 0;

    if (!o)
        return fail_set(why, "%.200s is neither a recording nor JSON: line %d: "
                             "%.100s", path, error.line, error.text);
    if (strcmp(schema, "heapknot-check-1") == 0) {
        add_issues(base, json_object_get(o, "findings"));
        add_issues(base, json_object_get(o, "known"));
        add_issues(base, json_object_get(o, "ignored"));
    } else if (strcmp(schema, "heapknot-report-1") == 0) {
        add_report(base, o);
    } else {
        result = fail_set(why,
                          "%.200s: JSON of schema '%.40s' is no baseline; "
                          "check --json and report --json write one",
                          path, schema);
    }
    add_stocks(base, &base->types, json_object_get(o, "types"));
    add_stocks(base, &base->holds, json_object_get(o, "holds"));
    json_decref(o);
    return result;
}

static int
load_recording(const char *path, struct inventory *base, struct fail *why)
{
    struct recording *rec;
    struct view view;

    if (recording_open(path, &rec, why))
        return -1;
    if (view_make(rec, 1, &view))
        return fail_memory(why, path);
    inventory_add(base, &view, path, 0);
    view_free(&view);
    return 0;
}

int
baseline_load(const char *path, struct inventory *base, struct fail *why)
{
    char magic[8] = "";
    FILE *f = fopen(path, "re");
    int is_recording;

    if (!f)
        return fail_set(why, "%.300s: %s", path, strerror(errno));
    is_recording = fread(magic, 1, sizeof magic, f) == sizeof magic
        && memcmp(magic, HKR_MAGIC, sizeof magic) == 0;
    fclose(f);
    return is_recording ? load_recording(path, base, why)
                        : load_json(path, base, why);
}
