/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * publish-t.c -- is what the agent knows what the reporter reads?
 *
 * The tables of the agent are planted here by hand; the recording is opened
 * with the reporter's reader, which shares nothing with the writer but
 * format/recording.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/companion.h"
#include "agent/account.h"
#include "agent/boot.h"
#include "agent/capture.h"
#include "agent/control.h"
#include "agent/counters.h"
#include "agent/intern.h"
#include "agent/lane.h"
#include "agent/lock.h"
#include "agent/modules.h"
#include "agent/options.h"
#include "agent/os.h"
#include "agent/pool.h"
#include "agent/publish.h"
#include "agent/real.h"
#include "agent/recfile.h"
#include "agent/scan.h"
#include "agent/strings.h"
#include "lib/type.h"
#include "reporter/model.h"
#include "reporter/read.h"
#include "tests/tap/tap.h"

#define STACKS 3000u
#define NODES 9000u

/* ---- what the agent would know ------------------------------------------- */

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;
uint32_t account_epoch;
__thread struct thread self;

static struct stack stacks[STACKS + 1];
static struct node nodes[NODES + 1];
struct stack *intern_stacks = stacks;
struct samples *intern_samples;
struct node *intern_nodes = nodes;
static struct module modules[3];
static struct hk_type types[3];
static uint32_t stack_count, node_count, module_count, known_types;
static uint64_t slow_ns; /* what type_count() costs */

uint32_t
intern_stack_count(void)
{
    return stack_count;
}

uint32_t
intern_node_count(void)
{
    return node_count;
}

uint32_t
modules_count(void)
{
    return module_count;
}

const struct module *
modules_get(uint32_t id)
{
    return &modules[id];
}

uint32_t
type_count(void)
{
    uint64_t end = os_thread_cpu_ns() + slow_ns;

    while (os_thread_cpu_ns() < end)
        ;
    return known_types;
}

hk_type *type_table[65536];

void
type_counts(const hk_type *type, struct shard_count *sum)
{
    *sum = type->shared;
}

void
companion_read(void)
{
}

void
companion_write(uint32_t stack_ids, uint32_t type_ids)
{
    (void)stack_ids;
    (void)type_ids;
}

void
companion_reset(void)
{
}

const char *
real_allocator_name(void)
{
    return "planted";
}

const char *
capture_unwinder_name(void)
{
    return "none";
}

size_t
pool_resident_bytes(void)
{
    return 4096;
}

int
scan_run(int forced, char *text, uint32_t text_bytes)
{
    snprintf(text, text_bytes, "scanned %d", forced);
    return 0;
}

int
scan_why(const char *what, char *text, uint32_t text_bytes)
{
    snprintf(text, text_bytes, "asked for %s", what);
    return 0;
}

static void
plant_modules(void)
{
    modules[1] = (struct module){.start = 0x1000, .end = 0x9000, .bias = 16,
                                 .path = strings_add("/bin/knot"),
                                 .flags = HKR_MODULE_EXE,
                                 .build_id_bytes = 3,
                                 .build_id = {0x0a, 0xbc, 0x05}};
    modules[2] = (struct module){.start = 0xa000, .end = 0xb000,
                                 .path = strings_add("/lib/libknot.so")};
    module_count = 2;
}

static void
plant_stacks(uint32_t count)
{
    for (uint32_t i = node_count + 1; i <= count * 3; i++)
        nodes[i] = (struct node){i * 16 | UINT64_C(1) << 63, i / 2, i % 3};
    node_count = count * 3;
    for (uint32_t i = 1; i <= count; i++) {
        stacks[i].node = i == STACK_LOST ? 0 : i * 3;
        stacks[i].allocations += i % 7 + 1;
        stacks[i].allocated_bytes += (i % 7 + 1) * 10;
        if (i % 2) {
            stacks[i].frees++;
            stacks[i].freed_bytes += 10;
        }
        stacks[i].first_ms = i;
    }
    stack_count = count;
}

static void
plant_types(void)
{
    types[1] = (struct hk_type){
        .spec = {.name = "session", .size = 48, .flags = HK_TYPE_LEAF},
        .shared = {.created = 9, .destroyed = 4, .tracked = 5}};
    types[2] = (struct hk_type){.spec = {.name = "channel", .size = 64},
                                .shared = {.created = 2}};
    type_table[1] = &types[1];
    type_table[2] = &types[2];
    known_types = 2;
}

/* ---- reading ------------------------------------------------------------- */

