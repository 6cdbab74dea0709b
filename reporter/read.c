/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * read.c -- see read.h.
 */
#include "reporter/read.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "reporter/check.h"
#include "reporter/chunks.h"
#include "reporter/model.h"

#define RETRY_NS 20000000L /* between copies of a file being written */
#define RETRIES 50
#define RETRIES_DEAD 2 /* its writer is gone: it will not become whole */

/* A copy of the part of a file that is in use. */
struct image {
    uint8_t *bytes;
    size_t count;
    int torn;  /* changed while it was copied */
    int ours;  /* may be overwritten */
    struct stat st;
};

static int
check_byte_order(const char *name, const struct hkr_header *h,
                 struct fail *why)
{
    if (h->byte_order == HKR_BYTE_ORDER)
        return 0;
    if (h->byte_order == __builtin_bswap32(HKR_BYTE_ORDER))
        return fail_set(why,
                        "%s was written on a machine of the other byte order; "
                        "read it on a machine like that one",
                        name);
    return fail_set(why,
                    "%s is damaged: its byte order mark is %#x; "
                    "it cannot be read",
                    name, h->byte_order);
}

static int
check_magic(const char *name, const uint8_t *bytes, size_t count,
            struct fail *why)
{
    size_t n = count < 8 ? count : 8;

    if (count == 0)
        return fail_set(why,
                        "%s is empty: nothing was recorded "
                        "(heapknot doctor %s says more)",
                        name, name);
    if (memcmp(bytes, HKR_MAGIC, n) == 0) {
        if (count >= HKR_CHUNKS_OFFSET)
            return 0;
        return fail_set(why,
                        "%s is cut off after %zu bytes, inside its header; "
                        "nothing can be read from it",
                        name, count);
    }
    for (size_t i = 0; i < n; i++)
        if (bytes[i])
            return fail_set(why,
                            "%s is not a heapknot recording: "
                            "it does not begin with " HKR_MAGIC,
                            name);
    return fail_set(why,
                    "%s has no header yet: its process is just starting, or "
                    "died before the first publication",
                    name);
}

static int
check_layout(const char *name, const struct hkr_header *h, size_t count,
             struct fail *why)
{
    const char *what = NULL;

    if (h->header_bytes < offsetof(struct hkr_header, counters)
        || h->header_bytes > count)
        what = "the size of its header";
    else if (h->chunk_bytes <= sizeof(struct hkr_chunk)
             || h->chunk_bytes % 8 || h->chunk_bytes > (1u << 30))
        what = "its chunk size";
    else if (h->chunks_offset < h->header_bytes || h->chunks_offset > count)
        what = "the place of its chunks";
    else if (h->counter_count > HKR_COUNTER_MAX)
        what = "its number of counters";
    if (!what)
        return 0;
    return fail_set(why, "%s is damaged: %s makes no sense; it cannot be read",
                    name, what);
}

/* Fills *h from the bytes; counters and reason of an older, shorter header are
   zero. */
static int
read_header(const char *name, const uint8_t *bytes, size_t count,
            struct hkr_header *h, struct fail *why)
{
    if (check_magic(name, bytes, count, why))
        return -1;
    memcpy(h, bytes, sizeof *h);
    if (check_byte_order(name, h, why))
        return -1;
    if (h->version_major > HKR_VERSION_MAJOR || h->version_major == 0)
        return fail_set(why,
                        "%s has format version %u.%u, this heapknot reads %u; "
                        "use the heapknot that belongs to the agent",
                        name, h->version_major, h->version_minor,
                        HKR_VERSION_MAJOR);
    if (check_layout(name, h, count, why))
        return -1;
    if (h->header_bytes < sizeof *h)
        memset((uint8_t *)h + h->header_bytes, 0,
               sizeof *h - h->header_bytes);
    h->reason[sizeof h->reason - 1] = '\0';
    return 0;
}

