/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan-graph -- what a scan calls garbage, a cycle, and the same shape.
 *
 * Random graphs are judged by a model that shares nothing with the code: a
 * matrix of who reaches whom.  The objects are addresses where no memory is,
 * so that following one would end the test.
 */
#include <stdbool.h>

#include "agent/scan_components.h"
#include "agent/scan_graph.h"
#include "agent/scan_shape.h"
#include "agent/scan_sites.h"
#include "tests/tap/tap.h"

enum { NODES = 48, EDGES = 160, ROUNDS = 2000, HEADER = 24, WIDE = 64 };

static uint64_t seed = 20240229;

static uint32_t
draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return below ? (uint32_t)((seed >> 20) % below) : 0;
}

/* ---- the model ---------------------------------------------------------- */

struct model {
    uint32_t nodes, edge_count;
    uint32_t stride; /* 8: two objects in each granule of the map */
    uint32_t from[EDGES];
    int to[EDGES]; /* -1: nothing that is registered */
    int outside[NODES]; /* references from outside; negative: miscounted */
    bool dying[NODES], has_header[NODES];
    /* what must come out */
    bool live[NODES], reaches[NODES][NODES];
    uint64_t unknown, excess, skipped;
};

/* Every eighth in a page far away. */
static uint64_t
address(uint32_t i, uint32_t stride)
{
    uint64_t base = i % 8 == 7 ? UINT64_C(0x7fff00000000) : 0x10000;

    return base + (uint64_t)stride * i;
}

static uint64_t
address_of(const struct model *m, uint32_t i)
{
    return address(i, m->stride);
}

static void *
address_of_child(const struct model *m, uint32_t e)
{
    uint64_t a = m->to[e] < 0 ? address_of(m, draw(NODES)) + 4
                              : address_of(m, (uint32_t)m->to[e]);

    if (m->to[e] >= 0 && m->has_header[m->to[e]] && draw(2))
        a += HEADER;
    return (void *)(uintptr_t)a;
}

/* The next one of a ring of `block` objects. */
static uint32_t
next_in_ring(const struct model *m, uint32_t i, uint32_t block)
{
    uint32_t start = i - i % block;

    return i + 1 < start + block && i + 1 < m->nodes ? i + 1 : start;
}

/* Half of them are rings with some more edges, else all would be reached. */
static void
make_edges(struct model *m)
{
    uint32_t block = 1 + draw(8), rings = draw(2) ? m->nodes : 0;

    m->edge_count = rings + draw(rings ? m->nodes / 2 : EDGES - NODES);
    for (uint32_t e = 0; e < m->edge_count; e++) {
        m->from[e] = e < rings ? e : draw(m->nodes);
        m->to[e] = e < rings ? (int)next_in_ring(m, e, block)
                             : (int)draw(m->nodes);
        if (!draw(rings ? 50 : 12))
            m->to[e] = -1;
    }
}

static void
make_model(struct model *m)
{
    uint32_t held_by = 5 + draw(60);

    memset(m, 0, sizeof *m);
    m->nodes = 1 + draw(NODES);
    m->stride = draw(3) ? WIDE : 8;
    make_edges(m);
    for (uint32_t i = 0; i < m->nodes; i++) {
        m->outside[i] = draw(held_by) ? 0 : 1 + (int)draw(3);
        m->dying[i] = !draw(60);
        m->has_header[i] = m->stride == WIDE && !draw(4);
    }
}

static uint32_t
degree(const struct model *m, uint32_t i, bool from_dying_too)
{
    uint32_t n = 0;

    for (uint32_t e = 0; e < m->edge_count; e++)
        n += m->to[e] == (int)i && (from_dying_too || !m->dying[m->from[e]]);
    return n;
}

