/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan.c -- a scan, from the parent's side.
 *
 * What        decides whether one may run now, clones the snapshot child,
 *             waits for it with a watchdog, and writes what it found.
 * Called by   the agent's thread.
 * Threads     one scan at a time (`running`); results are taken in under
 *             lock_publish and lock_scan.
 * Memory      a shared region for the results while the child lives.
 * Fails       with an errno value and a sentence; the failure is in SCAN.
 *             Refused clones end automatic scans; other failures make them
 *             rarer.
 * Invariants  while a child is there, publications go on; no lock is held
 *             while waiting for it.
 */

#include "agent/scan.h"

#include <errno.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/groups.h"
#include "agent/lock.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/retire.h"
#include "agent/say.h"
#include "agent/scan_watch.h"
#include "agent/strings.h"
#include "agent/suspects.h"
#include "lib/host.h"
#include "lib/registry.h"
#include "lib/type.h"

#define SECOND UINT64_C(1000000000)
#define MILLION UINT64_C(1000000)

/* A clone copies page tables: before the first measurement, 7 ms for each GiB
   of 4 KiB pages. */
#define FIRST_NS_PER_MIB (7 * MILLION / 1024)
/* At once at most what the budget allows in this time: 20 ms of 0.1 %. */
#define PAUSE_WINDOW_NS (20 * SECOND)

#define LOCK_WAIT_NS (2 * SECOND)
#define BACKOFF_MAX 6

static uint32_t running;

static uint64_t last_ns;       /* the last scan or attempt; 0: none yet */
static uint64_t last_child_ns; /* CPU of the last child */
static uint64_t ns_per_mib = FIRST_NS_PER_MIB;
static uint64_t last_predicted_ns;
static uint32_t backoff;       /* doublings of the distance after failures */
static int is_denied, is_too_big;
static uint32_t scan_id;       /* of the last one in SCAN */

struct outcome {
    struct hkr_scan record;
    uint32_t clock_ms; /* of the snapshot, as births are told */
    struct suspects_tally cycles;
    struct groups_tally groups;
};

/* ---- when --------------------------------------------------------------- */

