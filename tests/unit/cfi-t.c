/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi-t.c -- does the agent read call frame information as binutils do?
 *
 * The truth is what readelf prints of real objects that are loaded here: the
 * table of every function (frames-interp) and, for realigned stacks, whose CFA
 * that table calls "exp", the instructions (frames).
 *
 *      cfi-t [OBJECT...]       compares more shared objects
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/boot.h"
#include "agent/cfi.h"
#include "agent/modules.h"
#include "tests/tap/tap.h"

uint32_t boot_phase = PHASE_LIVE;
uint64_t boot_first_ns, boot_start_ns, boot_start_realtime_ns;

#ifdef __x86_64__

/* Not every compiler realigns a stack so that such a frame comes of it. */
__asm__(".pushsection .text\n"
        "realigned:\n"
        "    .cfi_startproc\n"
        "    lea 8(%rsp), %r10\n"
        "    .cfi_def_cfa r10, 0\n"
        "    and $-64, %rsp\n"
        "    push -8(%r10)\n"
        "    push %rbp\n"
        "    mov %rsp, %rbp\n"
        "    .cfi_escape 0x10, 6, 2, 0x76, 0\n"
        "    push %r10\n"
        "    .cfi_escape 0x0f, 3, 0x76, 0x78, 0x06\n"
        "    nop\n"
        "    .cfi_endproc\n"
        ".popsection");

#define COLUMN_MAX 40
#define REPORT_MAX 10u

/* ---- what readelf says --------------------------------------------------- */

struct function {
    uintptr_t start, end;
    long cfa_slot, fp_slot; /* of a realigned stack */
    int is_drap, is_other;  /* kinds of CFA expressions it has */
};
struct functions {
    struct function *all;
    size_t count, room;
};
struct common {
    uintptr_t offset;
    int is_signal;
    char cfa[24], fp[24], sp[24], ra[24]; /* the first row */
};

struct compared {
    const char *path;
    uintptr_t bias;
    struct functions functions;
    struct common commons[4000];
    size_t common_count, at; /* function that is being read */
    struct common *common;   /* of it */
    int columns[COLUMN_MAX]; /* what is in each: 'c', 'b', 's', 'r' or 0 */
    uintptr_t row_start;     /* of the row that is not yet compared */
    struct common row;
    int has_row, is_common;
    uint64_t rows, lookups, differences, plain, drap, ends, expressions;
};

static FILE *
readelf(const char *what, const char *path)
{
    char command[4200];

    snprintf(command, sizeof(command),
             "LC_ALL=C readelf --debug-dump=%s '%s' 2>/dev/null", what, path);
    return popen(command, "r");
}

/* Lines of .eh_frame only. */
static char *
next_line(FILE *f, char *line, size_t size)
{
    static int is_ours;

    while (fgets(line, (int)size, f)) {
        if (strncmp(line, "Contents of the ", 16) == 0)
            is_ours = strstr(line, ".eh_frame section") != NULL;
        else if (is_ours)
            return line;
    }
    is_ours = 0;
    return NULL;
}

static void
add_function(struct functions *f, uintptr_t start, uintptr_t end)
{
    if (f->count == f->room) {
        f->room = f->room ? 2 * f->room : 1024;
        f->all = realloc(f->all, f->room * sizeof(f->all[0]));
    }
    f->all[f->count++] = (struct function){.start = start, .end = end};
}

static void
read_expression(struct function *f, const char *line)
{
    long n;
    char tail[8];

    if (sscanf(line,
               " DW_CFA_def_cfa_expression (DW_OP_breg6 (rbp): %ld; "
               "DW_OP_deref%1[)]",
               &n, tail) == 2) {
        f->is_other |= f->is_drap && f->cfa_slot != n;
        f->is_drap = 1;
        f->cfa_slot = n;
    } else if (strstr(line, "DW_CFA_def_cfa_expression")) {
        f->is_other = 1;
    }
    if (sscanf(line,
               " DW_CFA_expression: r6 (rbp) (DW_OP_breg6 (rbp): %ld%1[)]", &n,
               tail) == 2)
        f->fp_slot = n;
}

static int
read_functions(struct functions *f, const char *path)
{
    FILE *in = readelf("frames", path);
    char line[4096];
    uintptr_t start, end;

    if (!in)
        return 0;
    while (next_line(in, line, sizeof(line)))
        if (sscanf(line, "%*x %*x %*x FDE cie=%*x pc=%lx..%lx", &start, &end) ==
            2)
            add_function(f, start, end);
        else if (f->count)
            read_expression(&f->all[f->count - 1], line);
    pclose(in);
    return f->count > 0;
}

/* ---- a row against cfi_find ---------------------------------------------- */

static long
number_after(const char *text, const char *prefix, int *matches)
{
    size_t n = strlen(prefix);
    char *end;
    long value;

    *matches = 0;
    if (strncmp(text, prefix, n) != 0 || (text[n] != '+' && text[n] != '-'))
        return 0;
    value = strtol(text + n, &end, 10);
    *matches = *end == '\0';
    return value;
}