/* Who reaches whom by at least one edge, dying ones left out. */
static void
close_matrix(struct model *m)
{
    for (uint32_t e = 0; e < m->edge_count; e++)
        if (m->to[e] >= 0 && !m->dying[m->from[e]] && !m->dying[m->to[e]])
            m->reaches[m->from[e]][m->to[e]] = true;
    for (uint32_t k = 0; k < m->nodes; k++)
        for (uint32_t i = 0; i < m->nodes; i++)
            for (uint32_t j = 0; m->reaches[i][k] && j < m->nodes; j++)
                m->reaches[i][j] |= m->reaches[k][j];
}

/* Where an object has fewer references than edges, one is taken away. */
static void
miscount_some(struct model *m)
{
    for (uint32_t i = 0; i < m->nodes; i++)
        if (!m->dying[i] && !draw(40) && degree(m, i, false) > 1 &&
            degree(m, i, false) == degree(m, i, true)) {
            m->outside[i] = -1;
            m->excess++;
        }
}

static void
solve(struct model *m)
{
    bool root[NODES];

    miscount_some(m);
    close_matrix(m);
    for (uint32_t i = 0; i < m->nodes; i++) {
        /* An object held by a dying one alone is held from outside. */
        root[i] = !m->dying[i] &&
                  (m->outside[i] ||
                   degree(m, i, true) != degree(m, i, false) ||
                   degree(m, i, true) == 0);
        m->skipped += m->dying[i];
    }
    for (uint32_t i = 0; i < m->nodes; i++)
        for (uint32_t k = 0; k < m->nodes; k++)
            m->live[i] |= root[k] && (k == i || m->reaches[k][i]);
    for (uint32_t e = 0; e < m->edge_count; e++)
        m->unknown += m->to[e] < 0 && !m->dying[m->from[e]];
}

/* ---- the code under test ------------------------------------------------ */

static uint64_t
refs_of(const struct model *m, uint32_t i)
{
    uint32_t n = degree(m, i, true);
    uint64_t refs = (uint64_t)((int64_t)n + m->outside[i]);

    return refs ? refs : 1; /* nobody refers to it: somebody must hold it */
}

static int
enter(const struct model *m, struct graph *g)
{
    int bad = graph_start(g);

    for (uint32_t i = 0; !bad && i < m->nodes; i++)
        bad |= graph_add(g, address_of(m, i), m->has_header[i] ? HEADER : 0);
    bad |= graph_number(g);
    for (uint32_t i = 0; !bad && i < m->nodes; i++)
        graph_set(g, address_of(m, i), m->has_header[i] ? HEADER : 0, i + 1,
                  1, 0);
    graph_sort(g);
    return bad;
}

static int
build(const struct model *m, struct graph *g)
{
    int bad = enter(m, g);

    for (uint32_t place = 0; !bad && place < g->count; place++) {
        uint32_t i = g->slots[place] - 1;

        graph_open(g, place);
        if (!graph_is_node(g, place))
            continue;
        graph_count_refs(g, place, refs_of(m, i));
        for (uint32_t e = 0; e < m->edge_count; e++)
            if (m->from[e] == i)
                graph_push(g, address_of_child(m, e));
        if (m->dying[i])
            graph_drop(g, place);
    }
    return bad || graph_close(g) || graph_reach(g, (int)draw(2));
}

static uint32_t
object(const struct graph *g, const struct components *c, uint32_t lost)
{
    return g->slots[c->node[lost]] - 1;
}

static int
wrong_verdicts(const struct model *m, const struct graph *g)
{
    int wrong = g->unknown != m->unknown;

    wrong += g->skipped != m->skipped;
    wrong += g->excess != m->excess;
    for (uint32_t i = 0; i < m->nodes; i++)
        wrong += graph_is_lost(g, graph_find(g, address_of(m, i))) !=
                 (!m->dying[i] && !m->live[i]);
    return wrong;
}

