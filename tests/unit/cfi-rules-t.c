/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi-rules-t.c -- call frame instructions that compilers seldom write.
 *
 * Functions are made by the assembler, each with a program whose meaning DWARF
 * 5, section 6.4, says; then tables byte by byte, in forms that the linker here
 * never makes.
 */
#include <stdio.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/cfi.h"
#include "agent/modules.h"
#include "tests/tap/tap.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

#ifdef __x86_64__

#define NONE             \
    {                    \
        .kind = CFI_NONE \
    }
#define END             \
    {                   \
        .kind = CFI_END \
    }
#define PLAIN           \
    {                   \
        CFI_SP, 8, 0, 0 \
    }

static void
check(const struct cfi_rule *expected, const struct cfi_rule *seen, int found,
      const char *what)
{
    char a[64], b[64];

    snprintf(a, sizeof(a), "kind %u cfa %d saved %u fp %d", expected->kind,
             expected->cfa_offset, expected->fp_is_saved, expected->fp_offset);
    snprintf(b, sizeof(b), "kind %u cfa %d saved %u fp %d%s", seen->kind,
             seen->cfa_offset, seen->fp_is_saved, seen->fp_offset,
             found == (seen->kind != CFI_NONE) ? "" : ", found or not");
    is_str(a, b, "%s", what);
}

/* ---- what the assembler makes -------------------------------------------- */

