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

enum { NODES = 48, EDGES = 160, ROUNDS = 2000, HEADER = 24 };

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
    uint32_t from[EDGES];
    int to[EDGES]; /* -1: nothing that is registered */
    int outside[NODES]; /* references from outside; negative: miscounted */
    bool dying[NODES], has_header[NODES];
    /* what must come out */
    bool live[NODES], reaches[NODES][NODES];
    uint64_t unknown, excess, skipped;
};

static void *
address(uint32_t i)
{
    return (void *)(uintptr_t)(0x10000 + 64 * i);
}

static void *
address_of_child(const struct model *m, uint32_t e)
{
    if (m->to[e] < 0)
        return (void *)(uintptr_t)(0x10008 + 64 * draw(NODES));
    if (m->has_header[m->to[e]] && draw(2))
        return (char *)address((uint32_t)m->to[e]) + HEADER;
    return address((uint32_t)m->to[e]);
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
    make_edges(m);
    for (uint32_t i = 0; i < m->nodes; i++) {
        m->outside[i] = draw(held_by) ? 0 : 1 + (int)draw(3);
        m->dying[i] = !draw(60);
        m->has_header[i] = !draw(4);
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
build(const struct model *m, struct graph *g)
{
    int bad = graph_start(g, m->nodes);

    for (uint32_t i = 0; !bad && i < m->nodes; i++)
        bad |= graph_add_node(g, address(i), m->has_header[i] ? HEADER : 0,
                              i + 1, 1) != i;
    bad |= graph_index(g);
    for (uint32_t i = 0; !bad && i < m->nodes; i++) {
        bad |= graph_open_node(g, i);
        graph_set_refs(g, i, refs_of(m, i));
        for (uint32_t e = 0; e < m->edge_count; e++)
            if (m->from[e] == i)
                bad |= graph_add_edge(g, address_of_child(m, e));
        if (m->dying[i])
            graph_drop_node(g, i);
    }
    return bad || graph_close(g) || graph_reach(g);
}

static int
wrong_verdicts(const struct model *m, const struct graph *g)
{
    int wrong = g->unknown != m->unknown;

    wrong += g->skipped != m->skipped;
    wrong += g->excess != m->excess;
    for (uint32_t i = 0; i < m->nodes; i++)
        wrong += graph_is_lost(g, i) != (!m->dying[i] && !m->live[i]);
    return wrong;
}

/* Two lost objects are in one component when each reaches the other. */
static int
wrong_components(const struct model *m, const struct components *c)
{
    int wrong = 0;

    for (uint32_t a = 0; a < c->lost_count; a++)
        for (uint32_t b = 0; b < c->lost_count; b++) {
            uint32_t i = c->node[a], j = c->node[b];
            bool one = a == b || (m->reaches[i][j] && m->reaches[j][i]);

            wrong += one != (c->component[a] == c->component[b]);
        }
    for (uint32_t a = 0; a < c->lost_count; a++)
        wrong += m->reaches[c->node[a]][c->node[a]] !=
                 components_is_cyclic(c, c->component[a]);
    return wrong;
}

/* An object that is on no cycle hangs off one that reaches it. */
static int
wrong_owners(const struct model *m, const struct components *c)
{
    int wrong = 0;

    for (uint32_t a = 0; a < c->lost_count; a++) {
        uint32_t owner = c->owner[c->component[a]];

        if (owner == c->component[a])
            continue;
        wrong += owner == GRAPH_NONE || !components_is_cyclic(c, owner) ||
                 !m->reaches[c->node[c->members[c->first[owner]]]]
                            [c->node[a]];
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
    int verdicts = 0, parts = 0, owners = 0, members = 0, failed = 0;
    uint64_t lost = 0, cyclic = 0;

    for (int round = 0; round < ROUNDS; round++) {
        struct components c;
        struct graph g;

        make_model(&m);
        solve(&m);
        failed += build(&m, &g) != 0;
        verdicts += wrong_verdicts(&m, &g);
        failed += components_find(&g, &c) != 0;
        parts += wrong_components(&m, &c);
        owners += wrong_owners(&m, &c);
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
    is_int(0, owners, "what is on no cycle hangs off one that reaches it");
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

/* A ring of half of them, and a chain of the rest: recursion would not live
   through it. */
static int
build_long(struct graph *g, uint32_t n)
{
    int bad = graph_start(g, n);

    for (uint32_t i = 0; !bad && i < n; i++)
        bad |= graph_add_node(g, address(i), 0, i + 1, 1) != i;
    bad |= graph_index(g);
    for (uint32_t i = 0; !bad && i < n; i++) {
        bad |= graph_open_node(g, i);
        graph_set_refs(g, i, 1);
        if (i + 1 != n / 2 && i + 1 != n)
            bad |= graph_add_edge(g, address(i + 1));
        if (i + 1 == n / 2) {
            bad |= graph_add_edge(g, address(0));
            bad |= graph_add_edge(g, address(n / 2));
        }
    }
    return bad || graph_close(g) || graph_reach(g);
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
            held += c.owner[i] == c.component[0];
    }
    is_int(n / 2, ring, "the ring is one component");
    is_int(n / 2, held, "the chain hangs off it");
    components_free(&c);
    graph_free(&g);
}

static void
test_many_references(void)
{
    const uint32_t n = 20000;
    struct graph g;
    int bad = graph_start(&g, 2);

    graph_add_node(&g, address(0), 0, 1, 1);
    graph_add_node(&g, address(1), 0, 2, 1);
    bad |= graph_index(&g);
    bad |= graph_open_node(&g, 0);
    graph_set_refs(&g, 0, 1);
    for (uint32_t i = 0; i < n; i++)
        bad |= graph_add_edge(&g, address(1));
    bad |= graph_open_node(&g, 1);
    graph_set_refs(&g, 1, n);
    bad |= graph_add_edge(&g, address(0));
    bad |= graph_close(&g) || graph_reach(&g);
    ok(!bad && g.unreachable == 2 && g.nodes[1].known == n,
       "%d references of one object", (int)n);
    graph_free(&g);
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
    test_many_references();
    test_random_shapes();
    test_drawn_shapes();
    test_order();
    test_sites();
    return done_testing();
}
