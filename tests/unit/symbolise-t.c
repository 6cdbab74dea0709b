/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * symbolise-t.c -- are names, lines and inlined functions those that
 * addr2line(1) gives?
 *
 * Programs are compiled here in several ways.  Every return address in them
 * (what follows a call in objdump's listing) is looked up by both; a recording
 * made by hand places the program somewhere else in memory.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "reporter/model.h"
#include "reporter/symbolise.h"
#include "tests/tap/tap.h"

#define BIAS UINT64_C(0x7f0123456000)
#define ADDRESS_MAX 400
#define FRAME_MAX 64

static const char c_source[] =
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "static inline __attribute__((always_inline)) void *\n"
    "innermost(size_t n)\n"
    "{\n"
    "    return malloc(n);\n"
    "}\n"
    "static inline __attribute__((always_inline)) void *\n"
    "middle(size_t n)\n"
    "{\n"
    "    void *p = innermost(n);\n"
    "    return p ? p : innermost(1);\n"
    "}\n"
    "static __attribute__((noinline)) void *\n"
    "hidden(size_t n)\n"
    "{\n"
    "    void *p = middle(n + 1);\n"
    "    puts(\"x\");\n"
    "    return p;\n"
    "}\n"
    "__attribute__((noinline)) void *\n"
    "visible(size_t n)\n"
    "{\n"
    "    void *p = hidden(n);\n"
    "    puts(\"y\");\n"
    "    return p;\n"
    "}\n"
    "int\n"
    "main(int argc, char **argv)\n"
    "{\n"
    "    (void)argv;\n"
    "    for (int i = 0; i < argc; i++)\n"
    "        free(visible(i));\n"
    "    return 0;\n"
    "}\n";

static const char cxx_source[] =
    "#include <cstdio>\n"
    "#include <map>\n"
    "#include <string>\n"
    "#include <vector>\n"
    "namespace knot {\n"
    "template <typename T> struct box {\n"
    "    T *p;\n"
    "    explicit box(const T &v) : p(new T(v)) {}\n"
    "    ~box() { delete p; }\n"
    "};\n"
    "namespace {\n"
    "__attribute__((noinline)) int\n"
    "sum(const std::vector<int> &v)\n"
    "{\n"
    "    int s = 0;\n"
    "    for (int x : v)\n"
    "        s += x + std::puts(\"s\");\n"
    "    return s;\n"
    "}\n"
    "}\n"
    "int\n"
    "operator+(const box<std::string> &a, int n)\n"
    "{\n"
    "    auto f = [&](int k) {\n"
    "        std::vector<int> v(k, n);\n"
    "        return sum(v) + (int)a.p->size();\n"
    "    };\n"
    "    return f(n) + f(n + 1);\n"
    "}\n"
    "}\n"
    "int\n"
    "main(int argc, char **)\n"
    "{\n"
    "    std::map<std::string, int> m;\n"
    "    knot::box<std::string> b(\"knot\");\n"
    "    m[\"a\"] = b + argc;\n"
    "    return m.size() == 0;\n"
    "}\n";

static char folder[PATH_MAX];

/* ---- other tools -------------------------------------------------------- */

TAP_FORMAT(1, 2)
static int
run(const char *format, ...)
{
    char command[8192];
    va_list args;

    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    return system(command);
}

static void
write_source(const char *name, const char *text)
{
    char path[PATH_MAX + 64];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        ok(0, "cannot write %s", path);
}

/* The return addresses of a program, but those of the start-up code, whose
   hand-made symbols have no size. */
static int
list_addresses(const char *program, uint64_t *list)
{
    char command[PATH_MAX + 256];
    unsigned long long address;
    int n = 0;
    FILE *f;

    snprintf(command, sizeof command,
             "objdump -d --no-show-raw-insn -j .text '%s/%s' | "
             "awk '/>:$/ { "
             "ours = $2 !~ /^<(_|d?e?register_).*(aux|start|clones)/; "
             "after = 0 } "
             "after && ours { sub(\":\", \"\", $1); print $1 } "
             "{ after = $2 == \"call\" }'", folder, program);
    f = popen(command, "r");
    while (f && n < ADDRESS_MAX && fscanf(f, "%llx", &address) == 1)
        list[n++] = address;
    if (f)
        pclose(f);
    return n;
}

struct truth {
    int count;
    struct {
        char function[2048], file[1024];
        int line;
    } frames[FRAME_MAX];
};

/* "file:line (discriminator 2)"; "??" is not known. */
static void
split_line(char *text, char *file, size_t file_bytes, int *line)
{
    char *colon;

    text[strcspn(text, "\n")] = '\0';
    text[strcspn(text, " ")] = '\0';
    colon = strrchr(text, ':');
    *line = colon ? atoi(colon + 1) : 0;
    if (colon)
        *colon = '\0';
    snprintf(file, file_bytes, "%.1000s", strcmp(text, "??") ? text : "");
}

static void
ask_addr2line(const char *tool, const char *program, uint64_t address,
              struct truth *truth)
{
    char command[PATH_MAX + 128];
    FILE *f;
    char function[2048], line[1024];

    snprintf(command, sizeof command,
             "%s -i -f -C -e '%s/%s' 0x%" PRIx64, tool, folder, program,
             address);
    truth->count = 0;
    f = popen(command, "r");
    while (f && truth->count < FRAME_MAX
           && fgets(function, sizeof function, f)
           && fgets(line, sizeof line, f)) {
        int n = truth->count++;

        function[strcspn(function, "\n")] = '\0';
        snprintf(truth->frames[n].function, sizeof function, "%s",
                 strcmp(function, "??") ? function : "");
        split_line(line, truth->frames[n].file, sizeof truth->frames[n].file,
                   &truth->frames[n].line);
    }
    if (f)
        pclose(f);
}

/* ---- a recording of one module ------------------------------------------ */

struct fixture {
    struct recording rec;
    struct hkr_module modules[2];
    struct hkr_node nodes[ADDRESS_MAX + 1];
    char strings[PATH_MAX + 256];
    uint64_t addresses[ADDRESS_MAX];
    int count;
};

static void
read_build_id(const char *program, struct hkr_module *module)
{
    char command[PATH_MAX + 128];
    unsigned byte;
    FILE *f;

    snprintf(command, sizeof command,
             "readelf -n '%s/%s' 2>/dev/null | sed -n 's/.*Build ID: //p'",
             folder, program);
    module->build_id_bytes = 0;
    f = popen(command, "r");
    while (f && module->build_id_bytes < sizeof module->build_id
           && fscanf(f, "%2x", &byte) == 1)
        module->build_id[module->build_id_bytes++] = (uint8_t)byte;
    if (f)
        pclose(f);
}

static void
set_up(struct fixture *x, const char *program, uint64_t bias)
{
    memset(x, 0, sizeof *x);
    snprintf(x->strings + 1, sizeof x->strings - 1, "%s/%s", folder, program);
    x->count = list_addresses(program, x->addresses);
    for (int i = 0; i < x->count; i++) {
        x->nodes[i + 1].pc = x->addresses[i] + bias;
        x->nodes[i + 1].module = 1;
    }
    x->modules[1].bias = bias;
    x->modules[1].start = bias;
    x->modules[1].end = bias + (1 << 24);
    x->modules[1].path = 1;
    read_build_id(program, &x->modules[1]);
    x->rec.modules = x->modules;
    x->rec.module_count = 2;
    x->rec.nodes = x->nodes;
    x->rec.node_count = (uint32_t)x->count + 1;
    x->rec.strings = x->strings;
    x->rec.string_bytes = sizeof x->strings;
    x->rec.header.state = HKR_STATE_EXITED;
    x->rec.header.start_realtime_ns = UINT64_C(4000000000000000000);
}

/* ---- comparing ---------------------------------------------------------- */

static const char *
base_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : path ? path : "";
}