/* The program after the first byte of the code, and what holds there. */
#define VICTIMS(V)                                                             \
    V(".cfi_def_cfa_offset 16", {CFI_SP, 16, 0, 0})                            \
    V(".cfi_offset 6, -16", {CFI_SP, 8, 1, -16})                               \
    V(".cfi_escape 0x05, 6, 2", {CFI_SP, 8, 1, -16})                           \
    V(".cfi_escape 0x11, 6, 2", {CFI_SP, 8, 1, -16})                           \
    V(".cfi_escape 0x11, 6, 0x7d", {CFI_SP, 8, 1, 24})                         \
    V(".cfi_escape 0x2f, 6, 2", {CFI_SP, 8, 1, 16})                            \
    V(".cfi_escape 0x12, 7, 0x7e", {CFI_SP, 16, 0, 0})                         \
    V(".cfi_escape 0x12, 6, 0x7e", {CFI_FP, 16, 0, 0})                         \
    V(".cfi_escape 0x13, 0x7d", {CFI_SP, 24, 0, 0})                            \
    V(".cfi_def_cfa 6, 32", {CFI_FP, 32, 0, 0})                                \
    V(".cfi_def_cfa_register 6", {CFI_FP, 8, 0, 0})                            \
    V(".cfi_def_cfa 10, 0", NONE)                                              \
    V(".cfi_def_cfa 10, 40; .cfi_def_cfa_register 6", {CFI_FP, 40, 0, 0})      \
    V(".cfi_offset 6, -16; .cfi_restore 6", PLAIN)                             \
    V(".cfi_offset 6, -16; .cfi_escape 0x06, 6", PLAIN)                        \
    V(".cfi_undefined 16; .cfi_restore 16", PLAIN)                             \
    V(".cfi_undefined 6", NONE)                                                \
    V(".cfi_offset 6, -16; .cfi_same_value 6", PLAIN)                          \
    V(".cfi_register 6, 3", NONE)                                              \
    V(".cfi_register 3, 6", PLAIN)                                             \
    V(".cfi_undefined 16", END)                                                \
    V(".cfi_undefined 16; .cfi_undefined 6", END)                              \
    V(".cfi_same_value 16", NONE)                                              \
    V(".cfi_offset 16, -16", NONE)                                             \
    V(".cfi_register 16, 1", NONE)                                             \
    V(".cfi_undefined 7", NONE)                                                \
    V(".cfi_offset 7, -24", NONE)                                              \
    V(".cfi_register 7, 8", NONE)                                              \
    V(".cfi_escape 0x14, 7, 0", NONE)                                          \
    V(".cfi_escape 0x14, 6, 2", NONE)                                          \
    V(".cfi_escape 0x15, 6, 0x7e", NONE)                                       \
    V(".cfi_escape 0x16, 6, 1, 0x30", NONE)                                    \
    V(".cfi_escape 0x14, 3, 2", PLAIN)                                         \
    V(".cfi_escape 0x15, 3, 0x7e", PLAIN)                                      \
    V(".cfi_escape 0x16, 3, 1, 0x30", PLAIN)                                   \
    V(".cfi_escape 0x10, 3, 2, 0x76, 0", PLAIN)                                \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0", NONE)                                 \
    V(".cfi_escape 0x10, 16, 2, 0x77, 0", NONE)                                \
    V(".cfi_offset 3, -16; .cfi_offset 12, -24; .cfi_offset 33, -32", PLAIN)   \
    V(".cfi_escape 0x2e, 0x90, 0x01; .cfi_offset 6, -24", {CFI_SP, 8, 1, -24}) \
    V(".cfi_escape 0, 0, 0, 0x0e, 16, 0", {CFI_SP, 16, 0, 0})                  \
    V(".cfi_remember_state; .cfi_def_cfa 6, 16; .cfi_offset 6, -16; "          \
      ".cfi_restore_state",                                                    \
      PLAIN)                                                                   \
    V(".rept 4; .cfi_remember_state; .cfi_adjust_cfa_offset 8; .endr; "        \
      ".rept 3; .cfi_restore_state; .endr",                                    \
      {CFI_SP, 16, 0, 0})                                                      \
    V(".rept 40; .cfi_remember_state; .endr", NONE)                            \
    V(".cfi_escape 0x0b", NONE)                                                \
    V(".cfi_signal_frame", NONE)                                               \
    V(".cfi_escape 0x0e, 0xff, 0xff, 0xff, 0xff, 0x07",                        \
      {CFI_SP, 0x7fffffff, 0, 0})                                              \
    V(".cfi_escape 0x0e, 0x80, 0x80, 0x80, 0x80, 0x08", NONE)                  \
    V(".cfi_escape 0x0e, 0x90, 0x80, 0x80, 0", {CFI_SP, 16, 0, 0})             \
    V(".cfi_escape 0x0e, 0x90, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, "     \
      "0x80, 0x80, 1",                                                         \
      NONE)                                                                    \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0, 0x0f, 3, 0x76, 0x78, 6",               \
      {CFI_DRAP, -8, 1, 0})                                                    \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0x70, 0x0f, 4, 0x76, 0x80, 0x7f, 6",      \
      {CFI_DRAP, -128, 1, -16})                                                \
    V(".cfi_offset 6, -16; .cfi_escape 0x0f, 3, 0x76, 0x78, 6", NONE)          \
    V(".cfi_escape 0x0f, 3, 0x76, 0x78, 6", NONE)                              \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0, 0x0f, 3, 0x77, 0x78, 6", NONE)         \
    V(".cfi_escape 0x10, 6, 2, 0x77, 0, 0x0f, 3, 0x76, 0x78, 6", NONE)         \
    V(".cfi_escape 0x10, 6, 3, 0x76, 0, 6, 0x0f, 3, 0x76, 0x78, 6", NONE)      \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0, 0x0f, 2, 0x76, 0x78", NONE)            \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0, 0x0f, 5, 0x76, 0x78, 6, 0x23, 8",      \
      NONE)                                                                    \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0, 0x0f, 0", NONE)                        \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0, 0x0f, 3, 0x76, 0x78, 6; "              \
      ".cfi_undefined 16",                                                     \
      END)                                                                     \
    V(".cfi_escape 0x10, 6, 2, 0x76, 0, 0x0f, 3, 0x76, 0x78, 6, 0x0e, 16",     \
      NONE)                                                                    \
    V(".cfi_escape 0x0f, 3, 0x76, 0x78, 6, 0x0c, 7, 16", {CFI_SP, 16, 0, 0})

/* Each in sixteen bytes of its own, one after the other. */
#define ASSEMBLE(cfi, ...)                                              \
    __asm__(".pushsection .text\n.balign 16\n.cfi_startproc\nnop\n" cfi \
            "\n.fill 15, 1, 0x90\n.cfi_endproc\n.popsection");
