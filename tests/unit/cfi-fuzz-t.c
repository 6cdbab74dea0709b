/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi-fuzz-t.c -- broken call frame information is survived.
 *
 * Copies of real tables, mutated or cut off, lie between pages that cannot be
 * read.
 */
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/boot.h"
#include "agent/cfi.h"
#include "agent/modules.h"
#include "tests/tap/tap.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

#ifdef __x86_64__

/* ---- tables in a place of their own -------------------------------------- */

struct planted {
    struct cfi_tables tables; /* of the copy */
    uint8_t *original, *copy;
    size_t bytes;
    uintptr_t shift; /* from the original to the copy, its code too */
    const int32_t *entries;
    uint32_t entry_count;
};

static int
find_tables(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct planted *p = arg;
    uintptr_t header = 0, end = 0;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME)
            header = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + h->p_vaddr;

        if (h->p_type == PT_LOAD && header - start < h->p_filesz)
            end = start + h->p_filesz;
    }
    p->original = (uint8_t *)header;
    p->bytes = end - header;
    return strstr(info->dlpi_name, "libc.so.6") != NULL; /* stop there */
}

static void *
pages(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        bail_out("no memory");
    return at;
}

/* The first bytes of the tables, so that nothing can be read behind. */
static void
plant(struct planted *p, uint8_t *guard, size_t bytes)
{
    uintptr_t frames;

    p->copy = guard - bytes;
    memcpy(p->copy, p->original, bytes);
    p->shift = (uintptr_t)p->copy - (uintptr_t)p->original;
    p->entries = (const int32_t *)(const void *)(p->original + 12);
    memcpy(&p->entry_count, p->original + 8, 4);
    frames = (uintptr_t)p->copy + 4 +
             (uintptr_t)(intptr_t) * (int32_t *)(void *)(p->original + 4);
    p->tables.header = (uintptr_t)p->copy;
    p->tables.header_end = p->tables.header + 12 + 8 * p->entry_count;
    p->tables.frames = frames;
    p->tables.frames_end = p->tables.header + bytes;
    if (p->tables.header_end > p->tables.frames_end)
        p->tables.header_end = p->tables.frames_end;
    if (frames > p->tables.frames_end)
        p->tables.frames = p->tables.frames_end;
}

/* ---- mutations ----------------------------------------------------------- */

static uint64_t seed = 88172645463325252u;

static uint64_t
draw(uint64_t n)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % n;
}

/* Where in the copy to break something: in the header, anywhere, or in the
   entry of function i or its CIE. */
static size_t
draw_place(const struct planted *p, uint32_t i)
{
    size_t fde = (size_t)p->entries[2 * i + 1], place = fde + 4;
    uint32_t distance;

    memcpy(&distance, p->original + place, 4);
    switch (draw(16)) {
    case 0:
        return draw(12);
    case 1:
        return draw(p->bytes);
    case 2:
    case 3:
    case 4:
    case 5:
        return place - distance + draw(24);
    case 6:
        return 12 + 8 * i + draw(8);
    default:
        return fde + draw(48);
    }
}

static uint8_t
draw_byte(uint8_t was)
{
    static const uint8_t telling[] = {0,    0xff, 0x7f, 0x80, 0x0a, 0x0b,
                                      0x0f, 0x10, 0x01, 0x04, 0x0e, 0x2f};

    switch (draw(3)) {
    case 0:
        return (uint8_t)draw(256);
    case 1:
        return was ^ (uint8_t)(1u << draw(8));
    default:
        return telling[draw(sizeof(telling))];
    }
}

static int
is_same(const struct cfi_rule *a, const struct cfi_rule *b)
{
    return a->kind == b->kind && a->cfa_offset == b->cfa_offset &&
           a->fp_is_saved == b->fp_is_saved && a->fp_offset == b->fp_offset;
}

struct fuzzed {
    uint64_t lookups, same, none, other, absurd;
};

