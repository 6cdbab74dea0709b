/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * object.c -- libdwfl for one file.
 *
 * The file is reported to libdwfl at address 0, whatever its address in the
 * process was: objects that lay at one address at different times do not
 * collide that way, and addresses here are those of the ELF file.
 */
#include "reporter/object.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <uthash.h>

#include "reporter/scopes.h"
#include "reporter/symbols.h"

#define DEBUG_FOLDER "/usr/lib/debug/.build-id"

/* A compile unit that was asked for. */
struct unit {
    Dwarf_Off offset; /* key */
    Dwarf_Die die;
    struct scopes *scopes; /* NULL: no memory */
    UT_hash_handle hh;
};

/* Where a unit's code is, for files without .debug_aranges. */
struct span {
    Dwarf_Addr low, high;
    Dwarf_Die unit;
};

struct object {
    Dwfl *dwfl;
    Dwfl_Module *module;
    Dwarf_Addr bias;  /* libdwfl's address - address in the ELF file */
    Dwarf *dwarf;     /* NULL: no debug information */
    Dwarf_Addr dwarf_bias;
    struct symbols *symbols; /* NULL: not asked for yet */
    struct unit *units;
    struct span *spans;
    size_t span_count, span_size;
    int has_spans;
};

static const Dwfl_Callbacks callbacks = {
    .find_elf = dwfl_build_id_find_elf,
    .find_debuginfo = dwfl_standard_find_debuginfo,
};

/* ---- choosing the file -------------------------------------------------- */

enum choice { CHOICE_SAME, CHOICE_CHANGED, CHOICE_MISSING, CHOICE_NOT_ELF };

static int
is_same_build(Elf *elf, const struct object_wish *wish, int fd)
{
    const void *id;
    ssize_t n = dwelf_elf_gnu_build_id(elf, &id);
    struct stat st;

    if (wish->build_id_bytes)
        return n == (ssize_t)wish->build_id_bytes
            && memcmp(id, wish->build_id, (size_t)n) == 0;
    return fstat(fd, &st) == 0
        && (uint64_t)st.st_mtime * UINT64_C(1000000000)
            <= wish->loaded_realtime_ns;
}

static enum choice
try_file(const char *path, const struct object_wish *wish, int *fd)
{
    enum choice choice = CHOICE_NOT_ELF;
    struct stat st;
    Elf *elf;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return CHOICE_MISSING;
    elf = fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)
        ? elf_begin(*fd, ELF_C_READ_MMAP, NULL)
        : NULL;
    if (elf && elf_kind(elf) == ELF_K_ELF)
        choice = is_same_build(elf, wish, *fd) ? CHOICE_SAME : CHOICE_CHANGED;
    elf_end(elf);
    if (choice != CHOICE_SAME)
        close(*fd);
    return choice;
}

/* The debug file stands in for the object where that is gone: it has the same
   addresses, symbols and lines. */
static int
name_debug_file(const struct object_wish *wish, char *path, size_t size)
{
    size_t used;

    if (wish->build_id_bytes < 2)
        return 0;
    used = (size_t)snprintf(path, size, DEBUG_FOLDER "/%02x/",
                            wish->build_id[0]);
    for (size_t i = 1; i < wish->build_id_bytes && used < size; i++)
        used += (size_t)snprintf(path + used, size - used, "%02x",
                                 wish->build_id[i]);
    return used < size
        && (size_t)snprintf(path + used, size - used, ".debug") < size - used;
}

static enum choice
choose_file(const struct object_wish *wish, char *path, size_t size, int *fd)
{
    enum choice first, other;

    snprintf(path, size, "%s", wish->path);
    first = try_file(path, wish, fd);
    if (first == CHOICE_SAME)
        return first;
    if (wish->pid) {
        snprintf(path, size, "/proc/%d/root%s", wish->pid, wish->path);
        other = try_file(path, wish, fd);
        if (other == CHOICE_SAME)
            return other;
    }
    if (name_debug_file(wish, path, size)
        && try_file(path, wish, fd) == CHOICE_SAME)
        return CHOICE_SAME;
    return first;
}

static const char *
describe(enum choice choice)
{
    switch (choice) {
    case CHOICE_CHANGED:
        return "changed since it was recorded";
    case CHOICE_NOT_ELF:
        return "is no ELF file any more";
    default:
        return "not found";
    }
}

