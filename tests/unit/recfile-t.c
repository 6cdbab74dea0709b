/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * recfile-t.c -- is the file that the agent writes the one that
 * format/recording.h describes?
 *
 * What was written is read back from the disk by a small reader of this
 * test's own, written from the format's comment, and compared with what was
 * meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/options.h"
#include "agent/recfile.h"
#include "agent/timeline.h"
#include "tests/tap/tap.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns = 5, boot_start_realtime_ns = 7;

static char folder[] = "/tmp/recfile-t.XXXXXX";
static char pattern[512];

/* ---- a reader ------------------------------------------------------------ */

struct image {
    uint8_t *bytes;
    size_t count;
};

static struct image
slurp(const char *name)
{
    struct image image = {NULL, 0};
    struct stat st;
    int fd = open(name, O_RDONLY);

    if (fd < 0 || fstat(fd, &st) != 0)
        return image;
    image.count = (size_t)st.st_size;
    image.bytes = malloc(image.count);
    if (read(fd, image.bytes, image.count) != (ssize_t)image.count)
        image.count = 0;
    close(fd);
    return image;
}

static const struct hkr_header *
header_of(const struct image *image)
{
    return (const struct hkr_header *)(const void *)image->bytes;
}

static const struct hkr_chunk *
chunk_of(const struct image *image, uint32_t i)
{
    return (const void *)(image->bytes + HKR_CHUNKS_OFFSET +
                          (size_t)i * HKR_CHUNK_BYTES);
}

/* All chunks of a table one after another; *count is in records.  A gap or a
   chunk out of order gives NULL. */
static uint8_t *
read_table(const struct image *image, uint32_t type, size_t record_bytes,
           uint64_t *count)
{
    uint8_t *all = calloc(1, image->count);
    uint64_t next = 0;

    for (uint32_t i = 0; i < header_of(image)->chunk_count; i++) {
        const struct hkr_chunk *c = chunk_of(image, i);

        if (c->type != type || c->count == 0)
            continue;
        if (c->first != next || c->record_bytes != record_bytes)
            return NULL;
        memcpy(all + next * record_bytes, c + 1, c->count * record_bytes);
        next += c->count;
    }
    *count = next;
    return all;
}

static uint8_t *
read_stream(const struct image *image, uint32_t type, uint64_t word,
            uint64_t *count)
{
    uint8_t *all = calloc(1, image->count);
    uint64_t gen = word >> 40, end = word & ((UINT64_C(1) << 40) - 1);
    uint64_t next = 0;

    for (uint32_t i = 0; i < header_of(image)->chunk_count; i++) {
        const struct hkr_chunk *c = chunk_of(image, i);

        if (c->type != type || c->gen != gen)
            continue;
        if (c->first != next)
            return NULL;
        memcpy(all + next, c + 1, c->count);
        next += c->count;
    }
    *count = end;
    return next >= end ? all : NULL;
}

/* ---- help ---------------------------------------------------------------- */

static int
create(const char *name)
{
    const char *why = "";

    snprintf(pattern, sizeof(pattern), "%s/%s", folder, name);
    opt.output = pattern;
    return recfile_create(&why);
}

static void
drop(void)
{
    char name[600];

    snprintf(name, sizeof(name), "%s", recfile_path());
    recfile_abandon();
    unlink(name);
}

static struct hkr_node
planted_node(uint64_t id)
{
    struct hkr_node n = {id * 0x1000 + 7, (uint32_t)(id / 2),
                         (uint32_t)(id % 9)};
    return n;
}

static uint64_t
plant_nodes(uint64_t from, uint64_t to)
{
    for (uint64_t id = from; id <= to; id++) {
        struct hkr_node n = planted_node(id);
        struct hkr_node *at = recfile_record(HKR_NODE, sizeof(n), id);

        if (!at)
            return id - 1;
        *at = n;
    }
    return to;
}

static int
nodes_are_planted(uint64_t least)
{
    struct image image = slurp(recfile_path());
    uint64_t count = 0;
    uint8_t *nodes =
        read_table(&image, HKR_NODE, sizeof(struct hkr_node), &count);
    int same = nodes != NULL && count > least;

    for (uint64_t id = 1; same && id < count; id++) {
        struct hkr_node n = planted_node(id);

        same = memcmp(nodes + id * sizeof(n), &n, sizeof(n)) == 0;
    }
    free(nodes);
    free(image.bytes);
    return same;
}

/* ---- names --------------------------------------------------------------- */

