/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_when.c -- predicts what a scan would cost, and decides.
 *
 * Called by   scan.c, worker.c (when_due_ns).
 * Threads     one at a time.
 * Memory      none.
 * Fails       never.
 * Invariants  the share of time that scans may block the program, and that of
 *             a processor that they may take, are kept by the distance between
 *             them: a scan pays for cost / share, and until then there is no
 *             other that would take from the same share.  Where scans of young
 *             objects are possible, they have one half of the processor's, and
 *             those of all objects the other one.
 */
#include "agent/scan_when.h"

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/say.h"
#include "agent/suspects.h"
#include "lib/host.h"
#include "lib/registry.h"
#include "lib/type.h"

#define SECOND UINT64_C(1000000000)
#define MILLION UINT64_C(1000000)
#define FOREVER (UINT64_MAX / 4)

/* A clone copies page tables: before the first measurement, 7 ms for each GiB
   of 4 KiB pages. */
#define FIRST_NS_PER_MIB (7 * MILLION / 1024)
/* At once at most what the budget allows in this time: 20 ms of 0.1 %. */
#define PAUSE_WINDOW_NS (20 * SECOND)
#define BACKOFF_MAX 6
/* What a pause costs is believed a little less each time that it forbids one,
   or a single slow one would forbid all others. */
#define DOUBT 256

enum { YOUNG, FULL };

static struct {
    uint64_t turn_ns;          /* when it was decided last, 0: not yet */
    uint64_t last_ns, full_ns; /* starts of scans, 0: none yet */
    uint64_t paid_ns[2];       /* processor: until here others have to wait */
    uint64_t pause_paid_ns;    /* the same for snapshots */
    uint32_t last_ms, middle_ms; /* scans as births are told; of generation 1
                                    or 2 */
    uint64_t ns_per_mib;
    uint64_t births;      /* of what can be copied, at the last scan */
    uint32_t young_scans; /* since generation 1 was looked at */
    uint32_t between;     /* turns since all objects were */
    uint32_t backoff[2];  /* doublings after failures */
    int is_readable;      /* was there ever anything that can be copied? */
    int is_denied[2];
} when = {.ns_per_mib = FIRST_NS_PER_MIB};

static uint64_t
at_share(uint64_t cost_ns, uint64_t millionths)
{
    if (millionths == 0)
        return cost_ns ? FOREVER : 0;
    if (cost_ns > FOREVER / MILLION)
        return FOREVER;
    return cost_ns * MILLION / millionths;
}

static uint64_t
larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t
smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- what there is ------------------------------------------------------ */

struct survey {
    uint64_t births;    /* of what a copy can look into */
    uint64_t objects;
    uint64_t readable;  /* objects that a copy can look into */
    const char *opaque; /* the first type of others, even if it has none now:
                           a reason is not to change with every object */
};

static void
survey_type(struct survey *s, const hk_type *type)
{
    struct shard_count sum;

    type_counts(type, &sum);
    s->objects += sum.tracked;
    if (type->spec.traverse) {
        if (sum.created && !s->opaque)
            s->opaque = type->spec.name;
        return;
    }
    s->readable += sum.tracked;
    if (type->is_container)
        s->births += sum.created;
}

static void
survey(struct survey *s)
{
    uint32_t types = type_count();

    *s = (struct survey){0, 0, 0, NULL};
    for (uint32_t id = 1; id <= types; id++) {
        const hk_type *type = type_get(id);

        if (type)
            survey_type(s, type);
    }
}

int
when_has_objects(void)
{
    struct survey s;

    survey(&s);
    return registry_limit() > 1 && s.objects;
}

void
when_skip(void)
{
    when.turn_ns = os_now_ns();
    when.between++;
}

/* ---- how ---------------------------------------------------------------- */

static uint64_t
predict_pause_ns(void)
{
    return (os_rss_bytes() >> 20) * when.ns_per_mib;
}

static uint64_t
pause_limit_ns(void)
{
    return opt.pause_budget * (PAUSE_WINDOW_NS / MILLION);
}

static int
is_option(const char *text)
{
    const char *s = opt.scan_method;

    for (; *text && *s == *text; s++)
        text++;
    return *s == *text;
}

static void
doubt_price(void)
{
    if (when.ns_per_mib > FIRST_NS_PER_MIB)
        when.ns_per_mib -= (when.ns_per_mib - FIRST_NS_PER_MIB) / DOUBT;
}

