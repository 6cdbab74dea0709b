/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * timeline-t.c -- does the timeline add up, however often it is thinned?
 *
 * The model is two plain arrays: what every stack and type has counted so
 * far, and a copy of them for each mark.  The file is decoded here anew, from
 * the format's comment.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/boot.h"
#include "agent/counters.h"
#include "agent/options.h"
#include "agent/recfile.h"
#include "agent/timeline.h"
#include "tests/tap/tap.h"

#define STACKS 400u
#define TYPES 20u
#define MARKS 12u

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

struct state {
    uint64_t stacks[STACKS][4];
    uint64_t types[TYPES][2];
};
static struct state model, marks[MARKS + 1], sum;
static uint32_t frames_made;

static uint64_t seed = 1;
static uint64_t
draw(uint64_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
}

/* ---- decoding ------------------------------------------------------------ */

static uint8_t *content;
static uint64_t content_bytes;

/* From the file itself, through its own mapping: chunks of the generation in
   the header's word, by their first. */
static int
read_timeline(void)
{
    FILE *f = fopen(recfile_path(), "rb");
    struct stat st;
    uint8_t *file;
    const struct hkr_header *h;
    uint64_t gen, next = 0;

    fstat(fileno(f), &st);
    file = malloc((size_t)st.st_size);
    if (fread(file, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
        return 0;
    fclose(f);
    h = (const void *)file;
    gen = h->timeline_word >> 40;
    content_bytes = h->timeline_word & ((UINT64_C(1) << 40) - 1);
    free(content);
    content = calloc(1, (size_t)st.st_size);
    for (uint32_t i = 0; i < h->chunk_count; i++) {
        const struct hkr_chunk *c =
            (const void *)(file + 8192 + (size_t)i * 16384);

        if (c->type != HKR_TIME || c->gen != gen || c->first != next)
            continue;
        memcpy(content + next, c + 1, c->count);
        next += c->count;
    }
    free(file);
    return next >= content_bytes;
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

/* Adds a frame to sum; its bytes if it is well-formed, else 0. */
static uint32_t
add_frame(uint64_t at, struct hkr_snapshot *head)
{
    const uint8_t *p = content + at + sizeof(*head);
    uint64_t id = 0;

    memcpy(head, content + at, sizeof(*head));
    if (head->bytes % 8 || at + head->bytes > content_bytes)
        return 0;
    for (uint32_t i = 0; i < head->stack_count; i++) {
        id += leb(&p);
        for (int k = 0; k < 4; k++)
            sum.stacks[id % STACKS][k] += leb(&p);
    }
    id = 0;
    for (uint32_t i = 0; i < head->type_count; i++) {
        id += leb(&p);
        for (int k = 0; k < 2; k++)
            sum.types[id % TYPES][k] += leb(&p);
    }
    if (p > content + at + head->bytes ||
        p + 8 <= content + at + head->bytes)
        return 0;
    for (; p < content + at + head->bytes; p++)
        if (*p)
            return 0;
    return head->bytes;
}

/* Does everything add up to the model, each mark to its copy, and do the
   merged intervals to the frames made? */
static int
timeline_is_right(uint32_t *frame_count, uint32_t *mark_count)
{
    uint32_t bytes, merged = 0;
    uint64_t time_ns = 0;
    struct hkr_snapshot h;

    *frame_count = *mark_count = 0;
    memset(&sum, 0, sizeof(sum));
    if (!read_timeline())
        return 0;
    for (uint64_t at = 0; at < content_bytes; at += bytes) {
        bytes = add_frame(at, &h);
        if (!bytes || h.time_ns < time_ns || h.merged == 0)
            return 0;
        time_ns = h.time_ns;
        merged += h.merged;
        ++*frame_count;
        if (!(h.flags & HKR_SNAP_MARK))
            continue;
        ++*mark_count;
        if (h.name > MARKS || h.live_bytes != h.name * 1000u ||
            memcmp(&sum, &marks[h.name], sizeof(sum)) != 0)
            return 0;
    }
    return merged == frames_made && memcmp(&sum, &model, sizeof(sum)) == 0;
}

/* ---- making -------------------------------------------------------------- */

/* A frame of about one stack in `sparse`; where it finds no room, what has
   changed goes with the next. */
static int
make_frame(uint32_t mark, unsigned sparse)
{
    static struct state base;
    struct hkr_snapshot head = {.flags = mark ? HKR_SNAP_MARK : 0,
                                .name = mark,
                                .merged = 1,
                                .time_ns = frames_made + 1,
                                .live_bytes = mark * 1000u};

    if (frames_made == 0)
        memset(&base, 0, sizeof(base));
    for (uint32_t i = 1; i < STACKS; i++)
        if (draw(sparse) == 0)
            for (int k = 0; k < 4; k++)
                model.stacks[i][k] += draw(k < 2 ? 100 : 1u << draw(31));
    for (uint32_t i = 1; i < TYPES; i++)
        model.types[i][draw(2)] += draw(5);
    do {
        timeline_begin();
        for (uint32_t i = 1; i < STACKS; i++) {
            struct stack_delta d;
            uint64_t v[4];

            for (int k = 0; k < 4; k++)
                v[k] = model.stacks[i][k] - base.stacks[i][k];
            d = (struct stack_delta){v[0], v[1], v[2], v[3]};
            if (v[0] | v[1] | v[2] | v[3])
                timeline_stack(i, &d);
        }
        for (uint32_t i = 1; i < TYPES; i++)
            timeline_type(i, model.types[i][0] - base.types[i][0],
                          model.types[i][1] - base.types[i][1]);
        if (timeline_end(&head)) {
            base = model;
            marks[mark] = model;
            frames_made++;
            return 1;
        }
    } while (timeline_thin());
    return 0;
}

static int
create(uint64_t max_file)
{
    const char *why = "";

    opt.output = "/tmp/timeline-t.%p.%n.hk";
    opt.max_file = max_file;
    memset(&model, 0, sizeof(model));
    frames_made = 0;
    count_set(HKC_snapshots_thinned, 0);
    timeline_reset();
    return recfile_create(&why) == 0;
}

static void
drop(void)
{
    char name[4096];

    snprintf(name, sizeof(name), "%s", recfile_path());
    recfile_abandon();
    unlink(name);
}

static void
test_example(void)
{
    static const uint8_t want[] = {5, 3, 0, 100, 0, 2, 0, 1, 0, 0xac, 2};
    struct stack_delta five = {3, 0, 100, 0}, seven = {0, 1, 0, 300};
    struct hkr_snapshot head = {.merged = 1};

    create(1 << 20);
    timeline_begin();
    timeline_stack(5, &five);
    timeline_stack(7, &seven);
    ok(timeline_end(&head), "the example of recording.h");
    ok(read_timeline() && content_bytes == sizeof(head) + 16 &&
           memcmp(content + sizeof(head), want, sizeof(want)) == 0,
       "has the bytes it gives");
    drop();
}

static void
test_thinning(uint64_t max_file, unsigned sparse, unsigned count)
{
    uint32_t frames = 0, seen = 0, made = 0, late = 0;
    int is_right = 1;
    struct stat st;

    create(max_file);
    for (unsigned i = 1; i <= count; i++) {
        uint32_t mark = i % (count / MARKS) == 0 && made < MARKS ? ++made : 0;

        if (!make_frame(mark, sparse) && mark)
            made--;
        if (i % (count / 20) == 0)
            is_right &= timeline_is_right(&frames, &seen) && seen == made;
        late += !is_right;
    }
    stat(recfile_path(), &st);
    ok(is_right, "%u snapshots in %lu KiB add up at every moment (%u wrong)",
       count, (unsigned long)max_file >> 10, late);
    ok((uint64_t)st.st_size <= max_file, "within max_file=");
    ok(count_get(HKC_snapshots_thinned) == frames_made - frames,
       "%u frames are left, %lu merged as counted", frames,
       (unsigned long)count_get(HKC_snapshots_thinned));
    ok(seen == MARKS, "all marks are there, exact");
    ok(content_bytes <= max_file / 2, "at most half of it is timeline");
    drop();
}

/* Tables that grow take back what the timeline has, down to one chunk. */
static void
test_tables_come_first(void)
{
    uint32_t frames = 0, seen;
    int is_right;
    uint64_t id = 0, wanted = (1 << 20) / 16 * 3 / 4;

    create(1 << 20);
    for (int i = 0; i < 200; i++)
        make_frame(0, 2);
    while (id < wanted && recfile_record(HKR_NODE, 16, id + 1))
        id++;
    is_int((int64_t)wanted, (int64_t)id, "a table gets 3/4 of a full file");
    recfile_publish_table(HKR_NODE, id);
    is_right = timeline_is_right(&frames, &seen);
    ok(is_right && frames > 0, "the timeline adds up (%u frames)", frames);
    drop();
}

static void
test_only_marks(void)
{
    uint32_t i = 0;

    create(256 << 10);
    while (i < 10000 && make_frame(1, 1))
        i++;
    ok(i > 1 && i < 10000, "a timeline of marks alone does get full: %u", i);
    ok(!timeline_thin(), "it cannot be thinned");
    ok(!make_frame(0, 1), "nothing more fits");
    ok(read_timeline(), "but it stays whole");
    drop();
}

/* The file belongs to whoever may write it. */
static void
test_damage(void)
{
    int survived = 0;

    for (int round = 0; round < 300; round++) {
        char name[4096];
        FILE *f;

        create(256 << 10);
        for (int i = 0; i < 6; i++)
            make_frame(0, 4);
        snprintf(name, sizeof(name), "%s", recfile_path());
        f = fopen(name, "r+b");
        for (int i = 0; i < 3; i++) {
            fseek(f, 8192 + (long)draw(16384 * 2), SEEK_SET);
            fputc((int)draw(256), f);
        }
        fclose(f);
        for (int i = 0; i < 40; i++)
            make_frame(0, 2);
        survived++;
        drop();
    }
    is_int(300, survived, "damage in the file harms nobody");
}

int
main(void)
{
    test_example();
    test_thinning(512 << 10, 20, 600);
    test_thinning(1 << 20, 40, 2000);
    test_thinning(2 << 20, 3, 600);
    test_tables_come_first();
    test_only_marks();
    test_damage();
    return done_testing();
}
