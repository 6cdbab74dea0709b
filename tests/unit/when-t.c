/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * when-t.c -- when scans take place, by a clock that jumps from one to the
 * next, in a program that is made of numbers.
 */
#include <stdarg.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/say.h"
#include "agent/scan_when.h"
#include "agent/suspects.h"
#include "lib/host.h"
#include "lib/registry.h"
#include "tests/tap/tap.h"

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define HOUR (3600 * S)
#define MIB UINT64_C(1048576)
#define START (50 * S)

/* ---- the program --------------------------------------------------------- */

static struct world {
    uint64_t now;
    uint64_t rss_mib, ns_per_mib; /* what a clone really costs */
    uint64_t full_cpu, young_cpu;
    uint64_t born[4], live[4]; /* by type */
    uint64_t births_per_s;     /* of type TABLE */
    uint32_t since_asked; /* of suspects_since */
    int threshold[3];
} w;

enum { TABLE = 1, CODE, LEAF };

static hk_type types[4];
hk_type *type_table[65536];
struct options opt;
uint64_t counters[HKC_COUNT];
uint64_t boot_start_ns = START;

static int
traverse(void *self, hk_visit_fn visit, void *arg)
{
    return visit(self, "never called", -1, arg);
}

uint64_t
os_now_ns(void)
{
    return w.now;
}

uint32_t
host_now_ms(void)
{
    return (uint32_t)(w.now / MS);
}

uint64_t
os_rss_bytes(void)
{
    return w.rss_mib * MIB;
}

uint32_t
type_count(void)
{
    return 3;
}

uint32_t
registry_limit(void)
{
    return 1000;
}

void
type_counts(const hk_type *type, struct shard_count *sum)
{
    *sum = (struct shard_count){.created = w.born[type->id],
                                .tracked = w.live[type->id]};
    if (type->id == TABLE)
        sum->created += w.births_per_s * ((w.now - START) / S);
}

void
hk_gc_get_threshold(int threshold[3])
{
    memcpy(threshold, w.threshold, sizeof w.threshold);
}

uint32_t
suspects_since(uint32_t since_ms)
{
    w.since_asked = since_ms;
    return since_ms;
}

size_t
say_format(char *buf, size_t size, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(buf, size, format, args);
    va_end(args);
    return (size_t)n;
}

static void
begin(void)
{
    static const char auto_method[] = "auto";

    types[TABLE].spec.name = "table";
    types[CODE].spec.name = "code";
    types[CODE].spec.traverse = traverse;
    types[LEAF].spec.name = "leaf";
    types[TABLE].is_container = types[CODE].is_container = 1;
    for (uint16_t i = 1; i < 4; i++) {
        types[i].id = i;
        type_table[i] = &types[i];
    }
    w = (struct world){.now = START,
                       .rss_mib = 100,
                       .ns_per_mib = 7000,
                       .full_cpu = 10 * MS,
                       .young_cpu = MS,
                       .threshold = {700, 10, 10}};
    w.born[TABLE] = w.live[TABLE] = 1000;
    opt = (struct options){.scan_interval = 10 * S,
                           .pause_budget = 1000,
                           .cpu_budget = 10000,
                           .scan_method = auto_method};
    memset(counters, 0, sizeof counters);
    when_reset();
}

/* ---- turns of the agent's thread ----------------------------------------- */

static struct tally {
    uint64_t turns, full, young, generation[3], method[2], never;
    uint64_t pause, cpu, most_pause, most_cpu; /* sums, and of one scan */
    uint64_t last_ns; /* of the last full scan */
    uint64_t least, most; /* distance of full scans */
    int stuck;
    struct scan_plan plan; /* the last one */
} t;

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

/* What scan.c does with a plan. */
static void
scan(const struct scan_plan *plan, uint32_t status)
{
    struct hkr_scan rec = {.status = status,
                           .child_ns = plan->generation == 2 ? w.full_cpu
                                                             : w.young_cpu};

    if (plan->method == HKR_SCAN_SNAPSHOT)
        rec.pause_ns = w.rss_mib * w.ns_per_mib;
    w.now += rec.pause_ns;
    when_learn(plan, &rec);
    t.pause += rec.pause_ns;
    t.cpu += rec.child_ns;
    t.most_pause = larger(t.most_pause, rec.pause_ns);
    t.most_cpu = larger(t.most_cpu, rec.child_ns);
}