/* Blanks do not count: "operator< <char" or "operator<<char".  addr2line names
   compilers' copies of a function by their symbol, with more behind it. */
static int
same_function(const char *truth, const char *seen)
{
    if (!seen)
        return truth[0] == '\0';
    for (; *seen; seen++, truth++) {
        while (*truth == ' ')
            truth++;
        while (*seen == ' ')
            seen++;
        if (*truth != *seen)
            return 0;
    }
    return !*truth || *truth == '.' || strncmp(truth, " [clone", 7) == 0;
}

/* An inlined lambda has no linkage name from gcc: GNU addr2line then repeats
   the name of the function around it. */
static int
is_repeated(const struct truth *truth, int i)
{
    return i + 1 < truth->count
        && strcmp(truth->frames[i].function, truth->frames[i + 1].function)
            == 0;
}

static int
differs(const struct truth *truth, const struct sym_frame *seen, int count)
{
    int bad = truth->count != count;

    for (int i = 0; i < count && i < truth->count; i++) {
        bad |= !same_function(truth->frames[i].function, seen[i].function)
            && !is_repeated(truth, i);
        bad |= strcmp(base_of(truth->frames[i].file), base_of(seen[i].file));
        bad |= truth->frames[i].line != seen[i].line;
        bad |= seen[i].inlined != (i < count - 1);
    }
    return bad != 0;
}