__asm__(".pushsection .text\n.balign 16\n.hidden victims\n"
        ".globl victims\nvictims:\n.popsection");
VICTIMS(ASSEMBLE)
__asm__(".pushsection .text\n.hidden victims_end\n.globl victims_end\n"
        "victims_end:\n.popsection");
extern const char victims[], victims_end[];

#define ROW(cfi, ...) {cfi, __VA_ARGS__},
static const struct {
    const char *cfi;
    struct cfi_rule expected;
} expectations[] = {VICTIMS(ROW)};
#define EXPECTATIONS (sizeof(expectations) / sizeof(expectations[0]))

static void
test_instructions(void)
{
    const struct cfi_rule plain = PLAIN;
    struct cfi_rule seen;
    size_t wrong = 0;
    int found;

    if (!is_int((int64_t)EXPECTATIONS * 16, victims_end - victims,
                "the functions lie where they should"))
        bail_out("another assembler?");
    for (size_t i = 0; i < EXPECTATIONS; i++) {
        uintptr_t start = (uintptr_t)victims + 16 * i;

        found = cfi_find(start + 2, &seen);
        check(&expectations[i].expected, &seen, found, expectations[i].cfi);
        /* A call at the very end returns into the next function. */
        found = cfi_find(start + 16, &seen);
        wrong += memcmp(&seen, &expectations[i].expected, sizeof(seen)) != 0;
        cfi_find(start + 1, &seen);
        wrong += memcmp(&seen, &plain, sizeof(seen)) != 0 &&
                 !strstr(expectations[i].cfi, "signal");
    }
    is_int(0, (int64_t)wrong, "at the first and last byte too");
}

/* Rows at distances of each width, the last one 70,000 bytes away. */
__asm__(".pushsection .text\n.hidden far\n.globl far\nfar:\n.cfi_startproc\n"
        ".skip 5\n.cfi_def_cfa_offset 16\n"
        ".skip 100\n.cfi_def_cfa_offset 24\n"
        ".skip 300\n.cfi_def_cfa_offset 32\n"
        ".skip 70000\n.cfi_def_cfa_offset 40\n"
        "nop\n.cfi_endproc\n.popsection");
extern const char far[];

static void
test_distances(void)
{
    static const int starts[] = {0, 5, 105, 405, 70405, 70406};
    struct cfi_rule seen;

    for (int i = 0; i < 5; i++) {
        cfi_find((uintptr_t)far + (uintptr_t)starts[i] + 1, &seen);
        is_int(8 + 8 * i, seen.cfa_offset, "row %d begins", i);
        cfi_find((uintptr_t)far + (uintptr_t)starts[i + 1], &seen);
        is_int(8 + 8 * i, seen.cfa_offset, "and ends");
    }
}

/* ---- byte by byte -------------------------------------------------------- */

struct shape {
    const char *what;
    struct cfi_rule expected;
    int version;                /* of the CIE; 0 for 1 */
    const char *letters;        /* NULL for zR */
    int encoding;               /* of pointers; 0 for pcrel, four bytes */
    int is_absolute;            /* 0 for that encoding is meant */
    int column;                 /* of the return address; 0 for 16 */
    int code_align, data_align; /* 0 for 1 and -8 */
    int is_long;                /* lengths of eight bytes */
    int id;                     /* of the CIE */
    int distance;               /* added to the way from FDE to CIE */
    int early;           /* an instruction at the end of the CIE's program */
    int set_loc;         /* to that byte of the code first, by a pointer */
    int advance;         /* then so many units */
    const char *program; /* instead of what that row says; ends with a 0 */
    int at;              /* look at that byte of the code; 0 for 10 */
    int header_version, header_table, count_encoding, frames_encoding, count;
};

struct image {
    uint8_t bytes[512];
    size_t count;
};
static struct image image;
#define CODE ((uintptr_t)&image + 2000) /* 64 bytes that nobody reads */