static void
test_names(void)
{
    char want[600];
    const char *why = "";

    ok(create("plain.hk") == 0, "a file is made");
    snprintf(want, sizeof(want), "%s/plain.hk", folder);
    is_str(want, recfile_path(), "under its name");
    recfile_abandon();
    ok(create("plain.hk") == 0, "again, as after an exec");
    snprintf(want, sizeof(want), "%s/plain.%d.hk", folder, (int)getpid());
    is_str(want, recfile_path(), "under a name with the pid");
    recfile_abandon();
    ok(create("plain.hk") == 0, "and once more");
    snprintf(want, sizeof(want), "%s/plain.%d.2.hk", folder, (int)getpid());
    is_str(want, recfile_path(), "under a name with the pid and a number");
    drop();
    ok(create("%e-%p%%-%n-%x") == 0, "patterns");
    snprintf(want, sizeof(want), "%s/recfile-t-%d%%-1-%%x", folder,
             (int)getpid());
    is_str(want, recfile_path(), "are expanded");
    recfile_abandon();
    ok(create("%e-%p%%-%n-%x") == 0 && strstr(recfile_path(), "%-2-%x"),
       "%%n makes it new");
    drop();
    ok(create("") == 0, "a folder");
    snprintf(want, sizeof(want), "%s/heapknot.recfile-t.%d.hk", folder,
             (int)getpid());
    is_str(want, recfile_path(), "gets the default name");
    drop();
    is_int(-ENOENT, create("no/such.hk"), "a missing folder is an error");
    recfile_create(&why);
    ok(strstr(why, "output folder missing") != NULL, "which is named: %s",
       why);
    opt.output = "/dev/null";
    is_int(-EEXIST, recfile_create(&why), "a device is refused");
    ok(access("/dev/null.2", F_OK) != 0, "and nothing put beside it");
}

static void
test_relative_name(void)
{
    char want[600];
    const char *why;
    int here = open(".", O_RDONLY);

    ok(chdir(folder) == 0, "in the folder");
    opt.output = "rel.hk";
    is_int(0, recfile_create(&why), "a relative name");
    snprintf(want, sizeof(want), "%s/rel.hk", folder);
    is_str(want, recfile_path(), "is kept absolute");
    ok(fchdir(here) == 0, "back");
    close(here);
    drop();
}

static void
test_birth(void)
{
    struct image image;
    const struct hkr_header *h;
    struct stat st;

    create("birth.hk");
    stat(recfile_path(), &st);
    is_int(0600, st.st_mode & 07777, "only for its owner");
    ok(st.st_size <= 8192 + 8 * 16384, "a young recording is small");
    ok(st.st_blocks * 512 >= st.st_size, "its space is real");
    image = slurp(recfile_path());
    h = header_of(&image);
    ok(memcmp(h->magic, "HEAPKNOT", 8) == 0 && h->version_major == 1 &&
           h->byte_order == 0x01020304u,
       "it says what it is");
    ok(h->start_monotonic_ns == 5 && h->start_realtime_ns == 7 &&
           h->pid == (uint32_t)getpid() && h->state == HKR_STATE_LIVE,
       "and whose");
    ok(fcntl(3, F_GETFD) < 0, "low descriptors are left to the program");
    free(image.bytes);
    drop();
}

/* ---- tables and streams -------------------------------------------------- */

static void
test_tables(void)
{
    struct image image;
    uint64_t count;
    uint8_t *table;
    char text[40000];

    create("tables.hk");
    is_int(30000, (int64_t)plant_nodes(1, 30000), "30,000 nodes are written");
    recfile_publish_table(HKR_NODE, 20000);
    image = slurp(recfile_path());
    table = read_table(&image, HKR_NODE, 16, &count);
    is_int(20001, (int64_t)count, "as many are readable as were published");
    free(table);
    free(image.bytes);
    recfile_publish_table(HKR_NODE, 30000);
    ok(nodes_are_planted(30000), "all are right");

    memset(text, 'x', sizeof(text));
    ok(recfile_append(HKR_STRS, text, sizeof(text)), "bytes over 3 chunks");
    ok(recfile_append(HKR_STRS, "end", 4), "and a few more");
    image = slurp(recfile_path());
    table = read_table(&image, HKR_STRS, 1, &count);
    ok(count == sizeof(text) + 4 && table[sizeof(text) - 1] == 'x' &&
           strcmp((char *)table + sizeof(text), "end") == 0,
       "are one table");
    is_int(0, (int64_t)(header_of(&image)->publish_seq & 1),
           "nobody is writing");
    free(table);
    free(image.bytes);
    drop();
}

static void
check_findings(const char *want, uint64_t bytes, const char *what)
{
    struct image image = slurp(recfile_path());
    uint64_t count;
    uint8_t *s = read_stream(&image, HKR_FIND,
                             header_of(&image)->findings_word, &count);

    ok(s && count == bytes && memcmp(s, want, bytes) == 0, "%s", what);
    free(s);
    free(image.bytes);
}