static void
note(const struct scan_plan *plan, uint64_t start)
{
    t.generation[plan->generation]++;
    t.method[plan->method]++;
    if (plan->generation < 2) {
        t.young++;
        return;
    }
    if (t.full++) {
        t.least = smaller(t.least, start - t.last_ns);
        t.most = larger(t.most, start - t.last_ns);
    }
    t.last_ns = start;
}

static enum when
turn(uint32_t status)
{
    uint64_t due = when_due_ns(), start;
    enum when answer;

    w.now = larger(w.now, due);
    start = w.now;
    t.turns++;
    answer = when_plan(&t.plan, 0);
    if (answer == WHEN_NOW) {
        note(&t.plan, start);
        scan(&t.plan, status);
    }
    t.never += answer == WHEN_NEVER;
    t.stuck += when_due_ns() <= start;
    return answer;
}

/* The next scan, after turns that come to nothing. */
static void
next(uint32_t status)
{
    for (int i = 0; i < 100000 && turn(status) != WHEN_NOW; i++)
        continue;
}

static void
go_on_until(uint64_t end)
{
    memset(&t, 0, sizeof t);
    t.least = UINT64_MAX;
    while (when_due_ns() <= end)
        turn(HKR_SCAN_DONE);
}

static void
forced_scan(void)
{
    if (when_plan(&t.plan, 1) == WHEN_NOW)
        scan(&t.plan, HKR_SCAN_DONE);
}

/* ---- budgets ------------------------------------------------------------- */

static uint64_t state = 88172645463325252u;

static uint64_t
draw(uint64_t low, uint64_t high)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return low + (state >> 11) % (high - low + 1);
}

/* From low to high, each power of two as likely. */
static uint64_t
draw_wide(uint64_t low, uint64_t high)
{
    uint64_t top = low;

    while (top < high && draw(0, 3))
        top *= 2;
    return draw(low, smaller(top, high));
}

static int
is_within(uint64_t sum, uint64_t most, uint64_t share, uint64_t time)
{
    return sum <= most ||
           (double)(sum - most) <= (double)time * (double)share / 1e6 + 1;
}

static void
draw_world(void)
{
    static const char *const methods[] = {"auto", "auto", "copy", "snapshot"};

    begin();
    opt.scan_interval = draw_wide(100 * MS, 60 * S);
    opt.pause_budget = draw_wide(10, 1000000);
    opt.cpu_budget = draw_wide(10, 1000000);
    opt.scan_method = methods[draw(0, 3)];
    w.rss_mib = draw_wide(10, 50000);
    w.ns_per_mib = draw_wide(3500, 70000);
    w.full_cpu = draw_wide(MS, 100 * S);
    w.young_cpu = draw_wide(MS / 10, S);
    w.births_per_s = draw(0, 2) * draw_wide(10, 100000);
    w.live[CODE] = w.born[CODE] = draw(0, 1) * 1000;
    w.live[TABLE] = w.born[TABLE] = draw(0, 4) ? 1000 : 0;
    if (!w.live[TABLE] && !w.live[CODE])
        w.live[CODE] = w.born[CODE] = 1;
}

/* Numbers that change while the program runs. */
static void
change_world(void)
{
    w.full_cpu = larger(MS, w.full_cpu * draw(50, 150) / 100);
    w.rss_mib = larger(10, w.rss_mib * draw(80, 120) / 100);
    w.ns_per_mib = smaller(1000000, w.ns_per_mib * draw(80, 120) / 100);
    if (draw(0, 50) == 0)
        forced_scan();
}

static void
test_budgets(void)
{
    int pause_over = 0, cpu_over = 0, stuck = 0, kinds[3] = {0, 0, 0};

    for (int run = 0; run < 400; run++) {
        uint64_t end;

        draw_world();
        memset(&t, 0, sizeof t);
        for (int i = 0; i < 3000 && w.now < 1000000 * S; i++)
            turn(HKR_SCAN_DONE);
        end = w.now;
        pause_over +=
            !is_within(t.pause, t.most_pause, opt.pause_budget, end - START);
        cpu_over += !is_within(t.cpu, 2 * t.most_cpu, opt.cpu_budget,
                               end - START);
        stuck += t.stuck;
        kinds[0] += t.young > 10;
        kinds[1] += t.method[HKR_SCAN_SNAPSHOT] > 10;
        kinds[2] += t.method[HKR_SCAN_COPY] > 10;
    }
    is_int(0, pause_over, "pauses stay within pause_budget= in 400 programs");
    is_int(0, cpu_over, "so does the processor's time within cpu_budget=");
    is_int(0, stuck, "a turn is never followed by another one at once");
    ok(kinds[0] > 20 && kinds[1] > 20 && kinds[2] > 20,
       "all kinds of scans took place (%d %d %d)", kinds[0], kinds[1],
       kinds[2]);
}

