/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-type-lies -- hk_type_check finds each kind of lie that a type can tell
 * about its objects, and believes those that tell the truth.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "heapknot.h"
#include "tests/tap/tap.h"

#define MANY 200

struct thing {
    hk_object head;
    struct thing *a, *b;
    size_t count;
    struct thing **items;
    uintptr_t number;
};

static const hk_field a_and_b[] = {{"a", HK_REF, offsetof(struct thing, a), 0},
                                   {"b", HK_REF, offsetof(struct thing, b), 0},
                                   {0}};

static hk_type *leaves, *things;
static int round_of_traverse; /* calls since the check began */
static void *kept[200];       /* liars: some have counted themselves */
static int kept_count;
static char *unreadable; /* a page */

static void *
keep(void *object)
{
    kept[kept_count++] = object;
    return object;
}

static int
clear_both(void *self)
{
    struct thing *t = self;

    hk_clearref(&t->a);
    hk_clearref(&t->b);
    return 0;
}

static hk_type *
make(const hk_type_spec *spec)
{
    hk_type_spec s = *spec;
    hk_type *type;

    s.struct_size = sizeof(s);
    if (!s.size)
        s.size = sizeof(struct thing);
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

/* ---- lies of a traverse ------------------------------------------------- */

static int
another_number(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;
    int result = visit(t->a, "a", -1, arg);

    return result || round_of_traverse++ ? result : visit(t->b, "b", -1, arg);
}

static int
another_child(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;

    return visit(round_of_traverse++ ? t->b : t->a, "a", -1, arg);
}

static int
another_order(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;
    int swap = round_of_traverse++ & 1;
    int result = visit(swap ? t->b : t->a, swap ? "b" : "a", -1, arg);

    return result ? result
                  : visit(swap ? t->a : t->b, swap ? "a" : "b", -1, arg);
}

static int
another_label(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;

    return visit(t->a, round_of_traverse++ ? "b" : "a", -1, arg);
}

static int
another_index(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;

    return visit(t->a, "a", round_of_traverse++, arg);
}

static int
no_label(void *self, hk_visit_fn visit, void *arg)
{
    return visit(((struct thing *)self)->a, NULL, -1, arg);
}

static int
too_many(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;
    int result = visit(t->a, "a", 0, arg);

    return result ? result : visit(t->a, "a", 1, arg);
}

/* One edge between others that are true. */
static int
one_too_many(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;
    int result = visit(t->b, "b", -1, arg);

    result = result ? result : visit(t->a, "a", 0, arg);
    return result ? result : visit(t->a, "a", 1, arg);
}

static int
counts_child(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;

    hk_incref(t->a);
    return visit(t->a, "a", -1, arg);
}

/* The count is as before, but something happened to it. */
static int
borrows_child(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;

    hk_incref(t->a);
    hk_decref(t->a);
    return visit(t->a, "a", -1, arg);
}

static int
counts_self(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;

    hk_incref(t);
    return visit(t->a, "a", -1, arg);
}

static int
goes_on(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;
    int result = visit(t->a, "a", -1, arg);

    return result | visit(t->b, "b", -1, arg);
}

static int
swallows(void *self, hk_visit_fn visit, void *arg)
{
    visit(((struct thing *)self)->a, "a", -1, arg);
    return 0;
}

static int
own_result(void *self, hk_visit_fn visit, void *arg)
{
    return self && visit && arg ? 5 : 0;
}

static int
own_result_at_the_end(void *self, hk_visit_fn visit, void *arg)
{
    int result = visit(((struct thing *)self)->a, "a", -1, arg);

    return result ? result : 5;
}

static int
own_result_later(void *self, hk_visit_fn visit, void *arg)
{
    int result = visit(((struct thing *)self)->a, "a", -1, arg);

    return result ? result : round_of_traverse++ ? 5 : 0;
}

static const struct lie {
    const char *name;
    int (*traverse)(void *, hk_visit_fn, void *);
    const char *says;
} lies[] = {
    {"fewer edges later", another_number, "another number"},
    {"another child later", another_child, "another one"},
    {"another order later", another_order, "another one"},
    {"another label later", another_label, "another one"},
    {"another index later", another_index, "another one"},
    {"no label", no_label, "no label"},
    {"too many edges", too_many, "more often than that has references"},
    {"one too many", one_too_many, "more often than that has references"},
    {"counts its child", counts_child, "a has its count changed"},
    {"borrows its child", borrows_child, "a has its count changed"},
    {"counts itself", counts_self, "traverse changes its count"},
    {"goes on", goes_on, "at once"},
    {"swallows a result", swallows, "at once"},
    {"result without edges", own_result, "what visit did not"},
    {"result after an edge", own_result_at_the_end, "what visit did not"},
    {"result later", own_result_later, "what visit did not"},
};

static void
is_refused(void *obj, const char *name, const char *says)
{
    int result;

    round_of_traverse = 0;
    errno = 0;
    result = hk_type_check(obj);
    if (!ok(result == -1 && errno == EINVAL, "%s: a lie", name))
        diag("result %d, errno %d", result, errno);
    if (!ok(strstr(hk_last_error(), says)
                && strstr(hk_last_error(), hk_type_name(hk_type_of(obj))),
            "%s: the sentence says so", name))
        diag("%s", hk_last_error());
}

static void
lie(const struct lie *l)
{
    struct thing *t = keep(hk_new(make(
        &(hk_type_spec){.name = l->name, .traverse = l->traverse})));

    t->a = hk_new(things);
    t->b = hk_new(leaves);
    is_refused(t, l->name, l->says);
}

static void
lies_of_traverse(void)
{
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
        lie(&lies[i]);
}

static void *where;

static int
visit_where(void *self, hk_visit_fn visit, void *arg)
{
    (void)self;
    return visit(where, "a", -1, arg);
}

/* A page, behind it one that cannot be read, which is returned. */
static char *
make_unreadable(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (two == MAP_FAILED || mprotect(two + page, page, PROT_NONE))
        bail_out("no pages");
    return two + page;
}

static void
wrong_addresses(void)
{
    static char plain[64] __attribute__((aligned(16)));
    static struct thing copy;
    struct thing *t = keep(hk_new(make(
        &(hk_type_spec){.name = "somewhere", .traverse = visit_where})));
    struct thing *other = keep(hk_new(things));
    const struct {
        const char *what;
        void *at;
    } places[] = {{"what was never an object", plain},
                  {"not aligned", (char *)other + 4},
                  {"inside an object", &other->a},
                  {"the copy of an object", &copy},
                  {"unreadable", unreadable},
                  {"readable in part", unreadable - 8},
                  {"the kernel's", (void *)(uintptr_t)-4096}};

    memcpy(&copy, other, sizeof(copy));
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        where = places[i].at;
        is_refused(t, places[i].what, "a leads to what is no object");
    }
    where = other;
    is_int(0, hk_type_check(t), "an object is one");
}