static void
test_streams(void)
{
    static char a[50000], b[20000], back[50000];

    memset(a, 'a', sizeof(a));
    memset(b, 'b', sizeof(b));
    create("streams.hk");
    ok(recfile_stream_begin(HKR_FIND) &&
           recfile_stream_write(HKR_FIND, a, sizeof(a)),
       "a first content");
    check_findings("", 0, "is not seen before its end");
    recfile_stream_poke(HKR_FIND, 30000, "zz", 2);
    memcpy(a + 30000, "zz", 2);
    recfile_stream_commit(HKR_FIND);
    check_findings(a, sizeof(a), "then it is");
    recfile_stream_begin(HKR_FIND);
    recfile_stream_write(HKR_FIND, b, sizeof(b));
    check_findings(a, sizeof(a), "and stays while the next is written");
    recfile_stream_cancel(HKR_FIND);
    check_findings(a, sizeof(a), "and when that is dropped");
    for (int i = 0; i < 100; i++) {
        recfile_stream_begin(HKR_FIND);
        recfile_stream_write(HKR_FIND, b, sizeof(b));
        recfile_stream_commit(HKR_FIND);
    }
    check_findings(b, sizeof(b), "100 generations later the last counts");
    ok(header_of(&(struct image){(void *)recfile_header(), 0})->chunk_count <
           12,
       "old chunks are used again");
    ok(recfile_stream_append(HKR_TIME, a, sizeof(a)) &&
           recfile_stream_append(HKR_TIME, b, 8) &&
           recfile_stream_bytes(HKR_TIME) == sizeof(a) + 8,
       "appending");
    ok(recfile_stream_read(HKR_TIME, 0, back, sizeof(back)) &&
           memcmp(a, back, sizeof(a)) == 0,
       "and reading back");
    ok(!recfile_stream_read(HKR_TIME, 8, back, sizeof(back) + 1),
       "not past the end");
    drop();
}

/* ---- limits -------------------------------------------------------------- */

static void
test_max_file(void)
{
    struct stat st;
    uint64_t last, more;

    opt.max_file = 1 << 20;
    create("small.hk");
    count_set(HKC_recording_full, 0);
    last = plant_nodes(1, 1000000);
    recfile_publish_table(HKR_NODE, last);
    stat(recfile_path(), &st);
    ok(last > 50000 && last < 65536, "as many nodes as a MiB holds");
    ok(st.st_size <= 1 << 20, "max_file= holds");
    recfile_record(HKR_NODE, 16, last + 100);
    plant_nodes(last + 1, last + 1);
    is_int(100, (int64_t)count_get(HKC_recording_full),
           "each lost record is counted once");
    ok(nodes_are_planted(last), "what is there is right");
    more = recfile_append(HKR_STRS, "late", 5);
    ok(!more, "a string finds no room");
    drop();
    opt.max_file = 1000;
    is_int(-EINVAL, create("tiny.hk"), "a recording of 1000 bytes is none");
    opt.max_file = 256 << 20;
}

/* Findings use and free chunks low in the file while the tables fill it: the
   tables must get at those too, and stay in order. */
static void
test_order_when_full(void)
{
    static char a[300000];
    uint64_t nodes = 0, stacks = 0, batch, count = 0;
    struct image image;
    uint8_t *table;

    opt.max_file = 1 << 20;
    create("order.hk");
    recfile_stream_begin(HKR_FIND);
    recfile_stream_write(HKR_FIND, a, sizeof(a));
    recfile_stream_commit(HKR_FIND);
    do {
        batch = plant_nodes(nodes + 1, nodes + 900) - nodes;
        nodes += batch;
        for (int i = 0; i < 300; i++)
            if (recfile_record(HKR_STAK, sizeof(struct hkr_stack),
                               stacks + 1))
                stacks++;
    } while (batch == 900);
    recfile_publish_table(HKR_NODE, nodes);
    recfile_stream_begin(HKR_FIND);
    recfile_stream_commit(HKR_FIND);
    batch = plant_nodes(nodes + 1, nodes + 8000) - nodes;
    nodes += batch;
    is_int(8000, (int64_t)batch, "chunks given back low in a full file help");
    recfile_publish_table(HKR_NODE, nodes);
    recfile_publish_table(HKR_STAK, stacks);
    ok(nodes_are_planted(nodes), "the table stays in order");
    image = slurp(recfile_path());
    table = read_table(&image, HKR_STAK, sizeof(struct hkr_stack), &count);
    ok(table && count == stacks + 1, "and the other one");
    ok(image.count <= 1 << 20, "max_file= holds");
    free(table);
    free(image.bytes);
    drop();
    opt.max_file = 256 << 20;
}

