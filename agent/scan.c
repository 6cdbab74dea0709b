/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan.c -- a scan, from the parent's side.
 *
 * What        has it decided whether one may run now and how, takes a snapshot
 *             or a copy, and writes what was found.
 * Called by   the agent's thread.
 * Threads     one scan at a time (`running`); results are taken in under
 *             lock_publish and lock_scan.
 * Memory      a shared region for the results while the child lives.
 * Fails       with an errno value and a sentence; the failure is in SCAN.
 *             A way that the system refuses is not tried again; other failures
 *             make scans rarer.
 * Invariants  while a child is there, publications go on; no lock is held
 *             while waiting for it.
 */

#include "agent/scan.h"

#include <errno.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/census.h"
#include "agent/counters.h"
#include "agent/groups.h"
#include "agent/lock.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/publish.h"
#include "agent/recfile.h"
#include "agent/retire.h"
#include "agent/say.h"
#include "agent/scan_copy.h"
#include "agent/scan_parse.h"
#include "agent/scan_watch.h"
#include "agent/scan_when.h"
#include "agent/strings.h"
#include "agent/suspects.h"
#include "lib/host.h"
#include "lib/registry.h"
#include "lib/type.h"

#define MILLION UINT64_C(1000000)
#define LOCK_WAIT_NS (2 * UINT64_C(1000000000))

static uint32_t running;
static uint32_t scan_id;     /* of the last one in SCAN */
static uint32_t last_reason; /* string: why there was none, or 0 */

/* What the scan in hand has told. */
static const struct results *region;
static uint64_t region_bytes;

struct outcome {
    struct scan_plan plan;
    struct scan_wish wish;
    struct hkr_scan record;
    uint32_t clock_ms; /* of the snapshot, as births are told */
    uint16_t asked;    /* type that is wanted in the census, or 0 */
    struct suspects_tally cycles;
    struct groups_tally groups;
};

/* ---- the child ---------------------------------------------------------- */

/* Says once what cannot be done here, and what is done instead. */
static uint32_t
refusal(struct hkr_scan *rec, uint32_t method, long err)
{
    if (err == -EAGAIN)
        rec->reason = strings_add("no further process is allowed, or one "
                                  "that cannot be killed is left");
    if (err == -ENOMEM || err == -EAGAIN)
        return HKR_SCAN_NO_MEMORY;
    when_deny(method);
    if (err == -EACCES) {
        when_deny(HKR_SCAN_SNAPSHOT);
        when_deny(HKR_SCAN_COPY);
        degrade("no cycle scans: the program has put itself under a seccomp "
                "filter, which may kill it for being copied");
    } else if (method == HKR_SCAN_SNAPSHOT) {
        degrade("this system does not let the program be copied (clone: errno "
                "%lu): cycle scans see only types without a traverse function",
                (unsigned long)-err);
    } else {
        degrade("no cycle scans: this system does not let the program read "
                "itself (process_vm_readv: errno %lu)", (unsigned long)-err);
    }
    return HKR_SCAN_DENIED;
}

static uint32_t
child_status(int killed)
{
    uint32_t status;

    if (killed)
        return HKR_SCAN_HUNG;
    if (!scan_watch_is_finished())
        return HKR_SCAN_CRASHED;
    status = __atomic_load_n(&region->status, __ATOMIC_RELAXED);
    return status <= HKR_SCAN_TRUNCATED ? status : HKR_SCAN_CRASHED;
}

/* The type that was in hand when it went wrong, or whose objects faulted. */
static uint32_t
culprit(uint32_t status)
{
    const uint32_t *which =
        status == HKR_SCAN_HUNG || status == HKR_SCAN_CRASHED
            ? &region->type
            : &region->fault_type;
    uint32_t id = __atomic_load_n(which, __ATOMIC_RELAXED);
    const hk_type *type = id ? type_get(id) : NULL;

    return type ? strings_add(type->spec.name) : 0;
}

static void
read_totals(struct hkr_scan *rec)
{
    rec->objects = region->objects;
    rec->edges = region->edges;
    rec->unreachable = region->unreachable;
    rec->unknown_edges = region->unknown;
    rec->skipped_objects = region->skipped;
    rec->excess_edges = region->excess;
    rec->opaque_objects = region->opaque;
    rec->ignored = region->ignored;
    rec->memory_bytes = region->bytes;
    rec->culprit = culprit(rec->status);
}

/* Of a child that was not waited for: it has one thread. */
static uint64_t
told_cpu_ns(uint64_t most)
{
    uint64_t cpu_ns = __atomic_load_n(&region->cpu_ns, __ATOMIC_RELAXED);

    return cpu_ns < most ? cpu_ns : most;
}

static int
take_snapshot(struct outcome *o)
{
    struct hkr_scan *rec = &o->record;
    struct scan_watch w = {.wish = &o->wish};
    uint64_t start = os_now_ns();
    int err = scan_watch_run(&w);

    rec->pause_ns = w.pause_ns;
    region = scan_watch_results();
    region_bytes = scan_watch_bytes();
    if (err || w.is_stopped)
        return err ? err : -ECANCELED;
    rec->child_ns = w.cpu_ns ? w.cpu_ns : told_cpu_ns(os_now_ns() - start);
    rec->status = child_status(w.is_killed);
    return 0;
}