/* Lengths of what is unpacked later. */
struct lengths {
    size_t proc, time, find, graph;
};

/* Before version 1.3 what is graph_word now was not written to. */
static int
read_streams(struct recording *rec, const struct chunks *c,
             struct lengths *bytes)
{
    const struct hkr_header *h = &rec->header;
    uint64_t graph = recording_has(rec, 3) ? h->graph_word : 0;

    return chunks_bytes(c, HKR_PROC, &rec->proc, &bytes->proc)
        || chunks_stream(c, HKR_TIME, h->timeline_word, &rec->time,
                         &bytes->time)
        || chunks_stream(c, HKR_FIND, h->findings_word, &rec->find,
                         &bytes->find)
        || chunks_stream(c, HKR_GRPH, graph, &rec->graph, &bytes->graph);
}

static int
read_tables(struct recording *rec, const struct chunks *c)
{
    uint8_t *strings;

#define TABLE(type, field, count)                                        \
    chunks_table(c, type, sizeof *rec->field, (void **)&rec->field,      \
                 &rec->count)
    if (chunks_bytes(c, HKR_STRS, &strings, &rec->string_bytes))
        return -1;
    rec->strings = (char *)strings;
    if (TABLE(HKR_MODL, modules, module_count)
        || TABLE(HKR_NODE, nodes, node_count)
        || TABLE(HKR_STAK, stacks, stack_count)
        || TABLE(HKR_TYPES, types, type_count)
        || TABLE(HKR_SCAN, scans, scan_count)
        || TABLE(HKR_MIST, mistakes, mistake_count)
        || TABLE(HKR_HOLD, holds, hold_count)
        || TABLE(HKR_BALA, balances, balance_count))
        return -1;
#undef TABLE
    return 0;
}

/* Splits PROC; a name without a value at its end gets "". */
static int
read_facts(struct recording *rec, size_t bytes, struct fail *why)
{
    const char *at = (const char *)rec->proc, *end = at + bytes;
    size_t nuls = 0;

    for (size_t i = 0; i < bytes; i++)
        nuls += rec->proc[i] == 0;
    rec->facts = calloc(nuls / 2 + 2, sizeof *rec->facts);
    if (!rec->facts)
        return fail_memory(why, rec->path);
    while (at < end) {
        struct fact *f = &rec->facts[rec->fact_count++];

        f->name = at;
        f->value = at + strlen(at) + 1;
        if (f->value > end)
            f->value = end;
        at = f->value + strlen(f->value) + 1;
    }
    return 0;
}

static int
fill(struct recording *rec, const struct image *image, struct fail *why)
{
    const uint8_t *bytes = image->bytes;
    size_t count = image->count;
    struct hkr_header *h = &rec->header;
    struct lengths lengths;
    struct chunks c;
    size_t room;

    if (read_header(rec->path, bytes, count, h, why))
        return -1;
    room = (count - h->chunks_offset) / h->chunk_bytes;
    c = (struct chunks){bytes + h->chunks_offset, h->chunk_bytes,
                        h->chunk_count, 0, image->ours, rec->path, why};
    if (h->chunk_count > room) {
        c.count = (uint32_t)room;
        rec->truncated = 1;
        rec->missing_bytes = h->chunks_offset
            + (uint64_t)h->chunk_count * h->chunk_bytes - count;
    }
    if (h->publish_seq & 1)
        rec->torn = 1;
    c.lenient = rec->torn || rec->truncated;
    if (read_tables(rec, &c) || read_streams(rec, &c, &lengths))
        return -1;
    if (read_facts(rec, lengths.proc, why) || check_tables(rec, why)
        || check_timeline(rec, lengths.time, why)
        || check_findings(rec, lengths.find, why)
        || check_graph(rec, lengths.graph, why))
        return -1;
    return 0;
}

static int
parse(const char *name, const struct image *image, struct recording **out,
      struct fail *why)
{
    struct recording *rec = calloc(1, sizeof *rec);

