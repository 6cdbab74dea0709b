/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * fuzz-reporter.c -- the reader and every view on broken recordings.
 *
 *      fuzz-reporter COUNT SEED FILE ...
 *
 * Takes the files in turn, breaks a copy, reads it, and renders what could be
 * read to nowhere.  Built with ASan and UBSan, which end it at the first
 * mistake; the number of the copy is printed before, so that
 * `fuzz-reporter COUNT SEED FILE ... = NUMBER` writes it to stdout.
 * Prints how many copies were accepted and refused.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reporter/gate.h"
#include "reporter/read.h"
#include "reporter/refs.h"
#include "reporter/render.h"
#include "reporter/why.h"

#define FILES_MAX 64

struct buffer {
    uint8_t *bytes;
    size_t count;
};

static struct buffer files[FILES_MAX];
static size_t file_count;
static uint64_t state;

static uint64_t
draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return below ? (state >> 11) % below : 0;
}

static void
slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct buffer *b = &files[file_count++];

    if (!f) {
        perror(path);
        exit(2);
    }
    fseek(f, 0, SEEK_END);
    b->count = (size_t)ftell(f);
    rewind(f);
    b->bytes = malloc(b->count);
    if (fread(b->bytes, 1, b->count, f) != b->count)
        exit(2);
    fclose(f);
}

static uint64_t
interesting(void)
{
    static const uint64_t list[] = {
        0, 1, 2, 7, 8, 63, 64, 65, 127, 128, 255, 256, 4095, 4096, 8192,
        16384, 65535, 65536, 0x7fffffff, 0x80000000u, 0xfffffffeu,
        0xffffffffu, 0x100000000u, 0x7fffffffffffffffu,
        0x8000000000000000u, 0xfffffffffffffff8u, 0xffffffffffffffffu};

    return draw(3) ? list[draw(sizeof list / sizeof *list)] : state;
}

/* An offset: often in the header or at the head of a chunk, where it hurts. */
static size_t
place(const struct buffer *b, uint32_t chunk_bytes)
{
    size_t at;

    switch (draw(4)) {
    case 0:
        at = (size_t)draw(112);
        break;
    case 1:
        at = 8192 + (size_t)draw((b->count - 8192) / chunk_bytes + 1)
            * chunk_bytes + (size_t)draw(40);
        break;
    default:
        at = 8192 + (size_t)draw(b->count - 8192);
    }
    return at < b->count ? at : b->count - 1;
}

static void
put(struct buffer *b, size_t at, const void *value, size_t n)
{
    at -= at % n;
    if (at + n <= b->count)
        memcpy(b->bytes + at, value, n);
}

static void
splice(struct buffer *b)
{
    const struct buffer *other = &files[draw(file_count)];
    size_t n = 1 + (size_t)draw(2048), from, to;

    if (n > other->count || n > b->count)
        return;
    from = (size_t)draw(other->count - n + 1);
    to = (size_t)draw(b->count - n + 1);
    memcpy(b->bytes + to, other->bytes + from, n);
}

static void
mutate_once(struct buffer *b, uint32_t chunk_bytes)
{
    size_t at = place(b, chunk_bytes);
    uint64_t value = interesting();
    uint32_t small = (uint32_t)value;

    switch (draw(8)) {
    case 0:
        b->bytes[at] ^= (uint8_t)(1u << draw(8));
        break;
    case 1:
        b->bytes[at] = (uint8_t)value;
        break;
    case 2:
    case 3:
        put(b, at, &small, sizeof small);
        break;
    case 4:
    case 5:
        put(b, at, &value, sizeof value);
        break;
    case 6:
        splice(b);
        break;
    default:
        if (draw(4) == 0)
            b->count = 1 + (size_t)draw(b->count);
    }
}

static struct buffer
mutant(size_t number, uint64_t seed)
{
    const struct buffer *from = &files[number % file_count];
    struct buffer b = {malloc(from->count), from->count};
    uint32_t chunk_bytes;

    state = (seed + 1) * 0x9e3779b97f4a7c15u ^ (number + 1) * 0xff51afd7ed55u;
    draw(1);
    memcpy(b.bytes, from->bytes, b.count);
    memcpy(&chunk_bytes, b.bytes + 28, sizeof chunk_bytes);
    for (uint64_t n = 1 + draw(6); n && b.count > 8300; n--)
        mutate_once(&b, chunk_bytes);
    return b;
}

