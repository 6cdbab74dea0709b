/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * publish.c -- copy what changed from the live tables into the recording.
 *
 * Called by   the agent's thread; the program's threads at the ends of the
 *             process, for marks, and with thread=off.
 * Threads     one at a time (lock_publish); the live tables go on moving.
 * Memory      none that grows, but in snapshot.c.
 * Fails       returns 0; what could not be written is counted
 *             (recording_full) and tried again the next time.
 * Invariants  whatever a record refers to was published before it: the
 *             counts of the tables are read from the last to the first, and
 *             the tables written from the first to the last.
 */
#include "agent/publish.h"

#include <errno.h>
#include <string.h>

#include "agent/account.h"
#include "agent/boot.h"
#include "agent/companion.h"
#include "agent/control.h"
#include "agent/counters.h"
#include "agent/facts.h"
#include "agent/intern.h"
#include "agent/lane.h"
#include "agent/lock.h"
#include "agent/meta.h"
#include "agent/modules.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/pool.h"
#include "agent/recfile.h"
#include "agent/retire.h"
#include "agent/sampler.h"
#include "agent/snapshot.h"
#include "agent/strings.h"
#include "lib/type.h"

#define OPEN_WAIT_NS 500000000u
#define YOUNG_NS 1000000000u
#define YOUNG_INTERVAL_NS 50000000u
#define MEASURE_NS 1000000000u
#define SHORT_NS 200000000u
#define COST_SHARE 200u /* at most 1/200 = 0.5 % of the time */
#define INTERVAL_MAX_NS UINT64_C(60000000000)

/* What the recording holds already. */
struct done {
    uint32_t string_bytes, modules, nodes, stacks, types;
};
static struct done done;
static uint64_t cost_ns;     /* CPU of the last publication */
static uint64_t measured_ns; /* when memory was last measured */
static uint64_t final_events; /* allocations + frees in the last FINAL */
static int is_late, is_final, has_failed;

/* ---- tables -------------------------------------------------------------- */

static void
write_strings(void)
{
    uint32_t have = strings_bytes(), from = done.string_bytes;

    if (from == 0 && have > 1) {
        if (!recfile_append(HKR_STRS, "", 1)) /* id 0: none */
            return;
        from = done.string_bytes = 1;
    }
    if (have > from &&
        recfile_append(HKR_STRS, strings_get(from), have - from))
        done.string_bytes = have;
}

static void
write_modules(uint32_t count)
{
    for (uint32_t id = 1; id <= count; id++) {
        const struct module *m = modules_get(id);
        struct hkr_module r = {.start = m->start, .end = m->end};
        struct hkr_module *to = recfile_record(HKR_MODL, sizeof(r), id);

        if (!to)
            return;
        r.bias = m->bias;
        r.loaded_ns = m->loaded_ns;
        r.unloaded_ns = m->unloaded_ns;
        r.path = m->path;
        r.flags = m->flags;
        r.build_id_bytes = m->build_id_bytes;
        memcpy(r.build_id, m->build_id, sizeof(r.build_id));
        if (memcmp(to, &r, sizeof(r)) != 0)
            memcpy(to, &r, sizeof(r));
        if (id > done.modules)
            done.modules = id;
    }
    recfile_publish_table(HKR_MODL, done.modules);
}

/* Nodes never change. */
static void
write_nodes(uint32_t count)
{
    while (done.nodes < count) {
        const struct node *n = &intern_nodes[done.nodes + 1];
        struct hkr_node *to =
            recfile_record(HKR_NODE, sizeof(*to), done.nodes + 1);

        if (!to) {
            recfile_record(HKR_NODE, sizeof(*to), count); /* counts them */
            break;
        }
        to->pc = intern_node_pc(n);
        to->parent = n->parent;
        to->module = n->module;
        done.nodes++;
    }
    if (done.nodes)
        recfile_publish_table(HKR_NODE, done.nodes);
}

static uint64_t
load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

