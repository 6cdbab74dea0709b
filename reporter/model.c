/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * model.c -- see model.h.
 */
#include "reporter/model.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reporter/leb.h"

void
recording_close(struct recording *rec)
{
    if (!rec)
        return;
    free(rec->path);
    free(rec->facts);
    free(rec->modules);
    free(rec->nodes);
    free(rec->stacks);
    free(rec->types);
    free(rec->scans);
    free(rec->mistakes);
    free(rec->holds);
    free(rec->balances);
    free(rec->snapshots);
    free(rec->groups);
    free(rec->censuses);
    free(rec->census_paths);
    free(rec->strings);
    free(rec->proc);
    free(rec->time);
    free(rec->find);
    free(rec->graph);
    free(rec);
}

const char *
recording_string(const struct recording *rec, uint32_t id)
{
    return id && id < rec->string_bytes ? rec->strings + id : "";
}

const char *
recording_type_name(const struct recording *rec, uint32_t type)
{
    const char *name = recording_string(rec, rec->types[type].name);

    return *name ? name : "(unknown type)";
}

const char *
recording_fact(const struct recording *rec, const char *name)
{
    for (size_t i = 0; i < rec->fact_count; i++)
        if (strcmp(rec->facts[i].name, name) == 0)
            return rec->facts[i].value;
    return NULL;
}

char *
recording_command(const struct recording *rec)
{
    char *text = NULL;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    const char *blank = "";

    if (!f)
        return NULL;
    for (size_t i = 0; i < rec->fact_count; i++)
        if (strcmp(rec->facts[i].name, "command") == 0) {
            fprintf(f, "%s%s", blank, rec->facts[i].value);
            blank = " ";
        }
    if (fclose(f)) {
        free(text);
        return NULL;
    }
    return text;
}

const char *
recording_module_path(const struct recording *rec, uint32_t id)
{
    return recording_string(rec, rec->modules[id].path);
}