static struct recording *
reread(void)
{
    struct recording *rec = NULL;
    struct fail why;

    if (recording_open(recfile_path(), &rec, &why) != 0) {
        diag("%s", why.text);
        bail_out("the reporter cannot read it");
    }
    return rec;
}

static int
stacks_are_planted(const struct recording *rec)
{
    int same = rec->stack_count == stack_count + 1 &&
               rec->node_count == node_count + 1;

    for (uint32_t i = 1; same && i <= stack_count; i++) {
        const struct hkr_stack *r = &rec->stacks[i];

        same = r->node == stacks[i].node &&
               r->allocations == stacks[i].allocations &&
               r->frees == stacks[i].frees &&
               r->allocated_bytes == stacks[i].allocated_bytes &&
               r->freed_bytes == stacks[i].freed_bytes &&
               r->first_ns == stacks[i].first_ms * UINT64_C(1000000);
    }
    for (uint32_t i = 1; same && i <= node_count; i++)
        same = rec->nodes[i].pc == i * 16u &&
               rec->nodes[i].parent == i / 2 &&
               rec->nodes[i].module == i % 3;
    return same;
}

static uint64_t
leb(const uint8_t **p)
{
    uint64_t n = 0;
    int shift = 0;

    do
        n |= (uint64_t)(**p & 127) << shift, shift += 7;
    while (*(*p)++ & 128);
    return n;
}

/* Do all snapshots to the last add up to what was planted? */
static int
timeline_adds_up(const struct recording *rec)
{
    static uint64_t sum[STACKS + 1][4];
    int same = 1;

    memset(sum, 0, sizeof(sum));
    for (size_t i = 0; i < rec->snapshot_count; i++) {
        const uint8_t *p = rec->snapshots[i].stack_deltas;
        uint64_t id = 0;

        for (uint32_t k = 0; k < rec->snapshots[i].head.stack_count; k++) {
            id += leb(&p);
            for (int v = 0; v < 4; v++)
                sum[id % (STACKS + 1)][v] += leb(&p);
        }
    }
    for (uint32_t i = 1; same && i <= stack_count; i++)
        same = sum[i][0] == stacks[i].allocations &&
               sum[i][1] == stacks[i].frees &&
               sum[i][2] == stacks[i].allocated_bytes &&
               sum[i][3] == stacks[i].freed_bytes;
    return same;
}

static uint64_t
counter(const struct recording *rec, enum counter c)
{
    return recording_counter(rec, c);
}

/* ---- tests --------------------------------------------------------------- */

static void
test_no_file(void)
{
    opt.output = "/nonexistent/folder/x.hk";
    ok(publish_open() == -ENOENT, "no folder, no recording");
    ok(publish_open() == -ENOENT, "said once, failed twice");
    ok(!publish_now(0) && !publish_snapshot(0, NULL, 0) &&
           !publish_final(HKR_STATE_EXITED, 0, 0) && !control_futex() &&
           !control_is_asked(),
       "everything is a no-op then");
    control_answer();
    control_set_listening(1);
    publish_resume();
}

static void
test_facts(void)
{
    struct recording *rec;
    char text[64];

    opt.output = "/tmp/publish-t.%p.%n.hk";
    boot_first_ns = boot_start_ns = os_now_ns();
    boot_start_realtime_ns = os_realtime_ns();
    strcpy(options_text, "publish=250ms");
    is_int(0, publish_open(), "a recording");
    plant_modules();
    ok(publish_now(0), "published");
    rec = reread();
    snprintf(text, sizeof(text), "%d", (int)getpid());
    is_str(text, recording_fact(rec, "pid"), "pid");
    ok(strstr(recording_fact(rec, "command"), "publish-t") != NULL,
       "command");
    is_str("planted", recording_fact(rec, "allocator"), "allocator");
    is_str("publish=250ms", recording_fact(rec, "options"), "options");
    is_str("0abc05", recording_fact(rec, "exe_build_id"), "build-id");
    gethostname(text, sizeof(text));
    is_str(text, recording_fact(rec, "host"), "host");
    ok(recording_fact(rec, "boot_id") && recording_fact(rec, "cwd") &&
           recording_fact(rec, "exe") && recording_fact(rec, "unwinder"),
       "and the rest");
    is_int(3, rec->module_count, "modules");
    is_str("/lib/libknot.so", recording_module_path(rec, 2), "by path");
    recording_close(rec);
}