static void
test_file_size_limit(void)
{
    struct rlimit before, limit;
    uint64_t last;

    create("fsize.hk");
    getrlimit(RLIMIT_FSIZE, &before);
    limit = before;
    limit.rlim_cur = 400000;
    setrlimit(RLIMIT_FSIZE, &limit);
    last = plant_nodes(1, 100000);
    setrlimit(RLIMIT_FSIZE, &before);
    recfile_publish_table(HKR_NODE, last);
    ok(last > 10000 && last < 30000, "ulimit -f stops growth, not us");
    ok(nodes_are_planted(last), "what is there is right");
    drop();
}

static void
test_full_disk(void)
{
    char mount_point[64] = "/tmp/recfile-full.XXXXXX", command[256];
    const char *why;
    uint64_t last;

    if (geteuid() != 0 || !mkdtemp(mount_point)) {
        skip(3, "needs root to mount");
        return;
    }
    snprintf(command, sizeof(command), "mount -t tmpfs -o size=512k t %s "
             "2>/dev/null", mount_point);
    if (system(command) != 0) {
        rmdir(mount_point);
        skip(3, "cannot mount a tmpfs");
        return;
    }
    snprintf(pattern, sizeof(pattern), "%s/full.hk", mount_point);
    opt.output = pattern;
    is_int(0, recfile_create(&why), "a small disk");
    last = plant_nodes(1, 1000000);
    recfile_publish_table(HKR_NODE, last);
    ok(last > 10000 && last < 33000, "is filled, without a SIGBUS");
    ok(nodes_are_planted(last), "what is there is right");
    drop();
    snprintf(command, sizeof(command), "umount %s", mount_point);
    if (system(command) == 0)
        rmdir(mount_point);
}

/* ---- a program that does what programs do -------------------------------- */

static void
test_closed_descriptors(void)
{
    struct stat st;
    char moved[600];
    uint64_t last;

    create("closed.hk");
    plant_nodes(1, 1000);
    for (int fd = 3; fd < 1100; fd++)
        close(fd);
    for (int i = 0; i < 1010; i++)
        (void)!open("/dev/null", O_WRONLY);
    is_int(60000, (int64_t)plant_nodes(1001, 60000), "it grows on");
    recfile_publish_table(HKR_NODE, 60000);
    ok(nodes_are_planted(60000), "into the same file");
    for (int fd = 3; fd < 1200; fd++)
        close(fd);
    snprintf(moved, sizeof(moved), "%s.moved", recfile_path());
    rename(recfile_path(), moved);
    close(open(recfile_path(), O_CREAT | O_WRONLY, 0600));
    last = plant_nodes(60001, 1000000);
    ok(last < 300000, "a file that was moved stops growing");
    stat(recfile_path(), &st);
    is_int(0, st.st_size, "a stranger of its name is left alone");
    unlink(moved);
    drop();
}

static void
test_cut_short(void)
{
    struct hkr_header *h;

    create("cut.hk");
    plant_nodes(1, 5000);
    ok(recfile_is_whole() && recfile_header(), "whole");
    h = recfile_header();
    ok(truncate(recfile_path(), 0) == 0, "somebody truncates the file");
    ok(!recfile_is_whole() && !recfile_header(), "which is seen");
    recfile_detach();
    h->state = 9;
    ok(h->publish_seq == 0, "old pointers lead nowhere");
    ok(!recfile_record(HKR_NODE, 16, 1) && !recfile_is_open(),
       "nothing more is written");
    drop();
}

static void
test_fork(void)
{
    struct image before, after;
    char name[600];
    int status;

    create("fork.%p.hk");
    plant_nodes(1, 3000);
    recfile_publish_table(HKR_NODE, 3000);
    snprintf(name, sizeof(name), "%s", recfile_path());
    before = slurp(name);
    fflush(stdout);
    if (fork() == 0) {
        recfile_abandon();
        if (recfile_is_open() || create("fork.%p.hk") != 0)
            _exit(1);
        if (strcmp(name, recfile_path()) == 0)
            _exit(2);
        plant_nodes(1, 4000);
        recfile_publish_table(HKR_NODE, 4000);
        status = nodes_are_planted(4000) ? 0 : 3;
        unlink(recfile_path());
        _exit(status);
    }
    wait(&status);
    is_int(0, WEXITSTATUS(status), "a child writes a file of its own");
    after = slurp(name);
    ok(before.count == after.count &&
           memcmp(before.bytes, after.bytes, after.count) == 0,
       "and leaves its parent's alone");
    free(before.bytes);
    free(after.bytes);
    drop();
}

int
main(void)
{
    char command[256];

    for (int fd = 3; fd < 20; fd++)
        close(fd);
    if (!mkdtemp(folder))
        bail_out("no folder");
    test_names();
    test_relative_name();
    test_birth();
    test_tables();
    test_streams();
    test_max_file();
    test_order_when_full();
    test_file_size_limit();
    test_full_disk();
    test_closed_descriptors();
    test_cut_short();
    test_fork();
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command) != 0 || done_testing();
}