static int
is_unsaved(const char *column)
{
    return strcmp(column, "u") == 0 || strcmp(column, "s") == 0;
}

static struct cfi_rule
expected_rule(const struct common *row, int is_signal, const struct function *f)
{
    const struct cfi_rule none = {.kind = CFI_NONE};
    struct cfi_rule r = none;
    int is_sp, is_fp, is_saved;
    long sp = number_after(row->cfa, "rsp", &is_sp);
    long fp = number_after(row->cfa, "rbp", &is_fp);
    long saved = number_after(row->fp, "c", &is_saved);

    if (is_signal)
        return none;
    if (strcmp(row->ra, "u") == 0)
        return (struct cfi_rule){.kind = CFI_END};
    if (strcmp(row->ra, "c-8") != 0 || !is_unsaved(row->sp))
        return none;
    if (strcmp(row->cfa, "exp") == 0) {
        if (!f->is_drap || strcmp(row->fp, "exp") != 0)
            return none;
        return (struct cfi_rule){CFI_DRAP, (int32_t)f->cfa_slot, 1,
                                 (int32_t)f->fp_slot};
    }
    if (!(is_sp || is_fp) || !(is_saved || is_unsaved(row->fp)))
        return none;
    r.kind = is_sp ? CFI_SP : CFI_FP;
    r.cfa_offset = (int32_t)(is_sp ? sp : fp);
    r.fp_is_saved = (uint32_t)is_saved;
    r.fp_offset = (int32_t)saved;
    return r;
}

static int
is_same(const struct cfi_rule *a, const struct cfi_rule *b)
{
    return a->kind == b->kind && a->cfa_offset == b->cfa_offset &&
           a->fp_is_saved == b->fp_is_saved && a->fp_offset == b->fp_offset;
}

static void
compare_at(struct compared *c, uintptr_t pc, const struct cfi_rule *expected)
{
    struct cfi_rule seen;
    int found = cfi_find(c->bias + pc, &seen);

    c->lookups++;
    if (found == (seen.kind != CFI_NONE) && is_same(expected, &seen))
        return;
    if (c->differences++ < REPORT_MAX)
        diag("%s: return address 0x%lx: expected %u %d %u %d, "
             "seen %u %d %u %d",
             c->path, pc, expected->kind, expected->cfa_offset,
             expected->fp_is_saved, expected->fp_offset, seen.kind,
             seen.cfa_offset, seen.fp_is_saved, seen.fp_offset);
}

/* The last row, now that it is known where it ends. */
static void
compare_row(struct compared *c, uintptr_t end)
{
    const struct function *f = &c->functions.all[c->at];
    struct cfi_rule expected;
    uintptr_t start = c->row_start;

    c->has_row = 0;
    if (start >= end)
        return;
    expected = expected_rule(&c->row, c->common->is_signal, f);
    if (strcmp(c->row.cfa, "exp") == 0) {
        c->expressions++;
        if (f->is_drap && f->is_other) /* which is it? */
            return;
    }
    c->rows++;
    c->plain += expected.kind == CFI_SP || expected.kind == CFI_FP;
    c->drap += expected.kind == CFI_DRAP;
    c->ends += expected.kind == CFI_END;
    compare_at(c, start + 1, &expected);
    compare_at(c, start + (end - start + 1) / 2, &expected);
    compare_at(c, end, &expected);
}

/* ---- the table that readelf prints --------------------------------------- */

static void
finish_function(struct compared *c)
{
    if (c->has_row && !c->is_common)
        compare_row(c, c->functions.all[c->at].end);
    c->has_row = 0;
}

/* A function without instructions of its own has no row printed: it begins
   with that of its CIE. */
static void
begin_function(struct compared *c, uintptr_t cie, uintptr_t start)
{
    finish_function(c);
    c->at++;
    c->common = NULL;
    for (size_t i = 0; i < c->common_count && !c->common; i++)
        if (c->commons[i].offset == cie)
            c->common = &c->commons[i];
    if (!c->common || c->functions.all[c->at].start != start)
        bail_out("readelf contradicts itself");
    c->row = *c->common;
    c->row_start = start;
    c->has_row = 1;
    c->is_common = 0;
}

static void
begin_common(struct compared *c, uintptr_t offset, const char *letters)
{
    finish_function(c);
    c->is_common = 1;
    if (c->common_count == sizeof(c->commons) / sizeof(c->commons[0]))
        bail_out("too many CIEs");
    c->common = &c->commons[c->common_count++];
    *c->common = (struct common){.offset = offset,
                                 .is_signal = strchr(letters, 'S') != NULL,
                                 .cfa = "?",
                                 .fp = "u",
                                 .sp = "u",
                                 .ra = "u"};
}

static void
read_columns(struct compared *c, char *line)
{
    int n = 0;

    memset(c->columns, 0, sizeof(c->columns));
    for (char *w = strtok(line, " \n"); w && n < COLUMN_MAX;
         w = strtok(NULL, " \n"), n++)
        c->columns[n] = strcmp(w, "CFA") == 0   ? 'c'
                        : strcmp(w, "rbp") == 0 ? 'b'
                        : strcmp(w, "rsp") == 0 ? 's'
                        : strcmp(w, "ra") == 0  ? 'r'
                                                : 0;
}