static void
test_tables(void)
{
    struct recording *rec;
    uint32_t epoch = account_epoch;

    plant_stacks(2000);
    plant_types();
    publish_now(0);
    is_int(epoch + 1, account_epoch, "a publication is a new epoch");
    rec = reread();
    ok(!rec->torn && stacks_are_planted(rec), "stacks and nodes are right");
    is_int(3, rec->type_count, "types");
    is_str("session", recording_string(rec, rec->types[1].name), "by name");
    ok(rec->types[1].created == 9 && rec->types[1].destroyed == 4 &&
           rec->types[1].tracked == 5 && rec->types[1].size_bytes == 48 &&
           rec->types[1].flags == HKR_TYPE_LEAF,
       "with their counts");
    recording_close(rec);

    plant_stacks(STACKS);
    types[2].shared.created = 77;
    modules[2].unloaded_ns = 55;
    publish_now(0);
    rec = reread();
    ok(stacks_are_planted(rec), "what changed is followed");
    ok(rec->types[2].created == 77 && rec->modules[2].unloaded_ns == 55,
       "in all tables");
    recording_close(rec);
}

static void
test_totals(void)
{
    uint64_t blocks = 0, bytes = 0, allocations = 0;
    struct recording *rec;

    for (uint32_t i = 1; i <= stack_count; i++) {
        blocks += stacks[i].allocations - stacks[i].frees;
        bytes += stacks[i].allocated_bytes - stacks[i].freed_bytes;
        allocations += stacks[i].allocations;
    }
    /* Stack 2 wastes half, all that is known of the others is that. */
    stacks[2].sampled_bytes = 1000;
    stacks[2].usable_bytes = 1500;
    publish_now(0);
    rec = reread();
    is_int((int64_t)blocks, (int64_t)counter(rec, COUNTER_live_blocks),
           "live blocks");
    is_int((int64_t)bytes, (int64_t)counter(rec, COUNTER_live_bytes),
           "live bytes");
    is_int((int64_t)allocations, (int64_t)counter(rec, COUNTER_allocations),
           "allocations");
    is_int((int64_t)(bytes * 3 / 2),
           (int64_t)counter(rec, COUNTER_usable_bytes), "usable bytes");
    is_int(STACKS, (int64_t)counter(rec, COUNTER_stacks), "stacks");
    ok(counter(rec, COUNTER_rss_bytes) > 100000 &&
           counter(rec, COUNTER_agent_bytes) > 0,
       "resident memory");
    recording_close(rec);
}

static void *
use_a_lane(void *arg)
{
    struct tally *t = ledger_entry(&lane_mine()->ledger, 5);

    (void)arg;
    ledger_add(&t->allocations, 3);
    ledger_add(&t->allocated_bytes, 300);
    ledger_add_after(&t->frees, 1);
    ledger_add_after(&t->freed_bytes, 100);
    lane_count(self.lane, LANE_captures);
    return NULL;
}

static void
test_lanes(void)
{
    struct recording *rec;
    struct tally had = {stacks[5].allocations, stacks[5].frees,
                        stacks[5].allocated_bytes, stacks[5].freed_bytes};
    pthread_t id;

    lane_start();
    publish_now(0);
    pthread_create(&id, NULL, use_a_lane, NULL);
    pthread_join(id, NULL);
    publish_now(0);
    rec = reread();
    ok(!stacks_are_planted(rec) &&
           rec->stacks[5].allocations == had.allocations + 3 &&
           rec->stacks[5].frees == had.frees + 1 &&
           rec->stacks[5].allocated_bytes == had.allocated_bytes + 300 &&
           rec->stacks[5].freed_bytes == had.freed_bytes + 100,
       "what a thread has counted for itself is there");
    is_int(1, (int64_t)counter(rec, COUNTER_captures), "its counters, too");
    recording_close(rec);
    lane_reap(UINT64_MAX / 2);
    publish_now(0);
    rec = reread();
    ok(stacks_are_planted(rec) && stacks[5].frees == had.frees + 1,
       "and after its end");
    is_int(1, (int64_t)counter(rec, COUNTER_captures), "once");
    recording_close(rec);
}

