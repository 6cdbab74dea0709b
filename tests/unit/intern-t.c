/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * intern-t.c -- stack ids against a model: equal stacks, equal ids; different
 * stacks, different ids; the trie leads back to every frame.
 */
#include "tests/tap/tap.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/intern.h"
#include "agent/modules.h"
#include "agent/options.h"
#include "agent/recfile.h"
#include "agent/strings.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

struct hkr_header *
recfile_header(void)
{
    return NULL;
}

#define STACKS 20000
#define THREADS 4
#define DEPTH 40

static uint64_t
next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Stack number i: depth and frames follow from i alone, inner frames from few
   values, so that many stacks share their outer frames. */
static size_t
make_stack(uint32_t i, uintptr_t *pcs)
{
    uint64_t state = 88172645463325252u + i;
    size_t depth = 1 + next_random(&state) % DEPTH;

    for (size_t k = 0; k + 1 < depth; k++)
        pcs[k] = 0x500000000000u + next_random(&state) % 7;
    pcs[depth - 1] = 0x500000100000u + i;
    return depth;
}

static int
leads_back(uint32_t id, const uintptr_t *pcs, size_t depth)
{
    uint32_t node = intern_stacks[id].node;

    for (size_t k = 0; k < depth; k++) {
        if (!node || intern_node_pc(&intern_nodes[node]) != pcs[k])
            return 0;
        if (intern_nodes[node].parent >= node)
            return 0;
        node = intern_nodes[node].parent;
    }
    return node == 0;
}

static uint32_t ids[THREADS][STACKS];

static void *
intern_all(void *arg)
{
    uint32_t *mine = arg;
    uintptr_t pcs[DEPTH];

    for (uint32_t i = 0; i < STACKS; i++) {
        size_t depth = make_stack(i, pcs);

        do
            mine[i] = intern_stack(pcs, depth, 0, 0);
        while (mine[i] == STACK_LOST);
    }
    return NULL;
}

static int
compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

int
main(void)
{
    pthread_t threads[THREADS];
    uintptr_t pcs[DEPTH];
    int same = 1, back = 1, unique = 1;
    uint32_t before;

    modules_refresh();
    ok(strings_start() && intern_start(), "the tables are made");
    for (int t = 0; t < THREADS; t++)
        pthread_create(&threads[t], NULL, intern_all, ids[t]);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    for (uint32_t i = 0; i < STACKS; i++) {
        size_t depth = make_stack(i, pcs);

        for (int t = 1; t < THREADS; t++)
            same &= ids[t][i] == ids[0][i];
        back &= leads_back(ids[0][i], pcs, depth);
    }
    ok(same, "four threads at once give equal stacks equal ids");
    ok(back, "every id leads back to its frames, parents before children");
    is_int(STACKS + STACK_LOST, intern_stack_count(), "ids are dense");
    qsort(ids[0], STACKS, sizeof(ids[0][0]), compare);
    for (uint32_t i = 1; i < STACKS; i++)
        unique &= ids[0][i] != ids[0][i - 1];
    ok(unique, "different stacks have different ids");

    pcs[0] = (uintptr_t)&main;
    before = intern_stack(pcs, 1, 0, 0);
    is_int(before, intern_stack(pcs, 1, 0, 0), "a stack in this program");
    intern_forget_module(intern_nodes[intern_stacks[before].node].module);
    ok(intern_stack(pcs, 1, 0, 0) != before,
       "is another one once its module was unloaded");
    ok(leads_back(before, pcs, 1), "and the old one still has its frames");
    return done_testing();
}
