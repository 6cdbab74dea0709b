/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi.c -- find the call frame information of an address, and what it says.
 *
 * Called by   who walks a stack by rules, once for each return address.
 * Threads     any; nothing is shared.
 * Memory      less than a KiB of stack.
 * Fails       CFI_NONE: on a table that is broken, unusual, or in doubt.
 * Invariants  nothing is read but what the loader mapped of the object.
 */
#include "agent/cfi.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "agent/cfi_program.h"
#include "agent/modules.h"

#if defined(__x86_64__) && !defined(__ILP32__)

/* ---- the header and its sorted table ------------------------------------- */

struct header {
    uintptr_t frames;
    const uint8_t *entries;
    uint64_t count;
};
struct header_entry {
    int32_t pc, fde; /* relative to the header */
};

static int
read_header(uintptr_t start, uintptr_t end, struct header *h)
{
    struct cfi_cursor in = {(const uint8_t *)start, (const uint8_t *)end, 0};
    unsigned int version, frames, count, table;

    if (start >= end)
        return 0;
    version = (unsigned int)cfi_read_fixed(&in, 1);
    frames = (unsigned int)cfi_read_fixed(&in, 1);
    count = (unsigned int)cfi_read_fixed(&in, 1);
    table = (unsigned int)cfi_read_fixed(&in, 1);
    if (version != 1 || frames & CFI_ENC_INDIRECT || count & CFI_ENC_INDIRECT ||
        table != CFI_ENC_SORTED_TABLE)
        return 0;
    h->frames = cfi_read_pointer(&in, frames, start);
    h->count = cfi_read_pointer(&in, count, start);
    h->entries = in.at;
    return !in.is_bad &&
           h->count <= (uint64_t)(in.end - in.at) / sizeof(struct header_entry);
}

/* Address of the description of the last function that begins at or before
   pc; 0 if there is none. */
static uintptr_t
find_fde(const struct cfi_tables *t, uintptr_t pc)
{
    struct header h;
    struct header_entry e;
    uint64_t lo = 0, hi;

    if (!read_header(t->header, t->header_end, &h))
        return 0;
    for (hi = h.count; lo < hi;) {
        uint64_t mid = (lo + hi) / 2;

        memcpy(&e, h.entries + mid * sizeof(e), sizeof(e));
        if (pc < t->header + (uintptr_t)(intptr_t)e.pc)
            hi = mid;
        else
            lo = mid + 1;
    }
    if (!lo)
        return 0;
    memcpy(&e, h.entries + (lo - 1) * sizeof(e), sizeof(e));
    return t->header + (uintptr_t)(intptr_t)e.fde;
}

/* ---- a function's entry (FDE), and what it has in common (CIE) ----------- */

/* Begins to read the entry at `at`: its contents, and the distance from there
   to its CIE (0 in a CIE).  With a length of eight bytes that distance has
   eight too: so say libunwind and binutils, against the LSB. */
static int
open_entry(const struct cfi_tables *t, uintptr_t at, struct cfi_cursor *in,
           uint64_t *distance, uintptr_t *place)
{
    size_t bytes = 4;
    uint64_t length;

    if (at < t->frames || at >= t->frames_end)
        return 0;
    *in = (struct cfi_cursor){(const uint8_t *)at,
                              (const uint8_t *)t->frames_end, 0};
    length = cfi_read_fixed(in, 4);
    if (length == 0xffffffff) {
        bytes = 8;
        length = cfi_read_fixed(in, 8);
    }
    if (length > (uint64_t)(in->end - in->at))
        return 0;
    in->end = in->at + length;
    *place = (uintptr_t)in->at;
    *distance = cfi_read_fixed(in, bytes);
    return !in->is_bad;
}

/* The letters after z.  A signal frame is left to others: the address in it is
   no return address. */
static void
read_augmentation(struct cfi_cursor *in, const char *letter,
                  struct cfi_common *c)
{
    struct cfi_cursor data = cfi_read_block(in);

    c->has_data = 1;
    for (; *letter && !data.is_bad; letter++)
        switch (*letter) {
        case 'R':
            c->encoding = (unsigned int)cfi_read_fixed(&data, 1);
            break;
        case 'L':
            cfi_read_fixed(&data, 1);
            break;
        case 'P':
            cfi_read_pointer(&data, (unsigned int)cfi_read_fixed(&data, 1), 1);
            break;
        case 'B':
            break;
        default:
            data.is_bad = 1;
        }
    in->is_bad |= data.is_bad || c->encoding & CFI_ENC_INDIRECT;
}

static int
read_common(const struct cfi_tables *t, uintptr_t at, struct cfi_common *c)
{
    struct cfi_cursor in;
    const char *letters;
    uint64_t distance, column;
    uintptr_t place;
    unsigned int version;

    if (!open_entry(t, at, &in, &distance, &place) || distance)
        return 0;
    version = (unsigned int)cfi_read_fixed(&in, 1);
    letters = (const char *)in.at;
    while (cfi_read_fixed(&in, 1))
        ;
    if (in.is_bad || (version != 1 && version != 3))
        return 0;
    if (letters[0] == 'e' && letters[1] == 'h') {
        cfi_read_fixed(&in, 8);
        letters += 2;
    }
    *c = (struct cfi_common){.encoding = 0};
    c->code_align = cfi_read_uleb(&in);
    c->data_align = cfi_read_offset_signed(&in, 1);
    column = version == 1 ? cfi_read_fixed(&in, 1) : cfi_read_uleb(&in);
    if (*letters == 'z')
        read_augmentation(&in, letters + 1, c);
    else if (*letters)
        return 0;
    c->program = in;
    return !in.is_bad && column == 16;
}