/* Who holds each type, and the objects at the ends of paths. */
static void
render_why(const struct view *view, const struct text_out *out)
{
    const struct recording *rec = view->rec;
    struct why why;
    char word[24];

    for (uint32_t i = 1; i < rec->type_count; i++)
        if (why_find(view, recording_string(rec, rec->types[i].name), &why)
            == WHY_FOUND) {
            text_why(&why, out);
            json_why(&why, out->file);
        }
    for (size_t i = 0; i < rec->census_count; i++) {
        const struct census_path *p = rec->censuses[i].paths;

        if (rec->censuses[i].head.path_count == 0)
            continue;
        snprintf(word, sizeof word, "0x%llx",
                 (unsigned long long)p->steps[p->head.step_count - 1].address);
        if (why_find(view, word, &why) == WHY_FOUND)
            text_why(&why, out);
    }
}

static void
render_refs(struct view *view, struct text_out *out)
{
    struct refs refs;

    if (refs_make(view, NULL, &refs))
        return;
    text_refs(view, &refs, out);
    json_refs(view, &refs, 2, out->file);
    refs_free(&refs);
}

/* Once without a baseline, and once against itself, where nothing is new. */
static void
check(const struct view *view, const struct text_out *out)
{
    struct gate gate = {.tolerance = GATE_TOLERANCE};

    inventory_add(&gate.now, view, "x", 1);
    inventory_add(&gate.base, view, "x", 1);
    for (int i = 0; i < 2; i++) {
        memset(gate.counts, 0, sizeof gate.counts);
        gate.has_base = i;
        gate_compare(&gate);
        text_check(&gate, out);
        json_check(&gate, out->file);
    }
    if (gate.counts[ISSUE_NEW])
        abort();
    gate_free(&gate);
}

static void
render(struct view *view, FILE *nowhere)
{
    struct text_out out = text_to(nowhere, 5, "x");
    struct moment a = {.names = view->names, .state = view->first};
    struct moment b = {.names = view->names, .state = view->now};
    struct diff diff;

    text_report(view, &out);
    text_cycles(view, &out);
    render_refs(view, &out);
    text_types(view, &out);
    json_report(view, 0, nowhere);
    render_why(view, &out);
    check(view, &out);
    folded_write(view, FOLDED_allocations, nowhere);
    if (diff_make(&a, &b, &diff) == 0) {
        text_diff(&diff, &out);
        json_diff(&diff, 0, nowhere);
        diff_free(&diff);
    }
}

/* 1: it was read.  0: refused, with a sentence. */
static int
feed(const struct buffer *b, FILE *nowhere)
{
    /* a copy of the exact size, so that ASan sees a read beyond its end */
    uint8_t *exact = malloc(b->count ? b->count : 1);
    struct recording *rec;
    struct view view;
    struct fail why = {""};
    int accepted;

    memcpy(exact, b->bytes, b->count);
    accepted = recording_parse("mutant", exact, b->count, &rec, &why) == 0;
    free(exact);
    if (!accepted) {
        if (strlen(why.text) < 10 || strchr(why.text, '\n')) {
            printf("refused without a sentence: '%s'\n", why.text);
            exit(1);
        }
        return 0;
    }
    if (view_make(rec, 0, &view) == 0) {
        render(&view, nowhere);
        view_free(&view);
    }
    return 1;
}

int
main(int argc, char **argv)
{
    FILE *nowhere = fopen("/dev/null", "w");
    size_t count = argc > 3 ? strtoul(argv[1], NULL, 0) : 0, accepted = 0;
    uint64_t seed = argc > 3 ? strtoul(argv[2], NULL, 0) : 0;
    size_t only = SIZE_MAX;

    for (int i = 3; i < argc && file_count < FILES_MAX; i++) {
        if (strcmp(argv[i], "=") == 0 && i + 1 < argc) {
            only = strtoul(argv[i + 1], NULL, 0);
            break;
        }
        slurp(argv[i]);
    }
    if (!nowhere || file_count == 0)
        return 2;
    for (size_t i = 0; i < count; i++) {
        struct buffer b = mutant(i, seed);

        if (only == i)
            return fwrite(b.bytes, 1, b.count, stdout) != b.count;
        if (only == SIZE_MAX) {
            fprintf(stderr, "\r%zu", i);
            accepted += (size_t)feed(&b, nowhere);
        }
        free(b.bytes);
    }
    printf("%zu accepted, %zu refused\n", accepted, count - accepted);
    for (size_t i = 0; i < file_count; i++)
        free(files[i].bytes);
    fclose(nowhere);
    return 0;
}
