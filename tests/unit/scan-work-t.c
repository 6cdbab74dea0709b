/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan-work -- a whole scan in this process, both ways, with the companion's
 * objects: without memory at each of its requests, told to end at each of its
 * rests, forked in the middle, over tables that are gone.  What it mapped it
 * has to give back.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/options.h"
#include "agent/os.h"
#include "agent/pool.h"
#include "agent/scan_work.h"
#include "agent/suspects.h"
#include "heapknot.h"
#include "lib/registry.h"
#include "tests/tap/tap.h"

enum { PAGE = 4096, REGION = 1 << 20, WIDE = 12000, LIST = 2000, MADE = 100 };

/* ---- memory that is counted, and can run out ---------------------------- */

static long mapped; /* bytes */
static long request, fails_at, texts;
static int for_ever, has_failed;

void *__real_os_map(size_t bytes);
void *__real_os_map_unforked(size_t bytes);
void __real_os_unmap(void *p, size_t bytes);
long __real_os_call(long number, long a, long b, long c, long d, long e,
                    long f);
void *__wrap_os_map(size_t bytes);
void *__wrap_os_map_unforked(size_t bytes);
void __wrap_os_unmap(void *p, size_t bytes);
long __wrap_os_call(long number, long a, long b, long c, long d, long e,
                    long f);

static long
pages(size_t bytes)
{
    return (long)((bytes + PAGE - 1) / PAGE * PAGE);
}

static int
fails(void)
{
    int result = ++request == fails_at ||
                 (for_ever && fails_at && request > fails_at);

    has_failed |= result;
    return result;
}

void *
__wrap_os_map(size_t bytes)
{
    void *p = fails() ? NULL : __real_os_map(bytes);

    mapped += p ? pages(bytes) : 0;
    return p;
}

void *
__wrap_os_map_unforked(size_t bytes)
{
    void *p = fails() ? NULL : __real_os_map_unforked(bytes);

    mapped += p ? pages(bytes) : 0;
    return p;
}

void
__wrap_os_unmap(void *p, size_t bytes)
{
    mapped -= pages(bytes);
    __real_os_unmap(p, bytes);
}

long
__wrap_os_call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;

    if (number == SYS_mremap && fails())
        return -ENOMEM;
    result = __real_os_call(number, a, b, c, d, e, f);
    if (number == SYS_mremap && !(result < 0 && result > -4096))
        mapped += pages((size_t)c) - pages((size_t)b);
    return result;
}

void *
pool_alloc(size_t bytes)
{
    texts++;
    return malloc(bytes);
}

void *
pool_zalloc(size_t bytes)
{
    return calloc(1, bytes);
}

void
pool_free(void *p)
{
    texts--;
    free(p);
}

struct options opt;

/* ---- objects ------------------------------------------------------------ */

struct cell {
    struct cell *next;
    void *item;
};

struct node {
    hk_object header;
    void *next, *inside[2];
    void **array;
    size_t count;
    struct cell *list;
};

struct late { /* both of its addresses lie in one granule */
    void *kind;
    hk_object header;
    void *next;
};

struct wide {
    hk_object header;
    void *items[WIDE];
};

static const hk_slist_spec cells = {offsetof(struct cell, next),
                                    offsetof(struct cell, item)};
static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0},
    {"inside", HK_REF_INLINE, offsetof(struct node, inside), 2},
    {"array", HK_REF_ARRAY, offsetof(struct node, array),
     offsetof(struct node, count)},
    {"list", HK_SLIST, offsetof(struct node, list), (size_t)&cells},
    {NULL, HK_END, 0, 0}};
static const hk_field late_fields[] = {
    {"next", HK_REF, offsetof(struct late, next), 0}, {NULL, HK_END, 0, 0}};
static const hk_field wide_fields[] = {
    {"items", HK_REF_INLINE, offsetof(struct wide, items), WIDE},
    {NULL, HK_END, 0, 0}};

static int
traverse(void *self, hk_visit_fn visit, void *arg)
{
    struct late *l = self;

    return l->next ? visit(l->next, "hidden", -1, arg) : 0;
}

static hk_type *
make_type(const char *name, size_t size, size_t header,
          const hk_field *fields)
{
    hk_type_spec spec = {.struct_size = sizeof spec,
                         .name = name,
                         .size = size,
                         .header_offset = header,
                         .fields = fields,
                         .traverse = fields ? NULL : traverse};
    hk_type *type = hk_type_register(&spec);

    if (!type)
        bail_out(hk_last_error());
    return type;
}

static void *made[MADE]; /* some are leaks on purpose */
static int made_count;
static hk_type *nodes, *lates, *wides, *hiddens;

static void *
make(hk_type *type)
{
    void *p = hk_new(type);

    if (!p || made_count == MADE)
        bail_out("no object");
    return made[made_count++] = p;
}

static struct cell *
make_list(struct cell *rest, void *item)
{
    struct cell *c = malloc(sizeof *c);

    c->next = rest;
    c->item = item;
    return c;
}