static void
look_up(const struct planted *p, uintptr_t pc, struct fuzzed *f)
{
    struct cfi_rule was, is;
    int found = cfi_read(&p->tables, pc + p->shift, &is);

    cfi_find(pc, &was);
    f->lookups++;
    f->none += is.kind == CFI_NONE;
    f->same += is.kind && is_same(&was, &is);
    f->other += is.kind && !is_same(&was, &is);
    f->absurd += found != (is.kind != CFI_NONE) || is.kind > CFI_END;
}

static void
mutate(struct planted *p, struct fuzzed *f)
{
    uint32_t i = (uint32_t)draw(p->entry_count);
    size_t n = 1 + draw(4), places[4];
    uintptr_t pc = (uintptr_t)p->original + (uintptr_t)p->entries[2 * i];

    for (size_t k = 0; k < n; k++) {
        places[k] = draw_place(p, i) % p->bytes;
        p->copy[places[k]] = draw_byte(p->copy[places[k]]);
    }
    for (int k = 0; k < 8; k++)
        look_up(p, pc + 1 + draw(k < 2 ? 8 : 200), f);
    for (size_t k = 0; k < n; k++)
        p->copy[places[k]] = p->original[places[k]];
}

static void
test_mutations(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct planted p = {.bytes = 0};
    struct fuzzed f = {0};
    uint8_t *room, *guard;
    size_t size;

    dl_iterate_phdr(find_tables, &p);
    size = (p.bytes + page) & ~(page - 1);
    room = pages(size + 2 * page);
    guard = room + page + size;
    mprotect(room, page, PROT_NONE);
    mprotect(guard, page, PROT_NONE);
    plant(&p, guard, p.bytes);
    for (int i = 0; i < 1000; i++)
        look_up(&p,
                (uintptr_t)p.original + 1 +
                    (uintptr_t)p.entries[2 * draw(p.entry_count)],
                &f);
    is_int(0, (int64_t)f.other, "a copy of the tables is read as they are");
    f = (struct fuzzed){0};
    for (int i = 0; i < 10000; i++)
        mutate(&p, &f);
    plant(&p, room + page + p.bytes, p.bytes); /* now at the front */
    for (int i = 0; i < 10000; i++)
        mutate(&p, &f);
    is_int(0, (int64_t)f.absurd, "20000 broken tables: every answer is one");
    ok(f.none && f.same && f.other, "of all sorts");
    diag("%lu look-ups: %lu right, %lu none, %lu something else", f.lookups,
         f.same, f.none, f.other);
    munmap(room, size + 2 * page);
}

static int
stop_at_first(struct dl_phdr_info *info, size_t size, void *arg)
{
    find_tables(info, size, arg);
    return 1;
}

/* The tables of this program, cut off everywhere. */
static void
test_truncations(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct planted p = {.bytes = 0};
    struct fuzzed f = {0};
    uint8_t *room, *guard;
    size_t size;

    dl_iterate_phdr(stop_at_first, &p);
    size = (p.bytes + page) & ~(page - 1);
    room = pages(size + page);
    guard = room + size;
    mprotect(guard, page, PROT_NONE);
    for (size_t bytes = 0; bytes <= p.bytes; bytes += 1 + bytes / 2000) {
        plant(&p, guard, bytes);
        for (uint32_t i = 0; i < p.entry_count; i += 1 + p.entry_count / 40)
            look_up(&p,
                    (uintptr_t)p.original + 5 +
                        (uintptr_t)(intptr_t)p.entries[2 * i],
                    &f);
    }
    is_int(0, (int64_t)(f.other + f.absurd),
           "of a cut table what is left is right");
    ok(f.none && f.same, "%lu look-ups: %lu right, %lu none", f.lookups, f.same,
       f.none);
    munmap(room, size + page);
}

int
main(void)
{
    modules_refresh();
    test_mutations();
    test_truncations();
    return done_testing();
}

#else

int
main(void)
{
    skip_all("only x86-64 has rules");
    return 0;
}

#endif