static int
report(struct object *o, const char *path, int fd)
{
    o->dwfl = dwfl_begin(&callbacks);
    if (!o->dwfl) {
        close(fd);
        return -1;
    }
    dwfl_report_begin(o->dwfl);
    o->module = dwfl_report_elf(o->dwfl, path, path, fd, 0, true);
    if (!o->module)
        close(fd);
    dwfl_report_end(o->dwfl, NULL, NULL);
    if (!o->module || !dwfl_module_getelf(o->module, &o->bias))
        return -1;
    o->dwarf = dwfl_module_getdwarf(o->module, &o->dwarf_bias);
    return 0;
}

struct object *
object_open(const struct object_wish *wish, const char **problem)
{
    char path[PATH_MAX + 32];
    struct object *o;
    int fd;
    enum choice choice;

    elf_version(EV_CURRENT);
    choice = choose_file(wish, path, sizeof path, &fd);
    if (choice != CHOICE_SAME) {
        *problem = describe(choice);
        return NULL;
    }
    o = calloc(1, sizeof *o);
    if (!o) {
        close(fd);
        *problem = "no memory";
        return NULL;
    }
    if (report(o, path, fd) != 0) {
        object_close(o);
        *problem = "cannot be read";
        return NULL;
    }
    return o;
}

/* ---- the compile unit at an address ------------------------------------- */

static void
add_span(struct object *o, Dwarf_Addr low, Dwarf_Addr high,
         const Dwarf_Die *unit)
{
    if (o->span_count == o->span_size) {
        size_t more = o->span_size ? o->span_size * 2 : 64;
        struct span *p = realloc(o->spans, more * sizeof *p);

        if (!p)
            return;
        o->spans = p;
        o->span_size = more;
    }
    o->spans[o->span_count++] = (struct span){ low, high, *unit };
}

static int
compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return x->low < y->low ? -1 : x->low > y->low;
}

static void
collect_spans(struct object *o)
{
    Dwarf_CU *cu = NULL;
    Dwarf_Die die;
    uint8_t type;

    while (dwarf_get_units(o->dwarf, cu, &cu, NULL, &type, &die, NULL) == 0) {
        Dwarf_Addr base, low, high;
        ptrdiff_t at = 0;

        while ((at = dwarf_ranges(&die, at, &base, &low, &high)) > 0) {
            if (low && high > low)
                add_span(o, low, high, &die);
        }
    }
    if (o->span_count)
        qsort(o->spans, o->span_count, sizeof *o->spans, compare_spans);
}

static int
find_in_spans(struct object *o, Dwarf_Addr address, Dwarf_Die *unit)
{
    size_t low = 0, high;

    if (!o->has_spans) {
        o->has_spans = 1;
        collect_spans(o);
    }
    high = o->span_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (o->spans[middle].low <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || address >= o->spans[low - 1].high)
        return 0;
    *unit = o->spans[low - 1].unit;
    return 1;
}

/* clang writes no .debug_aranges, which is where libdw looks. */
static int
find_unit_die(struct object *o, Dwarf_Addr address, Dwarf_Die *unit)
{
    return dwarf_addrdie(o->dwarf, address, unit)
        || find_in_spans(o, address, unit);
}

/* With split debug information the functions are in a file of their own. */
static void
enter_split_unit(Dwarf_Die *unit)
{
    Dwarf_Die sub;
    uint8_t type;

    if (dwarf_cu_info(unit->cu, NULL, &type, NULL, &sub, NULL, NULL, NULL) == 0
        && type == DW_UT_skeleton && sub.addr)
        *unit = sub;
}

static struct unit *
find_unit(struct object *o, Dwarf_Addr address)
{
    Dwarf_Die die, code;
    Dwarf_Off offset;
    struct unit *unit = NULL;

    if (!o->dwarf || !find_unit_die(o, address, &die))
        return NULL;
    offset = dwarf_dieoffset(&die);
    HASH_FIND(hh, o->units, &offset, sizeof offset, unit);
    if (unit)
        return unit;
    unit = calloc(1, sizeof *unit);
    if (!unit)
        return NULL;
    unit->offset = offset;
    unit->die = code = die;
    enter_split_unit(&code);
    unit->scopes = scopes_build(&code);
    HASH_ADD(hh, o->units, offset, sizeof unit->offset, unit);
    return unit;
}