static void
test_snapshots(void)
{
    struct recording *rec;
    size_t n;

    ok(publish_snapshot(0, NULL, 0), "a snapshot");
    plant_stacks(STACKS);
    ok(publish_snapshot(HKR_SNAP_MARK, "after load", 0), "a mark");
    ok(publish_snapshot(HKR_SNAP_MANUAL, NULL, 0), "nothing happened");
    rec = reread();
    n = rec->snapshot_count;
    is_int(3, (int64_t)n, "three snapshots");
    ok(timeline_adds_up(rec), "which add up");
    is_str("after load", recording_string(rec, rec->snapshots[1].head.name),
           "the mark has its name");
    is_int(1, rec->header.mark_count, "one mark");
    is_int(0, rec->snapshots[2].head.stack_count, "the last one is empty");
    is_int((int64_t)counter(rec, COUNTER_live_bytes),
           (int64_t)rec->snapshots[2].head.live_bytes, "but for its totals");
    recording_close(rec);
}

static void
test_interval(void)
{
    uint64_t start = boot_start_ns;

    boot_start_ns = os_now_ns();
    is_int(50000000, (int64_t)publish_interval_ns(), "often while young");
    boot_start_ns = os_now_ns() - UINT64_C(5000000000);
    publish_now(0);
    is_int(250000000, (int64_t)publish_interval_ns(), "publish= later");
    slow_ns = 10000000;
    publish_now(0);
    ok(publish_interval_ns() >= UINT64_C(2000000000),
       "0.5 %% of the time at most");
    publish_now(0);
    is_int(1, (int64_t)count_get(HKC_publishes_late), "late once a stretch");
    slow_ns = 0;
    publish_now(0);
    is_int(250000000, (int64_t)publish_interval_ns(), "and back");
    boot_start_ns = start;
}

static void
test_busy(void)
{
    lock_take(&lock_publish, 0);
    ok(!publish_now(1000000), "busy: it gives up");
    lock_release(&lock_publish);
    ok(publish_now(0), "and can again");
}

/* ---- control ------------------------------------------------------------- */

static struct hkr_control *
map_control(const char *name)
{
    int fd = open(name, O_RDWR);
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);

    close(fd);
    return p;
}

/* What heapknot ctl does, in a process of its own; exits with the status. */
static void
ask(const char *name, uint32_t command, const char *argument)
{
    struct hkr_control *c = map_control(name);
    uint32_t number;

    c->command = command;
    memset(c->argument, 'x', sizeof(c->argument));
    if (argument)
        strcpy(c->argument, argument);
    number = __atomic_add_fetch(&c->request, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &c->request, FUTEX_WAKE, 1, NULL, NULL, 0);
    for (int i = 0; i < 100 && __atomic_load_n(&c->answer,
                                               __ATOMIC_ACQUIRE) != number;
         i++) {
        struct timespec t = {0, 100000000};

        syscall(SYS_futex, &c->answer, FUTEX_WAIT, number - 1, &t, NULL, 0);
    }
    _exit(c->answer == number ? (int)c->status : 255);
}

static int
serve(uint32_t command, const char *argument)
{
    uint64_t end = os_now_ns() + UINT64_C(10000000000);
    int status;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0)
        ask(recfile_path(), command, argument);
    while (!control_is_asked() && os_now_ns() < end)
        os_futex_wait(control_futex(), control_seen(), 100000000, 1);
    control_answer();
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void
test_control(void)
{
    struct hkr_control *c = map_control(recfile_path());
    struct recording *rec;
    size_t before;

    control_set_listening(1);
    is_int(1, c->listening, "somebody listens");
    is_int(0, serve(HKR_CMD_STATUS, ""), "status");
    ok(strstr(c->text, "recording for") != NULL, "says: %s", c->text);
    is_int(0, serve(HKR_CMD_PUBLISH, NULL), "publish");
    rec = reread();
    before = rec->snapshot_count;
    recording_close(rec);
    is_int(0, serve(HKR_CMD_SNAPSHOT, ""), "snapshot");
    is_int(0, serve(HKR_CMD_MARK, "by hand"), "mark");
    is_int(EINVAL, serve(HKR_CMD_MARK, ""), "a mark without a name");
    is_int(0, serve(HKR_CMD_MARK, NULL), "a name without an end");
    is_int(0, serve(HKR_CMD_SCAN, ""), "scan");
    is_str("scanned 1", c->text, "says what the scan says");
    is_int(ENOSYS, serve(99, ""), "a command of the future");
    rec = reread();
    is_int((int64_t)before + 3, (int64_t)rec->snapshot_count,
           "what was asked for was done");
    is_str("by hand",
           recording_string(rec, rec->snapshots[before + 1].head.name),
           "by name");
    is_int(511, (int64_t)strlen(recording_string(
                    rec, rec->snapshots[before + 2].head.name)),
           "names are bounded");
    recording_close(rec);
    control_set_listening(0);
    is_int(0, c->listening, "nobody listens");
    munmap(c, 4096);
}