/* Two lost objects are in one component when each reaches the other. */
static int
wrong_components(const struct model *m, const struct graph *g,
                 const struct components *c)
{
    int wrong = 0;

    for (uint32_t a = 0; a < c->lost_count; a++)
        for (uint32_t b = 0; b < c->lost_count; b++) {
            uint32_t i = object(g, c, a), j = object(g, c, b);
            bool one = a == b || (m->reaches[i][j] && m->reaches[j][i]);

            wrong += one != (c->component[a] == c->component[b]);
        }
    for (uint32_t a = 0; a < c->lost_count; a++)
        wrong += m->reaches[object(g, c, a)][object(g, c, a)] !=
                 components_is_cyclic(c, c->component[a]);
    return wrong;
}

/* Components that lead to others directly, from the model's edges. */
static void
lead(const struct model *m, const struct graph *g, const struct components *c,
     bool to[NODES][NODES])
{
    uint32_t at[NODES];

    memset(at, 0xff, sizeof at);
    memset(to, 0, sizeof(bool[NODES][NODES]));
    for (uint32_t a = 0; a < c->lost_count; a++)
        at[object(g, c, a)] = c->component[a];
    for (uint32_t e = 0; e < m->edge_count; e++)
        if (m->to[e] >= 0 && at[m->from[e]] != UINT32_MAX &&
            at[m->to[e]] != UINT32_MAX && at[m->from[e]] != at[m->to[e]])
            to[at[m->from[e]]][at[m->to[e]]] = true;
}

/* Is there a way to c that does not lead through d, from one that nothing
   leads to? */
static bool
is_open(bool to[NODES][NODES], uint32_t n, uint32_t c, uint32_t d)
{
    bool seen[NODES] = {false}, more = true;

    for (uint32_t i = 0; i < n; i++) {
        seen[i] = i != d;
        for (uint32_t k = 0; k < n; k++)
            seen[i] &= !to[k][i];
    }
    while (more) {
        more = false;
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t k = 0; k < n; k++)
                if (seen[i] && to[i][k] && k != d && !seen[k])
                    seen[k] = more = true;
    }
    return seen[c];
}

/* The nearest of those that all ways lead through. */
static int
wrong_dominators(const struct model *m, const struct graph *g,
                 const struct components *c)
{
    static bool to[NODES][NODES];
    int wrong = 0;

    lead(m, g, c, to);
    for (uint32_t i = 0; i < c->count; i++) {
        uint32_t nearest = GRAPH_NONE;

        for (uint32_t d = 0; d < c->count && nearest == GRAPH_NONE; d++)
            if (d != i && !is_open(to, c->count, i, d))
                nearest = d;
        wrong += c->dominator[i] != nearest;
    }
    return wrong;
}

static int
wrong_members(const struct components *c)
{
    int wrong = c->count && c->first[c->count] != c->lost_count;

    for (uint32_t i = 0; i < c->count; i++)
        for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++) {
            wrong += c->component[c->members[k]] != i;
            wrong += k > c->first[i] && c->members[k] <= c->members[k - 1];
        }
    return wrong;
}

static void
test_random_graphs(void)
{
    static struct model m;
    int verdicts = 0, parts = 0, dominators = 0, members = 0, failed = 0;
    uint64_t lost = 0, cyclic = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct components c;
        struct graph g;

        make_model(&m);
        solve(&m);
        failed += build(&m, &g) != 0;
        verdicts += wrong_verdicts(&m, &g);
        failed += components_find(&g, &c) != 0;
        parts += wrong_components(&m, &g, &c);
        dominators += wrong_dominators(&m, &g, &c);
        members += wrong_members(&c);
        lost += g.unreachable;
        for (uint32_t i = 0; i < c.count; i++)
            cyclic += components_is_cyclic(&c, i) != 0;
        components_free(&c);
        graph_free(&g);
    }
    is_int(0, failed, "no call failed");
    is_int(0, verdicts, "unreachable = not reached from what is held");
    is_int(0, parts, "components = mutual reachability");
    is_int(0, dominators, "dominators are what all ways lead through");
    is_int(0, members, "every lost object is listed once, in order");
    ok(lost > 1000 && cyclic > 1000, "the graphs were worth it: %d lost, "
       "%d cycles", (int)lost, (int)cyclic);
}

