/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan-parse -- what a scan has told is read, whatever code of the program has
 * written over it, and nothing else is.
 *
 * The results end where a page without access begins, and so does each block
 * that the censuses are kept in.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "agent/notes.h"
#include "agent/census.h"
#include "agent/pool.h"
#include "agent/recfile.h"
#include "agent/scan_parse.h"
#include "agent/strings.h"
#include "tests/tap/tap.h"

enum { ROOM = 16384, PAGE = 4096, ROUNDS = 30000 };

static uint64_t seed = 88172645463325252u;

static uint32_t
draw(uint32_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)((seed >> 20) % below);
}

/* ---- what the code under test needs ------------------------------------- */

static void *
guarded(size_t bytes)
{
    size_t pages = (bytes + PAGE - 1) / PAGE * PAGE;
    char *p = mmap(NULL, pages + PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        bail_out("no memory");
    mprotect(p + pages, PAGE, PROT_NONE);
    return p + pages - bytes;
}

static void *blocks[WISH_TYPES];
static size_t block_bytes[WISH_TYPES];

void *
pool_alloc(size_t bytes)
{
    for (int i = 0; i < WISH_TYPES; i++)
        if (!blocks[i]) {
            block_bytes[i] = bytes;
            return blocks[i] = guarded(bytes);
        }
    return NULL;
}

void
pool_free(void *p)
{
    for (int i = 0; i < WISH_TYPES; i++)
        if (blocks[i] == p) {
            size_t pages = (block_bytes[i] + PAGE - 1) / PAGE * PAGE;

            munmap((char *)p + block_bytes[i] - pages, pages + PAGE);
            blocks[i] = NULL;
        }
}

static uint32_t longest;

uint32_t
notes_string(const void *object)
{
    (void)object;
    return 0;
}

uint32_t
strings_add(const char *s)
{
    if (strlen(s) > longest)
        longest = (uint32_t)strlen(s);
    return 7;
}

int
recfile_stream_begin(uint32_t tag)
{
    (void)tag;
    return 1;
}

int
recfile_stream_write(uint32_t tag, const void *data, size_t bytes)
{
    (void)tag;
    (void)data;
    (void)bytes;
    return 1;
}

void
recfile_stream_commit(uint32_t tag)
{
    (void)tag;
}

void
recfile_stream_cancel(uint32_t tag)
{
    (void)tag;
}

void
groups_each_type(void (*fn)(uint16_t type, void *arg), void *arg)
{
    (void)fn;
    (void)arg;
}

/* ---- results ------------------------------------------------------------ */

static char *region; /* ROOM bytes */

static struct result_head *
put(uint32_t kind, size_t bytes)
{
    struct results *r = (struct results *)(void *)region;
    struct result_head *h = (struct result_head *)(void *)(region + r->used);

    h->bytes = (uint32_t)bytes;
    h->kind = kind;
    r->used += bytes;
    return h;
}

static void
put_label(const char *text)
{
    size_t bytes = (sizeof(struct result_label) + strlen(text) + 8) & ~7u;

    strcpy(((struct result_label *)put(RESULT_LABEL, bytes))->text, text);
}

static void
put_cycle(uint32_t members, uint32_t edges, uint32_t created)
{
    size_t bytes = result_cycle_bytes(members, edges, created);
    struct result_cycle *c = (void *)put(RESULT_CYCLE, bytes);

    c->member_count = members;
    c->edge_count = edges;
    c->created_count = created;
    c->shape = 5;
}

static void
put_census(uint32_t referrers, uint32_t paths, uint32_t steps)
{
    size_t bytes = sizeof(struct result_census) +
                   referrers * sizeof(struct hkr_referrer) +
                   paths * (sizeof(struct hkr_path) +
                            steps * sizeof(struct hkr_step));
    struct result_census *c = (void *)put(RESULT_CENSUS, bytes);
    struct hkr_referrer *r = (void *)(c + 1);
    char *at = (char *)(r + referrers);

    c->census.bytes = (uint32_t)(bytes - sizeof c->head);
    c->census.referrer_count = referrers;
    c->census.path_count = paths;
    for (uint32_t i = 0; i < referrers; i++)
        r[i].label = sizeof(struct results);
    for (uint32_t i = 0; i < paths; i++) {
        ((struct hkr_path *)(void *)at)->step_count = steps;
        at += sizeof(struct hkr_path) + steps * sizeof(struct hkr_step);
    }
}

static void
fill(void)
{
    struct results *r = (struct results *)(void *)region;

    memset(region, 0, ROOM);
    r->room = ROOM;
    r->used = sizeof *r;
    put_label("next");
    put_cycle(3, 5, 2);
    put_census(4, 2, 5);
    put_label("a label of another length");
    put_cycle(64, 64, 40);
    put_cycle(0, 0, 1);
    put_census(0, 3, 8);
    put_census(1, 0, 0);
    put_cycle(1, 1, 1);
}

/* Reads all as scan.c does. */
static uint32_t
read_all(uint32_t *censuses)
{
    const struct result_head *h;
    uint32_t cycles = 0;

    *censuses = 0;
    census_begin();
    parse_begin((const struct results *)(void *)region, ROOM);
    while ((h = parse_next())) {
        if (parse_as_cycle(h))
            cycles++;
        if (parse_as_census(h)) {
            census_add(parse_as_census(h), parse_label);
            ++*censuses;
        }
    }
    return cycles;
}

static void
test_whole(void)
{
    struct result_census *c;
    uint32_t censuses;

    fill();
    is_int(4, read_all(&censuses), "whole cycles are read");
    is_int(3, censuses, "and whole censuses");
    is_str("next", parse_label(sizeof(struct results)), "and labels");
    ok(!parse_label(4) && !parse_label(0) && !parse_label(UINT32_MAX) &&
           !parse_label(sizeof(struct results) + 8),
       "at other offsets there are none");
    c = (void *)((char *)region + sizeof(struct results) + 16 +
                 result_cycle_bytes(3, 5, 2));
    ((struct hkr_path *)(void *)((struct hkr_referrer *)(c + 1) + 4))
        ->step_count++;
    is_int(4, read_all(&censuses), "the others are read");
    is_int(2, censuses, "but no census with a step more than fits");
}

static void
scribble(void)
{
    static const uint32_t words[] = {0, 1, 8, 64, 65, ROOM, UINT32_MAX,
                                     0x80000000, RESULT_CENSUS, RESULT_LABEL};
    uint32_t used = (uint32_t)((struct results *)(void *)region)->used;

    for (uint32_t n = 1 + draw(4); n > 0; n--) {
        uint32_t at = draw(4) ? sizeof(struct results) + draw(used)
                              : draw(sizeof(struct results));
        uint32_t value = draw(2) ? words[draw(10)] : draw(ROOM);

        if (at / 4 * 4 + 4 <= ROOM)
            memcpy(region + at / 4 * 4, &value, 4);
    }
}

static void
test_scribbles(void)
{
    uint32_t censuses, all = 0, cut = 0;

    for (int i = 0; i < ROUNDS; i++) {
        uint32_t n;

        fill();
        scribble();
        n = read_all(&censuses) + censuses;
        all += n >= 7;
        cut += n < 7;
    }
    ok(longest < SCAN_LABEL_BYTES, "no text is longer than it may be");
    ok(all > 100 && cut > 100, "%d times all was read, %d times less",
       (int)all, (int)cut);
}

/* A grandchild that a traverse function has forked still writes. */
static int is_over;

static void *
keep_scribbling(void *arg)
{
    uint32_t first = sizeof(struct results) + 16, values[] = {0, 8, 1u << 20};

    (void)arg;
    for (uint32_t i = 0; !__atomic_load_n(&is_over, __ATOMIC_RELAXED); i++) {
        uint32_t *word = (uint32_t *)(void *)(region + first);
        uint32_t whole = (uint32_t)result_cycle_bytes(3, 5, 2);

        __atomic_store_n(word, i % 2 ? values[i / 2 % 3] : whole,
                         __ATOMIC_RELAXED);
        __atomic_store_n((uint32_t *)(void *)(region + ROOM - 8), i,
                         __ATOMIC_RELAXED);
    }
    return NULL;
}

static void
test_writer(void)
{
    pthread_t thread;
    uint32_t censuses, wrong = 0;

    fill();
    if (pthread_create(&thread, NULL, keep_scribbling, NULL))
        bail_out("no thread");
    for (int i = 0; i < ROUNDS / 10; i++)
        wrong += read_all(&censuses) > 4 || censuses > 3;
    __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    is_int(0, wrong, "the list ends, though it is written meanwhile");
}

int
main(void)
{
    region = guarded(ROOM);
    test_whole();
    test_scribbles();
    test_writer();
    return done_testing();
}