/* A ring that goes through each kind of field and type, and what is held: one
   object that leads to another. */
static void
make_objects(void)
{
    struct node *a = make(nodes), *b = make(nodes), *c = make(nodes);
    struct late *l = make(lates);
    struct wide *w = make(wides);
    struct node *held = make(nodes);

    a->next = b;
    b->inside[1] = c;
    c->array = calloc(4, sizeof(void *));
    c->count = 4;
    c->array[2] = l;
    l->next = w;
    w->items[WIDE - 1] = a;
    a->list = make_list(NULL, make(nodes));
    for (int i = 0; i < LIST; i++)
        a->list = make_list(a->list, NULL);
    held->next = make(nodes);
}

static void *
make_ring(hk_type *type)
{
    struct late *l = make(type);

    l->next = l;
    return l;
}

/* ---- scans -------------------------------------------------------------- */

static struct scan_work work;
static struct scan_wish wish;
static struct results *region;
static long rests, rests_until;
static uint64_t cycles, opaque, lost, skipped;

static int
call(void (*fn)(void *), void *arg)
{
    fn(arg);
    return 1;
}

static int
rest(void)
{
    rests++;
    return rests_until && rests >= rests_until;
}

static uint32_t
scan(int is_copy)
{
    uint32_t status = HKR_SCAN_NO_MEMORY;

    memset(&work, 0, sizeof work);
    memset(region, 0, REGION);
    region->room = REGION;
    region->used = sizeof *region;
    work.wish = &wish;
    work.r = region;
    work.guard = call;
    work.rest = rest;
    rests = 0;
    if (reader_start(&work.reader, is_copy) == 0) {
        work.reader.rest = rest;
        status = scan_work_run(&work);
    }
    cycles = region->cycles;
    lost = region->unreachable;
    opaque = region->opaque;
    skipped = region->skipped;
    scan_work_end(&work);
    return status;
}

static void
test_ways(void)
{
    for (int is_copy = 0; is_copy < 2; is_copy++) {
        const char *way = is_copy ? "a copy" : "a snapshot";

        is_int(HKR_SCAN_DONE, scan(is_copy), "%s is made", way);
        ok(cycles == 1 && lost == 6 && !skipped,
           "and finds the ring with what hangs off it");
        is_int(0, mapped, "and gives all memory back");
    }
}

/* Each request fails once, alone and with all that follow. */
static void
test_no_memory(int is_copy)
{
    long n = 0, leaked = 0, bad = 0, before;

    for (for_ever = 0; for_ever < 2; for_ever++)
        for (n = 1, has_failed = 1; has_failed; n++) {
            uint32_t status;

            before = mapped;
            request = has_failed = 0;
            fails_at = n;
            status = scan(is_copy);
            fails_at = 0;
            leaked += mapped != before;
            bad += status != HKR_SCAN_DONE && status != HKR_SCAN_NO_MEMORY;
            bad += status == HKR_SCAN_DONE && !skipped &&
                   (cycles != 1 || lost != 6);
        }
    is_int(0, leaked, "without memory %s leaves nothing behind, %d requests",
           is_copy ? "a copy" : "a snapshot", (int)n - 2);
    is_int(0, bad, "and has no half results");
}

static void
test_stop(void)
{
    long late = 0, leaked = 0, n = 0;

    for (int i = 0; i < 50; i++)
        make_ring(lates);
    do {
        rests_until = n += 1 + n / 16;
        late += scan(1) == HKR_SCAN_DONE && rests >= n;
        late += rests > n + 8; /* an array on its way asks each time */
        leaked += mapped != 0;
    } while (rests >= n);
    rests_until = 0;
    is_int(0, late, "told to end at any of %d rests a copy does",
           (int)rests);
    is_int(0, leaked, "with nothing left behind");
}

/* ---- a fork ------------------------------------------------------------- */

static int missing; /* of the child's tables */

static int
is_there(const void *p)
{
    unsigned char in_core;
    uintptr_t page = (uintptr_t)p / PAGE * PAGE;

    return mincore((void *)page, 1, &in_core) == 0;
}

static int
fork_once(void)
{
    int status;
    pid_t pid;

    if (!work.g.cells || missing)
        return 0;
    if ((pid = fork()) == 0)
        _exit(is_there(work.g.cells) || is_there(work.g.map.top) ||
              is_there(work.reader.copy));
    missing = pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 &&
              is_there(work.g.cells) ? 1 : -1;
    return 0;
}

static void
test_fork(void)
{
    memset(&work, 0, sizeof work);
    memset(region, 0, REGION);
    region->room = REGION;
    region->used = sizeof *region;
    work.wish = &wish;
    work.r = region;
    work.guard = call;
    work.rest = fork_once;
    if (reader_start(&work.reader, 1) || scan_work_run(&work))
        bail_out("no scan");
    scan_work_end(&work);
    is_int(1, missing, "a child forked meanwhile has none of the tables");
}

/* ---- tables that are gone ----------------------------------------------- */

enum { GONE, KIND, FAR, LONG_INLINE, EMBEDDED, ENDLESS, KINDS };

