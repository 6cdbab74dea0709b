/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refs_match.h -- which references of a tree were taken and not dropped.
 */
#ifndef HK_REPORTER_REFS_MATCH_H
#define HK_REPORTER_REFS_MATCH_H

struct ref_tree;

/* Fills left of the nodes, taken and taken_count.  0, or -1: no memory. */
int refs_match(struct ref_tree *tree);

#endif