/* The same words each time, as long as it is the same reason. */
static int
refuse_snapshot(struct scan_plan *plan)
{
    uint64_t limit_us = pause_limit_ns() / 1000;

    if (when.is_denied[HKR_SCAN_SNAPSHOT])
        say_format(plan->reason, sizeof(plan->reason),
                   "this system does not let the program be copied (clone)");
    else if (opt.pause_budget == 0)
        say_format(plan->reason, sizeof(plan->reason),
                   "a snapshot would block the program, and pause_budget= "
                   "is 0");
    else
        say_format(plan->reason, sizeof(plan->reason),
                   "a snapshot would block the program for longer than the "
                   "%lu.%lu ms at once that pause_budget= allows",
                   limit_us / 1000, limit_us / 100 % 10);
    return 0;
}

static void
add_reason(struct scan_plan *plan, const char *format, const char *name)
{
    size_t n = 0;

    while (n < sizeof(plan->reason) && plan->reason[n])
        n++;
    say_format(plan->reason + n, sizeof(plan->reason) - n, format,
               n ? "; " : "", name);
}

static int
can_copy(struct scan_plan *plan, const struct survey *s)
{
    if (when.is_denied[HKR_SCAN_COPY])
        add_reason(plan, "%sthis system does not let the program read itself "
                   "(process_vm_readv)%s", "");
    else if (s->objects && !s->readable)
        add_reason(plan, "%sno objects can be read without code of the "
                   "program: type %s has a traverse function",
                   s->opaque ? s->opaque : "(unknown)");
    else
        return 1;
    return 0;
}

static int
can_clone(struct scan_plan *plan, int forced)
{
    if (when.is_denied[HKR_SCAN_SNAPSHOT])
        return refuse_snapshot(plan);
    if (forced || (opt.pause_budget && plan->predicted_ns <= pause_limit_ns()))
        return 1;
    doubt_price();
    return refuse_snapshot(plan);
}

/* 1: by plan->method. */
static int
choose_method(struct scan_plan *plan, const struct survey *s, int forced)
{
    plan->reason[0] = '\0';
    plan->is_told = when.is_denied[HKR_SCAN_SNAPSHOT] ||
                    when.is_denied[HKR_SCAN_COPY];
    plan->method = HKR_SCAN_SNAPSHOT;
    if (!is_option("copy") && can_clone(plan, forced))
        return 1;
    plan->method = HKR_SCAN_COPY;
    return !is_option("snapshot") && can_copy(plan, s);
}

/* ---- when --------------------------------------------------------------- */

static uint64_t
distance_ns(int kind)
{
    return smaller(opt.scan_interval, FOREVER >> BACKOFF_MAX)
           << when.backoff[kind];
}

static uint64_t
start_or(uint64_t ns)
{
    return ns ? ns : boot_start_ns;
}

static uint64_t
full_due_ns(uint32_t method)
{
    uint64_t due = larger(start_or(when.full_ns) + distance_ns(FULL),
                          when.paid_ns[FULL]);

    return method == HKR_SCAN_SNAPSHOT ? larger(due, when.pause_paid_ns) : due;
}

static uint64_t
young_due_ns(void)
{
    return larger(start_or(when.last_ns) + distance_ns(YOUNG),
                  when.paid_ns[YOUNG]);
}

static int
has_young_scans(void)
{
    return when.full_ns && !is_option("snapshot") &&
           !when.is_denied[HKR_SCAN_COPY];
}

static int
is_never_due(void)
{
    return opt.scan_interval == 0 || opt.cpu_budget == 0 ||
           (when.is_denied[HKR_SCAN_SNAPSHOT] &&
            when.is_denied[HKR_SCAN_COPY]);
}

/* After a turn that came to nothing the next one is an interval later. */
uint64_t
when_due_ns(void)
{
    uint64_t due = UINT64_MAX;

    if (is_never_due())
        return UINT64_MAX;
    if (!is_option("copy"))
        due = full_due_ns(HKR_SCAN_SNAPSHOT);
    if (!is_option("snapshot") && full_due_ns(HKR_SCAN_COPY) < due)
        due = full_due_ns(HKR_SCAN_COPY);
    if (has_young_scans() && young_due_ns() < due)
        due = young_due_ns();
    if (!when.turn_ns)
        return due;
    return larger(due, when.turn_ns + smaller(opt.scan_interval, FOREVER));
}