static int
take_copy(struct outcome *o)
{
    struct hkr_scan *rec = &o->record;
    int err = scan_copy_run(&o->wish, &rec->child_ns);

    region = scan_copy_results();
    region_bytes = scan_copy_bytes();
    if (!err)
        rec->status = region->status;
    return err;
}

/* 0, or -1: the scan was given up, because the program ends or execs. */
static int
look(struct outcome *o)
{
    struct hkr_scan *rec = &o->record;
    uint64_t start = os_now_ns();
    int err = o->plan.method == HKR_SCAN_COPY ? take_copy(o)
                                              : take_snapshot(o);

    rec->wall_ns = os_now_ns() - start;
    if (err == -ECANCELED)
        return -1;
    if (err)
        rec->status = refusal(rec, o->plan.method, err);
    else
        read_totals(rec);
    return 0;
}

/* ---- findings ----------------------------------------------------------- */

static void
take_frame(struct outcome *o, const struct result_head *h, uint32_t id)
{
    uint32_t now_ms = (uint32_t)(o->record.time_ns / MILLION);
    const struct result_cycle *c = parse_as_cycle(h);

    if (c)
        groups_add(c, suspects_see(c, id, now_ms), id, parse_label);
    else
        census_add(parse_as_census(h), parse_label);
}

static enum suspects_sight
sight_of(const struct hkr_scan *rec)
{
    if (rec->status != HKR_SCAN_DONE)
        return SUSPECTS_PART;
    return rec->opaque_objects ? SUSPECTS_READABLE : SUSPECTS_ALL;
}

static int
take_frames(struct outcome *o, uint32_t id)
{
    const struct result_head *h;
    enum suspects_sight sight = sight_of(&o->record);
    uint64_t cycles = __atomic_load_n(&region->cycles, __ATOMIC_RELAXED);
    uint64_t most = region_bytes / sizeof(struct result_cycle);

    if (suspects_begin(cycles < most ? cycles : most, o->clock_ms,
                       o->wish.since_ms, sight))
        return -1;
    groups_begin(o->wish.is_young || sight != SUSPECTS_ALL);
    census_begin();
    parse_begin(region, region_bytes);
    while ((h = parse_next()))
        take_frame(o, h, id);
    suspects_end(&o->cycles);
    groups_end(&o->groups, o->clock_ms, o->record.time_ns);
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
    if (take_frames(o, scan_id + 1))
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
    if (is_good(rec) && (o->groups.is_cut | (groups_write() != 0) |
                         (census_write(scan_id + 1, o->asked) != 0)))
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
    count_add(is_good(rec) ? HKC_scans : HKC_scans_failed, 1);
    count_add(HKC_scan_cpu_ns, rec->child_ns);
    count_add(HKC_pause_total_ns, rec->pause_ns);
    if (rec->pause_ns > count_get(HKC_pause_max_ns))
        count_set(HKC_pause_max_ns, rec->pause_ns);
}

static int
explain_failure(const struct hkr_scan *rec, char *text, uint32_t bytes)
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
    const char *name = rec->culprit ? strings_get(rec->culprit) : NULL;
    const char *why = rec->reason ? strings_get(rec->reason) : NULL;

    say_format(text, bytes, "scan %u failed: %s%s%s", scan_id,
               why ? why : words[rec->status], name ? ": type " : "",
               name ? name : "");
    return errors[rec->status];
}

static int
explain(const struct outcome *o, char *text, uint32_t bytes)
{
    const struct hkr_scan *rec = &o->record;

    if (!is_good(rec))
        return explain_failure(rec, text, bytes);
    say_format(text, bytes,
               "scan %u: %lu objects, %lu cycles (%lu confirmed) of %u "
               "shape%s, paused %lu.%lu ms, %lu ms in the %s",
               scan_id, rec->objects, rec->suspects + rec->confirmed,
               rec->confirmed, o->groups.groups,
               o->groups.groups == 1 ? "" : "s", rec->pause_ns / MILLION,
               rec->pause_ns / (MILLION / 10) % 10, rec->child_ns / MILLION,
               rec->method == HKR_SCAN_COPY ? "agent's thread" : "child");
    return 0;
}

static void
drop(void)
{
    scan_watch_drop();
    scan_copy_drop();
    region = NULL;
}

static void
prepare(struct outcome *o, uint64_t asked)
{
    const struct scan_plan *plan = &o->plan;
    struct hkr_scan *rec = &o->record;

    rec->kind = HKR_SCAN_EXACT;
    rec->method = plan->method;
    rec->generation = plan->generation;
    rec->time_ns = os_now_ns() - boot_start_ns;
    rec->predicted_pause_ns =
        plan->method == HKR_SCAN_SNAPSHOT ? plan->predicted_ns : 0;
    o->clock_ms = host_now_ms();
    o->wish.is_young = plan->generation < 2;
    o->wish.since_ms = plan->since_ms;
    o->wish.asked = asked;
    if (!o->wish.is_young)
        census_wish(&o->wish, o->asked);
}

