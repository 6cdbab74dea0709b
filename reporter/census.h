/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * census.h -- who refers to the objects of a type, as a scan counted it.
 *
 * A field is (type that has it, label).  Labels are compared as text, since
 * one text may have several ids.
 */
#ifndef HK_REPORTER_CENSUS_H
#define HK_REPORTER_CENSUS_H

#include "reporter/model.h"

#define CENSUS_NAME_BYTES 160

/* The newest census of a type, or NULL. */
const struct census *census_of(const struct recording *rec, uint32_t type);
/* The newest path that ends at this object, and its census; or NULL. */
const struct census_path *census_path_to(const struct recording *rec,
                                         uint64_t address,
                                         const struct census **census);
/* When its scan was, in seconds since the start; 0: not known. */
double census_seconds(const struct recording *rec, const struct census *c);

/* Objects that were reachable. */
uint64_t census_live(const struct census *c);
/* Edges by one field to objects of the type, and those of them that are the
   only reference.  0, or -1: the census does not tell. */
int census_field(const struct recording *rec, const struct census *c,
                 uint32_t from, uint32_t label, struct hkr_referrer *out);
/* Its referrers, those with most edges first; malloc'd, NULL: no memory. */
struct hkr_referrer *census_referrers(const struct census *c);

/* "hub.sessions", with "[]" where a path shows that it is an array. */
void census_field_name(const struct recording *rec, uint32_t from,
                       uint32_t label, char *text, size_t size);

/* All references to the objects of a type.  They add up:
   references + excess = fields + other_fields + holds + unknown. */
struct census_sum {
    uint64_t references;
    uint64_t fields;       /* edges of the referrers that are listed */
    uint64_t other_fields; /* of those that are not */
    uint64_t holds;        /* named */
    uint64_t unknown;
    uint64_t excess; /* edges for which there is no reference */
    int holds_unsure; /* more holds stand than references are left: of those
                         that are left, some may be unknown */
};
struct census_sum census_sum_of(const struct recording *rec,
                                const struct census *c);
/* Named references to objects of a type that stand now. */
uint64_t census_holds(const struct recording *rec, uint32_t type);

/* "hub.sessions[] 98 %, unknown 2 %", the two largest of all references; for
   what is said of a type that grows.  0, or -1: there is no census. */
int census_held_by(const struct recording *rec, uint32_t type, char *text,
                   size_t size);

#endif