static void
show_difference(uint64_t address, const struct truth *truth,
                const struct sym_frame *seen, int count)
{
    diag("at 0x%" PRIx64, address);
    for (int i = 0; i < truth->count; i++)
        diag("  addr2line %s %s:%d", truth->frames[i].function,
             truth->frames[i].file, truth->frames[i].line);
    for (int i = 0; i < count; i++)
        diag("  heapknot  %s %s:%d", seen[i].function ? seen[i].function : "?",
             seen[i].file ? seen[i].file : "", seen[i].line);
}

/* Compares all addresses; at least `least` must have inlined functions. */
static void
compare(const char *tool, const char *program, uint64_t bias, int least)
{
    static struct fixture x;
    static struct truth truth;
    struct symboliser *s;
    const struct sym_frame *frames;
    int different = 0, inlined = 0;

    set_up(&x, program, bias);
    s = symboliser_open(&x.rec);
    for (int i = 0; i < x.count; i++) {
        int n = symboliser_frames(s, (uint32_t)i + 1, &frames);

        ask_addr2line(tool, program, x.addresses[i] - 1, &truth);
        inlined += n > 1;
        if (differs(&truth, frames, n)) {
            if (different++ < 3)
                show_difference(x.addresses[i], &truth, frames, n);
        }
    }
    ok(x.count > 0 && different == 0, "%s: %d of %d return addresses as "
       "addr2line says", program, x.count - different, x.count);
    ok(inlined >= least, "%s: %d places with inlined functions", program,
       inlined);
    symboliser_close(s);
}

static int
build(const char *program, const char *with, const char *flags,
      const char *source)
{
    return run("cd '%s' && %s -o %s %s %s 2>build.log", folder, with,
               program, flags, source);
}

/* GNU addr2line misses inlined functions in what clang wrote. */
static const char *
tool_for(const char *program)
{
    return strstr(program, "clang") ? "llvm-addr2line" : "addr2line";
}

static void
try_build(const char *program, const char *compiler_name, const char *flags,
          const char *source, uint64_t bias)
{
    const char *tool = tool_for(program);

    if (build(program, compiler_name, flags, source) != 0)
        skip(2, "cannot be compiled here");
    else if (run("command -v %s >/dev/null", tool) != 0)
        skip(2, "nothing to compare with");
    else
        compare(tool, program, bias, 1);
}

/* ---- the cases ---------------------------------------------------------- */

static const char *
compiler(void)
{
    const char *cc = getenv("CC");

    return cc && *cc ? cc : "cc";
}

static void
test_compilers(void)
{
    try_build("c-pie", compiler(), "-O2 -g", "a.c", BIAS);
    try_build("c-fixed", compiler(), "-O2 -g -no-pie", "a.c", 0);
    try_build("c-dwarf4", compiler(), "-O1 -gdwarf-4", "a.c", BIAS);
    try_build("c-zdebug", compiler(), "-O2 -g -gz", "a.c", BIAS);
    try_build("c-clang", "clang", "-O2 -g", "a.c", BIAS);
    try_build("c-clang-aranges", "clang", "-O2 -g -gdwarf-aranges", "a.c",
              BIAS);
    try_build("cxx", "c++", "-O2 -g", "b.cc", BIAS);
    try_build("cxx-clang", "clang++", "-O2 -g", "b.cc", BIAS);
}

/* How many frames have that function. */
static int
count_function(struct fixture *x, struct symboliser *s, const char *function)
{
    const struct sym_frame *frames;
    int found = 0;

    for (int i = 1; i <= x->count; i++) {
        int n = symboliser_frames(s, (uint32_t)i, &frames);

        for (int k = 0; k < n; k++)
            found += frames[k].function
                && strcmp(frames[k].function, function) == 0;
    }
    return found;
}

