/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-types -- what hk_type_register takes and refuses, and what a table of
 * fields visits.
 */
#include <errno.h>
#include <pthread.h>

#include "heapknot.h"
#include "lib/type.h"
#include "tests/tap/tap.h"

struct point {
    void *deep;
};

struct plain_node {
    struct plain_node *next;
    void *held;
};

struct thing {
    hk_object head;
    void *one;
    void *weak;
    void *row[3];
    size_t many_count;
    void **many;
    struct point inner;
    struct plain_node *list;
};

static const hk_field point_fields[] = {
    {"deep", HK_REF, offsetof(struct point, deep), 0},
    {0},
};
static const hk_slist_spec node_list = {
    offsetof(struct plain_node, next),
    offsetof(struct plain_node, held),
};

static hk_field thing_fields[] = {
    {"one", HK_REF, offsetof(struct thing, one), 0},
    {"weak", HK_WEAK, offsetof(struct thing, weak), 0},
    {"row", HK_REF_INLINE, offsetof(struct thing, row), 3},
    {"many", HK_REF_ARRAY, offsetof(struct thing, many),
     offsetof(struct thing, many_count)},
    {"inner", HK_EMBED, offsetof(struct thing, inner), (size_t)point_fields},
    {"list", HK_SLIST, offsetof(struct thing, list), (size_t)&node_list},
    {0},
};

static hk_type_spec
good(const char *name)
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = sizeof(struct thing);
    s.fields = thing_fields;
    return s;
}

/* ---- bad specs ---------------------------------------------------------- */

static hk_field beyond[] = {{"far", HK_REF, sizeof(struct thing), 0}, {0}};
static hk_field huge[] = {{"far", HK_REF, (size_t)-8, 0}, {0}};
static hk_field unknown[] = {{"odd", 99, 16, 0}, {0}};
static hk_field negative[] = {{"odd", -1, 16, 0}, {0}};
static hk_field unnamed[] = {{NULL, HK_REF, 16, 0}, {0}};
static hk_field skewed[] = {{"skewed", HK_REF, 17, 0}, {0}};
static hk_field row_out[] = {{"row", HK_REF_INLINE, 16, 1000}, {0}};
static hk_field row_wraps[] = {
    {"row", HK_REF_INLINE, 16, SIZE_MAX / 8 + 2}, {0}};
static hk_field row_empty[] = {{"row", HK_REF_INLINE, 16, 0}, {0}};
static hk_field length_out[] = {
    {"many", HK_REF_ARRAY, 16, sizeof(struct thing)}, {0}};
static hk_field no_table[] = {{"inner", HK_EMBED, 16, 0}, {0}};
static hk_field no_list[] = {{"list", HK_SLIST, 16, 0}, {0}};
static hk_field second_word[] = {{"second", HK_REF, 8, 0}, {0}};
static hk_field inner_out[] = {
    {"inner", HK_EMBED, sizeof(struct thing) - 8, (size_t)second_word}, {0}};
static hk_field itself[] = {{"itself", HK_EMBED, 0, (size_t)itself}, {0}};

#define FIELDS(name) {#name, name, 0, 0, 0, 0, 0, 0, EINVAL

static const struct bad {
    const char *what;
    const hk_field *fields;
    size_t struct_size, size, header_offset;
    unsigned flags;
    size_t offset, width;
    int code;
    const char *sentence; /* a part of it */
} bads[] = {
    FIELDS(beyond), "far is outside the struct"},
    FIELDS(huge), "far is outside the struct"},
    FIELDS(unknown), "odd has an unknown kind"},
    FIELDS(negative), "odd has an unknown kind"},
    FIELDS(unnamed), "needs a label"},
    FIELDS(skewed), "skewed is misaligned"},
    FIELDS(row_out), "row is outside the struct"},
    FIELDS(row_wraps), "row is outside the struct"},
    FIELDS(row_empty), "row has no elements"},
    FIELDS(length_out), "many has its length outside"},
    FIELDS(no_table), "inner embeds a struct"},
    FIELDS(no_list), "list is a list"},
    FIELDS(inner_out), "second is outside the struct"},
    FIELDS(itself), "nested too deeply"},
    {"newer spec", thing_fields, sizeof(hk_type_spec) + 8, 0, 0, 0, 0, 0,
     EINVAL, "newer than this library"},
    {"no struct_size", thing_fields, 1, 0, 0, 0, 0, 0, EINVAL,
     "struct_size of a type spec"},
    {"size 0", thing_fields, 0, SIZE_MAX, 0, 0, 0, 0, EINVAL, "size is 0"},
    {"skewed header", thing_fields, 0, 0, 4, 0, 0, 0, EINVAL,
     "header_offset is not a multiple of 8"},
    {"header outside", thing_fields, 0, 0, sizeof(struct thing) - 8, 0, 0, 0,
     EINVAL, "header is outside the struct"},
    {"no room for a header", NULL, 0, 8, 0, HK_TYPE_LEAF, 0, 0, EINVAL,
     "header is outside the struct"},
    {"container of nothing", NULL, 0, 0, 0, 0, 0, 0, EINVAL,
     "needs fields or traverse"},
    {"flags", thing_fields, 0, 0, 0, 0x80, 0, 0, EINVAL, "flags has a bit"},
    {"count of 2 bytes", NULL, 0, 0, 0, HK_TYPE_FOREIGN | HK_TYPE_LEAF, 0, 2,
     EINVAL, "neither 4 nor 8"},
    {"no count", NULL, 0, 0, 0, HK_TYPE_FOREIGN | HK_TYPE_LEAF, 0, 0, EINVAL,
     "neither 4 nor 8"},
    {"count outside", NULL, 0, 0, 0, HK_TYPE_FOREIGN | HK_TYPE_LEAF,
     sizeof(struct thing) - 4, 8, EINVAL, "count is outside the struct"},
    {"skewed count", NULL, 0, 0, 0, HK_TYPE_FOREIGN | HK_TYPE_LEAF, 2, 4,
     EINVAL, "refcount_offset is misaligned"},
};

