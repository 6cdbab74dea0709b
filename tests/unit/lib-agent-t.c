/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-agent -- the companion in a host that takes stacks, runs out of memory
 * when told to, and writes down what it is asked: what the agent relies on.
 */
#include <errno.h>

#include "heapknot.h"
#include "lib/registry.h"
#include "lib/type.h"
#include "tests/tap/tap.h"
#include "tests/unit/lib-host.h"

/* ---- types -------------------------------------------------------------- */

struct node {
    hk_object head;
    struct node *next;
};
struct other {
    uint64_t refs;
    void *peer;
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
static const hk_field other_fields[] = {
    {"peer", HK_REF, offsetof(struct other, peer), 0}, {0}};

static hk_type *nodes, *leaves, *others;

static void
keep(void *self)
{
    (void)self;
}

static hk_type *
make(const char *name, const hk_field *fields, size_t size, unsigned flags,
     void (*dealloc)(void *))
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = size;
    s.fields = fields;
    s.flags = flags;
    s.refcount_width = 8;
    s.dealloc = dealloc;
    return hk_type_register(&s);
}

/* ---- tests -------------------------------------------------------------- */

/* Nothing is mapped yet: the first of everything fails. */
static void
out_of_memory(void)
{
    struct other o = {1, NULL};
    uint64_t created, tracked;
    struct node *n;

    host_no_memory = 1;
    ok(!make("none", node_fields, sizeof(struct node), 0, NULL)
           && errno == ENOMEM,
       "a type: ENOMEM");
    host_no_memory = 0;
    nodes = make("node", node_fields, sizeof(struct node), 0, NULL);
    leaves = make("leaf", NULL, sizeof(struct node), HK_TYPE_LEAF, NULL);
    others = make("other", other_fields, sizeof(o), HK_TYPE_FOREIGN, NULL);
    ok(nodes && leaves && others, "and then there are types");
    host_no_memory = 1;
    n = hk_new(nodes);
    hk_type_counts(nodes, &created, NULL, &tracked);
    ok(n && created == 1 && tracked == 0, "an object lives, untracked");
    hk_decref(n);
    ok(hk_adopt(&o, others) == -1 && errno == ENOMEM, "hk_adopt: ENOMEM");
    ok(!host_watched, "and its block is free to go");
    host_no_memory = 0;
    n = hk_new(nodes); /* maps the records, but no side table */
    host_no_memory = 1;
    ok(hk_adopt(&o, others) == -1 && errno == ENOMEM, "a table: ENOMEM");
    host_no_memory = 0;
    is_int(0, hk_adopt(&o, others), "adopted once there is memory");
    hk_forget(&o);
    hk_decref(n);
}

static void
stacks(void)
{
    struct node *n, *leaf = hk_new(leaves);
    struct record *r;

    host_stack_now = 11;
    n = hk_new(nodes);
    r = registry_record(n->head.slot);
    is_int(11, r->created_stack, "the stack of hk_new");
    is_int(1234, r->birth_ms, "the time of birth");
    is_int(nodes->id, r->type, "the type");
    ok(n->head.bits & HK_BIT_WATCHED, "releases are watched");
    ok(!(leaf->head.bits & HK_BIT_WATCHED), "but not those of leaves");
    is_int(0, r->release_stack, "no release yet");
    hk_incref(n);
    host_stack_now = 12;
    hk_decref(n);
    is_int(12, r->release_stack, "the stack of a release");
    is_int(1, (int64_t)hk_refcount(n), "which released");
    hk_incref(n);
    host_stack_now = 0;
    hk_decref(n);
    is_int(12, r->release_stack, "no stack at hand: the last one stays");
    host_stack_now = 13;
    hk_decref(n);
    is_int(RECORD_FREE, r->state, "the end");
    is_int(12, r->release_stack, "is no release that left references");
    hk_decref(leaf);
}