/* ---- names and lines ---------------------------------------------------- */

static const char *
find_symbol(struct object *o, uint64_t address)
{
    if (!o->symbols)
        o->symbols = symbols_build(o->module);
    return o->symbols ? symbols_find(o->symbols, address + o->bias) : NULL;
}

static const char *
linkage_name(const struct scope *scope)
{
    Dwarf_Die die = scope->die;
    Dwarf_Attribute attr;

    if (dwarf_attr_integrate(&die, DW_AT_linkage_name, &attr)
        || dwarf_attr_integrate(&die, DW_AT_MIPS_linkage_name, &attr))
        return dwarf_formstring(&attr);
    return NULL;
}

static const char *
plain_name(const struct scope *scope)
{
    Dwarf_Die die = scope->die;
    Dwarf_Attribute attr;

    return dwarf_attr_integrate(&die, DW_AT_name, &attr)
               ? dwarf_formstring(&attr)
               : NULL;
}

static int
is_mangled(const char *symbol)
{
    return symbol && symbol[0] == '_' && (symbol[1] == 'Z' || symbol[1] == 'R');
}

/* The whole name where there is one.  gcc gives none to functions in unnamed
   namespaces; the symbol table knows it unless the function was inlined. */
static const char *
name_of(struct object *o, const struct scope *scope, int is_inlined,
        uint64_t address)
{
    const char *name = linkage_name(scope), *symbol;

    if (name)
        return name;
    name = plain_name(scope);
    symbol = is_inlined ? NULL : find_symbol(o, address);
    return !name || is_mangled(symbol) ? symbol : name;
}

static void
find_line(struct unit *unit, Dwarf_Addr address, struct object_frame *frame)
{
    Dwarf_Line *line = dwarf_getsrc_die(&unit->die, address);

    frame->file = NULL;
    frame->line = 0;
    if (!line)
        return;
    frame->file = dwarf_linesrc(line, NULL, NULL);
    dwarf_lineno(line, &frame->line);
}

/* Where an inlined function was called: the line of the frame around it. */
static void
find_call(struct unit *unit, const struct scope *scope,
          struct object_frame *frame)
{
    Dwarf_Die die = scope->die;
    Dwarf_Attribute attr;
    Dwarf_Word value;
    Dwarf_Files *files;
    size_t count;

    frame->file = NULL;
    frame->line = 0;
    if (dwarf_formudata(dwarf_attr(&die, DW_AT_call_line, &attr), &value) == 0)
        frame->line = (int)value;
    if (dwarf_formudata(dwarf_attr(&die, DW_AT_call_file, &attr), &value) == 0
        && dwarf_getsrcfiles(&unit->die, &files, &count) == 0
        && value < count)
        frame->file = dwarf_filesrc(files, (size_t)value, NULL, NULL);
}

static int
from_symbols(struct object *o, uint64_t address, struct object_frame *frame)
{
    frame->name = find_symbol(o, address);
    return frame->name || frame->file;
}

int
object_frames(struct object *o, uint64_t address, struct object_frame *frames,
              int size)
{
    Dwarf_Addr at = address + o->bias - o->dwarf_bias;
    struct unit *unit = find_unit(o, at);
    const struct scope *scope;
    int n = 0;

    memset(frames, 0, sizeof *frames);
    if (unit)
        find_line(unit, at, frames);
    scope = unit && unit->scopes ? scopes_find(unit->scopes, at) : NULL;
    if (!scope)
        return from_symbols(o, address, frames);
    while (scope && n < size) {
        const struct scope *parent = scopes_parent(unit->scopes, scope);

        frames[n].name = name_of(o, scope, parent != NULL, address);
        n++;
        if (parent && n < size)
            find_call(unit, scope, &frames[n]);
        scope = parent;
    }
    return n;
}

void
object_close(struct object *o)
{
    struct unit *unit, *next;

    if (!o)
        return;
    HASH_ITER(hh, o->units, unit, next) {
        HASH_DEL(o->units, unit);
        scopes_free(unit->scopes);
        free(unit);
    }
    free(o->spans);
    symbols_free(o->symbols);
    if (o->dwfl)
        dwfl_end(o->dwfl);
    free(o);
}
