/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * json_check.c -- schema "heapknot-check-1".  Keys are only ever added.
 *
 * It has all that a baseline needs: see baseline.c.
 */
#include "reporter/gate.h"

#include "reporter/json_parts.h"

static json_t *
issue_object(const struct issue *issue)
{
    json_t *o = json_object();

    json_put(o, "kind", json_text(issue_word(issue->kind)));
    json_put_fingerprint(o, issue->fingerprint);
    json_put(o, "headline", json_text(issue->headline));
    json_put(o, "file", json_text(issue->file));
    json_put_number(o, "recordings", issue->recordings);
    return o;
}

static void
write_issues(const struct gate *gate, enum issue_state state,
             const char *key, struct json_out *out)
{
    json_list_begin(out, key);
    for (size_t i = 0; i < gate->now.issue_count; i++)
        if (gate->now.issues[i].state == state)
            json_list_add(out, issue_object(&gate->now.issues[i]));
    json_list_end(out);
}

static void
write_stocks(const struct stocks *stocks, const char *key,
             struct json_out *out)
{
    json_list_begin(out, key);
    for (size_t i = 0; i < stocks->count; i++) {
        const struct stock *s = &stocks->items[i];
        json_t *o = json_object();

        json_put(o, "name", json_text(s->name));
        json_put_fingerprint(o, s->fingerprint);
        json_put_number(o, "live", s->live);
        json_list_add(out, o);
    }
    json_list_end(out);
}

static void
write_recordings(const struct gate *gate, struct json_out *out)
{
    json_list_begin(out, "recordings");
    for (size_t i = 0; i < gate->now.judged_count; i++) {
        const struct judged *j = &gate->now.judged[i];
        json_t *o = json_object();

        json_put(o, "file", json_text(j->file));
        json_put_number(o, "pid", j->pid);
        json_put(o, "state", json_text(j->state));
        json_put(o, "seconds", json_real(j->seconds));
        json_put(o, "growth_judged", json_boolean(j->growth));
        json_put(o, "scanned", json_boolean(j->scanned));
        json_put(o, "losses", json_boolean(j->losses));
        json_list_add(out, o);
    }
    json_list_end(out);
}

int
json_check(const struct gate *gate, FILE *file)
{
    struct json_out out;

    json_begin(&out, file);
    json_member(&out, "schema", json_text("heapknot-check-1"));
    json_member(&out, "verdict",
                json_text(gate->counts[ISSUE_NEW] ? "findings" : "clean"));
    json_member(&out, "baseline", json_boolean(gate->has_base));
    json_member(&out, "tolerance", json_real(gate->tolerance));
    write_issues(gate, ISSUE_NEW, "findings", &out);
    write_issues(gate, ISSUE_KNOWN, "known", &out);
    write_issues(gate, ISSUE_IGNORED, "ignored", &out);
    write_recordings(gate, &out);
    write_stocks(&gate->now.types, "types", &out);
    write_stocks(&gate->now.holds, "holds", &out);
    return json_end(&out);
}
