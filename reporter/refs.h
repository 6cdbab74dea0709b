/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * refs.h -- who has taken and dropped the references of live objects: a
 * balance tree by call path for each type in refs=.
 *
 * A subtree that dropped as many as it took is matched, and hidden, as in
 * Firefox's make-tree.  What was taken and not dropped is found by pairing, see
 * refs_match.c.
 */
#ifndef HK_REPORTER_REFS_H
#define HK_REPORTER_REFS_H

#include "reporter/render.h"

/* A frame, below the one that called it; node 0 is the root, without one. */
struct ref_node {
    struct frame frame;
    uint32_t parent, first, next; /* nodes; 0: none */
    uint64_t own_increments, own_decrements; /* of stacks that end here */
    uint64_t increments, decrements; /* with what is below and not hidden */
    uint64_t left; /* taken here, and not dropped */
    int has_own;   /* some stack ends here, and is not matched */
    int is_birth;  /* and objects are made here */
    int is_hidden; /* matched */
    int is_shown;  /* among the largest: refs_show() */
};

struct ref_tree {
    uint32_t type;
    uint64_t live;                   /* objects */
    uint64_t increments, decrements; /* of all stacks */
    uint64_t matched_paths, matched_pairs; /* hidden */
    struct ref_node *nodes;
    uint32_t count, room;
    uint32_t *taken; /* nodes with something left: births last, then by it */
    size_t taken_count;
};

struct refs {
    struct ref_tree *trees; /* by references, most first */
    size_t count;
};

/* Of all types, or of the one of that name.  0, or -1: no memory. */
int refs_make(const struct view *view, const char *type, struct refs *out);
void refs_free(struct refs *refs);

/* Marks what leads to the `most` largest balances (0: all); returns how many
   call paths are not among them. */
size_t refs_show(struct ref_tree *tree, size_t most);
/* The node that a node's line goes on with: it has nothing else to say.  0:
   there is none. */
uint32_t refs_folded(const struct ref_tree *tree, uint32_t node);
/* increments - decrements, and its sign. */
uint64_t refs_balance(uint64_t increments, uint64_t decrements,
                      int *is_negative);

/* What refs= asked for and the recording cannot have: 1 and a sentence in
   text, for index 0, 1, ... until it returns 0. */
int refs_missing(const struct recording *rec, size_t index, char *text,
                 size_t size);

void text_refs(const struct view *view, struct refs *refs,
               const struct text_out *out);
int json_refs(const struct view *view, struct refs *refs, size_t top,
              FILE *file);

#endif