static void
put(uint64_t value, size_t bytes)
{
    memcpy(image.bytes + image.count, &value, bytes);
    image.count += bytes;
}

static int
given(int value, int otherwise)
{
    return value ? value : otherwise;
}

static void
put_pointer(unsigned int encoding, uint64_t value, int is_relative)
{
    static const uint8_t widths[16] = {8, 0, 2, 4, 8, 0, 0, 0,
                                       8, 0, 2, 4, 8, 0, 0, 0};
    unsigned int width = widths[encoding & 15];

    if (is_relative && (encoding & 0x70) == 0x10)
        value -= (uintptr_t)&image.bytes[image.count];
    if (is_relative && (encoding & 0x70) == 0x30)
        value -= (uintptr_t)&image;
    if (width) {
        put(value, width);
        return;
    }
    for (; value > 0x3f; value >>= 7) /* fits the signed form too */
        put((value & 0x7f) | 0x80, 1);
    put(value, 1);
}

static size_t
begin_entry(const struct shape *s)
{
    size_t at = image.count;

    if (s->is_long)
        put(0xffffffff, 4);
    put(0, s->is_long ? 8 : 4);
    return at;
}

static void
end_entry(const struct shape *s, size_t at)
{
    uint64_t length;

    at += s->is_long ? 4 : 0;
    length = image.count - at - (s->is_long ? 8 : 4);
    memcpy(image.bytes + at, &length, s->is_long ? 8 : 4);
}

static int
encoding_of(const struct shape *s)
{
    return s->is_absolute ? 0 : given(s->encoding, 0x1b);
}

static void
put_common(const struct shape *s)
{
    const char *letters = s->letters ? s->letters : "zR";
    size_t at = begin_entry(s), data;

    put((uint64_t)s->id, s->is_long ? 8 : 4);
    put((uint64_t)given(s->version, 1), 1);
    memcpy(image.bytes + image.count, letters, strlen(letters) + 1);
    image.count += strlen(letters) + 1;
    if (strncmp(letters, "eh", 2) == 0)
        put(0x1234, 8);
    put((uint64_t)given(s->code_align, 1), 1);
    put((uint64_t)given(s->data_align, -8) & 0x7f, 1);
    put((uint64_t)given(s->column, 16), 1);
    if (s->version == 3) { /* one number, not one byte */
        image.bytes[image.count - 1] |= 0x80;
        put(0, 1);
    }
    data = image.count;
    if (*letters == 'z')
        put(0, 1);
    for (const char *l = letters; *letters == 'z' && *l; l++) {
        if (*l == 'R')
            put((uint64_t)encoding_of(s), 1);
        if (*l == 'L')
            put(0x1b, 1);
        if (*l == 'P') {
            put(0x9b, 1);
            put(0x77777777, 4);
        }
    }
    image.bytes[data] =
        (uint8_t)(*letters == 'z' ? image.count - data - 1 : image.bytes[data]);
    put(0x019008070c, 5); /* def_cfa rsp, 8; offset rip, 1 */
    put((uint64_t)s->early, 1);
    end_entry(s, at);
}

static void
put_function(const struct shape *s, size_t common)
{
    const char *letters = s->letters ? s->letters : "zR";
    unsigned int encoding = (unsigned int)encoding_of(s);
    size_t at = begin_entry(s);

    put(image.count - common + (uint64_t)(int64_t)s->distance,
        s->is_long ? 8 : 4);
    put_pointer(encoding, CODE, 1);
    put_pointer(encoding, 64, 0);
    if (*letters == 'z') {
        put(strchr(letters, 'L') ? 4 : 0, 1);
        if (strchr(letters, 'L'))
            put(0x66666666, 4);
    }
    if (s->set_loc) {
        put(0x01, 1);
        put_pointer(encoding, CODE + (uintptr_t)s->set_loc, 1);
    }
    put(0x40 | (unsigned int)s->advance, 1);
    for (const char *p = s->program ? s->program : "\x0e\x10\x86\x02"; *p; p++)
        put((uint8_t)*p, 1); /* def_cfa_offset 16; offset rbp, 2 */
    end_entry(s, at);
}