/* ---- drawn by hand ------------------------------------------------------ */

struct drawing {
    const char *name; /* of the test in CPython's test_gc where it has one */
    uint32_t nodes;
    const char *edges;   /* pairs of letters */
    const char *outside; /* letters of nodes held from outside */
    int lost, cycles;
};

static const struct drawing drawings[] = {
    {"test_list: a loop of one", 1, "aa", "", 1, 1},
    {"test_function: two of different types", 2, "abba", "", 2, 1},
    {"test_tuple: closed through another", 2, "abba", "", 2, 1},
    {"held from outside", 2, "abba", "b", 0, 0},
    {"a loop held by a live object", 3, "abbccb", "a", 0, 0},
    {"two loops, one of them held", 4, "abbacddc", "c", 2, 1},
    {"a loop that holds a live object", 3, "abbaac", "c", 2, 1},
    {"a chain off a loop", 4, "aaabbccd", "", 4, 1},
    {"a loop behind a loop", 4, "abbabccddc", "", 4, 2},
    {"two references along one edge", 2, "ababba", "", 2, 1},
    {"figure of eight", 3, "abbaacca", "", 3, 1},
};

static void
draw_model(const struct drawing *d, struct model *m)
{
    memset(m, 0, sizeof *m);
    m->nodes = d->nodes;
    m->stride = WIDE;
    for (const char *p = d->edges; *p; p += 2) {
        m->from[m->edge_count] = (uint32_t)(p[0] - 'a');
        m->to[m->edge_count++] = p[1] - 'a';
    }
    for (const char *p = d->outside; *p; p++)
        m->outside[*p - 'a'] = 1;
}

static void
test_drawings(void)
{
    static struct model m;

    for (size_t i = 0; i < sizeof drawings / sizeof *drawings; i++) {
        struct components c;
        struct graph g;
        int cycles = 0;

        draw_model(&drawings[i], &m);
        if (build(&m, &g) || components_find(&g, &c))
            bail_out("no memory");
        for (uint32_t k = 0; k < c.count; k++)
            cycles += components_is_cyclic(&c, k) != 0;
        ok(drawings[i].lost == (int)g.unreachable &&
               drawings[i].cycles == cycles,
           "%s", drawings[i].name);
        components_free(&c);
        graph_free(&g);
    }
}

/* ---- size --------------------------------------------------------------- */

static void
add_all(struct graph *g, uint32_t n)
{
    int bad = graph_start(g);

    for (uint32_t i = 0; !bad && i < n; i++)
        bad |= graph_add(g, 0x10000 + WIDE * (uint64_t)i, 0);
    if (bad || graph_number(g))
        bail_out("no memory");
    for (uint32_t i = 0; i < n; i++)
        graph_set(g, 0x10000 + WIDE * (uint64_t)i, 0, i + 1, 1, 0);
    graph_sort(g);
}

static void
push(struct graph *g, uint32_t i)
{
    graph_push(g, (void *)(uintptr_t)(0x10000 + WIDE * (uint64_t)i));
}

/* A ring of half of them, and a chain of the rest: recursion would not live
   through it. */
static int
build_long(struct graph *g, uint32_t n)
{
    add_all(g, n);
    for (uint32_t i = 0; i < n; i++) {
        graph_open(g, i);
        graph_count_refs(g, i, 1);
        if (i + 1 != n / 2 && i + 1 != n)
            push(g, i + 1);
        if (i + 1 == n / 2) {
            push(g, 0);
            push(g, n / 2);
        }
    }
    return graph_close(g) || graph_reach(g, 0);
}

