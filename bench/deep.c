/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * deep.c -- recursion, as in a parser.  `deep` goes 500 frames down, allocates
 * on every level, and frees on the way back.  `tree` builds a random binary
 * tree recursively (about 40 frames at most), one block before the children of
 * a node and one after them, so that hardly two allocations in a row have the
 * same depth; then it frees the tree.  It is the same tree again and again:
 * 40,000 call paths, not ever new ones.
 *
 *      deep deep|tree [PAIRS]      prints nanoseconds a malloc+free pair
 */
#include "bench/bench.h"

#include <string.h>

enum { DEPTH = 500, NODES = 20000 };

struct node {
    struct node *left, *right;
    char *label;
};

static __attribute__((noinline)) void
descend(int depth)
{
    char *p = malloc(24 + (size_t)depth % 64);

    *(volatile char *)p = 1;
    if (depth > 1)
        descend(depth - 1);
    free(p);
}

static __attribute__((noinline)) struct node *
plant(long nodes, uint64_t *state)
{
    struct node *node;
    long left;

    if (nodes == 0)
        return NULL;
    left = (long)(bench_random(state) % (uint64_t)nodes);
    node = malloc(sizeof(*node));
    node->left = plant(left, state);
    node->right = plant(nodes - 1 - left, state);
    node->label = malloc(8 + (size_t)nodes % 32);
    node->label[0] = 1;
    return node;
}

static __attribute__((noinline)) void
fell(struct node *node)
{
    if (node == NULL)
        return;
    fell(node->left);
    fell(node->right);
    free(node->label);
    free(node);
}

int
main(int argc, char **argv)
{
    long pairs = bench_argument(argc, argv, 2, 2000000), done = 0;
    int tree = argc > 1 && strcmp(argv[1], "tree") == 0;
    double began = bench_now_ns();

    while (done < pairs) {
        uint64_t state = BENCH_SEED;

        if (tree)
            fell(plant(NODES, &state));
        else
            descend(DEPTH);
        done += tree ? 2L * NODES : DEPTH;
    }
    bench_print(bench_now_ns() - began, done);
    return 0;
}