/* Costs change, and the price of a pause from one scan to the next: what was
   overdrawn by a scan is paid back before the next one. */
static void
test_changes(void)
{
    int pause_over = 0, cpu_over = 0, stuck = 0;

    for (int run = 0; run < 200; run++) {
        uint64_t forced_pause = 0, forced_cpu = 0;

        draw_world();
        memset(&t, 0, sizeof t);
        for (int i = 0; i < 2000 && w.now < 1000000 * S; i++) {
            uint64_t pause, cpu;

            turn(HKR_SCAN_DONE);
            pause = t.pause;
            cpu = t.cpu;
            change_world();
            forced_pause += t.pause - pause;
            forced_cpu += t.cpu - cpu;
        }
        pause_over += !is_within(t.pause - forced_pause, t.most_pause,
                                 opt.pause_budget, w.now - START);
        cpu_over += !is_within(t.cpu - forced_cpu, 2 * t.most_cpu,
                               opt.cpu_budget, w.now - START);
        stuck += t.stuck;
    }
    is_int(0, pause_over, "and in 200 whose size and speed change: pauses");
    is_int(0, cpu_over, "processor");
    is_int(0, stuck, "no turn at once");
}

/* ---- distances ----------------------------------------------------------- */

static void
test_distances(void)
{
    uint64_t skipped;

    begin();
    go_on_until(START + HOUR);
    is_int(360, (int64_t)t.full, "cheap scans: one each scan_interval=");
    is_int(0, (int64_t)t.young, "and none of young objects in between");
    is_int(360, (int64_t)t.method[HKR_SCAN_SNAPSHOT], "all by snapshot");
    is_int(360, (int64_t)t.turns, "nobody wakes up for nothing");
    is_int(0, (int64_t)counters[HKC_scans_skipped], "none was skipped");

    begin();
    w.full_cpu = S;
    go_on_until(START + 10 * HOUR);
    ok(t.least >= 200 * S && t.most <= 210 * S,
       "half of 1 %% for scans of 1 s: one in 200 s (%lu..%lu s)",
       (unsigned long)(t.least / S), (unsigned long)(t.most / S));
    skipped = counters[HKC_scans_skipped];
    ok(skipped + t.full >= 3580 && skipped + t.full <= 3600,
       "the others are counted as skipped (%lu, %lu took place)",
       (unsigned long)skipped, (unsigned long)t.full);

    begin();
    w.full_cpu = S;
    opt.scan_method = "snapshot";
    go_on_until(START + 10 * HOUR);
    ok(t.least >= 100 * S && t.most <= 110 * S,
       "all of it where no others are possible: one in 100 s");
    is_int((int64_t)t.full, (int64_t)t.turns, "no turn for nothing");

    begin();
    w.rss_mib = 2600;
    go_on_until(START + 10 * HOUR);
    ok(t.least >= 18200 * MS && t.most <= 28200 * MS,
       "0.1 %% for pauses of 18.2 ms: one in 18.2 s, or at the next turn");
}

/* Scans of young objects have half of the budget, too, and turns at which they
   are not due yet do not put them off. */
static void
test_young_distances(void)
{
    uint64_t expected = 10 * HOUR / (50 * S);

    begin();
    w.rss_mib = 2600;
    opt.pause_budget = 1000;
    opt.scan_interval = S;
    w.young_cpu = 250 * MS;
    w.births_per_s = 1000;
    go_on_until(START + 10 * HOUR);
    ok(t.young >= expected * 9 / 10 && t.young <= expected,
       "0.5 %% for young scans of 250 ms: one in 50 s (%lu of %lu)",
       (unsigned long)t.young, (unsigned long)expected);
    ok(t.full >= 10 * HOUR / (20 * S) && t.most <= 20 * S,
       "they do not put off the full ones (%lu)", (unsigned long)t.full);

    begin();
    w.full_cpu = 100 * S;
    w.births_per_s = 1000;
    go_on_until(START + 10 * HOUR);
    ok(t.full <= 2 && t.young >= 3590,
       "full scans are due every 20,000 s: young ones each interval (%lu)",
       (unsigned long)t.young);
    is_int((int64_t)(t.generation[0] / 11), (int64_t)t.generation[1],
           "one of generation 1 after eleven of generation 0");
}