static void
test_long(void)
{
    const uint32_t n = 400000;
    uint32_t ring = 0, held = 0;
    struct components c;
    struct graph g;

    if (build_long(&g, n) || components_find(&g, &c))
        bail_out("no memory");
    is_int(n, (int64_t)g.unreachable, "a long ring and a long chain are lost");
    for (uint32_t i = 0; i < c.count; i++) {
        if (components_is_cyclic(&c, i))
            ring = c.first[i + 1] - c.first[i];
        else
            held += c.dominator[i] == i + 1;
    }
    is_int(n / 2, ring, "the ring is one component");
    is_int(n / 2, held, "the chain hangs off it, each off the one before");
    components_free(&c);
    graph_free(&g);
}

static void
test_many_references(uint32_t n, uint32_t more)
{
    struct graph g;

    add_all(&g, 2);
    graph_open(&g, 0);
    graph_count_refs(&g, 0, 1);
    for (uint32_t i = 0; i < n; i++)
        push(&g, 1);
    graph_open(&g, 1);
    graph_count_refs(&g, 1, n + more);
    push(&g, 0);
    if (graph_close(&g) || graph_reach(&g, 0))
        bail_out("no memory");
    is_int(more || n > 100000 ? 0 : 2, (int64_t)g.unreachable,
           "%d references of one object, %d of them edges", (int)(n + more),
           (int)n);
    graph_free(&g);
}

/*
 * Number 2 n refers to itself, to the first of a list, 0 .. n - 1, and like an
 * array to what each node of the list refers to, n .. 2 n - 1.  Whoever looks
 * for what two ways have in common step by step is at it for hours.
 */
static int
build_ladder(struct graph *g, uint32_t n)
{
    add_all(g, 2 * n + 1);
    for (uint32_t i = 0; i <= 2 * n; i++) {
        graph_open(g, i);
        graph_count_refs(g, i, i >= n && i < 2 * n ? 2 : 1);
        if (i + 1 < n)
            push(g, i + 1);
        if (i < n)
            push(g, n + i);
        for (uint32_t k = n; i == 2 * n && k <= 2 * n; k++)
            push(g, k);
        if (i == 2 * n)
            push(g, 0);
    }
    return graph_close(g) || graph_reach(g, 0);
}

static void
test_ladder(void)
{
    const uint32_t n = 400000;
    struct components c;
    int wrong = 0;
    struct graph g;

    if (build_ladder(&g, n) || components_find(&g, &c))
        bail_out("no memory");
    is_int(2 * n + 1, (int64_t)g.unreachable, "a ladder is lost");
    for (uint32_t u = 0; u < 2 * n; u++) {
        uint32_t above = u && u < n ? u - 1 : 2 * n;

        wrong += c.dominator[c.component[u]] != c.component[above];
    }
    is_int(0, wrong, "its list hangs down, the rest off the beginning");
    components_free(&c);
    graph_free(&g);
}

/* ---- addresses ---------------------------------------------------------- */

/* Objects whose header is 8 bytes further in, from the last to the first, are
   found by both addresses. */
static void
test_crowd(void)
{
    const uint32_t n = 1000000;
    int bad, wrong = 0;
    struct graph g;

    bad = graph_start(&g);
    for (uint32_t i = 0; !bad && i < n; i++)
        bad |= graph_add(&g, 0x10000 + 32 * (uint64_t)i, 8);
    if (bad || graph_number(&g))
        bail_out("no memory");
    for (uint32_t i = n; i-- > 0;)
        graph_set(&g, 0x10000 + 32 * (uint64_t)i, 8, i + 1, 1, 0);
    graph_sort(&g);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t node = graph_find(&g, 0x10000 + 32 * (uint64_t)i);

        wrong += node == GRAPH_NONE || g.slots[node] != i + 1;
        wrong += graph_find(&g, 0x10008 + 32 * (uint64_t)i) != node;
    }
    is_int(0, wrong, "headers in the granule of their objects are found");
    graph_free(&g);
}