static void
later_tracked(void)
{
    hk_type *type = make("kept", node_fields, sizeof(struct node), 0, keep);
    struct node n = {.next = NULL};
    uint32_t slot, serial;

    host_stack_now = 21;
    hk_init(&n, type);
    host_stack_now = 22;
    hk_track(&n);
    slot = n.head.slot;
    is_int(22, registry_record(slot)->created_stack, "the stack of hk_track");
    serial = registry_record(slot)->serial;
    hk_untrack(&n);
    host_stack_now = 23;
    hk_track(&n);
    is_int(slot, n.head.slot, "the same slot again");
    ok(registry_record(slot)->serial != serial, "but with another serial");
    is_int(0, registry_record(slot)->release_stack, "and nothing left over");
    hk_decref(&n);
}

static void
foreign(void)
{
    struct other o = {1, NULL};
    uint64_t destroyed, tracked, before;
    struct record *r;

    host_stack_now = 31;
    host_block_stack = 32;
    hk_type_counts(others, NULL, &before, NULL);
    hk_adopt(&o, others);
    r = registry_record(registry_find(&o));
    is_int(32, r->created_stack, "the stack of the malloc");
    ok(host_watched == &o, "the host watches its free");
    registry_forget_freed(&o);
    hk_type_counts(others, NULL, &destroyed, &tracked);
    is_int(1, (int64_t)(destroyed - before), "freed: destroyed");
    is_int(0, (int64_t)tracked, "and not tracked");
    ok(hk_forget(&o) == -1 && errno == ENOENT, "so it cannot be forgotten");
    host_block_stack = 0;
    hk_adopt(&o, others);
    r = registry_record(registry_find(&o));
    is_int(31, r->created_stack, "else the stack of hk_adopt");
    hk_forget(&o);
    ok(!host_watched, "forgotten: its free is nothing special");
}

static void
foreign_child(void)
{
    struct other o = {1, NULL};
    struct node *n = hk_new(nodes);

    hk_adopt(&o, others);
    n->next = (struct node *)&o;
    host_complaints = 0;
    hk_decref(n);
    is_int(1, host_complaints,
           "a foreign child cannot be dropped: that is said");
    is_int(1, (int64_t)o.refs, "it is left alone");
    hk_forget(&o);
}

static void
count_errors(void)
{
    hk_type *type = make("wrong", node_fields, sizeof(struct node), 0, keep);
    struct node n = {.next = NULL};
    char expected[200];

    hk_init(&n, type);
    hk_decref(&n); /* keep() keeps the memory */
    host_complaints = 0;
    hk_decref(&n);
    snprintf(expected, sizeof(expected),
             "released after its death: wrong at %p", (void *)&n);
    is_str(expected, host_complaint, "below zero");
    is_int(0, (int64_t)hk_refcount(&n), "is put back");
    hk_incref(&n);
    snprintf(expected, sizeof(expected),
             "referenced after its death: wrong at %p", (void *)&n);
    is_str(expected, host_complaint, "from zero");
    is_int(0, (int64_t)hk_refcount(&n), "is put back");
    is_int(2, host_complaints, "one sentence each");
    hk_init(&n, type);
    n.head.word = (n.head.word & ~(uint64_t)UINT32_MAX) | 0x80000000u;
    hk_incref(&n);
    ok(strstr(host_complaint, "overflow") != NULL, "overflow is said");
    ok(hk_refcount(&n) > 0xa0000000u, "and saturates");
    for (int i = 0; i < 1000; i++)
        hk_incref(&n);
    is_int(3, host_complaints, "once");
    for (int i = 0; i < 5000; i++)
        hk_decref(&n);
    ok(hk_refcount(&n) > 0xa0000000u, "it never dies");
    hk_init(NULL, type);
    hk_init(&n, NULL);
    hk_init(&n, others);
    is_int(6, host_complaints, "hk_init of nonsense is said");
}

int
main(void)
{
    host_keeps_complaints = 1;
    out_of_memory();
    stacks();
    later_tracked();
    foreign();
    foreign_child();
    count_errors();
    hk_mark("here");
    is_str("here", host_marked, "a mark goes to the host");
    hk_snapshot();
    is_str("(snapshot)", host_marked, "and so does a snapshot");
    hk_mark(NULL);
    is_int(2, host_marks, "a mark needs a name");
    ok(hk_agent_present(), "the agent is here");
    return done_testing();
}