#define FRAMES 64 /* where .eh_frame begins */

static struct cfi_tables
make_image(const struct shape *s)
{
    size_t entries, common, function;
    int32_t entry[2];

    image.count = 0;
    put((uint64_t)given(s->header_version, 1), 1);
    put((uint64_t)given(s->frames_encoding, 0x1b), 1);
    put((uint64_t)given(s->count_encoding, 0x03), 1);
    put((uint64_t)given(s->header_table, 0x3b), 1);
    put_pointer((unsigned int)given(s->frames_encoding, 0x1b),
                (uintptr_t)image.bytes + FRAMES, 1);
    put_pointer((unsigned int)given(s->count_encoding, 0x03),
                (uint64_t)(1 + s->count), 0);
    entries = image.count;
    common = image.count = FRAMES;
    put_common(s);
    function = image.count;
    put_function(s, common);
    entry[0] = (int32_t)(CODE - (uintptr_t)&image);
    entry[1] = (int32_t)function;
    memcpy(image.bytes + entries, entry, sizeof(entry));
    return (struct cfi_tables){
        (uintptr_t)image.bytes, (uintptr_t)image.bytes + FRAMES,
        (uintptr_t)image.bytes + FRAMES, (uintptr_t)image.bytes + image.count};
}

#define FOUND              \
    {                      \
        CFI_SP, 16, 1, -16 \
    }

static const struct shape shapes[] = {
    {"as the linker here writes it", FOUND, .at = 10},
    {"outside of the function", NONE, .at = 65},
    {"its last byte", FOUND, .at = 64},
    {"before it", NONE, .at = -1},
    {"before the row", PLAIN, .advance = 20},
    {"the row begins", FOUND, .advance = 9},
    {"one byte before it", PLAIN, .advance = 10},
    {"units of code", PLAIN, .code_align = 4, .advance = 3},
    {"as many as there are", FOUND, .code_align = 4, .advance = 2},
    {"units of data", NONE, .data_align = -4},
    {"set_loc", FOUND, .set_loc = 8},
    {"set_loc behind", PLAIN, .set_loc = 20},
    {"set_loc and advance", PLAIN, .set_loc = 8, .advance = 2},
    {"set_loc backwards", NONE, .set_loc = -8},
    {"set_loc, absolute", FOUND, .set_loc = 8, .is_absolute = 1},
    {"lengths of eight bytes", FOUND, .is_long = 1},
    {"no augmentation", FOUND, .letters = "", .is_absolute = 1},
    {"gcc 2", FOUND, .letters = "eh", .is_absolute = 1},
    {"C++", FOUND, .letters = "zPLR"},
    {"C++, LSDA only", FOUND, .letters = "zLR"},
    {"keys of pointer authentication", FOUND, .letters = "zRB"},
    {"no R", FOUND, .letters = "z", .is_absolute = 1},
    {"a signal frame", NONE, .letters = "zRS"},
    {"an unknown letter", NONE, .letters = "zRQ"},
    {"letters without z", NONE, .letters = "R", .is_absolute = 1},
    {"version 3", FOUND, .version = 3},
    {"version 2", NONE, .version = 2},
    {"version 4", NONE, .version = 4},
    {"the return address in rbx", NONE, .column = 3},
    {"absolute, eight bytes", FOUND, .encoding = 0x04},
    {"absolute, signed", FOUND, .encoding = 0x0c},
    {"relative, eight bytes", FOUND, .encoding = 0x10},
    {"relative, eight bytes, signed", FOUND, .encoding = 0x1c},
    {"relative, two bytes", FOUND, .encoding = 0x1a},
    {"relative, two bytes, unsigned", FOUND, .encoding = 0x12},
    {"relative, four bytes, unsigned", FOUND, .encoding = 0x13},
    {"absolute, of any length", FOUND, .encoding = 0x01},
    {"relative, of any length, signed", FOUND, .encoding = 0x19},
    {"indirect", NONE, .encoding = 0x9b},
    {"relative to data", NONE, .encoding = 0x3b},
    {"relative to text", NONE, .encoding = 0x2b},
    {"aligned", NONE, .encoding = 0x50},
    {"no such encoding", NONE, .encoding = 0x05},
    {"no instruction 0x17", NONE, .program = "\x17"},
    {"nor 0x1c", NONE, .program = "\x1c"},
    {"MIPS_advance_loc8", NONE, .program = "\x1d\1\1\1\1\1\1\1\1"},
    {"GNU_window_save", NONE, .program = "\x2d"},
    {"no instruction 0x3f", NONE, .program = "\x3f"},
    {"an operand is missing", NONE, .program = "\x0e"},
    {"a number of ten bytes", NONE,
     .program = "\x0e\x90\x80\x80\x80\x80\x80\x80\x80\x80\x01"},
    {"half of an operand", NONE, .program = "\x0e\x90"},
    {"a block without end", NONE, .program = "\x0f\x7f\x76"},
    {"a block around the world", NONE,
     .program = "\x0f\xff\xff\xff\xff\xff\xff\xff\x7f"},
    {"unknown, but later", PLAIN, .advance = 20, .program = "\x3f"},
    {"the CIE is none", NONE, .id = 1},
    {"a CIE before the first byte", NONE, .distance = 100},
    {"a CIE that is no entry", NONE, .distance = -4},
    {"advance in a CIE", NONE, .early = 0x41},
    {"restore in a CIE", NONE, .early = 0xc6},
    {"remember_state in a CIE", NONE, .early = 0x0a},
    {"version of the header", NONE, .header_version = 2},
    {"a table of another form", NONE, .header_table = 0x1b},
    {"no table", NONE, .header_table = 0xff},
    {"a count of eight bytes", FOUND, .count_encoding = 0x04},
    {"a count of two bytes", FOUND, .count_encoding = 0x02},
    {"no count", NONE, .count_encoding = 0xff},
    {"an empty table", NONE, .count = -1},
    {"a table longer than its header", NONE, .count = 7},
    {"a count somewhere else", NONE, .count_encoding = 0x83},
    {"frames somewhere else", NONE, .frames_encoding = 0x9b},
    {"frames, relative to data", FOUND, .frames_encoding = 0x3b},
    {"frames, eight bytes", FOUND, .frames_encoding = 0x1c},
};