/* The last one refers to itself and to the first one; each has one reference.
   How many are lost. */
static uint64_t
lost_at(const uint64_t *addresses, uint32_t n)
{
    struct graph g;
    uint64_t lost;
    int bad = graph_start(&g);

    for (uint32_t i = 0; i < n; i++)
        bad |= graph_add(&g, addresses[i], 0);
    if (bad || graph_number(&g))
        bail_out("no graph");
    for (uint32_t i = 0; i < n; i++)
        graph_set(&g, addresses[i], 0, i + 1, 1, 0);
    graph_sort(&g);
    for (uint32_t place = 0; place < g.count; place++) {
        graph_open(&g, place);
        if (!graph_is_node(&g, place))
            continue;
        graph_count_refs(&g, place, 1);
        for (uint32_t i = 0; g.slots[place] == n && i < n; i += n - 1)
            graph_push(&g, (void *)(uintptr_t)addresses[i]);
    }
    if (graph_close(&g) || graph_reach(&g, 0))
        bail_out("no memory");
    lost = g.unreachable;
    graph_free(&g);
    return lost;
}

static void
test_addresses(void)
{
    static const uint64_t apart[] = {0x10008, 0x10000, 0x1000c, 0x20000};
    static const uint64_t twice[] = {0x10000, 0x10000, 0x20000};
    static const uint64_t again[] = {0x10008, 0x10000, 0x10008, 0x20000};
    static const uint64_t third[] = {0x10000, 0x10008, 0x10008, 0x20000};
    static const uint64_t far[] = {UINT64_C(1) << 48, UINT64_MAX - 15,
                                   (UINT64_C(1) << 48) - 16, 0x20000};

    is_int(2, (int64_t)lost_at(apart, 4), "three objects in one granule");
    is_int(1, (int64_t)lost_at(twice, 3),
           "two objects at one address are both held");
    is_int(1, (int64_t)lost_at(again, 4),
           "also where there is another one in the granule");
    is_int(2, (int64_t)lost_at(third, 4), "which is not");
    is_int(1, (int64_t)lost_at(far, 4),
           "addresses beyond user space are left out");
}

/* The table is as good as full: no page of it is touched but the last ones. */
static void
test_most_edges(void)
{
    struct graph g;
    uint64_t had;

    add_all(&g, 2);
    had = g.edge_room;
    if (graph_grow((void **)&g.edges, &g.edge_room, 4, GRAPH_EDGES_MAX)) {
        ok(1, "2^32 edges # SKIP no address space");
        graph_free(&g);
        return;
    }
    graph_open(&g, 0);
    g.edge_count = g.fetched = g.read = g.counted = GRAPH_EDGES_MAX - 4;
    for (int i = 0; i < 2000; i++)
        push(&g, 1);
    ok(had < GRAPH_EDGES_MAX && graph_close(&g) &&
           g.edge_count <= GRAPH_EDGES_MAX,
       "more than 2^32 edges are no graph, instead of a wrong one");
    graph_free(&g);
}

/* ---- live data ---------------------------------------------------------- */

struct later {
    uint32_t changed; /* has other edges now */
    uint32_t grown;   /* has a reference more */
};

static uint64_t
read_again(uint32_t i, void *arg)
{
    const struct later *l = arg;

    return i == l->changed ? 0 : 1u + (i == 4) + (i == l->grown);
}

/* Three rings of two; the second one leads to the third. */
static uint32_t
lost_later(uint32_t changed, uint32_t grown)
{
    struct later l = {changed, grown};
    struct graph g;
    uint32_t left;

    add_all(&g, 6);
    for (uint32_t i = 0; i < 6; i++) {
        graph_open(&g, i);
        graph_count_refs(&g, i, 1 + (i == 4));
        push(&g, i ^ 1);
        if (i == 2)
            push(&g, 4);
    }
    if (graph_close(&g) || graph_reach(&g, 0) || g.unreachable != 6)
        bail_out("the rings are not lost at first");
    graph_recheck(&g, NULL, 0, read_again, &l);
    left = (uint32_t)g.unreachable;
    graph_free(&g);
    return left;
}

