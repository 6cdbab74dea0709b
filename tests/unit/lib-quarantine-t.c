/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-quarantine -- what is kept of the dead, in a host that says it is the
 * agent: it hands out stacks, and asks before it frees what it watches.
 */
#include <pthread.h>

#include "heapknot.h"
#include "lib/mistake.h"
#include "lib/quarantine.h"
#include "lib/registry.h"
#include "tests/tap/tap.h"
#include "tests/unit/lib-host.h"

struct node {
    hk_object head;
    struct node *next;
};
struct late {
    uint64_t first;
    hk_object head;
    struct node *next;
};
struct other {
    uint64_t refs;
    struct node *next;
};
static hk_type *nodes, *lates, *others;

/* Its memory stays: whoever tests frees it. */
static void
keep(void *self)
{
    (void)self;
}

static hk_type *
make(const char *name, size_t size, size_t header, unsigned flags)
{
    static const hk_field none[] = {{0}};
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = size;
    s.header_offset = header;
    s.flags = flags;
    s.fields = none;
    s.refcount_width = 8;
    s.dealloc = flags & HK_TYPE_FOREIGN ? NULL : keep;
    return hk_type_register(&s);
}

static int calls, kind;

static void
note(const hk_error *error, void *arg)
{
    (void)arg;
    calls++;
    kind = error->kind;
}

static void
is_told(int what, uint32_t here, uint32_t origin, uint32_t last,
        const char *when)
{
    const struct mistake_record *m = mistake_get(mistake_count() - 1);

    is_int(1, calls, "%s: told once", when);
    is_int(what, kind, "%s: the kind", when);
    is_int(here, m ? m->here : 0, "%s: where", when);
    is_int(origin, m ? m->past.origin : 0, "%s: where it was made", when);
    is_int(last, m ? m->past.last : 0, "%s: what came last", when);
    calls = 0;
}

static void
is_quiet(const char *when)
{
    is_int(0, calls, "%s: nothing is told", when);
    calls = 0;
}

static struct node *
new_at(uint32_t stack)
{
    host_stack_now = stack;
    return hk_new(nodes);
}

static void
end_at(void *header, uint32_t stack)
{
    host_stack_now = stack;
    hk_decref(header);
}

static void
after_death(void)
{
    struct node *n = new_at(11);
    struct mistake_past past;

    ok(!quarantine_find(n, &past), "the living are not there");
    end_at(n, 12);
    ok(host_watched == n, "the host is told to watch its block");
    ok(quarantine_find(n, &past) == nodes, "the dead are");
    host_stack_now = 13;
    hk_incref(n);
    is_told(HK_ERROR_DEAD, 13, 11, 12, "hk_incref");
    host_stack_now = 14;
    hk_decref(n);
    is_told(HK_ERROR_DEAD, 14, 11, 12, "hk_decref");
    is_int(0, (int64_t)hk_refcount(n), "its count is 0 as before");
    is_int(QUARANTINE_HOLD, quarantine_block_freed(n),
           "its block is worth holding back");
    is_quiet("the free of the dead");
    memset(n, 0xff, sizeof(*n));
    quarantine_bury(n);
    hk_incref(n);
    is_told(HK_ERROR_DEAD, 14, 11, 12, "buried, whatever was there");
    host_stack_now = 15;
    quarantine_freed_again(n);
    is_told(HK_ERROR_DEAD, 15, 11, 12, "freed again");
    free(n);
}

static void
freed_alive(void)
{
    struct node *n = new_at(21);
    uint64_t destroyed, tracked, before, was;
    struct mistake_past past;

    hk_type_counts(nodes, NULL, &before, &was);
    hk_incref(n);
    host_stack_now = 22;
    hk_decref(n);
    host_stack_now = 23;
    is_int(QUARANTINE_HOLD | QUARANTINE_RAW, quarantine_block_freed(n),
           "freed while it was tracked: hold it back");
    is_told(HK_ERROR_FREED, 23, 21, 22, "freed");
    hk_type_counts(nodes, NULL, &destroyed, &tracked);
    is_int(1, (int64_t)(destroyed - before), "it counts as destroyed");
    is_int(1, (int64_t)(was - tracked), "and is not tracked");
    ok(quarantine_find(n, &past) == nodes, "it is dead");
    is_int(23, past.last, "from here on");
    is_int(QUARANTINE_HOLD, quarantine_block_freed(n), "once");
    free(n);
}

