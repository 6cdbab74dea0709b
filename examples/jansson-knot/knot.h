/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * knot.h -- jansson's values, made visible to heapknot.
 *
 * Only objects and arrays are adopted: the other values hold no references
 * and can be on no cycle.
 */
#ifndef KNOT_H
#define KNOT_H

#include <jansson.h>
#include <stdint.h>

#include "heapknot.h"

/*
 * Before jansson is used for the first time; -1 if the types are refused.
 * keys, ended by NULL and never freed, are those that reports shall name; a
 * reference under any other key is called "member".
 */
int knot_start(const char *const *keys);

/* json_object() and json_array(), adopted. */
json_t *knot_object(void);
json_t *knot_array(void);
/* Every object and array in a tree without cycles, such as a parser gives. */
void knot_adopt_tree(json_t *value);

/* How many adopted values live. */
uint64_t knot_adopted(void);

#endif
