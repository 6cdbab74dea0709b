/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_reader.h -- how a scan reads objects: where they are, in a snapshot, or
 * copied out of the running program.
 *
 * A copy is made by the kernel (process_vm_readv), so memory that the program
 * unmaps meanwhile is an error and no fault.  Only what tables of fields
 * describe can be read so: a traverse function would run on live data.
 *
 * Threads     one reader, one user.
 * Memory      two buffers, os_map(); tables of fields, once for each type, from
 *             the pool, kept.
 * Fails       an object that cannot be read: NULL, or -1.
 */
#ifndef HK_AGENT_SCAN_READER_H
#define HK_AGENT_SCAN_READER_H

#include <stddef.h>
#include <stdint.h>

#include "lib/type.h"

#define READER_BYTES 65536u /* copied at once, but for larger objects */

struct reader {
    int is_copy;
    char *copy;     /* objects */
    size_t room;
    uint64_t start; /* of what is in it */
    size_t length;
    void **items;   /* part of an array */

    /* Asked now and then in long arrays and lists; NULL: not.  Not 0: enough,
       this object counts as one that cannot be read. */
    int (*rest)(void);
};

/* 0, or a negative errno: copies are not possible here. */
int reader_start(struct reader *r, int is_copy);
void reader_stop(struct reader *r);

/* Copies bytes at from..to, if they fit, for reader_bytes. */
void reader_fetch(struct reader *r, uint64_t from, uint64_t to);

/* What a scan has to see of an object: this many bytes from its beginning. */
size_t reader_span(const struct reader *r, const hk_type *type);

/* The object's bytes, up to its span, or NULL.  Of a copy valid until the next
   call. */
const char *reader_bytes(struct reader *r, const hk_type *type,
                         uint64_t address);

int reader_has_no_plan(const hk_type *type);

/* Can its references not be read? */
static inline int
reader_is_opaque(const struct reader *r, const hk_type *type)
{
    return r->is_copy && reader_has_no_plan(type);
}

/* Visits the strong references of an object whose bytes were read: 0, what
   visit returned, or -1 if something could not be read. */
int reader_traverse(struct reader *r, const hk_type *type, const char *bytes,
                    hk_visit_fn visit, void *arg);

#endif