static void
header_further_in(void)
{
    struct late *l;

    host_stack_now = 31;
    l = hk_new(lates);
    end_at(&l->head, 32);
    host_stack_now = 33;
    hk_incref(&l->head);
    is_told(HK_ERROR_DEAD, 33, 31, 32, "its header further in");
    is_int(QUARANTINE_HOLD, quarantine_block_freed(l), "its block");
    free(l);
    host_stack_now = 34;
    l = hk_new(lates);
    host_stack_now = 35;
    is_int(QUARANTINE_HOLD | QUARANTINE_RAW, quarantine_block_freed(l),
           "freed alive");
    is_told(HK_ERROR_FREED, 35, 34, 0, "freed alive");
    is_int(0, registry_find(l), "it is forgotten");
    free(l);
}

/* What is not an object's any more, or never was. */
static void
strangers(void)
{
    static struct other o[1];
    static struct node n[1];

    is_int(0, quarantine_block_freed(n), "a block of nobody");
    memset(n, 0xff, sizeof(*n));
    is_int(0, quarantine_block_freed(n), "whatever is in it");
    hk_adopt(o, others);
    is_int(QUARANTINE_RAW, quarantine_block_freed(o), "a foreign object");
    is_int(0, registry_find(o), "is forgotten");
    is_int(0, quarantine_block_freed(o), "and nothing special then");
    hk_init(n, nodes);
    is_int(0, quarantine_block_freed(n), "an object that was not tracked");
    hk_track(n);
    hk_untrack(n);
    is_int(0, quarantine_block_freed(n), "or is no more");
    is_quiet("strangers");
}

/* One memory, many lives: the last death counts. */
static void
used_again(void)
{
    static struct node n;

    for (uint32_t i = 1; i <= 3; i++) {
        host_stack_now = 40 + i;
        hk_init(&n, nodes);
        hk_track(&n);
        is_quiet("a new life");
        end_at(&n, 50 + i);
    }
    host_stack_now = 60;
    hk_incref(&n);
    is_told(HK_ERROR_DEAD, 60, 43, 53, "the last of three");
}

static void
forgotten(void)
{
    static struct node first, others_die;
    struct mistake_past past;
    int lost = 0;

    hk_init(&first, nodes);
    end_at(&first, 71);
    for (uint32_t i = 0; i < QUARANTINE_DEATHS; i++) {
        lost += !quarantine_find(&first, &past);
        hk_init(&others_die, nodes);
        hk_decref(&others_die);
    }
    is_int(0, lost, "remembered for as many deaths as there is room for");
    ok(!quarantine_find(&first, &past) && !past.origin && !past.last,
       "then forgotten");
    host_stack_now = 72;
    hk_incref(&first);
    is_told(HK_ERROR_DEAD, 72, 0, 0, "it is a mistake even then");
}

/* ---- threads ------------------------------------------------------------ */

#define THREADS 4
static struct node mine[THREADS][64];
static int wrong;

static void *
die_often(void *arg)
{
    struct node *n = arg;
    struct mistake_past past;
    const hk_type *type;

    for (int i = 0; i < 50000; i++) {
        hk_init(&n[i % 64], nodes);
        hk_decref(&n[i % 64]);
        type = quarantine_find(&n[i % 64], &past);
        if (type && (type != nodes || past.last != 81))
            __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void
threads(void)
{
    pthread_t t[THREADS];

    host_stack_now = 81;
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, die_often, mine[i]);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    is_int(0, wrong, "threads: what is found is whole");
    is_quiet("threads");
}

int
main(void)
{
    nodes = make("node", sizeof(struct node), 0, 0);
    lates = make("late", sizeof(struct late), offsetof(struct late, head), 0);
    others = make("other", sizeof(struct other), 0, HK_TYPE_FOREIGN);
    if (!nodes || !lates || !others)
        bail_out(hk_last_error());
    hk_set_error_fn(note, NULL);
    after_death();
    freed_alive();
    header_further_in();
    strangers();
    used_again();
    forgotten();
    threads();
    return done_testing();
}