static void
conclude(const struct cfi_row *row, struct cfi_rule *rule)
{
    uint32_t from = row->cfa.how;
    int is_plain = row->ra.how == CFI_AT_CFA && row->ra.offset == -8 &&
                   row->sp.how == CFI_SAME;

    if (row->ra.how == CFI_UNDEFINED) {
        rule->kind = CFI_END;
        return;
    }
    if (is_plain && from == CFI_FROM_SLOT && row->fp.how == CFI_AT_FP)
        rule->kind = CFI_DRAP;
    else if (is_plain && (from == CFI_FROM_SP || from == CFI_FROM_FP) &&
             (row->fp.how == CFI_SAME || row->fp.how == CFI_AT_CFA))
        rule->kind = from == CFI_FROM_SP ? CFI_SP : CFI_FP;
    else
        return;
    rule->cfa_offset = row->cfa.offset;
    rule->fp_is_saved = row->fp.how != CFI_SAME;
    rule->fp_offset = rule->fp_is_saved ? row->fp.offset : 0;
}

/* The instructions of the function with pc in it: 1.  0: they are broken, or
   unusual. */
#define OUTSIDE 2 /* there is no such function */
static int
read_function(const struct cfi_tables *t, uintptr_t pc, struct cfi_common *c,
              struct cfi_program *p)
{
    struct cfi_cursor in;
    uint64_t distance;
    uintptr_t at = find_fde(t, pc), place, start, bytes;

    if (!at)
        return OUTSIDE;
    if (!open_entry(t, at, &in, &distance, &place) || !distance ||
        !read_common(t, place - distance, c))
        return 0;
    start = cfi_read_pointer(&in, c->encoding, 0);
    bytes = cfi_read_format(&in, c->encoding & CFI_ENC_FORMAT);
    if (c->has_data)
        cfi_read_block(&in);
    *p = (struct cfi_program){.in = in, .common = c, .at = start, .target = pc};
    if (in.is_bad)
        return 0;
    return pc >= start && pc - start < bytes ? 1 : OUTSIDE;
}

int
cfi_read(const struct cfi_tables *t, uintptr_t pc, struct cfi_rule *rule)
{
    struct cfi_common c;
    struct cfi_program p;
    struct cfi_cursor in;
    struct cfi_row initial;

    *rule = (struct cfi_rule){.kind = CFI_NONE};
    if (read_function(t, pc - 1, &c, &p) != 1)
        return 0;
    in = p.in;
    p.in = c.program;
    if (!cfi_run(&p))
        return 0;
    initial = p.row;
    p.in = in;
    p.initial = &initial;
    if (cfi_run(&p))
        conclude(&p.row, rule);
    return rule->kind != CFI_NONE;
}

/* ---- the object ---------------------------------------------------------- */

/* The end of what was mapped around an address, or 0. */
static uintptr_t
mapped_end(const struct dl_phdr_info *info, uintptr_t address)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + p->p_vaddr;

        if (p->p_type == PT_LOAD && p->p_flags & PF_R && address >= start &&
            address - start < p->p_filesz)
            return start + p->p_filesz;
    }
    return 0;
}

/* Not inline: what it needs of the stack is free again afterwards. */
static __attribute__((noinline)) int
find_tables(uintptr_t pc, struct cfi_tables *t)
{
    struct dl_phdr_info object, *info = &object;
    struct header h;
    uintptr_t end;

    t->header = 0;
    if (!modules_describe(pc, info))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_GNU_EH_FRAME) {
            t->header = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            t->header_end = t->header + info->dlpi_phdr[i].p_memsz;
        }
    end = t->header ? mapped_end(info, t->header) : 0;
    if (t->header_end > end)
        t->header_end = end;
    if (!end || !read_header(t->header, t->header_end, &h))
        return 0;
    t->frames = h.frames;
    t->frames_end = mapped_end(info, h.frames);
    return t->frames_end != 0;
}

int
cfi_find(uintptr_t pc, struct cfi_rule *rule)
{
    struct cfi_tables t;

    *rule = (struct cfi_rule){.kind = CFI_NONE};
    return find_tables(pc - 1, &t) && cfi_read(&t, pc, rule);
}

int
cfi_is_absent(uintptr_t pc)
{
    struct cfi_common c;
    struct cfi_program p;
    struct cfi_tables t;

    if (!find_tables(pc - 1, &t))
        return !t.header;
    return read_function(&t, pc - 1, &c, &p) == OUTSIDE;
}

#else

int
cfi_read(const struct cfi_tables *t, uintptr_t pc, struct cfi_rule *rule)
{
    (void)t;
    (void)pc;
    *rule = (struct cfi_rule){.kind = CFI_NONE};
    return 0;
}

int
cfi_find(uintptr_t pc, struct cfi_rule *rule)
{
    (void)pc;
    *rule = (struct cfi_rule){.kind = CFI_NONE};
    return 0;
}

int
cfi_is_absent(uintptr_t pc)
{
    return !pc;
}

#endif