static void
test_stripped(void)
{
    static struct fixture x;
    struct symboliser *s;

    run("cd '%s' && %s -O2 -g -rdynamic -o bare a.c && strip bare", folder,
        compiler());
    set_up(&x, "bare", BIAS);
    s = symboliser_open(&x.rec);
    ok(count_function(&x, s, "visible") > 0,
       "stripped: exported functions have names");
    is_int(0, count_function(&x, s, "hidden"),
           "stripped: static ones have none");
    is_int(0, count_function(&x, s, "innermost"),
           "stripped: inlined ones are not seen");
    is_str(NULL, symboliser_module_problem(s, 1), "stripped is no problem");
    symboliser_close(s);
}

static void
test_debuglink(void)
{
    static struct fixture x;
    struct symboliser *s;

    run("cd '%s' && %s -O2 -g -o linked a.c && "
        "objcopy --only-keep-debug linked linked.debug && strip linked && "
        "objcopy --add-gnu-debuglink=linked.debug linked", folder,
        compiler());
    set_up(&x, "linked", BIAS);
    s = symboliser_open(&x.rec);
    ok(count_function(&x, s, "hidden") > 0
       && count_function(&x, s, "innermost") > 0,
       "separate debug file: all names are back");
    symboliser_close(s);
}

static void
expect_no_names(struct fixture *x, const char *problem, const char *what)
{
    struct symboliser *s = symboliser_open(&x->rec);
    const struct sym_frame *frames;
    int named = 0;

    for (int i = 1; i <= x->count; i++) {
        int n = symboliser_frames(s, (uint32_t)i, &frames);

        named += n != 1 || frames->function || frames->line
            || !frames->module;
    }
    is_int(0, named, "%s: no frame has a name, all have a module", what);
    is_str(problem, symboliser_module_problem(s, 1), "%s: and why", what);
    symboliser_close(s);
}

static void
test_changed(void)
{
    static struct fixture x;

    build("moving", compiler(), "-O2 -g", "a.c");
    set_up(&x, "moving", BIAS);
    build("moving", compiler(), "-O0 -g", "a.c");
    expect_no_names(&x, "changed since it was recorded", "changed");
    build("moving", compiler(), "-O0 -g -Wl,--build-id=none", "a.c");
    expect_no_names(&x, "changed since it was recorded", "build-id lost");
    write_source("moving", "no program");
    expect_no_names(&x, "is no ELF file any more", "overwritten");
    run("rm '%s/moving'", folder);
    expect_no_names(&x, "not found", "removed");
}

/* Without a build-id the time of the file decides. */
static void
test_no_build_id(void)
{
    static struct fixture x;
    struct symboliser *s;

    build("anonymous", compiler(), "-O2 -g -Wl,--build-id=none", "a.c");
    set_up(&x, "anonymous", BIAS);
    s = symboliser_open(&x.rec);
    ok(count_function(&x, s, "hidden") > 0, "no build-id, older file: named");
    symboliser_close(s);
    x.rec.header.start_realtime_ns = UINT64_C(1000000000000000000);
    expect_no_names(&x, "changed since it was recorded",
                    "no build-id, newer file");
}

static void
test_odd_places(void)
{
    static struct fixture x;
    struct symboliser *s;
    const struct sym_frame *frames, *again;

    build("odd", compiler(), "-O2 -g", "a.c");
    set_up(&x, "odd", BIAS);
    x.nodes[1].module = 0;
    x.nodes[2].pc = 0;
    x.nodes[3].pc = UINT64_MAX;
    x.nodes[4].pc = BIAS + 1;
    s = symboliser_open(&x.rec);
    for (uint32_t node = 1; node <= 4; node++) {
        is_int(1, symboliser_frames(s, node, &frames), "odd %u: one frame",
               node);
        is_str(NULL, frames->function, "odd %u: no function", node);
    }
    is_int(1, symboliser_frames(s, 0, &frames), "node 0 has a frame");
    is_int(1, symboliser_frames(s, 1u << 30, &frames), "so has no node");
    symboliser_frames(s, 5, &frames);
    symboliser_frames(s, 5, &again);
    ok(frames == again, "the second answer is the first one");
    symboliser_close(s);
    symboliser_close(NULL);
    ok(getenv("DEBUGINFOD_URLS") == NULL, "the network is not asked");
}

int
main(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%s/symbolise-t.XXXXXX",
             tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(folder))
        return 1;
    setenv("DEBUGINFOD_URLS", "http://127.0.0.1:9/", 1);
    write_source("a.c", c_source);
    write_source("b.cc", cxx_source);
    test_compilers();
    test_stripped();
    test_debuglink();
    test_changed();
    test_no_build_id();
    test_odd_places();
    run("rm -rf '%s'", folder);
    return done_testing();
}