/* ---- lies of a table ---------------------------------------------------- */

static void
wrong_length(void)
{
    static const hk_field fields[] = {
        {"items", HK_REF_ARRAY, offsetof(struct thing, items),
         offsetof(struct thing, count)},
        {0}};
    struct thing *t = keep(hk_new(make(
        &(hk_type_spec){.name = "wrong length", .fields = fields})));

    t->items = calloc(4, sizeof(*t->items));
    for (int i = 0; i < 2; i++)
        t->items[i] = hk_new(leaves);
    t->items[2] = (void *)t->items; /* not an element any more */
    t->count = 2;
    is_int(0, hk_type_check(t), "an array of two");
    t->count = 3;
    is_refused(t, "wrong length", "items leads to what is no object");
}

static void
not_a_pointer(void)
{
    static const hk_field fields[] = {
        {"number", HK_REF, offsetof(struct thing, number), 0}, {0}};
    struct thing *t = keep(hk_new(make(
        &(hk_type_spec){.name = "number", .fields = fields})));

    t->number = 4096;
    is_refused(t, "number", "number leads to what is no object");
    t->number = 4097;
    is_refused(t, "number", "number leads to what is no object");
}

/* HK_REF where HK_WEAK would be true. */
static void
not_counted(void)
{
    struct thing *parent = keep(hk_new(things)), *child = hk_new(things);
    struct thing *second = hk_new(things);

    parent->a = child;
    child->a = parent; /* the parent's one reference is ours */
    is_int(0, hk_type_check(child), "one uncounted edge cannot be told");
    child->b = parent;
    is_refused(child, "thing", "a leads to an object more often");
    child->b = second;
    is_int(0, hk_type_check(child), "nor can it among others");
}

