/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * breaks-t.c -- where a cycle may be broken, against brute force.
 *
 * The judge is the transitive closure: a graph has a cycle if a node reaches
 * itself.  It shares nothing with the search, which peels nodes off.
 */
#include "reporter/breaks.h"
#include "tests/tap/tap.h"

#define NODES 9
#define FIELDS 7
#define EDGES 24
#define GRAPHS 4000

static uint64_t state = 88172645463325252u;

static uint32_t
draw(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 20) % below);
}

/* Is there a cycle without the fields whose bits are set? */
static int
has_cycle(const struct breaks_graph *g, unsigned without)
{
    unsigned char reach[NODES][NODES] = {{0}};

    for (uint32_t i = 0; i < g->edge_count; i++)
        if (!(without >> g->edges[i].field & 1))
            reach[g->edges[i].from][g->edges[i].to] = 1;
    for (int k = 0; k < NODES; k++)
        for (int i = 0; i < NODES; i++)
            for (int j = 0; j < NODES; j++)
                reach[i][j] |= reach[i][k] & reach[k][j];
    for (int i = 0; i < NODES; i++)
        if (reach[i][i])
            return 1;
    return 0;
}

/* Fields in the smallest set that leaves no cycle. */
static int
smallest(const struct breaks_graph *g)
{
    int least = FIELDS;

    for (unsigned set = 0; set < 1u << g->field_count; set++)
        if (__builtin_popcount(set) < least && !has_cycle(g, set))
            least = __builtin_popcount(set);
    return least;
}

static void
shuffle(uint32_t *order, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t k = draw(i), swap = order[k];

        order[k] = order[i - 1];
        order[i - 1] = swap;
    }
}

static struct breaks_graph
draw_graph(struct breaks_edge *edges)
{
    struct breaks_graph g = {edges, 1 + draw(EDGES), 1 + draw(NODES),
                             1 + draw(FIELDS)};

    for (uint32_t i = 0; i < g.edge_count; i++)
        edges[i] = (struct breaks_edge){draw(g.node_count),
                                        draw(g.node_count),
                                        draw(g.field_count)};
    return g;
}

/* What was wrong in all graphs. */
struct tally {
    int cyclic, alone, set_leaves_cycle, set_too_large, preference;
    int cyclic_seen, single_seen, several_seen, not_smallest;
};

static void
judge_set(const struct breaks_graph *g, const struct breaks *b,
          struct tally *t)
{
    unsigned set = 0;

    for (uint32_t i = 0; i < b->set_count; i++)
        set |= 1u << b->set[i];
    t->set_leaves_cycle += has_cycle(g, set);
    for (uint32_t i = 0; i < b->set_count; i++)
        t->set_too_large += !has_cycle(g, set & ~(1u << b->set[i]));
    t->not_smallest += (int)b->set_count > smallest(g);
    t->single_seen += b->set_count == 1;
    t->several_seen += b->set_count > 1;
}

static void
judge(const struct breaks_graph *g, const uint32_t *order,
      const struct breaks *b, struct tally *t)
{
    int cyclic = has_cycle(g, 0);
    uint32_t first = UINT32_MAX;

    t->cyclic += b->cyclic != cyclic;
    t->cyclic_seen += cyclic;
    for (uint32_t i = 0; cyclic && i < g->field_count; i++) {
        int alone = !has_cycle(g, 1u << order[i]);

        t->alone += b->breaks[order[i]] != alone;
        if (alone && first == UINT32_MAX)
            first = order[i];
    }
    if (first != UINT32_MAX)
        t->preference += b->set_count != 1 || b->set[0] != first;
    if (!cyclic)
        t->set_too_large += b->set_count != 0;
    judge_set(g, b, t);
}

static void
test_random(void)
{
    struct breaks_edge edges[EDGES];
    uint32_t order[FIELDS];
    struct tally t = {0};
    struct breaks b;

    for (int i = 0; i < GRAPHS; i++) {
        struct breaks_graph g = draw_graph(edges);

        shuffle(order, g.field_count);
        if (breaks_find(&g, order, FIELDS, &b)) {
            bail_out("no memory");
            return;
        }
        judge(&g, order, &b, &t);
        breaks_free(&b);
    }
    is_int(0, t.cyclic, "%d graphs: whether there is a cycle", GRAPHS);
    is_int(0, t.alone, "which fields break it alone");
    is_int(0, t.preference, "of those the preferred one is taken");
    is_int(0, t.set_leaves_cycle, "what is named leaves no cycle");
    is_int(0, t.set_too_large, "and each of it is needed");
    ok(t.not_smallest * 20 < t.several_seen,
       "seldom a smaller set would do (%d of %d)", t.not_smallest,
       t.several_seen);
    ok(t.cyclic_seen > 1000 && t.single_seen > 300 && t.several_seen > 300,
       "all kinds were drawn: %d cyclic, %d by one field, %d by several",
       t.cyclic_seen, t.single_seen, t.several_seen);
}

static void
test_shapes(void)
{
    static const struct breaks_edge self = {0, 0, 0};
    static const struct breaks_edge pair[] = {{0, 1, 0}, {1, 0, 1}};
    static const struct breaks_edge eight[] = {
        {0, 1, 0}, {1, 0, 1}, {0, 2, 2}, {2, 0, 3}};
    static const uint32_t order[] = {3, 2, 1, 0}, upright[] = {0, 1};
    struct breaks_graph g = {&self, 1, 1, 1};
    struct breaks b;

    breaks_find(&g, upright, FIELDS, &b);
    ok(b.cyclic && b.set_count == 1 && b.breaks[0], "a reference to itself");
    breaks_free(&b);
    g = (struct breaks_graph){pair, 2, 2, 2};
    breaks_find(&g, upright, FIELDS, &b);
    ok(b.breaks[0] && b.breaks[1] && b.set_count == 1 && b.set[0] == 0,
       "a pair breaks at either end");
    breaks_free(&b);
    g = (struct breaks_graph){eight, 4, 3, 4};
    breaks_find(&g, order, FIELDS, &b);
    ok(b.set_count == 2 && !b.breaks[0] && b.set[0] != b.set[1],
       "a figure eight of four fields needs two");
    breaks_free(&b);
    breaks_find(&g, order, 1, &b);
    ok(b.set_count == 1 && b.incomplete, "unless it may name but one");
    breaks_free(&b);
    g = (struct breaks_graph){NULL, 0, 0, 0};
    breaks_find(&g, upright, FIELDS, &b);
    ok(!b.cyclic && b.set_count == 0, "nothing");
    breaks_free(&b);
}

int
main(void)
{
    test_shapes();
    test_random();
    return done_testing();
}