static void
test_later(void)
{
    is_int(6, lost_later(GRAPH_NONE, GRAPH_NONE),
           "what has not changed is lost the second time, too");
    is_int(4, lost_later(0, GRAPH_NONE), "a ring with another edge is not");
    is_int(2, lost_later(GRAPH_NONE, 3),
           "nor one with another reference, nor what it leads to");
    is_int(4, lost_later(5, GRAPH_NONE), "but what leads to such a one is");
}

/* ---- shapes ------------------------------------------------------------- */

enum { SHAPE_NODES = 12, SHAPE_EDGES = 40 };

struct shape {
    uint32_t n, m;
    uint64_t types[SHAPE_NODES];
    struct shape_edge edges[SHAPE_EDGES];
};

static uint64_t
fingerprint(const struct shape *s)
{
    uint64_t colours[SHAPE_NODES], next[SHAPE_NODES];

    memcpy(colours, s->types, sizeof colours);
    return shape_refine(colours, next, s->n, s->edges, s->m);
}

/* A ring, so that it is one component, and some more edges. */
static void
make_shape(struct shape *s)
{
    static const char *const words[] = {"next", "owner", "peer"};

    memset(s, 0, sizeof *s);
    s->n = 1 + draw(SHAPE_NODES);
    s->m = s->n + draw(SHAPE_EDGES - s->n);
    for (uint32_t i = 0; i < s->n; i++)
        s->types[i] = shape_text(words[draw(3)], 16);
    for (uint32_t e = 0; e < s->m; e++) {
        s->edges[e].from = e < s->n ? e : draw(s->n);
        s->edges[e].to = e < s->n ? (e + 1) % s->n : draw(s->n);
        s->edges[e].label = shape_text(words[draw(3)], 16);
    }
}

static void
shuffle(uint32_t *a, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        a[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        uint32_t k = draw(i), t = a[k];

        a[k] = a[i - 1];
        a[i - 1] = t;
    }
}

/* The same shape with other numbers for members and another order of edges. */
static void
disguise(const struct shape *s, struct shape *out)
{
    uint32_t node[SHAPE_NODES], edge[SHAPE_EDGES];

    shuffle(node, s->n);
    shuffle(edge, s->m);
    *out = *s;
    for (uint32_t i = 0; i < s->n; i++)
        out->types[node[i]] = s->types[i];
    for (uint32_t e = 0; e < s->m; e++) {
        out->edges[edge[e]].from = node[s->edges[e].from];
        out->edges[edge[e]].to = node[s->edges[e].to];
        out->edges[edge[e]].label = s->edges[e].label;
    }
}

static void
test_random_shapes(void)
{
    int missed = 0, confused = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct shape a, b;

        make_shape(&a);
        disguise(&a, &b);
        missed += fingerprint(&a) != fingerprint(&b);
        b.edges[draw(b.m)].label ^= 1;
        confused += fingerprint(&a) == fingerprint(&b);
        disguise(&a, &b);
        b.types[draw(b.n)] ^= 1;
        confused += fingerprint(&a) == fingerprint(&b);
        disguise(&a, &b);
        b.m--;
        confused += fingerprint(&a) == fingerprint(&b);
    }
    is_int(0, missed, "a renumbered shape keeps its fingerprint");
    is_int(0, confused, "another label, type or edge changes it");
}