/* The callback names again what the table did. */
static int
visit_a(void *self, hk_visit_fn visit, void *arg)
{
    return visit(((struct thing *)self)->a, "again", -1, arg);
}

static void
twice(void)
{
    struct thing *t = keep(hk_new(make(&(hk_type_spec){
        .name = "twice", .fields = a_and_b, .traverse = visit_a})));

    t->a = hk_new(leaves);
    is_refused(t, "twice", "a leads to an object more often");
}

static void
no_objects(void)
{
    uint64_t words[8] = {0};

    ok(hk_type_check(NULL) == -1 && errno == EINVAL, "NULL is no object: %s",
       hk_last_error());
    ok(hk_type_check(words) == -1 && errno == EINVAL, "nor are zeroes: %s",
       hk_last_error());
    ok(hk_type_check(unreadable) == -1 && errno == EINVAL,
       "nor what cannot be read: %s", hk_last_error());
}

/* ---- the truth ---------------------------------------------------------- */

struct late {
    struct thing *a;
    long more;
    hk_object head;
    struct late *peer;
};
struct pair {
    struct thing *a, *b;
};
struct link {
    struct link *next;
    struct thing *it;
};
struct rich {
    hk_object head;
    struct thing *a;
    struct pair pair;
    struct thing *row[3];
    size_t count;
    struct thing **items;
    struct link *list;
    void *borrowed;
    hk_weak *weak;
    struct thing *by_callback;
};
struct foreign {
    uint32_t stored; /* references - 1 */
    void *peer;
};

static const hk_field pair_fields[] = {
    {"a", HK_REF, offsetof(struct pair, a), 0},
    {"b", HK_REF, offsetof(struct pair, b), 0}, {0}};
static const hk_slist_spec link_spec = {offsetof(struct link, next),
                                        offsetof(struct link, it)};
static const hk_field rich_fields[] = {
    {"a", HK_REF, offsetof(struct rich, a), 0},
    {"pair", HK_EMBED, offsetof(struct rich, pair), (size_t)pair_fields},
    {"row", HK_REF_INLINE, offsetof(struct rich, row), 3},
    {"items", HK_REF_ARRAY, offsetof(struct rich, items),
     offsetof(struct rich, count)},
    {"list", HK_SLIST, offsetof(struct rich, list), (size_t)&link_spec},
    {"borrowed", HK_WEAK, offsetof(struct rich, borrowed), 0},
    {"weak", HK_WEAKREF, offsetof(struct rich, weak), 0},
    {0}};
static const hk_field late_fields[] = {
    {"a", HK_REF, offsetof(struct late, a), 0},
    {"peer", HK_REF, offsetof(struct late, peer), 0}, {0}};
static const hk_field foreign_fields[] = {
    {"peer", HK_REF, offsetof(struct foreign, peer), 0}, {0}};

/* Every count involved is as it was, and so is its stamp. */
static void
is_believed(void *obj, const hk_object *child, const char *name)
{
    uint64_t word = child ? child->word : 0;
    int result = hk_type_check(obj);

    if (!ok(result == 0, "%s: the truth", name))
        diag("%s", hk_last_error());
    ok(!child || child->word == word, "%s: nothing was touched", name);
}

static int
visit_last(void *self, hk_visit_fn visit, void *arg)
{
    return visit(((struct rich *)self)->by_callback, "by callback", -1, arg);
}

static int
visit_both(void *self, hk_visit_fn visit, void *arg)
{
    struct thing *t = self;
    int result = visit(t->a, "a", -1, arg);

    return result ? result : visit(t->b, "b", -1, arg);
}