static int
scan_now(struct outcome *o, uint64_t asked, char *text, uint32_t bytes)
{
    int err;

    prepare(o, asked);
    if (look(o)) {
        drop();
        say_format(text, bytes, "given up: the program is about to end");
        return ECANCELED;
    }
    take_findings(o);
    drop();
    count_costs(&o->record);
    when_learn(&o->plan, &o->record);
    publish_now(LOCK_WAIT_NS); /* labels, before what names them */
    err = write_findings(o);
    if (err) {
        say_format(text, bytes, "the recording is busy");
        return err;
    }
    return explain(o, text, bytes);
}

/* Says in the recording why there is no scan, once. */
static int
tell_why_not(struct outcome *o, char *text, uint32_t bytes)
{
    uint32_t reason = strings_add(o->plan.reason);

    say_format(text, bytes, "no scan: %s", o->plan.reason);
    if (reason && reason != last_reason) {
        if (!o->plan.is_told)
            say("no cycle scan: %s", o->plan.reason);
        o->record.status = HKR_SCAN_SKIPPED;
        o->record.kind = HKR_SCAN_EXACT;
        o->record.generation = 2;
        o->record.reason = reason;
        o->record.time_ns = os_now_ns() - boot_start_ns;
        o->record.predicted_pause_ns = o->plan.predicted_ns;
        publish_now(LOCK_WAIT_NS);
        if (!write_findings(o))
            last_reason = reason;
    }
    return EAGAIN;
}

static int
decide(int forced, uint16_t asked_type, uint64_t asked, char *text,
       uint32_t bytes)
{
    static struct outcome o; /* `running` */

    memset(&o, 0, sizeof o);
    o.asked = asked_type;
    if (!when_has_objects() && suspects_is_empty()) {
        when_skip();
        say_format(text, bytes, "nothing to scan: no objects are registered");
        return 0;
    }
    switch (when_plan(&o.plan, forced)) {
    case WHEN_LATER:
        say_format(text, bytes, "put off: over pause_budget= or cpu_budget=");
        return EAGAIN;
    case WHEN_NEVER:
        return tell_why_not(&o, text, bytes);
    case WHEN_NOW:
        break;
    }
    if (!forced)
        last_reason = 0;
    return scan_now(&o, asked, text, bytes);
}

static int
run(int forced, uint16_t asked_type, uint64_t asked, char *text,
    uint32_t bytes)
{
    int err;

    if (__atomic_exchange_n(&running, 1, __ATOMIC_ACQUIRE)) {
        say_format(text, bytes, "a scan is running already");
        return EBUSY;
    }
    err = decide(forced, asked_type, asked, text, bytes);
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
    return err;
}

int
scan_run(int forced, char *text, uint32_t text_bytes)
{
    return run(forced, 0, 0, text, text_bytes);
}

uint64_t
scan_due_ns(void)
{
    return when_due_ns();
}

/* ---- why ---------------------------------------------------------------- */

static uint64_t
parse_address(const char *s)
{
    uint64_t value = 0;

    if (s[0] != '0' || s[1] != 'x')
        return 0;
    for (s += 2; *s; s++) {
        if (*s >= '0' && *s <= '9')
            value = value << 4 | (uint64_t)(*s - '0');
        else if (*s >= 'a' && *s <= 'f')
            value = value << 4 | (uint64_t)(*s - 'a' + 10);
        else
            return 0;
    }
    return value;
}

/* The type of the object at an address, from its record. */
static uint16_t
type_at(uint64_t address)
{
    uint32_t limit = registry_limit();

    for (uint32_t slot = 1; slot < limit; slot++) {
        const struct record *rec = registry_record(slot);

        if (registry_is_tracked(rec) &&
            (uint64_t)(uintptr_t)registry_object(rec) == address)
            return rec->type;
    }
    return 0;
}

static uint16_t
type_named(const char *name)
{
    uint32_t types = type_count();

    for (uint32_t id = 1; id <= types; id++) {
        const hk_type *type = type_get(id);

        if (type && strcmp(type->spec.name, name) == 0)
            return (uint16_t)id;
    }
    return 0;
}

int
scan_why(const char *what, char *text, uint32_t text_bytes)
{
    uint64_t address = parse_address(what);
    uint16_t type = address ? type_at(address) : type_named(what);

    if (!type) {
        say_format(text, text_bytes, "%s %s",
                   address ? "no object is registered at" : "no type is named",
                   what);
        return ENOENT;
    }
    return run(1, type, address, text, text_bytes);
}

void
scan_reset(void)
{
    scan_watch_drop();
    scan_copy_reset();
    region = NULL;
    suspects_reset();
    groups_reset();
    census_reset();
    when_reset();
    scan_id = last_reason = 0;
    __atomic_store_n(&running, 0, __ATOMIC_RELEASE);
}