static uint64_t
difference(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static void
read_stack(uint32_t id, const struct stack *s, struct hkr_stack *r)
{
    struct tally sum;

    lane_take(id, &sum);
    memset(r, 0, sizeof(*r));
    r->freed_bytes = sum.freed_bytes;
    r->frees = sum.frees;
    r->allocations = sum.allocations;
    r->allocated_bytes = sum.allocated_bytes;
    r->node = s->node;
    r->flags = s->flags;
    r->first_ns = difference((uint64_t)s->first_ms * 1000000u,
                             boot_start_ns - boot_first_ns);
}

/* What samples stand for is rounded here, not for each of them. */
static void
fill_samples(const struct stack *s, const struct samples *raw,
             struct hkr_stack *r)
{
    r->sample_bytes = sampler_distance(s->rate);
    r->allocations = (r->allocations + SAMPLER_ONE / 2) / SAMPLER_ONE;
    r->frees = (r->frees + SAMPLER_ONE / 2) / SAMPLER_ONE;
    r->sampled_frees = load(&raw->frees);
    r->sampled_allocations = load(&raw->allocations);
}

/* The blocks that were really seen, sampled or not. */
static struct hkr_stack
as_seen(const struct hkr_stack *r, const struct samples *raw)
{
    struct hkr_stack seen = *r;

    seen.freed_bytes = load(&raw->freed_bytes);
    seen.frees = r->sampled_frees;
    seen.allocations = r->sampled_allocations;
    seen.allocated_bytes = load(&raw->allocated_bytes);
    return seen;
}

struct totals {
    uint64_t allocations, frees, allocated_bytes, live_blocks, live_bytes;
    uint64_t sampled_bytes, sampled_usable_bytes;
    double usable_bytes;      /* of stacks that have a sample */
    uint64_t unsampled_bytes; /* live bytes of the others */
};

static void
add_up(struct totals *t, const struct stack *s, const struct hkr_stack *r)
{
    uint64_t sampled = load(&s->sampled_bytes);
    uint64_t usable = load(&s->usable_bytes);
    uint64_t live = difference(r->allocated_bytes, r->freed_bytes);

    t->allocations += r->allocations;
    t->frees += r->frees;
    t->allocated_bytes += r->allocated_bytes;
    t->live_blocks += difference(r->allocations, r->frees);
    t->live_bytes += live;
    t->sampled_bytes += sampled;
    t->sampled_usable_bytes += usable;
    if (sampled)
        t->usable_bytes += (double)live * (double)usable / (double)sampled;
    else
        t->unsampled_bytes += live;
}

static int
write_stack(uint32_t id, struct hkr_stack *r)
{
    struct hkr_stack *to = recfile_record(HKR_STAK, sizeof(*to), id);

    /* Where there was no room for its frames the counters stay right. */
    if (r->node > done.nodes)
        r->node = 0;
    if (to && memcmp(to, r, sizeof(*r)) != 0)
        memcpy(to, r, sizeof(*r));
    return to != NULL;
}

/* Those that do not fit into the file are in the totals nevertheless. */
static void
write_stacks(uint32_t count, struct totals *totals)
{
    int has_room = 1;

    for (uint32_t id = 1; id <= count; id++) {
        const struct stack *s = &intern_stacks[id];
        struct hkr_stack r, seen;

        read_stack(id, s, &r);
        seen = r;
        if (s->rate) {
            fill_samples(s, &intern_samples[id], &r);
            seen = as_seen(&r, &intern_samples[id]);
        }
        add_up(totals, s, &seen);
        if (has_room && (has_room = write_stack(id, &r)) && id > done.stacks)
            done.stacks = id;
    }
    if (!has_room)
        recfile_record(HKR_STAK, sizeof(struct hkr_stack), count);
    if (done.stacks)
        recfile_publish_table(HKR_STAK, done.stacks);
}

/* Before the strings, which get the names. */
static void
write_types(uint32_t count)
{
    for (uint32_t id = 1; id <= count; id++) {
        const struct hk_type *t = type_get(id);
        struct hkr_type *to = recfile_record(HKR_TYPES, sizeof(*to), id);
        struct shard_count sum;

        if (!t || !to)
            return;
        if (id > done.types) {
            to->name = strings_add(t->spec.name);
            to->flags = t->spec.flags & (HKR_TYPE_LEAF | HKR_TYPE_FOREIGN);
            to->size_bytes = t->spec.size;
            done.types = id;
        }
        type_counts(t, &sum);
        to->destroyed = sum.destroyed;
        to->created = sum.created;
        to->tracked = sum.tracked;
    }
}

/* ---- numbers ------------------------------------------------------------- */

static void
count_totals(const struct totals *t, uint32_t stacks, uint32_t nodes)
{
    double ratio = t->sampled_bytes ? (double)t->sampled_usable_bytes /
                                          (double)t->sampled_bytes
                                    : 1.0;

    count_set(HKC_allocations, t->allocations);
    count_set(HKC_frees, t->frees);
    count_set(HKC_allocated_bytes, t->allocated_bytes);
    count_set(HKC_live_blocks, t->live_blocks);
    count_set(HKC_live_bytes, t->live_bytes);
    count_set(HKC_usable_bytes,
              (uint64_t)(t->usable_bytes +
                         (double)t->unsampled_bytes * ratio));
    count_set(HKC_stacks, stacks);
    count_set(HKC_interned_frames, nodes);
}

/* Costs system calls: once a second.  agent_bytes is resident private memory:
   the tables and the private jemalloc, not the recording's pages, which are
   page cache. */
static void
measure_memory(uint64_t now)
{
    uint64_t tables = meta_resident_bytes();

    if (measured_ns && now - measured_ns < MEASURE_NS)
        return;
    measured_ns = now;
    count_set(HKC_rss_bytes, os_rss_bytes());
    count_set(HKC_agent_bytes, (tables ? tables : meta_committed_bytes()) +
                                   pool_resident_bytes());
}

static void
write_numbers(struct hkr_header *h)
{
    uint64_t numbers[HKC_COUNT];

    for (uint32_t i = 0; i < HKC_COUNT; i++)
        numbers[i] = count_get((enum hk_counter)i);
    lane_add_counts(numbers);
    memcpy(h->counters, numbers, sizeof(numbers));
    h->publish_interval_ns = publish_interval_ns();
    __atomic_store_n(&h->published_ns, os_now_ns() - boot_start_ns,
                     __ATOMIC_RELEASE);
}

static void
note_cost(uint64_t cpu_ns)
{
    int late = cpu_ns > opt.publish / COST_SHARE;

    cost_ns = cpu_ns;
    count_add(HKC_publish_ns, cpu_ns);
    count_add(HKC_publishes, 1);
    if (late && !is_late)
        count_add(HKC_publishes_late, 1);
    is_late = late;
}

uint64_t
publish_interval_ns(void)
{
    uint64_t interval = opt.publish;

    if (os_now_ns() - boot_start_ns < YOUNG_NS &&
        interval > YOUNG_INTERVAL_NS)
        interval = YOUNG_INTERVAL_NS;
    if (cost_ns * COST_SHARE > interval)
        interval = cost_ns * COST_SHARE;
    return interval < INTERVAL_MAX_NS ? interval : INTERVAL_MAX_NS;
}

/* ---- publishing ---------------------------------------------------------- */

static int
write_all(struct hkr_header *h)
{
    uint32_t types, stacks, nodes, modules;
    struct totals totals;

    companion_read();
    types = type_count();
    stacks = intern_stack_count();
    nodes = intern_node_count();
    modules = modules_count();
    if (!lane_tally(stacks))
        return 0;
    memset(&totals, 0, sizeof(totals));
    recfile_write_begin();
    write_types(types);
    write_strings();
    write_modules(modules);
    write_nodes(nodes);
    write_stacks(stacks, &totals);
    if (done.types)
        recfile_publish_table(HKR_TYPES, done.types);
    companion_write(done.stacks, done.types);
    facts_write_build_id();
    count_totals(&totals, stacks, nodes);
    write_numbers(h);
    sampler_adapt(os_now_ns(), h->counters[HKC_capture_ns],
                  totals.allocations + totals.frees, totals.allocations,
                  totals.allocated_bytes);
    recfile_write_end();
    return 1;
}

/* The header, or NULL where there is nothing to write to (any more). */
static struct hkr_header *
find_header(void)
{
    struct hkr_header *h;

    if (!recfile_is_open())
        return NULL;
    h = recfile_header();
    if (!h) {
        recfile_detach();
        retire("the recording %s was cut short by somebody else",
               recfile_path());
    }
    return h;
}

static __attribute__((noinline)) int
publish_all(void)
{
    struct hkr_header *h = find_header();
    uint64_t start = os_thread_cpu_ns();

    if (!h)
        return 0;
    measure_memory(os_now_ns());
    lane_reap(os_now_ns());
    if (!write_all(h))
        return 0;
    __atomic_fetch_add(&account_epoch, 1, __ATOMIC_RELAXED);
    note_cost(os_thread_cpu_ns() - start);
    return 1;
}

static int
publish_locked(void)
{
    uint64_t state = float_begin();
    int ok = publish_all();

    float_end(state);
    return ok;
}

static __attribute__((noinline)) int
write_snapshot(uint32_t flags, const char *name)
{
    struct hkr_header *h = recfile_header();
    uint32_t id = 0;

    if (!h)
        return 0;
    if (name) {
        id = strings_add(name);
        write_strings();
        if (id >= done.string_bytes)
            id = 0;
    }
    if (!snapshot_write(flags, id, done.stacks, done.types))
        return 0;
    if (flags & HKR_SNAP_MARK)
        __atomic_fetch_add(&h->mark_count, 1, __ATOMIC_RELAXED);
    return 1;
}

static int
snapshot_locked(uint32_t flags, const char *name)
{
    uint64_t state = float_begin();
    int ok = write_snapshot(flags, name);

    float_end(state);
    return ok;
}

int
publish_now(uint64_t wait_ns)
{
    int ok;

    if (!recfile_is_open() || !lock_take(&lock_publish, wait_ns))
        return 0;
    ok = !is_final && publish_locked();
    lock_release(&lock_publish);
    return ok;
}

int
publish_snapshot(uint32_t flags, const char *name, uint64_t wait_ns)
{
    int ok;

    if (!recfile_is_open() || !lock_take(&lock_publish, wait_ns))
        return 0;
    ok = !is_final && publish_locked() && snapshot_locked(flags, name);
    lock_release(&lock_publish);
    return ok;
}

/* ---- beginning and end --------------------------------------------------- */

static int
open_locked(void)
{
    const char *why = "";
    int err;

    if (recfile_is_open())
        return 0;
    err = recfile_create(&why);
    if (err) {
        if (!has_failed)
            degrade("%s; nothing is recorded", why);
        has_failed = 1;
        return err;
    }
    facts_write();
    retire_write_reason();
    return 0;
}

int
publish_open(void)
{
    int err;

    if (!lock_take(&lock_publish, OPEN_WAIT_NS))
        return -EBUSY;
    err = open_locked();
    lock_release(&lock_publish);
    return err;
}

/* Called again for every stage of an exit (exit, then _exit): a further frame
   only if something happened in between. */
static void
write_final_frame(void)
{
    uint64_t n = count_get(HKC_allocations) + count_get(HKC_frees);

    if (is_final && n == final_events)
        return;
    final_events = n;
    snapshot_locked(HKR_SNAP_FINAL, NULL);
}

static void
set_state(struct hkr_header *h, uint32_t state, uint32_t signal)
{
    if (!h || h->state == HKR_STATE_RETIRED)
        return;
    h->exit_signal = signal;
    __atomic_store_n(&h->state, state, __ATOMIC_RELEASE);
}

/* The last numbers are to be fresh, but a short command is not to wait for
   them: what it has touched is little. */
static void
measure_last(void)
{
    if (is_final)
        return;
    measured_ns = 0;
    if (meta_resident_bytes() || os_now_ns() - boot_start_ns > SHORT_NS)
        meta_measure();
}

int
publish_final(uint32_t state, uint32_t signal, uint64_t wait_ns)
{
    int ok;

    if (!recfile_is_open())
        return 0;
    if (!lock_take(&lock_publish, wait_ns)) {
        set_state(recfile_header(), state, signal);
        return 0;
    }
    measure_last();
    ok = publish_locked();
    if (ok) {
        write_final_frame();
        set_state(recfile_header(), state, signal);
        is_final = state != HKR_STATE_ABORTED; /* may be survived */
    }
    lock_release(&lock_publish);
    return ok;
}

void
publish_resume(void)
{
    if (!recfile_is_open() || !lock_take(&lock_publish, OPEN_WAIT_NS))
        return;
    set_state(recfile_header(), HKR_STATE_LIVE, 0);
    is_final = 0;
    lock_release(&lock_publish);
}

void
publish_reset(void)
{
    memset(&done, 0, sizeof(done));
    cost_ns = measured_ns = final_events = 0;
    is_late = is_final = has_failed = 0;
    companion_reset();
    facts_reset();
    sampler_reset();
    snapshot_reset();
    control_reset();
}
