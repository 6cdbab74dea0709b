/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_work.h -- a scan, from the records of all objects to the cycles that
 * nobody reaches: the same in a snapshot child and on live data.
 *
 * Threads     one: the child's only one, or the agent's.
 * Memory      graph_map() and the reader's, given back by scan_work_end.
 * Fails       with a status of hkr_scan.
 * Invariants  no lock, no pool, no libc but memcpy and its like, but for the
 *             plans of a copying reader.
 */
#ifndef HK_AGENT_SCAN_WORK_H
#define HK_AGENT_SCAN_WORK_H

#include <stdint.h>

#include "agent/scan_components.h"
#include "agent/scan_graph.h"
#include "agent/scan_reader.h"
#include "agent/scan_results.h"

#define WISH_TYPES 16

/* What to look at; filled by the parent. */
struct scan_wish {
    int is_young;      /* only objects born at since_ms or later */
    uint32_t since_ms; /* as births are told */
    int has_census;
    uint32_t watched_count;
    uint16_t watched[WISH_TYPES]; /* types to make a census of */
    uint64_t asked;               /* address of an object, or 0 */
};

struct scan_item {
    uint64_t address;
    uint32_t place;
};

struct scan_batch {
    struct scan_item items[64];
    uint32_t count;
};

struct scan_work {
    const struct scan_wish *wish;
    struct results *r;
    struct graph g;
    struct components parts;
    struct reader reader;
    uint64_t opaque;
    uint32_t limit; /* of slots */
    int is_plain;   /* as the graph is */

    /* Calls fn(arg): 1, or 0 if it faulted half-way. */
    int (*guard)(void (*fn)(void *), void *arg);
    /* Called often; NULL: nothing.  Not 0: the scan is not wanted any more. */
    int (*rest)(void);

    /* Where the walk stands. */
    struct map_cursor cursor;
    struct scan_batch batch[2];
    int current;        /* batch in hand */
    uint32_t at;        /* item of it that comes next */
    uint32_t fetched;   /* items of it whose records were fetched */
    int is_fetching;    /* a fault is no object's */
    uint32_t opened;    /* places below have begun */
    uint32_t in_hand;   /* place */
    uint64_t address;   /* of the object there */
    uint32_t is_ending; /* the map is done: extras */
};

/* r->status and totals are set; parts are there if something is lost. */
uint32_t scan_work_run(struct scan_work *w);
void scan_work_end(struct scan_work *w);

/* Between pieces of work; 1: give up. */
int scan_work_rest(struct scan_work *w);

/* Where the node is, by its record; 0: it is gone. */
uint64_t scan_work_address(const struct scan_work *w, uint32_t node);

/* Fills the graph: all objects, all references.  0, or -1: no memory. */
int scan_walk(struct scan_work *w);

#endif