static void
plain(void)
{
    static const struct {
        const char *name;
        unsigned flags;
        int by_callback;
    } kinds[] = {{"table", 0, 0},
                 {"callback", 0, 1},
                 {"nonatomic", HK_TYPE_NONATOMIC, 0},
                 {"immutable", HK_TYPE_IMMUTABLE, 0}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct thing *t = hk_new(make(&(hk_type_spec){
            .name = kinds[i].name,
            .flags = kinds[i].flags,
            .fields = kinds[i].by_callback ? NULL : a_and_b,
            .traverse = kinds[i].by_callback ? visit_both : NULL,
            .clear = kinds[i].by_callback ? clear_both : NULL}));

        is_believed(t, NULL, "NULL fields");
        t->a = hk_new(leaves);
        is_believed(t, &t->a->head, kinds[i].name);
        t->b = hk_newref(t->a);
        is_believed(t, &t->a->head, "one child twice");
        hk_setref(&t->b, t);
        is_believed(t, &t->head, "itself");
        hk_untrack(t);
        is_believed(t, &t->head, "untracked");
        hk_clearref(&t->b);
        hk_decref(t);
    }
}

static struct rich *
make_rich(void)
{
    static struct link links[2];
    struct rich *r = keep(hk_new(make(&(hk_type_spec){
        .name = "rich",
        .size = sizeof(*r),
        .fields = rich_fields,
        .traverse = visit_last})));
    struct thing *child = hk_new(things);

    r->a = child;
    r->pair.b = hk_newref(child);
    r->row[2] = hk_newref(child);
    r->items = calloc(MANY, sizeof(*r->items));
    r->count = MANY;
    for (int i = 0; i < MANY; i += 2)
        r->items[i] = hk_newref(child);
    links[0] = (struct link){&links[1], hk_newref(child)};
    links[1] = (struct link){NULL, hk_new(leaves)};
    r->list = links;
    r->borrowed = &links; /* no object: HK_WEAK is not followed */
    r->weak = hk_weak_new(child, NULL, NULL);
    r->by_callback = hk_newref(child);
    return r;
}

static void
late_and_foreign(void)
{
    hk_type *type = make(&(hk_type_spec){.name = "late",
                                         .size = sizeof(struct late),
                                         .header_offset =
                                             offsetof(struct late, head),
                                         .fields = late_fields});
    hk_type *foreign = make(&(hk_type_spec){.name = "foreign",
                                            .size = sizeof(struct foreign),
                                            .flags = HK_TYPE_FOREIGN,
                                            .fields = foreign_fields,
                                            .refcount_width = 4,
                                            .refcount_bias = 1});
    struct late *one = keep(hk_new(type)), *two = hk_new(type);
    struct foreign f = {0, NULL};
    struct thing *t = keep(hk_new(things));

    one->a = hk_new(leaves);
    one->peer = two;
    is_believed(one, &two->head, "header in the middle");
    two->a = (void *)&one->head;
    is_refused(two, "late", "a leads to what is no object");
    two->a = NULL;
    if (hk_adopt(&f, foreign))
        bail_out(hk_last_error());
    f.peer = t;
    is_believed(&f, &t->head, "foreign");
    t->a = (void *)&f;
    is_believed(t, NULL, "a foreign child");
    t->b = (void *)&f;
    is_refused(t, "thing", "a leads to an object more often");
    f.stored = 1;
    is_believed(t, NULL, "a foreign child twice");
    t->b = (void *)two;
    is_believed(t, &two->head, "a foreign child and a late one");
    hk_forget(&f);
    is_refused(t, "thing", "a leads to what is no object");
}

int
main(void)
{
    struct rich *rich;

    leaves = make(&(hk_type_spec){.name = "leaf", .flags = HK_TYPE_LEAF});
    things = make(&(hk_type_spec){.name = "thing", .fields = a_and_b});
    unreadable = make_unreadable();
    lies_of_traverse();
    wrong_addresses();
    wrong_length();
    not_a_pointer();
    not_counted();
    twice();
    no_objects();
    plain();
    rich = make_rich();
    is_believed(rich, &rich->a->head, "table and callback");
    late_and_foreign();
    is_believed(rich, &rich->a->head, "table and callback, with a look-up");
    no_objects();
    lies_of_traverse(); /* now that addresses are looked up */
    wrong_addresses();
    return done_testing();
}
