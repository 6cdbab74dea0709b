/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * advice.h -- what to do about a group of cycles: where to break it, whether
 * a weak reference would do there, and whether it gets worse.
 *
 * WHERE.  All instances of a group have the same shape, so a field that breaks
 * the example breaks them all.  Of several the best is a back edge, one that
 * leads to an object born before the one that has it (a child's reference to
 * its parent); then one whose targets have other references, too; then one
 * with few edges.
 *
 * WEAK would do if no live object depends on the field alone, by the census of
 * the type it leads to.
 */
#ifndef HK_REPORTER_ADVICE_H
#define HK_REPORTER_ADVICE_H

#include "reporter/view.h"

struct advice_field {
    uint32_t from, label; /* type, string */
    uint32_t edges, back; /* in the example; of those, to older objects */
    int array;            /* an edge has an index */
    int breaks;           /* alone */
    /* From the censuses of the types that it leads to: */
    int counted;
    uint32_t to;   /* one of these types */
    uint64_t live; /* objects of them that are reachable */
    uint64_t referred, sole; /* edges to them, and only references */
};

enum advice_weak { ADVICE_WEAK_UNKNOWN, ADVICE_WEAK_SAFE, ADVICE_WEAK_UNSAFE };

#define ADVICE_SET_MAX 8
#define ADVICE_NAME_BYTES 160

struct advice {
    struct advice_field *fields;
    uint32_t field_count;
    /* Fields to clear, the best first; 1 if one will do, 0 if no cycle is
       complete in what is shown. */
    uint32_t set[ADVICE_SET_MAX], set_count;
    int set_cut; /* there are more than fit */
    int part;    /* only part of an instance is shown: judged by that */
    enum advice_weak weak;            /* of set[0], if it breaks alone */
    char clear_in[ADVICE_NAME_BYTES]; /* a function, or "" */
};

/* 0, or -1: no memory. */
int advice_make(const struct view *view, const struct group *group,
                struct advice *out);
void advice_free(struct advice *advice);
/* "Conn.user_data", "hub.sessions[]". */
void advice_field_name(const struct recording *rec,
                       const struct advice_field *field, char *text,
                       size_t size);
int advice_is_back(const struct advice_field *field);
/* Another field that breaks it alone, and where weak would do; NULL: none, or
   it would do where it is best. */
const struct advice_field *advice_weak_instead(const struct advice *advice);

/*
 * The function in which a field of objects of `type` should have been cleared:
 * where most of their last references from outside were released, or else
 * those of the other members.  A place that also made such objects comes last:
 * it let go of its own reference once the object was linked.  "": not known.
 */
void advice_place(const struct view *view, const struct group *group,
                  uint32_t type, char *text, size_t size);

/* When a member of the example was born, in ms since the start; since version
   1.3. */
uint64_t advice_born_ms(const struct group *group, uint32_t member);
/* When the newest scan that found anything was, in ns since the start. */
uint64_t advice_last_scan_ns(const struct recording *rec);
/* Instances a minute since the shape was first seen.  0, or -1: one scan is
   all there is, or the recording is older than version 1.3. */
int advice_rate(const struct recording *rec, const struct group *g,
                double *per_minute, double *over_seconds);
/* Seconds from the births of the oldest and the youngest member to the last
   scan.  0, or -1: not known. */
int advice_ages(const struct recording *rec, const struct group *g,
                double *oldest, double *youngest);
/* What would go with all instances: they and what only they lead to. */
uint64_t advice_retained_objects(const struct hkr_group *h);
uint64_t advice_retained_bytes(const struct hkr_group *h);

#endif