/* ---- how ----------------------------------------------------------------- */

static enum when
ask(uint64_t rss_mib)
{
    w.rss_mib = rss_mib;
    w.now = larger(w.now, when_due_ns());
    return when_plan(&t.plan, 0);
}

static void
test_pause_at_once(void)
{
    int wrong = 0, by[2] = {0, 0};

    for (uint64_t mib = 2500; mib < 3500; mib += 3) {
        begin();
        wrong += ask(mib) != WHEN_NOW;
        wrong += (t.plan.method == HKR_SCAN_SNAPSHOT) !=
                 (t.plan.predicted_ns <= 20 * MS);
        by[t.plan.method]++;
    }
    is_int(0, wrong, "over 20 ms of 0.1 %% fields are copied (%d, %d not)",
           by[1], by[0]);
    ok(by[0] && by[1], "both ways were taken");
    begin();
    opt.pause_budget = 0;
    is_int(WHEN_NOW, ask(100), "pause_budget=0: a scan");
    is_int(HKR_SCAN_COPY, t.plan.method, "by copy");
    begin();
    opt.pause_budget = 0;
    ask(0);
    is_int(HKR_SCAN_COPY, t.plan.method,
           "also where resident memory is not known");
}

static void
test_reasons(void)
{
    char first[WHEN_REASON_BYTES];
    int others = 0;

    begin();
    opt.scan_method = "snapshot";
    is_int(WHEN_NEVER, ask(5000), "scan_method=snapshot: no scan");
    is_str("a snapshot would block the program for longer than the 20.0 ms "
           "at once that pause_budget= allows", t.plan.reason, "it says why");
    memcpy(first, t.plan.reason, sizeof first);
    for (uint64_t mib = 5000; mib < 9000; mib += 100) {
        ask(mib);
        others += strcmp(first, t.plan.reason) != 0;
    }
    is_int(0, others, "in the same words each time");
    is_int(WHEN_NOW, when_plan(&t.plan, 1), "not if it is asked for");
    is_int(HKR_SCAN_SNAPSHOT, t.plan.method, "by snapshot");

    begin();
    w.live[CODE] = w.born[CODE] = 10;
    w.live[TABLE] = 0;
    is_int(WHEN_NEVER, ask(5000), "only objects with a traverse: no scan");
    is_str("a snapshot would block the program for longer than the 20.0 ms "
           "at once that pause_budget= allows; no objects can be read without "
           "code of the program: type code has a traverse function",
           t.plan.reason, "it says both reasons");
    is_int(WHEN_NOW, when_plan(&t.plan, 1), "not if it is asked for");
    w.live[TABLE] = 1;
    is_int(WHEN_NOW, ask(5000), "one that can be copied is enough");
    w.live[TABLE] = w.live[CODE] = 0;
    when_reset();
    is_int(WHEN_NOW, ask(5000), "of no objects at all, the suspects' end");

    begin();
    opt.scan_method = "copy";
    w.live[CODE] = w.born[CODE] = 10;
    w.live[TABLE] = 0;
    is_int(WHEN_NEVER, when_plan(&t.plan, 1), "asked for, but by copy: none");
    is_str("no objects can be read without code of the program: type code has "
           "a traverse function", t.plan.reason, "it says why");
    begin();
    opt.scan_method = "copy";
    ask(10);
    is_int(HKR_SCAN_COPY, t.plan.method, "scan_method=copy: by copy");
}

static void
test_denied(void)
{
    begin();
    when_deny(HKR_SCAN_SNAPSHOT);
    is_int(WHEN_NOW, ask(10), "no clone here: a scan");
    is_int(HKR_SCAN_COPY, t.plan.method, "by copy");
    when_deny(HKR_SCAN_COPY);
    ok(when_due_ns() == UINT64_MAX, "nor a copy: none is due");
    is_int(WHEN_NEVER, when_plan(&t.plan, 1), "nor possible");
    is_str("this system does not let the program be copied (clone); this "
           "system does not let the program read itself (process_vm_readv)",
           t.plan.reason, "it says why");
    is_int(1, t.plan.is_told, "which was told before");
    begin();
    when_deny(HKR_SCAN_COPY);
    w.full_cpu = 100 * S;
    w.births_per_s = 1000;
    go_on_until(START + 10 * HOUR);
    ok(t.full == 4 && !t.young, "no copies: full scans only (%lu)",
       (unsigned long)t.full);
}