static void
read_row(struct compared *c, char *line)
{
    struct common row = {.cfa = "?", .fp = "u", .sp = "u", .ra = "u"};
    char *word = strtok(line, " \n");
    uintptr_t start = strtoul(word, NULL, 16);
    int n = 1;

    for (word = strtok(NULL, " \n"); word && n < COLUMN_MAX;
         word = strtok(NULL, " \n"), n++) {
        if (*word == '(') /* the register's name, after its number */
            word = strtok(NULL, " \n");
        if (!word)
            break;
        char *to = c->columns[n] == 'c'   ? row.cfa
                   : c->columns[n] == 'b' ? row.fp
                   : c->columns[n] == 's' ? row.sp
                   : c->columns[n] == 'r' ? row.ra
                                          : NULL;
        if (to)
            snprintf(to, sizeof(row.cfa), "%s", word);
    }
    if (c->is_common) {
        row.offset = c->common->offset;
        row.is_signal = c->common->is_signal;
        *c->common = row;
        return;
    }
    if (c->has_row)
        compare_row(c, start);
    c->row = row;
    c->row_start = start;
    c->has_row = 1;
}

static void
read_table(struct compared *c)
{
    FILE *in = readelf("frames-interp", c->path);
    char line[4096], letters[64];
    uintptr_t offset, cie, start;

    c->at = (size_t)-1;
    while (in && next_line(in, line, sizeof(line)))
        if (sscanf(line, "%*x %*x %*x FDE cie=%lx pc=%lx..%*x", &cie, &start) ==
            2)
            begin_function(c, cie, start);
        else if (sscanf(line, "%lx %*x %*x CIE \"%63[^\"]\"", &offset,
                        letters) == 2)
            begin_common(c, offset, letters);
        else if (strncmp(line, "   LOC", 6) == 0)
            read_columns(c, line);
        else if (strspn(line, "0123456789abcdef") == 16 && line[16] == ' ' &&
                 !strstr(line, "ZERO terminator"))
            read_row(c, line);
    finish_function(c);
    if (in)
        pclose(in);
}

static int
by_start(const void *a, const void *b)
{
    const struct function *f = a, *g = b;

    return f->start < g->start ? -1 : f->start > g->start;
}

/* Between functions nothing is known. */
static void
compare_gaps(struct compared *c)
{
    const struct cfi_rule none = {.kind = CFI_NONE};
    struct function *f = c->functions.all;

    qsort(f, c->functions.count, sizeof(f[0]), by_start);
    for (size_t i = 0; i + 1 < c->functions.count; i++)
        if (f[i].end < f[i + 1].start) {
            compare_at(c, f[i].end + 1, &none);
            compare_at(c, f[i + 1].start, &none);
        }
}

static uint64_t all_rows, all_drap, all_ends;

static void
compare_object(const char *path, uintptr_t bias)
{
    static struct compared c;

    c = (struct compared){.path = path, .bias = bias};
    if (!read_functions(&c.functions, path)) {
        ok(0, "readelf prints the frames of %s", path);
        return;
    }
    read_table(&c);
    compare_gaps(&c);
    free(c.functions.all);
    is_int(0, (int64_t)c.differences, "%s: rules are those of readelf", path);
    ok(c.plain > c.rows / 2, "most are plain");
    diag("%lu rows: %lu plain, %lu realigned, %lu outermost, %lu by "
         "expressions; %lu look-ups",
         c.rows, c.plain, c.drap, c.ends, c.expressions, c.lookups);
    all_rows += c.rows;
    all_drap += c.drap;
    all_ends += c.ends;
}

static void
compare_loaded(const char *name)
{
    void *lib = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    struct link_map *map;
    char path[4096];

    if (!lib || dlinfo(lib, RTLD_DI_LINKMAP, &map) != 0) {
        skip(2, "no such object here");
        return;
    }
    modules_refresh();
    if (!realpath(map->l_name[0] ? map->l_name : "/proc/self/exe", path))
        bail_out("no path");
    compare_object(path, map->l_addr);
}

static void
test_objects(int count, char **paths)
{
    static const char *const names[] = {
        NULL,
        "libc.so.6",
        "ld-linux-x86-64.so.2",
        "libm.so.6",
        "libstdc++.so.6",
        "libcrypto.so.3",
        "libpython3.11.so.1.0",
    };
    const size_t n = sizeof(names) / sizeof(names[0]);

    if (system("readelf --version >/dev/null 2>&1") != 0) {
        skip((int)n * 2 + 3, "no readelf: nothing to compare with");
        return;
    }
    for (size_t i = 0; i < n; i++)
        compare_loaded(names[i]);
    for (int i = 0; i < count; i++)
        compare_loaded(paths[i]);
    ok(all_rows > 30000, "%lu rows were compared", all_rows);
    ok(all_ends > 0, "the outermost frame was among them");
    ok(all_drap > 0, "and a realigned one");
}

int
main(int argc, char **argv)
{
    modules_refresh();
    test_objects(argc - 1, argv + 1);
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