    if (!rec || !(rec->path = strdup(name))) {
        free(rec);
        return fail_memory(why, name);
    }
    rec->torn = image->torn;
    rec->file_bytes = image->count;
    rec->file_device = image->st.st_dev;
    rec->file_inode = image->st.st_ino;
    if (fill(rec, image, why)) {
        recording_close(rec);
        return -1;
    }
    *out = rec;
    return 0;
}

int
recording_parse(const char *name, const uint8_t *bytes, size_t count,
                struct recording **out, struct fail *why)
{
    struct image image = {.bytes = (uint8_t *)(uintptr_t)bytes,
                          .count = count};

    return parse(name, &image, out, why);
}

static size_t
read_fully(int fd, uint8_t *to, size_t count)
{
    size_t done = 0;

    while (done < count) {
        ssize_t n = pread(fd, to + done, count - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

/* Bytes of the file that are in use, going by its header.  If that makes no
   sense *h is zero, and the first bytes do for the parser to say why. */
static size_t
used_bytes(int fd, size_t size, struct hkr_header *h)
{
    struct fail why;
    uint64_t used;
    uint8_t *page = malloc(HKR_CHUNKS_OFFSET);
    size_t n = 0;

    if (page && size >= HKR_CHUNKS_OFFSET)
        n = read_fully(fd, page, HKR_CHUNKS_OFFSET);
    if (!page || n < HKR_CHUNKS_OFFSET || read_header("", page, n, h, &why)) {
        free(page);
        memset(h, 0, sizeof *h);
        return size < HKR_CHUNKS_OFFSET ? size : HKR_CHUNKS_OFFSET;
    }
    free(page);
    used = h->chunks_offset + (uint64_t)h->chunk_count * h->chunk_bytes;
    return used < size ? used : size;
}

static uint64_t
sequence_of(int fd)
{
    uint64_t seq = 1;

    if (pread(fd, &seq, sizeof seq, offsetof(struct hkr_header, publish_seq))
        != sizeof seq)
        return 1;
    return seq;
}

/* One try: 0 and a copy, -1 and a sentence; image->torn says how good. */
static int
copy_once(const char *path, int fd, struct image *image, uint32_t *pid,
          struct fail *why)
{
    struct hkr_header before;
    size_t used;

    if (fstat(fd, &image->st))
        return fail_set(why, "cannot read %s: %s", path, strerror(errno));
    used = used_bytes(fd, (size_t)image->st.st_size, &before);
    *pid = before.pid;
    free(image->bytes);
    image->bytes = malloc(used + 1);
    if (!image->bytes)
        return fail_memory(why, path);
    image->count = read_fully(fd, image->bytes, used);
    if (image->count == 0 && used)
        return fail_set(why, "cannot read %s: %s", path, strerror(errno));
    image->torn = before.byte_order == HKR_BYTE_ORDER
        && ((before.publish_seq & 1)
            || sequence_of(fd) != before.publish_seq);
    return 0;
}

static int
copy_file(const char *path, int fd, struct image *image, struct fail *why)
{
    uint32_t pid = 0;

    for (int i = 0; i < RETRIES; i++) {
        struct timespec pause = {0, RETRY_NS};

        if (copy_once(path, fd, image, &pid, why))
            return -1;
        if (!image->torn)
            return 0;
        if (i >= RETRIES_DEAD && pid && kill((pid_t)pid, 0)
            && errno == ESRCH)
            return 0;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int
recording_open(const char *path, struct recording **out, struct fail *why)
{
    struct image image = {.ours = 1};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), result;

    if (fd < 0)
        return fail_set(why, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &image.st) == 0 && !S_ISREG(image.st.st_mode)) {
        close(fd);
        return fail_set(why, "%s is not a file, so not a recording", path);
    }
    result = copy_file(path, fd, &image, why);
    close(fd);
    if (result == 0)
        result = parse(path, &image, out, why);
    free(image.bytes);
    return result;
}