/* ---- generations --------------------------------------------------------- */

/* The first scan, after which full ones are due in hours. */
static void
begin_young(void)
{
    begin();
    w.full_cpu = 1000 * S;
    turn(HKR_SCAN_DONE);
    w.births_per_s = 0;
}

static void
test_thresholds(void)
{
    uint64_t last;

    begin_young();
    last = w.now;
    w.born[TABLE] += 700;
    is_int(WHEN_LATER, turn(HKR_SCAN_DONE), "700 births: not yet");
    w.born[CODE] += 700;
    w.born[LEAF] += 700;
    is_int(WHEN_LATER, turn(HKR_SCAN_DONE),
           "those of leaves and of what cannot be copied do not count");
    w.born[TABLE]++;
    is_int(WHEN_NOW, turn(HKR_SCAN_DONE), "one more: a scan");
    ok(t.plan.generation == 0 && t.plan.method == HKR_SCAN_COPY,
       "of generation 0, by copy");
    ok(w.since_asked <= last / MS && w.since_asked + 2 >= last / MS,
       "of what was born since the last one");
    is_int((int64_t)(40 * S), (int64_t)(w.now - START),
           "each an interval after the last turn");
    w.threshold[0] = 5000;
    w.born[TABLE] += 5000;
    is_int(WHEN_LATER, turn(HKR_SCAN_DONE), "the program's threshold counts");
    w.threshold[0] = 0;
    is_int(WHEN_NOW, turn(HKR_SCAN_DONE), "0: any birth");
    is_int(WHEN_LATER, turn(HKR_SCAN_DONE), "but there has to be one");
}

static void
test_generations(void)
{
    uint64_t full, last = 0, wrong = 0;

    begin_young();
    full = w.now;
    w.births_per_s = 1000;
    w.threshold[1] = 3;
    for (int i = 0; i < 4; i++) {
        turn(HKR_SCAN_DONE);
        wrong += t.plan.generation != 0;
        last = w.now;
    }
    is_int(0, (int64_t)wrong, "four of generation 0");
    turn(HKR_SCAN_DONE);
    is_int(1, t.plan.generation, "then one of generation 1");
    ok(w.since_asked <= full / MS && w.since_asked + 2 >= full / MS,
       "of what was born since the full one");
    last = w.now;
    for (int i = 0; i < 4; i++) {
        turn(HKR_SCAN_DONE);
        wrong += t.plan.generation != 0;
    }
    turn(HKR_SCAN_DONE);
    is_int(0, (int64_t)wrong, "four more");
    ok(t.plan.generation == 1 && w.since_asked == last / MS,
       "and generation 1 again, since the last one of that kind");
    forced_scan();
    is_int(2, t.plan.generation, "one is asked for: of all objects");
    turn(HKR_SCAN_DONE);
    is_int(0, t.plan.generation, "and it begins anew");
}

/* ---- failures ------------------------------------------------------------ */

/* A turn at which only a scan of all objects would fail. */
static void
fail_full(void)
{
    uint64_t due = when_due_ns(), start = w.now = larger(w.now, due);

    if (when_plan(&t.plan, 0) != WHEN_NOW)
        return;
    note(&t.plan, start);
    scan(&t.plan, t.plan.generation == 2 ? HKR_SCAN_CRASHED : HKR_SCAN_DONE);
}

static void
test_backoff(void)
{
    uint64_t last, expected = 10 * S, wrong = 0;

    begin();
    for (int i = 0; i < 10; i++) {
        last = w.now;
        next(HKR_SCAN_HUNG);
        wrong += i && (w.now - last) / S != expected / S;
        expected = i < 6 ? expected * 2 : expected;
    }
    is_int(0, (int64_t)wrong, "failures double the distance, up to 64 times");
    last = w.now;
    next(HKR_SCAN_DONE);
    is_int(640, (int64_t)((w.now - last) / S), "after 64 intervals it works");
    last = w.now;
    next(HKR_SCAN_TRUNCATED);
    is_int(10, (int64_t)((w.now - last) / S), "and all is as before");

    begin();
    w.births_per_s = 1000;
    memset(&t, 0, sizeof t);
    while (t.full < 20)
        fail_full();
    ok(t.most >= 640 * S && t.most <= 650 * S,
       "young ones that work do not bring the full ones back (%lu s)",
       (unsigned long)(t.most / S));
    ok(t.young >= 14 * 60 && t.young <= 15 * 64,
       "and take place meanwhile (%lu)", (unsigned long)t.young);
}