/* Of young objects: 1 if enough were born. */
static int
choose_young(struct scan_plan *plan, const struct survey *s)
{
    int threshold[3];

    hk_gc_get_threshold(threshold);
    if (s->births - when.births <= (uint64_t)threshold[0])
        return 0;
    plan->method = HKR_SCAN_COPY;
    plan->generation = when.young_scans > (uint32_t)threshold[1];
    plan->since_ms = suspects_since(plan->generation ? when.middle_ms
                                                     : when.last_ms);
    return plan->since_ms != 0;
}

static void
begin(const struct scan_plan *plan, uint64_t now, uint64_t births)
{
    when.last_ns = when.turn_ns = now;
    when.last_ms = host_now_ms();
    when.births = births;
    when.between++;
    if (plan->generation == 0) {
        when.young_scans++;
        return;
    }
    when.young_scans = 0;
    when.middle_ms = when.last_ms;
    if (plan->generation == 2) {
        when.between = 0;
        when.full_ns = now;
    }
}

/* Counts what the budgets took away from the distance that was asked for. */
static void
count_skipped(uint64_t now)
{
    uint64_t turns = when.full_ns && opt.scan_interval
                         ? (now - when.full_ns) / opt.scan_interval
                         : 0;

    if (turns > 1 + when.between)
        count_add(HKC_scans_skipped, turns - 1 - when.between);
}

static enum when
put_off(uint64_t now, enum when answer)
{
    when.turn_ns = now;
    if (answer == WHEN_NEVER) {
        when.between++;
        count_add(HKC_scans_skipped, 1);
    }
    return answer;
}

/* 1: there is one of young objects. */
static int
plan_young(struct scan_plan *plan, const struct survey *s, uint64_t now)
{
    return has_young_scans() && can_copy(plan, s) && young_due_ns() <= now &&
           choose_young(plan, s);
}

enum when
when_plan(struct scan_plan *plan, int forced)
{
    uint64_t now = os_now_ns();
    struct survey s;

    survey(&s);
    when.is_readable = s.births != 0;
    *plan = (struct scan_plan){.generation = 2,
                               .predicted_ns = predict_pause_ns()};
    if (!choose_method(plan, &s, forced))
        return forced ? WHEN_NEVER : put_off(now, WHEN_NEVER);
    if (!forced && full_due_ns(plan->method) > now &&
        !plan_young(plan, &s, now))
        return put_off(now, WHEN_LATER);
    if (!forced && plan->generation == 2)
        count_skipped(now);
    begin(plan, now, s.births);
    return WHEN_NOW;
}

/* ---- what it cost ------------------------------------------------------- */

/* Half of what was measured, half of what was believed; what is far above that
   was something else: the program's own threads, another machine's. */
static void
learn_price(uint64_t pause_ns)
{
    uint64_t mib = os_rss_bytes() >> 20;
    uint64_t most = 2 * larger(when.ns_per_mib, FIRST_NS_PER_MIB);

    if (mib >= 16)
        when.ns_per_mib =
            (when.ns_per_mib + smaller(pause_ns / mib, most)) / 2;
}

static void
learn_status(int kind, int ok)
{
    if (ok)
        when.backoff[kind] = 0;
    else if (when.backoff[kind] < BACKOFF_MAX)
        when.backoff[kind]++;
}

static void
learn_cpu(int kind, uint64_t cpu_ns)
{
    uint64_t parts = has_young_scans() && when.is_readable ? 2 : 1;

    when.paid_ns[kind] =
        larger(when.paid_ns[kind],
               when.last_ns + at_share(cpu_ns * parts, opt.cpu_budget));
}

void
when_learn(const struct scan_plan *plan, const struct hkr_scan *rec)
{
    int kind = plan->generation == 2 ? FULL : YOUNG;

    if (rec->pause_ns) {
        when.pause_paid_ns =
            larger(when.pause_paid_ns,
                   when.last_ns + at_share(rec->pause_ns, opt.pause_budget));
        learn_price(rec->pause_ns);
    }
    learn_cpu(kind, rec->child_ns);
    if (rec->status != HKR_SCAN_DENIED)
        learn_status(kind, rec->status == HKR_SCAN_DONE ||
                               rec->status == HKR_SCAN_TRUNCATED);
}

void
when_deny(uint32_t method)
{
    when.is_denied[method] = 1;
}

void
when_reset(void)
{
    uint64_t ns_per_mib = when.ns_per_mib;

    __builtin_memset(&when, 0, sizeof(when));
    when.ns_per_mib = ns_per_mib;
}