static void
test_shapes(void)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const struct shape *s = &shapes[i];
        struct cfi_tables t = make_image(s);
        struct cfi_rule seen;
        int found =
            cfi_read(&t, CODE + (uintptr_t)(intptr_t)given(s->at, 10), &seen);

        check(&s->expected, &seen, found, s->what);
    }
}

/* Nobody says that tables are made of functions only. */
static void
test_odd_entries(void)
{
    const struct shape s = {.what = "odd"};
    struct cfi_tables t = make_image(&s), none = {0, 0, 0, 0};
    struct cfi_rule seen;
    int32_t common = FRAMES, far_away = 0x7fffffff;

    memcpy(image.bytes + 16, &common, 4);
    is_int(0, cfi_read(&t, CODE + 10, &seen), "the entry is a CIE");
    memcpy(image.bytes + 16, &far_away, 4);
    is_int(0, cfi_read(&t, CODE + 10, &seen), "the entry is not there");
    make_image(&s);
    memset(image.bytes + FRAMES, 0, 4);
    is_int(0, cfi_read(&t, CODE + 10, &seen), "the CIE is the end mark");
    is_int(0, cfi_read(&none, CODE + 10, &seen), "there is nothing");
    is_int(CFI_NONE, seen.kind, "and so it is said");
    is_int(0, cfi_find(0, &seen), "no code at 0");
    is_int(0, cfi_find(1, &seen), "nor at 1");
    is_int(0, cfi_find(UINTPTR_MAX, &seen), "nor at the end");
    is_int(0, cfi_find((uintptr_t)&image, &seen), "nor in data");
}

int
main(void)
{
    modules_refresh();
    test_instructions();
    test_distances();
    test_shapes();
    test_odd_entries();
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