static void
try_bad(const struct bad *b)
{
    hk_type_spec s = good("bad");
    const char *said;

    s.fields = b->fields;
    s.struct_size = b->struct_size ? b->struct_size : sizeof(s);
    s.size = b->size == SIZE_MAX ? 0 : b->size ? b->size : s.size;
    s.header_offset = b->header_offset;
    s.flags = b->flags;
    s.refcount_offset = b->offset;
    s.refcount_width = b->width;
    errno = 0;
    ok(hk_type_register(&s) == NULL, "%s: refused", b->what);
    is_int(b->code, errno, "%s: errno", b->what);
    said = hk_last_error();
    if (!ok(strstr(said, b->sentence) != NULL, "%s: sentence", b->what))
        diag("%s", said);
}

static void
bad_specs(void)
{
    static hk_field endless[5000];
    hk_type_spec s = good(NULL);

    for (size_t i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
        try_bad(&bads[i]);
    ok(!hk_type_register(NULL) && errno == EINVAL, "no spec");
    ok(!hk_type_register(&s) && strstr(hk_last_error(), "needs a name"),
       "no name");
    s.name = "";
    ok(!hk_type_register(&s) && errno == EINVAL, "an empty name");
    for (int i = 0; i < 5000; i++)
        endless[i] = thing_fields[0];
    s = good("endless");
    s.fields = endless;
    ok(!hk_type_register(&s) && strstr(hk_last_error(), "no HK_END"),
       "a table without an end");
    is_int(0, type_count(), "nothing was registered");
}

/* ---- good ones ---------------------------------------------------------- */

static void
equal_specs(void)
{
    hk_type_spec s = good("thing"), other = good("thing");
    hk_field copy[sizeof(thing_fields) / sizeof(thing_fields[0])];
    hk_type *type = hk_type_register(&s);
    char name[] = "thing";

    ok(type != NULL, "registered");
    is_str("thing", hk_type_name(type), "its name");
    ok(hk_type_register(&s) == type, "again: the same type");
    memcpy(copy, thing_fields, sizeof(copy));
    other.fields = copy;
    other.name = name;
    ok(hk_type_register(&other) == type, "an equal spec: the same type");
    copy[0].label = "uno";
    ok(!hk_type_register(&other) && errno == EEXIST, "another label: refused");
    other = good("thing");
    other.size += 8;
    ok(!hk_type_register(&other) && errno == EEXIST, "another size: refused");
    is_int(1, type_count(), "one type");
    ok(type_get(1) == type && !type_get(2) && !type_get(0)
           && !type_get(70000),
       "and it has id 1");
}

static void
leaf_needs_nothing(void)
{
    hk_type_spec s = good("leaf");

    s.fields = NULL;
    s.flags = HK_TYPE_LEAF;
    ok(hk_type_register(&s) != NULL, "a leaf needs neither table nor traverse");
}

/* ---- traverse ----------------------------------------------------------- */

static char seen[400];
static int stop_at;

static int
note(void *child, const char *label, ptrdiff_t index, void *arg)
{
    size_t used = strlen(seen);

    snprintf(seen + used, sizeof(seen) - used, "%s[%td]=%s ", label, index,
             (char *)child);
    return --stop_at == 0 ? *(int *)arg : 0;
}

static int
extra_traverse(void *self, hk_visit_fn visit, void *arg)
{
    (void)self;
    return visit("x", "extra", -1, arg);
}

static size_t
extra_size(const void *self)
{
    return ((const struct thing *)self)->many_count * sizeof(void *);
}

static void
traverse(void)
{
    struct plain_node second = {NULL, "l1"}, first = {&second, "l0"};
    void *many[2] = {"m0", "m1"};
    struct thing t = {.one = "o",
                      .weak = "w",
                      .row = {"r0", NULL, "r2"},
                      .many_count = 2,
                      .many = many,
                      .inner = {"d"},
                      .list = &first};
    const char *all = "one[-1]=o row[0]=r0 row[2]=r2 many[0]=m0 many[1]=m1 "
                      "deep[-1]=d list[0]=l0 list[1]=l1 extra[-1]=x ";
    hk_type_spec s = good("traversed");
    int arg = 7;
    hk_type *type;

    s.traverse = extra_traverse;
    s.extra_size = extra_size;
    type = hk_type_register(&s);
    is_int(0, type_traverse(type, &t, note, &arg), "a whole walk");
    is_str(all, seen, "visits each strong reference, fields first");
    seen[0] = '\0';
    stop_at = 3;
    is_int(7, type_traverse(type, &t, note, &arg), "a result ends the walk");
    is_str("one[-1]=o row[0]=r0 row[2]=r2 ", seen, "at once");
    seen[0] = '\0';
    second.next = &first;
    is_int(0, type_traverse(type, &t, note, &arg), "a ring of nodes ends");
    is_str(all, seen, "where it began");
    is_int(sizeof(t) + 16, (int64_t)type_object_bytes(type, &t), "bytes");
    memset(&t, 0, sizeof(t));
    seen[0] = '\0';
    type_traverse(type, &t, note, &arg);
    is_str("extra[-1]=x ", seen, "a zeroed object holds nothing");
}

static void
foreign_counts(void)
{
    struct {
        uint32_t narrow, pad;
        uint64_t wide;
    } f = {3, 0, UINT64_MAX};
    hk_type_spec s = {sizeof(s), "narrow", sizeof(f), 0,
                      HK_TYPE_FOREIGN | HK_TYPE_LEAF, 0, 0, 0, 0, 0, 0, 0, 0,
                      0, 4, 1, 0, 0};
    hk_type *type = hk_type_register(&s);

    is_int(4, (int64_t)type_refcount(type, &f), "4 bytes, bias 1");
    is_int(3, (int64_t)type_word(type, &f), "the word is what is stored");
    s.name = "wide";
    s.refcount_offset = 8;
    s.refcount_width = 8;
    s.refcount_bias = -2;
    type = hk_type_register(&s);
    is_int(-3, (int64_t)type_refcount(type, &f), "8 bytes, bias -2");
    f.wide = 1;
    is_int(0, (int64_t)type_refcount(type, &f), "never below 0");
}

/* ---- many --------------------------------------------------------------- */

#define THREADS 8
#define SHARED 100

static hk_type *got[THREADS][SHARED];

static void *
register_all(void *arg)
{
    int me = *(int *)arg;
    char *names = malloc(SHARED * 16);
    hk_type_spec s;

    for (int i = 0; i < SHARED; i++) {
        snprintf(names + i * 16, 16, "shared%d", (i + me * 13) % SHARED);
        s = good(names + i * 16);
        got[me][(i + me * 13) % SHARED] = hk_type_register(&s);
    }
    return names; /* stays: types refer to it */
}

static void *kept[THREADS];

static void
at_once(void)
{
    pthread_t threads[THREADS];
    int ids[THREADS], same = 1;
    uint32_t before = type_count();

    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, register_all, &ids[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], &kept[i]);
    for (int t = 0; t < THREADS; t++)
        for (int i = 0; i < SHARED; i++)
            same &= got[t][i] && got[t][i] == got[0][i];
    ok(same, "threads that register a name at once get one type");
    is_int(SHARED, type_count() - before, "and each name is there once");
}

#if !defined(__SANITIZE_THREAD__)
static char *many_names;

static void
too_many(void)
{
    hk_type_spec s = good("");
    uint32_t n;

    many_names = malloc(65536 * 8);
    for (n = type_count(); n < 65535; n++) {
        snprintf(many_names + n * 8, 8, "t%u", n);
        s.name = many_names + n * 8;
        if (!hk_type_register(&s))
            break;
    }
    is_int(65535, n, "65,535 types");
    s.name = "one more";
    errno = 0;
    ok(!hk_type_register(&s) && errno == ENOSPC, "no more: ENOSPC");
    s = good("thing");
    ok(hk_type_register(&s) == type_get(1), "but those there are still found");
}
#endif

int
main(void)
{
    is_str("no error", hk_last_error(), "no error yet");
    bad_specs();
    equal_specs();
    leaf_needs_nothing();
    traverse();
    foreign_counts();
    at_once();
#if defined(__SANITIZE_THREAD__)
    skip(3, "65,535 types take a minute under ThreadSanitizer");
#else
    too_many();
#endif
    return done_testing();
}