const char *
recording_module_name(const struct recording *rec, uint32_t id)
{
    const char *path = recording_module_path(rec, id);
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* 1: this boot, 0: another, -1: unknown. */
static int
is_this_boot(const struct recording *rec)
{
    const char *then = recording_fact(rec, "boot_id");
    char now[64] = "";
    FILE *f;

    if (!then || !(f = fopen("/proc/sys/kernel/random/boot_id", "re")))
        return -1;
    if (!fgets(now, sizeof now, f))
        now[0] = '\0';
    fclose(f);
    return strncmp(then, now, strcspn(now, "\n")) == 0;
}

/* Does a line of /proc/PID/maps show our file? */
static int
is_our_mapping(const struct recording *rec, const char *line)
{
    unsigned long long inode;
    const char *name = strrchr(rec->path, '/'), *there;

    name = name ? name + 1 : rec->path;
    if (sscanf(line, "%*s %*s %*s %*s %llu", &inode) != 1)
        return 0;
    there = strrchr(line, '/');
    return inode == (unsigned long long)rec->file_inode && there
        && strncmp(there + 1, name, strlen(name)) == 0;
}

int
recording_is_live(const struct recording *rec)
{
    char path[64], line[4352];
    int found = 0;
    FILE *f;

    if ((rec->header.state != HKR_STATE_LIVE
         && rec->header.state != HKR_STATE_RETIRED)
        || rec->header.pid == 0 || is_this_boot(rec) == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%u/maps", rec->header.pid);
    f = fopen(path, "re");
    if (!f)
        return errno == EACCES;
    while (!found && fgets(line, sizeof line, f))
        found = is_our_mapping(rec, line);
    fclose(f);
    return found;
}

static int
is_agent_module(const struct recording *rec, uint32_t module)
{
    return (rec->modules[module].flags & HKR_MODULE_AGENT)
        || strncmp(recording_module_name(rec, module), "libheapknot.so", 14)
            == 0;
}

uint32_t
recording_visible_node(const struct recording *rec, uint32_t node)
{
    while (node && is_agent_module(rec, rec->nodes[node].module))
        node = rec->nodes[node].parent;
    return node;
}

int
recording_has(const struct recording *rec, unsigned minor)
{
    return rec->header.version_minor >= minor;
}

uint64_t
recording_counter(const struct recording *rec, enum counter c)
{
    return counter_value(&rec->header, c);
}

struct delta_reader
snapshot_stacks(const struct snapshot *snap)
{
    return (struct delta_reader){snap->stack_deltas, snap->end,
                                 snap->head.stack_count, 0};
}

struct delta_reader
snapshot_types(const struct snapshot *snap)
{
    return (struct delta_reader){snap->type_deltas, snap->end,
                                 snap->head.type_count, 0};
}

static int
next_id(struct delta_reader *reader)
{
    uint64_t step;

    if (reader->left == 0 || leb_read(&reader->at, reader->end, &step))
        return 0;
    reader->left--;
    reader->id += (uint32_t)step;
    return 1;
}

static uint64_t
next_number(struct delta_reader *reader)
{
    uint64_t value = 0;

    return leb_read(&reader->at, reader->end, &value) ? 0 : value;
}

int
delta_next_stack(struct delta_reader *reader, struct stack_delta *out)
{
    if (!next_id(reader))
        return 0;
    out->stack = reader->id;
    out->counts.allocations = next_number(reader);
    out->counts.frees = next_number(reader);
    out->counts.allocated_bytes = next_number(reader);
    out->counts.freed_bytes = next_number(reader);
    return 1;
}

int
delta_next_type(struct delta_reader *reader, struct type_delta *out)
{
    if (!next_id(reader))
        return 0;
    out->type = reader->id;
    out->counts.created = next_number(reader);
    out->counts.destroyed = next_number(reader);
    return 1;
}

int
state_empty(const struct recording *rec, struct state *out)
{
    *out = (struct state){0};
    out->stacks = calloc(rec->stack_count, sizeof *out->stacks);
    out->types = calloc(rec->type_count, sizeof *out->types);
    if (!out->stacks || !out->types) {
        state_free(out);
        return -1;
    }
    out->stack_count = rec->stack_count;
    out->type_count = rec->type_count;
    return 0;
}

static uint64_t
less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

void
state_add(struct state *state, const struct snapshot *snap)
{
    struct delta_reader reader = snapshot_stacks(snap);
    struct stack_delta sd;
    struct type_delta td;

    state->time_ns = snap->head.time_ns;
    state->total = (struct stack_counts){
        snap->head.allocations, snap->head.frees, snap->head.allocated_bytes,
        less(snap->head.allocated_bytes, snap->head.live_bytes)};
    while (delta_next_stack(&reader, &sd)) {
        struct stack_counts *c = &state->stacks[sd.stack];

        c->allocations += sd.counts.allocations;
        c->frees += sd.counts.frees;
        c->allocated_bytes += sd.counts.allocated_bytes;
        c->freed_bytes += sd.counts.freed_bytes;
    }
    reader = snapshot_types(snap);
    while (delta_next_type(&reader, &td)) {
        state->types[td.type].created += td.counts.created;
        state->types[td.type].destroyed += td.counts.destroyed;
    }
}

int
state_at(const struct recording *rec, size_t index, struct state *out)
{
    if (state_empty(rec, out))
        return -1;
    for (size_t i = 0; i <= index && i < rec->snapshot_count; i++)
        state_add(out, &rec->snapshots[i]);
    return 0;
}

int
state_now(const struct recording *rec, struct state *out)
{
    if (state_empty(rec, out))
        return -1;
    out->time_ns = rec->header.published_ns;
    out->latest = 1;
    out->total = (struct stack_counts){
        recording_counter(rec, COUNTER_allocations),
        recording_counter(rec, COUNTER_frees),
        recording_counter(rec, COUNTER_allocated_bytes),
        less(recording_counter(rec, COUNTER_allocated_bytes),
             recording_counter(rec, COUNTER_live_bytes))};
    for (uint32_t i = 1; i < rec->stack_count; i++) {
        const struct hkr_stack *s = &rec->stacks[i];

        out->stacks[i] = (struct stack_counts){
            s->allocations, s->frees, s->allocated_bytes, s->freed_bytes};
    }
    for (uint32_t i = 1; i < rec->type_count; i++)
        out->types[i] = (struct type_counts){rec->types[i].created,
                                             rec->types[i].destroyed};
    return 0;
}

void
state_free(struct state *state)
{
    free(state->stacks);
    free(state->types);
    *state = (struct state){0};
}