static uint64_t
at_share(uint64_t cost_ns, uint64_t millionths)
{
    if (millionths == 0)
        return cost_ns ? UINT64_MAX / 4 : 0;
    if (cost_ns > UINT64_MAX / 4 / MILLION)
        return UINT64_MAX / 4;
    return cost_ns * MILLION / millionths;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
distance_ns(void)
{
    uint64_t d = larger(opt.scan_interval << backoff,
                        at_share(last_predicted_ns, opt.pause_budget));

    return larger(d, at_share(last_child_ns, opt.cpu_budget));
}

uint64_t
scan_due_ns(void)
{
    if (opt.scan_interval == 0 || is_denied)
        return UINT64_MAX;
    return (last_ns ? last_ns : boot_start_ns) + distance_ns();
}

static uint64_t
predict_pause_ns(void)
{
    return (os_rss_bytes() >> 20) * ns_per_mib;
}

/* Half of what was measured, half of what was believed. */
static void
learn_pause(uint64_t pause_ns)
{
    uint64_t mib = os_rss_bytes() >> 20;

    if (mib >= 16)
        ns_per_mib = (ns_per_mib + pause_ns / mib) / 2;
}

static int
has_objects(void)
{
    uint32_t types = type_count();

    if (registry_limit() <= 1)
        return 0;
    for (uint32_t id = 1; id <= types; id++) {
        const hk_type *type = type_get(id);
        struct shard_count sum;

        if (!type)
            continue;
        type_counts(type, &sum);
        if (sum.tracked)
            return 1;
    }
    return 0;
}

/* An automatic scan that is over budget waits for its turn, or for a command
   where its pause would be too long at any time. */
static int
is_affordable(uint64_t pause_ns, uint64_t now)
{
    if (pause_ns > opt.pause_budget * (PAUSE_WINDOW_NS / MILLION)) {
        if (!is_too_big)
            say("a cycle scan would block the program for %lu ms, more than "
                "pause_budget= allows; ask for one with heapknot ctl scan",
                pause_ns / MILLION);
        is_too_big = 1;
        last_ns = now;
        count_add(HKC_scans_skipped, 1);
        return 0;
    }
    last_predicted_ns = pause_ns;
    return scan_due_ns() <= now;
}

/* ---- the child ---------------------------------------------------------- */

static uint32_t
clone_status(long err)
{
    if (err == -ENOMEM || err == -EAGAIN)
        return HKR_SCAN_NO_MEMORY;
    if (!is_denied)
        degrade("no cycle scans: this system does not let the program be "
                "copied (clone: errno %lu)", (unsigned long)-err);
    is_denied = 1;
    return HKR_SCAN_DENIED;
}

static uint32_t
child_status(int killed)
{
    const struct results *region = scan_watch_results();

    if (killed)
        return HKR_SCAN_HUNG;
    if (!scan_watch_is_finished())
        return HKR_SCAN_CRASHED;
    return region->status <= HKR_SCAN_TRUNCATED ? region->status
                                                : HKR_SCAN_CRASHED;
}

/* The type that was in hand when it went wrong, or whose objects faulted. */
static uint32_t
culprit(uint32_t status)
{
    const struct results *region = scan_watch_results();
    uint32_t id = status == HKR_SCAN_HUNG || status == HKR_SCAN_CRASHED
                      ? region->type
                      : region->fault_type;
    const hk_type *type = id ? type_get(id) : NULL;

    return type ? strings_add(type->spec.name) : 0;
}

static void
read_totals(struct hkr_scan *rec)
{
    const struct results *region = scan_watch_results();

    rec->objects = region->objects;
    rec->edges = region->edges;
    rec->unreachable = region->unreachable;
    rec->unknown_edges = region->unknown;
    rec->skipped_objects = region->skipped;
    rec->excess_edges = region->excess;
    rec->culprit = culprit(rec->status);
}

static void
run_child(struct hkr_scan *rec)
{
    struct scan_watch w = {0, 0, 0};
    int err = scan_watch_run(&w);

    rec->pause_ns = w.pause_ns;
    if (err) {
        rec->status = clone_status(err);
        return;
    }
    learn_pause(w.pause_ns);
    rec->child_ns = larger(w.cpu_ns, scan_watch_results()->cpu_ns);
    rec->status = child_status(w.is_killed);
    read_totals(rec);
}

/* ---- findings ----------------------------------------------------------- */

/* The whole frame at an offset, or NULL. */
static const struct result_head *
frame_at(const struct results *r, uint64_t at)
{
    uint64_t used = __atomic_load_n(&r->used, __ATOMIC_ACQUIRE);
    const struct result_head *h;

    if (used > scan_watch_bytes() || at % 8 || at < sizeof *r ||
        at + sizeof *h > used)
        return NULL;
    h = (const struct result_head *)(const void *)((const char *)r + at);
    if (h->bytes < sizeof *h || h->bytes % 8 || h->bytes > used - at)
        return NULL;
    return h;
}

static const char *
label_at(const struct results *r, uint32_t at)
{
    static char text[SCAN_LABEL_BYTES];
    const struct result_head *h = frame_at(r, at);
    size_t length;

    if (!h || h->kind != RESULT_LABEL)
        return NULL;
    length = h->bytes - sizeof *h;
    if (length > sizeof text - 1)
        length = sizeof text - 1;
    memcpy(text, h + 1, length);
    text[length] = '\0';
    return text;
}

static int
is_whole_cycle(const struct result_cycle *c)
{
    return c->head.kind == RESULT_CYCLE && c->head.bytes >= sizeof *c &&
           c->member_count <= SCAN_MEMBERS_SHOWN &&
           c->edge_count <= SCAN_EDGES_SHOWN &&
           c->created_count <= SCAN_SITES_MAX &&
           c->released_count <= SCAN_SITES_MAX &&
           result_cycle_bytes(c->member_count, c->edge_count,
                              (uint64_t)c->created_count +
                                  c->released_count) == c->head.bytes;
}

static int
take_cycles(struct outcome *o, uint32_t id)
{
    const struct results *region = scan_watch_results();
    const struct result_head *h;
    uint64_t most = scan_watch_bytes() / sizeof(struct result_cycle);
    uint32_t now_ms = (uint32_t)(o->record.time_ns / MILLION);

    if (suspects_begin(region->cycles < most ? region->cycles : most,
                       o->clock_ms))
        return -1;
    groups_begin();
    for (uint64_t at = sizeof *region; (h = frame_at(region, at));
         at += h->bytes) {
        const struct result_cycle *c = (const void *)h;

        if (is_whole_cycle(c))
            groups_add(region, c, suspects_see(c, id, now_ms), id, label_at);
    }
    suspects_end(o->record.status == HKR_SCAN_DONE, &o->cycles);
    groups_end(&o->groups);
    return 0;
}

static int
is_good(const struct hkr_scan *rec)
{
    return rec->status == HKR_SCAN_DONE || rec->status == HKR_SCAN_TRUNCATED;
}

static void
take_findings(struct outcome *o)
{
    struct hkr_scan *rec = &o->record;

    if (!is_good(rec))
        return;
    if (!lock_take(&lock_scan, LOCK_WAIT_NS)) {
        rec->status = HKR_SCAN_NO_MEMORY;
        return;
    }
    if (take_cycles(o, scan_id + 1))
        rec->status = HKR_SCAN_NO_MEMORY;
    lock_release(&lock_scan);
    rec->suspects = o->cycles.suspects;
    rec->confirmed = o->cycles.confirmed;
    rec->resurrected = o->cycles.resurrected;
}

static void
write_record(const struct hkr_scan *rec, uint32_t id)
{
    struct hkr_scan *out = recfile_record(HKR_SCAN, sizeof *out, id);

    if (!out)
        return;
    *out = *rec;
    recfile_publish_table(HKR_SCAN, id);
    scan_id = id;
}

/* With lock_publish and lock_scan.  publish_seq is odd while the recording is
   in pieces. */
static void
write_locked(struct outcome *o)
{
    struct hkr_header *h = recfile_header();
    struct hkr_scan *rec = &o->record;

    if (!h)
        return;
    __atomic_fetch_add(&h->publish_seq, 1, __ATOMIC_SEQ_CST);
    if (is_good(rec) && (o->groups.is_cut | (groups_write() != 0)))
        rec->status = HKR_SCAN_TRUNCATED;
    write_record(rec, scan_id + 1);
    __atomic_fetch_add(&h->publish_seq, 1, __ATOMIC_SEQ_CST);
}

/* 0, or EBUSY when the recording is in use for too long. */
static int
write_findings(struct outcome *o)
{
    if (!lock_take(&lock_publish, LOCK_WAIT_NS))
        return EBUSY;
    if (!lock_take(&lock_scan, LOCK_WAIT_NS)) {
        lock_release(&lock_publish);
        return EBUSY;
    }
    write_locked(o);
    lock_release(&lock_scan);
    lock_release(&lock_publish);
    return 0;
}

/* ---- the whole ---------------------------------------------------------- */

static void
count_costs(const struct hkr_scan *rec)
{
    int ok = is_good(rec);

    count_add(ok ? HKC_scans : HKC_scans_failed, 1);
    count_add(HKC_scan_cpu_ns, rec->child_ns);
    count_add(HKC_pause_total_ns, rec->pause_ns);
    if (rec->pause_ns > count_get(HKC_pause_max_ns))
        count_set(HKC_pause_max_ns, rec->pause_ns);
    last_child_ns = rec->child_ns;
    if (ok)
        backoff = 0;
    else if (backoff < BACKOFF_MAX)
        backoff++;
}

static int
explain(const struct outcome *o, char *text, uint32_t bytes)
{
    static const char *const words[] = {
        [HKR_SCAN_DENIED] = "the system does not let the program be copied",
        [HKR_SCAN_HUNG] = "a traverse function did not come back",
        [HKR_SCAN_CRASHED] = "the copy of the program died",
        [HKR_SCAN_NO_MEMORY] = "no memory",
    };
    static const int errors[] = {
        [HKR_SCAN_DENIED] = EPERM, [HKR_SCAN_HUNG] = ETIMEDOUT,
        [HKR_SCAN_CRASHED] = EFAULT, [HKR_SCAN_NO_MEMORY] = ENOMEM,
    };
    const struct hkr_scan *rec = &o->record;
    const char *name = rec->culprit ? strings_get(rec->culprit) : NULL;

    if (!is_good(rec)) {
        say_format(text, bytes, "scan %u failed: %s%s%s", scan_id,
                   words[rec->status], name ? ": type " : "",
                   name ? name : "");
        return errors[rec->status];
    }
    say_format(text, bytes,
               "scan %u: %lu objects, %lu cycles (%lu confirmed) of %u "
               "shape%s, paused %lu.%lu ms, %lu ms in the child",
               scan_id, rec->objects, rec->suspects + rec->confirmed,
               rec->confirmed, o->groups.groups,
               o->groups.groups == 1 ? "" : "s", rec->pause_ns / MILLION,
               rec->pause_ns / (MILLION / 10) % 10, rec->child_ns / MILLION);
    return 0;
}

static int
scan_now(uint64_t predicted_ns, char *text, uint32_t bytes)
{
    struct outcome o;
    int err;

    memset(&o, 0, sizeof o);
    o.record.kind = HKR_SCAN_EXACT;
    o.record.generation = 2;
    o.record.time_ns = os_now_ns() - boot_start_ns;
    o.record.predicted_pause_ns = predicted_ns;
    o.clock_ms = host_now_ms();
    run_child(&o.record);
    take_findings(&o);
    scan_watch_drop();
    count_costs(&o.record);
    publish_now(LOCK_WAIT_NS); /* labels, before what names them */
    err = write_findings(&o);
    if (err) {
        say_format(text, bytes, "the recording is busy");
        return err;
    }
    return explain(&o, text, bytes);
}

/* Counts what the budgets took away from the distance that was asked for. */
static void
count_skipped(uint64_t since_ns)
{
    if (last_ns && opt.scan_interval && since_ns >= 2 * opt.scan_interval)
        count_add(HKC_scans_skipped, since_ns / opt.scan_interval - 1);
}

static int
decide(int forced, char *text, uint32_t bytes)
{
    uint64_t now = os_now_ns(), predicted;

    if (!has_objects() && suspects_is_empty()) {
        last_ns = now;
        say_format(text, bytes, "nothing to scan: no objects are registered");
        return 0;
    }
    predicted = predict_pause_ns();
    if (!forced && !is_affordable(predicted, now)) {
        say_format(text, bytes, "put off: over pause_budget= or cpu_budget=");
        return EAGAIN;
    }
    if (!forced)
        count_skipped(now - last_ns);
    last_ns = now;
    last_predicted_ns = predicted;
    return scan_now(predicted, text, bytes);
}

int
scan_run(int forced, char *text, uint32_t text_bytes)
{
    int err;

    if (__atomic_exchange_n(&running, 1, __ATOMIC_ACQUIRE)) {
        say_format(text, text_bytes, "a scan is running already");
        return EBUSY;
    }
    err = decide(forced, text, text_bytes);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    return err;
}

void
scan_reset(void)
{
    scan_watch_drop();
    suspects_reset();
    groups_reset();
    last_ns = last_child_ns = last_predicted_ns = 0;
    scan_id = 0;
    backoff = 0;
    is_denied = is_too_big = 0;
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
}