static void
test_drawn_shapes(void)
{
    static const char *const edges[] = {
        "aa",       "abba",       "abbcca",         "abbccdda",
        "abbaacca", "abbccaac",   "abbccddeea",     "aaabba",
        "ababba",   "abbccddabd", "abacadbabcbdcacbcddadbdc",
    };
    const size_t count = sizeof edges / sizeof *edges;
    uint64_t seen[sizeof edges / sizeof *edges];
    int equal = 0;

    for (size_t i = 0; i < count; i++) {
        struct shape s;

        memset(&s, 0, sizeof s);
        for (const char *p = edges[i]; *p; p += 2, s.m++) {
            s.edges[s.m].from = (uint32_t)(p[0] - 'a');
            s.edges[s.m].to = (uint32_t)(p[1] - 'a');
            if (s.edges[s.m].from >= s.n)
                s.n = s.edges[s.m].from + 1;
        }
        seen[i] = fingerprint(&s);
        for (size_t k = 0; k < i; k++)
            equal += seen[k] == seen[i];
    }
    is_int(0, equal, "shapes of one type and label are told apart");
    ok(shape_hash(0) == UINT64_C(0xE220A8397B1DCDAF),
       "the hash is splitmix64's: fingerprints are compared between runs");
}

/* Edges sorted by where they start, as the order wants them. */
static void
index_edges(struct shape *s, uint32_t *first)
{
    struct shape_edge sorted[SHAPE_EDGES];
    uint32_t at = 0;

    for (uint32_t i = 0; i < s->n; i++) {
        first[i] = at;
        for (uint32_t e = 0; e < s->m; e++)
            if (s->edges[e].from == i)
                sorted[at++] = s->edges[e];
    }
    first[s->n] = at;
    memcpy(s->edges, sorted, at * sizeof *sorted);
}

static void
test_order(void)
{
    int wrong = 0;

    for (int round = 0; round < ROUNDS; round++) {
        uint32_t first[SHAPE_NODES + 1], order[SHAPE_NODES];
        uint32_t place[SHAPE_NODES], max = 1 + draw(SHAPE_NODES), got;
        uint64_t colours[SHAPE_NODES], next[SHAPE_NODES];
        struct shape s;

        make_shape(&s);
        index_edges(&s, first);
        memcpy(colours, s.types, sizeof colours);
        shape_refine(colours, next, s.n, s.edges, s.m);
        got = shape_order(colours, s.n, s.edges, first, order, max, place);
        wrong += got != (max < s.n ? max : s.n);
        for (uint32_t i = 0; i < got; i++)
            wrong += place[order[i]] != i;
        for (uint32_t i = 0; i < s.n; i++)
            wrong += colours[i] < colours[order[0]];
    }
    is_int(0, wrong, "members are listed once, from the smallest colour");
}

/* ---- sites -------------------------------------------------------------- */

static void
test_sites(void)
{
    enum { KEYS = 500, STACKS = 20 };
    uint64_t keys[KEYS], counts[STACKS] = {0}, all = 0;
    struct hkr_site out[STACKS];
    uint32_t got;
    int wrong = 0;

    for (int i = 0; i < KEYS; i++) {
        uint32_t stack = draw(STACKS);

        keys[i] = sites_key(stack, (uint16_t)(stack + 7));
        counts[stack]++;
    }
    got = sites_count(keys, KEYS, out, STACKS);
    for (uint32_t i = 0; i < got; i++)
        wrong += out[i].count != counts[out[i].stack] ||
                 out[i].type != out[i].stack + 7;
    is_int(STACKS, got, "one entry for each stack");
    is_int(0, wrong, "with its count");
    got = sites_count(keys, KEYS, out, 4);
    for (uint32_t i = 0; i < got; i++)
        all += out[i].count;
    ok(got == 4 && all == KEYS, "what does not fit is counted all the same");
}

int
main(void)
{
    test_drawings();
    test_random_graphs();
    test_long();
    test_many_references(20000, 0);
    test_many_references(20000, 1);
    test_many_references(600000, 0);
    test_ladder();
    test_crowd();
    test_addresses();
    test_most_edges();
    test_later();
    test_random_shapes();
    test_drawn_shapes();
    test_order();
    test_sites();
    return done_testing();
}