static void
test_denial_is_no_failure(void)
{
    begin();
    turn(HKR_SCAN_DENIED);
    when_deny(HKR_SCAN_SNAPSHOT);
    turn(HKR_SCAN_DONE);
    is_int(20, (int64_t)((w.now - START) / S),
           "what is denied is tried in the other way after an interval");
}

/* ---- the price of a pause ------------------------------------------------ */

static void
test_price(void)
{
    uint64_t seen;

    begin();
    w.rss_mib = 400;
    w.ns_per_mib = 20000;
    for (int i = 0; i < 20; i++)
        next(HKR_SCAN_DONE);
    seen = t.plan.predicted_ns / 400;
    ok(seen >= 19000 && seen <= 21000, "what pauses cost is learnt (%lu)",
       (unsigned long)seen);
    w.ns_per_mib = 7000;
    for (int i = 0; i < 20; i++)
        next(HKR_SCAN_DONE);
    w.ns_per_mib = 2000000;
    next(HKR_SCAN_DONE);
    w.ns_per_mib = 7000;
    next(HKR_SCAN_DONE);
    ok(t.plan.method == HKR_SCAN_SNAPSHOT && t.plan.predicted_ns < 6 * MS,
       "one slow one does not forbid the others");
    for (int i = 0; i < 10; i++) {
        w.rss_mib = 60;
        w.ns_per_mib = 1000000;
        next(HKR_SCAN_DONE);
    }
    w.ns_per_mib = 7000;
    w.rss_mib = 1000;
    memset(&t, 0, sizeof t);
    next(HKR_SCAN_DONE);
    is_int(HKR_SCAN_COPY, t.plan.method, "many slow ones do");
    for (int i = 0; i < 3000 && t.plan.method == HKR_SCAN_COPY; i++)
        next(HKR_SCAN_DONE);
    is_int(HKR_SCAN_SNAPSHOT, t.plan.method, "but not for ever");
}

/* ---- asked for ----------------------------------------------------------- */

static void
test_forced(void)
{
    begin();
    opt.scan_interval = 0;
    ok(when_due_ns() == UINT64_MAX, "scan_interval=0: none is due");
    is_int(WHEN_NOW, when_plan(&t.plan, 1), "but when asked");
    is_int(2, t.plan.generation, "of all objects");
    begin();
    opt.cpu_budget = 0;
    ok(when_due_ns() == UINT64_MAX, "cpu_budget=0: none is due");
    is_int(WHEN_NOW, when_plan(&t.plan, 1), "but when asked");

    begin();
    w.full_cpu = 5 * S;
    w.rss_mib = 50000;
    for (int i = 0; i < 3; i++) {
        w.now += MS;
        is_int(WHEN_NOW, when_plan(&t.plan, 1), "at once, over any budget");
        is_int(HKR_SCAN_SNAPSHOT, t.plan.method, "by snapshot");
        scan(&t.plan, HKR_SCAN_DONE);
    }
    w.births_per_s = 0;
    w.rss_mib = 100;
    go_on_until(w.now + 990 * S);
    is_int(0, (int64_t)t.full, "what it cost is paid by those that follow");
    go_on_until(w.now + 30 * S);
    is_int(1, (int64_t)t.full, "and then they go on");
}

static void
test_nothing(void)
{
    begin();
    ok(when_has_objects(), "there are objects");
    w.live[TABLE] = 0;
    ok(!when_has_objects(), "there are none");
    w.now = when_due_ns();
    when_skip();
    is_int((int64_t)(w.now + 10 * S), (int64_t)when_due_ns(),
           "the next look is an interval later");
    is_int(0, (int64_t)counters[HKC_scans_skipped],
           "which is no scan that was skipped");
    opt.scan_interval = UINT64_MAX;
    ok(when_due_ns() > w.now + UINT64_MAX / 1000,
       "an interval without end stays one");
}

int
main(void)
{
    test_pause_at_once();
    test_distances();
    test_young_distances();
    test_reasons();
    test_denied();
    test_thresholds();
    test_generations();
    test_backoff();
    test_denial_is_no_failure();
    test_forced();
    test_nothing();
    test_budgets();
    test_changes();
    test_price();
    return done_testing();
}