/* ---- ends ---------------------------------------------------------------- */

static void
test_final(void)
{
    struct recording *rec;
    size_t count;

    plant_stacks(STACKS);
    ok(publish_final(HKR_STATE_EXEC, 0, 0), "an exec");
    rec = reread();
    is_int(HKR_STATE_EXEC, rec->header.state, "is seen");
    count = rec->snapshot_count;
    ok(rec->snapshots[count - 1].head.flags & HKR_SNAP_FINAL,
       "with a last snapshot");
    recording_close(rec);
    ok(!publish_now(0) && !publish_snapshot(0, NULL, 0),
       "nothing comes after it");
    publish_resume();
    ok(publish_now(0), "but where it failed life goes on");
    rec = reread();
    is_int(HKR_STATE_LIVE, rec->header.state, "live again");
    recording_close(rec);
    publish_final(HKR_STATE_EXITED, 0, 0);
    publish_final(HKR_STATE_EXITED, 0, 0);
    rec = reread();
    is_int((int64_t)count + 1, (int64_t)rec->snapshot_count,
           "exit and _exit are one end");
    ok(timeline_adds_up(rec) && stacks_are_planted(rec), "all is there");
    recording_close(rec);
    publish_resume();
}

static void
test_fork(void)
{
    struct recording *rec;
    int status;

    fflush(stdout);
    if (fork() == 0) {
        lock_reset_all();
        recfile_abandon();
        publish_reset();
        if (publish_open() != 0 || !publish_snapshot(0, NULL, 0))
            _exit(1);
        rec = reread();
        status = stacks_are_planted(rec) && rec->type_count == 3 &&
                         rec->snapshot_count == 1 && timeline_adds_up(rec) &&
                         rec->header.pid == (uint32_t)getpid() &&
                         recording_fact(rec, "exe_build_id")
                     ? 0
                     : 2;
        unlink(recfile_path());
        _exit(status);
    }
    wait(&status);
    is_int(0, WEXITSTATUS(status), "a child has all in its own recording");
}

/* Publishes as fast as it can into a file that is always full. */
static void
publish_until_killed(const char *name, uint64_t max_file)
{
    lock_reset_all();
    recfile_abandon();
    publish_reset();
    opt.output = name;
    opt.max_file = max_file;
    if (publish_open() != 0)
        _exit(1);
    for (uint32_t i = 100;; i = i % 2900 + 7) {
        plant_stacks(i > stack_count ? i : stack_count);
        publish_snapshot(i % 5 ? 0 : HKR_SNAP_MARK, i % 5 ? NULL : "m", 0);
    }
}

static int
is_readable(const char *name)
{
    struct recording *rec = NULL;
    struct fail why = {""};
    int result = recording_open(name, &rec, &why);

    if (result != 0 && strstr(why.text, "no header yet"))
        return 1;
    if (result != 0)
        diag("%s", why.text);
    else
        recording_close(rec);
    return result == 0;
}

static void
test_sigkill(void)
{
    static const char name[] = "/tmp/publish-t.killed.hk";
    int readable = 0;

    fflush(stdout);
    for (int i = 0; i < 60; i++) {
        struct timespec t = {0, 1000000 + i * 1234567};
        pid_t child;

        unlink(name);
        child = fork();
        if (child == 0)
            publish_until_killed(name, i % 2 ? 400 << 10 : 1 << 20);
        nanosleep(&t, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        readable += access(name, F_OK) != 0 || is_readable(name);
    }
    is_int(60, readable, "SIGKILL at 60 moments leaves what can be read");
    unlink(name);
}

static void
test_cut_short(void)
{
    ok(truncate(recfile_path(), 5000) == 0, "somebody cuts the file short");
    ok(!publish_now(0) && boot_phase == PHASE_OFF, "the agent retires");
    ok(!publish_now(0) && !control_futex(), "for good");
    unlink(recfile_path());
}

int
main(void)
{
    if (!strings_start())
        bail_out("no memory");
    test_no_file();
    test_facts();
    test_tables();
    test_totals();
    test_lanes();
    test_snapshots();
    test_interval();
    test_busy();
    test_control();
    test_final();
    test_fork();
    test_sigkill();
    test_cut_short();
    return done_testing();
}