static void
spoil(hk_field *table, int how)
{
    if (how == GONE)
        mprotect(table, PAGE, PROT_NONE);
    if (how == KIND)
        table[0].kind = 77;
    if (how == FAR) /* after one that is right */
        table[1].offset = (size_t)-16;
    if (how == LONG_INLINE) {
        table[0].kind = HK_REF_INLINE;
        table[0].count = ((size_t)1 << 61) + 1;
    }
    if (how == EMBEDDED || how == ENDLESS)
        for (int i = 0; i < PAGE / (int)sizeof *table - 1; i++)
            table[i] = (hk_field){"e", HK_EMBED,
                                  how == EMBEDDED ? (size_t)1 << 40 : 0,
                                  (size_t)table};
}

static void
test_tables(void)
{
    static const char *const names[] = {"gone",        "of another kind",
                                        "far outside", "endlessly long",
                                        "embedded far outside",
                                        "embedded in itself"};

    for (int how = 0; how < KINDS; how++) {
        hk_field *table = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct late *ring;
        long before;

        if (table == MAP_FAILED)
            bail_out("no memory");
        memcpy(table, late_fields, sizeof late_fields);
        table[1] = (hk_field){"kind", HK_REF_INLINE, 0, 1};
        table[2].kind = HK_END;
        ring = make_ring(make_type(names[how], sizeof *ring,
                                   offsetof(struct late, header), table));
        spoil(table, how);
        before = texts;
        ok(scan(1) == HKR_SCAN_DONE && opaque >= 1,
           "a field that is %s: its objects are not looked into", names[how]);
        is_int(before, texts, "and leave nothing behind");
        hk_untrack(ring);
    }
}

/* ---- lists -------------------------------------------------------------- */

/* A list that leads back into its middle, and one whose nodes are all there:
   who reads them must come to an end, and rest. */
static void
test_lists(void)
{
    struct node *n = make(nodes);
    struct cell *last, *middle = NULL;
    uint64_t had;

    scan(1);
    had = skipped;
    n->list = last = make_list(NULL, NULL);
    for (int i = 0; i < LIST; i++) {
        n->list = make_list(n->list, NULL);
        if (i == LIST / 2)
            middle = n->list;
    }
    scan(1);
    is_int((int64_t)had, (int64_t)skipped, "a long list is read");
    last->next = middle;
    scan(1);
    is_int((int64_t)had + 1, (int64_t)skipped,
           "one that leads into its middle is not");
    last->next = NULL;
    for (struct cell *c = n->list, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    n->list = NULL;
    hk_decref(n);
}

/* ---- suspects ----------------------------------------------------------- */

/* Takes in what the region tells, as scan.c does. */
static struct suspects_tally
take_in(enum suspects_sight sight)
{
    struct suspects_tally tally;
    uint64_t at = sizeof *region;

    if (suspects_begin(region->cycles, 1000, 0, sight))
        bail_out("no memory");
    while (at < region->used) {
        const struct result_head *h =
            (const void *)((const char *)region + at);

        if (h->kind == RESULT_CYCLE)
            suspects_see((const void *)h, 1, 1000);
        at += h->bytes;
    }
    suspects_end(&tally);
    return tally;
}

static void
test_hidden(void)
{
    struct late *hidden = make(hiddens), *behind = make(lates);
    struct suspects_tally t;
    uint64_t all;

    hidden->next = hidden;
    behind->next = behind;
    scan(0);
    t = take_in(SUSPECTS_ALL);
    all = t.suspects + t.confirmed;
    scan(1);
    t = take_in(SUSPECTS_READABLE);
    ok(t.suspects + t.confirmed == all && all >= 2 && !t.resurrected,
       "a cycle that a copy cannot see is not taken for resurrected");
    behind->next = NULL;
    scan(1);
    t = take_in(SUSPECTS_READABLE);
    ok(t.suspects + t.confirmed == all - 1 && t.resurrected == 1,
       "one that it could see is, when it is live again");
    hidden->next = NULL;
    hk_decref(&hidden->header);
    hk_decref(&behind->header);
    scan(1);
    t = take_in(SUSPECTS_READABLE);
    ok(t.suspects + t.confirmed == all - 2 && !t.resurrected,
       "one that is gone is forgotten");
}

int
main(void)
{
    region = mmap(NULL, REGION, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    nodes = make_type("node", sizeof(struct node), 0, node_fields);
    lates = make_type("late", sizeof(struct late),
                      offsetof(struct late, header), late_fields);
    wides = make_type("wide", sizeof(struct wide), 0, wide_fields);
    hiddens = make_type("hidden", sizeof(struct late),
                        offsetof(struct late, header), NULL);
    wish.has_census = 1;
    wish.watched_count = 2;
    wish.watched[0] = nodes->id;
    wish.watched[1] = wides->id;
    make_objects();
    test_ways();
    test_no_memory(0);
    test_no_memory(1);
    test_stop();
    test_fork();
    test_tables();
    test_lists();
    test_hidden();
    return done_testing();
}
