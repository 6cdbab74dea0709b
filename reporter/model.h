/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * model.h -- a recording in memory, checked and complete.
 *
 * Made by read.c, looked at by everything else, never changed.  Arrays are
 * indexed by the ids of format/recording.h: entry 0 is there and zero, so id 0
 * ("none") needs no test; *_count includes it and is at least 1.  Every id in
 * a record is in range, every string id names a NUL-terminated string, and
 * every parent of a node is smaller than the node.
 */
#ifndef HK_REPORTER_MODEL_H
#define HK_REPORTER_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "format/recording.h"
#include "reporter/counters.h"

/* What a process fact of PROC says; both strings belong to the recording. */
struct fact {
    const char *name, *value;
};

/* A snapshot and its changes, still packed: read with struct delta_reader. */
struct snapshot {
    struct hkr_snapshot head;
    const uint8_t *stack_deltas, *type_deltas, *end;
};

/* A group of cycles with its parts; the arrays are inside the recording. */
struct group {
    struct hkr_group head;
    struct hkr_group_more more; /* zeros before version 1.3 */
    struct hkr_member *members;
    struct hkr_edge *edges;
    struct hkr_site *created, *released;
    uint32_t *notes; /* strings, one for each member; NULL: none */
};

/* A path to an object, and who refers to the objects of a type. */
struct census_path {
    struct hkr_path head; /* step_count is at least 1 */
    struct hkr_step *steps;
};
struct census {
    struct hkr_census head;
    struct hkr_referrer *referrers;
    struct census_path *paths;
};

struct recording {
    char *path;
    struct hkr_header header;
    int torn;      /* the agent was writing while it was copied, or died */
    int truncated; /* the end of the file is missing */
    uint64_t file_bytes, missing_bytes;
    dev_t file_device;
    ino_t file_inode;

    struct fact *facts;
    size_t fact_count;
    struct hkr_module *modules;
    uint32_t module_count;
    struct hkr_node *nodes;
    uint32_t node_count;
    struct hkr_stack *stacks;
    uint32_t stack_count;
    struct hkr_type *types;
    uint32_t type_count;
    struct hkr_scan *scans;
    uint32_t scan_count;
    struct hkr_mistake *mistakes; /* kind 0: empty */
    uint32_t mistake_count;
    struct hkr_hold *holds;
    uint32_t hold_count;
    struct hkr_balance *balances;
    uint32_t balance_count;
    struct snapshot *snapshots; /* from 0, oldest first */
    size_t snapshot_count;
    struct group *groups; /* from 0 */
    size_t group_count;
    struct census *censuses; /* from 0 */
    size_t census_count;
    struct census_path *census_paths; /* of all of them */

    char *strings; /* always ends with a NUL */
    size_t string_bytes;
    /* What facts, snapshots, groups and censuses point to. */
    uint8_t *proc, *time, *find, *graph;
};

void recording_close(struct recording *rec);

/* The string with this id; never NULL, "" for 0. */
const char *recording_string(const struct recording *rec, uint32_t id);
/* The name of a type for people, never empty. */
const char *recording_type_name(const struct recording *rec, uint32_t type);
/* The first fact of this name, or NULL. */
const char *recording_fact(const struct recording *rec, const char *name);
/* The arguments of the command with blanks between; malloc'd, or NULL. */
char *recording_command(const struct recording *rec);
/* Path of the module ("" if unknown), and the part after the last slash. */
const char *recording_module_path(const struct recording *rec, uint32_t id);
const char *recording_module_name(const struct recording *rec, uint32_t id);
/* Is the process that writes it still there?  Asks /proc. */
int recording_is_live(const struct recording *rec);
/* A node with no agent frame innermost: the node itself or an ancestor. */
uint32_t recording_visible_node(const struct recording *rec, uint32_t node);

/* Does the format have what came with version 1.`minor`? */
int recording_has(const struct recording *rec, unsigned minor);

/* A number of the header. */
uint64_t recording_counter(const struct recording *rec, enum counter c);

/* Counters of one stack, of one type: ever since the start. */
struct stack_counts {
    uint64_t allocations, frees, allocated_bytes, freed_bytes;
};
struct type_counts {
    uint64_t created, destroyed;
};

static inline uint64_t
counts_live_bytes(const struct stack_counts *c)
{
    return c->allocated_bytes > c->freed_bytes
               ? c->allocated_bytes - c->freed_bytes
               : 0;
}

static inline uint64_t
counts_live_blocks(const struct stack_counts *c)
{
    return c->allocations > c->frees ? c->allocations - c->frees : 0;
}

static inline uint64_t
counts_live_objects(const struct type_counts *c)
{
    return c->created > c->destroyed ? c->created - c->destroyed : 0;
}

/* One entry of a snapshot's changes. */
struct stack_delta {
    uint32_t stack;
    struct stack_counts counts;
};
struct type_delta {
    uint32_t type;
    struct type_counts counts;
};

/* Reads the changes of a snapshot, one after another. */
struct delta_reader {
    const uint8_t *at, *end;
    uint32_t left, id;
};
struct delta_reader snapshot_stacks(const struct snapshot *snap);
struct delta_reader snapshot_types(const struct snapshot *snap);
/* 1 and the next entry, or 0 at the end. */
int delta_next_stack(struct delta_reader *reader, struct stack_delta *out);
int delta_next_type(struct delta_reader *reader, struct type_delta *out);

/* Everything's counters at one moment; indexed by id as in the recording. */
struct state {
    uint64_t time_ns;
    int latest; /* the counters are those of the recording's own stacks */
    struct stack_counts total; /* exact, where stacks are estimates */
    struct stack_counts *stacks;
    uint32_t stack_count;
    struct type_counts *types;
    uint32_t type_count;
};

/* All zero: before the first snapshot.  -1: no memory. */
int state_empty(const struct recording *rec, struct state *out);
/* At the end of snapshot `index`.  -1: no memory. */
int state_at(const struct recording *rec, size_t index, struct state *out);
/* As last published.  -1: no memory. */
int state_now(const struct recording *rec, struct state *out);
/* Adds the changes of one snapshot. */
void state_add(struct state *state, const struct snapshot *snap);
void state_free(struct state *state);

#endif
