/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-type-check -- hk_type_check() on honest types and on a liar of each
 * kind: the sentence must name the type and the lie, and nothing may be
 * changed by asking.
 */
#include <sys/mman.h>

#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

/* What the liar's traverse is to do; it goes back to honesty by itself. */
static int (*lie)(struct knot *self, hk_visit_fn visit, void *arg);
static int calls;

static int
traverse(void *self, hk_visit_fn visit, void *arg)
{
    calls++;
    return lie(self, visit, arg);
}

static hk_type *liars;
static struct knot *liar, *child;

static int
honest(struct knot *self, hk_visit_fn visit, void *arg)
{
    int result = 0;

    for (int i = 0; i < KNOT_REFS && !result; i++)
        result = visit(self->ref[i], "ref", i, arg);
    return result;
}

/* ---- the lies ----------------------------------------------------------- */

static int
fewer(struct knot *self, hk_visit_fn visit, void *arg)
{
    return calls > 1 ? 0 : visit(self->ref[0], "ref", 0, arg);
}

static int
more(struct knot *self, hk_visit_fn visit, void *arg)
{
    int result = visit(self->ref[0], "ref", 0, arg);

    return result || calls < 2 ? result
                               : visit(self->ref[1], "second", -1, arg);
}

static int
another(struct knot *self, hk_visit_fn visit, void *arg)
{
    return visit(self->ref[calls > 1], "ref", 0, arg);
}

static int
another_label(struct knot *self, hk_visit_fn visit, void *arg)
{
    return visit(self->ref[0], calls > 1 ? "twin" : "ref", 0, arg);
}

static void *stranger;

static int
no_object(struct knot *self, hk_visit_fn visit, void *arg)
{
    (void)self;
    return visit(stranger, "stranger", -1, arg);
}

static int
too_often(struct knot *self, hk_visit_fn visit, void *arg)
{
    int result = 0;

    for (int i = 0; i < 3 && !result; i++)
        result = visit(self->ref[0], "ref", i, arg);
    return result;
}

/* Each takes references: what it leaks is dropped by the test. */
static int
counts_self(struct knot *self, hk_visit_fn visit, void *arg)
{
    hk_incref(self);
    return visit(self->ref[0], "ref", 0, arg);
}

static int
counts_child(struct knot *self, hk_visit_fn visit, void *arg)
{
    if (calls > 1)
        hk_incref(self->ref[0]);
    return visit(self->ref[0], "ref", 0, arg);
}

/* The count is the same afterwards, but there was an increment. */
static int
counts_and_undoes(struct knot *self, hk_visit_fn visit, void *arg)
{
    hk_incref(self->ref[0]);
    hk_decref(self->ref[0]);
    return visit(self->ref[0], "ref", 0, arg);
}

static int
goes_on(struct knot *self, hk_visit_fn visit, void *arg)
{
    int result = visit(self->ref[0], "ref", 0, arg);
    int second = visit(self->ref[1], "ref", 1, arg);

    return result ? result : second;
}

static int
swallows(struct knot *self, hk_visit_fn visit, void *arg)
{
    visit(self->ref[0], "ref", 0, arg);
    return 0;
}

static int
invents(struct knot *self, hk_visit_fn visit, void *arg)
{
    int result = visit(self->ref[0], "ref", 0, arg);

    return result ? result : 42;
}

/* ---- ------------------------------------------------------------------- */

static void
is_a_lie(int (*fn)(struct knot *, hk_visit_fn, void *), const char *word,
         const char *what)
{
    int result;

    lie = fn;
    calls = 0;
    errno = 0;
    result = hk_type_check(liar);
    lie = honest;
    ok(result == -1 && errno == EINVAL, "%s: EINVAL", what);
    if (!ok(strstr(hk_last_error(), "Liar")
                && strstr(hk_last_error(), word),
            "the sentence names the type, and \"%s\"", word))
        diag("%s", hk_last_error());
    while (hk_refcount(liar) > 1)
        hk_decref(liar);
    while (hk_refcount(child) > 1)
        hk_decref(child);
    is_int(0, hk_type_check(liar), "and then it tells the truth");
}

static void
strangers(void)
{
    char text[64] __attribute__((aligned(8))) = "no object";
    void *gone = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    stranger = text;
    is_a_lie(no_object, "stranger", "memory that is no object");
    stranger = text + 1;
    is_a_lie(no_object, "stranger", "an odd address");
    memset(text, 0, sizeof(text));
    stranger = text;
    is_a_lie(no_object, "stranger", "zeroed memory");
    munmap(gone, 4096);
    stranger = gone;
    is_a_lie(no_object, "stranger", "an address where nothing is");
    stranger = (void *)(uintptr_t)16;
    is_a_lie(no_object, "stranger", "a small number");
    stranger = &liar->ref;
    is_a_lie(no_object, "stranger", "the inside of an object");
}

static void
lies(void)
{
    struct knot *second = knot_new(plain, 3);

    knot_link(liar, child);
    knot_link(liar, second);
    hk_decref(second);
    hk_decref(child);
    lie = honest;
    is_int(0, hk_type_check(liar), "the truth");
    is_a_lie(fewer, "second traverse", "not stable: fewer");
    is_a_lie(more, "second traverse", "not stable: more");
    is_a_lie(another, "second", "not stable: another object");
    is_a_lie(another_label, "second", "not stable: another label");
    strangers();
    is_a_lie(too_often, "more often", "more edges than references");
    is_a_lie(counts_self, "count", "its own count is changed");
    is_a_lie(counts_child, "count", "a child's count is changed");
    is_a_lie(counts_and_undoes, "count", "a count is changed and put back");
    is_a_lie(goes_on, "return", "it goes on after visit told it to stop");
    is_a_lie(swallows, "return", "it does not return what visit did");
    is_a_lie(invents, "return", "it returns what visit did not");
}

/* ---- honest types ------------------------------------------------------- */

struct inner {
    long before;
    hk_object head; /* in the middle */
    struct knot *ref;
};
struct other {
    uint32_t refs; /* and one of the owner's */
    void *peer;
};

static void
honest_types(void)
{
    static const hk_field inner_fields[] = {
        {"ref", HK_REF, offsetof(struct inner, ref), 0}, {NULL, 0, 0, 0}};
    static const hk_field other_fields[] = {
        {"peer", HK_REF, offsetof(struct other, peer), 0}, {NULL, 0, 0, 0}};
    hk_type *inners = knot_type(
        "Inner", (hk_type_spec){.size = sizeof(struct inner),
                                .header_offset = offsetof(struct inner, head),
                                .fields = inner_fields});
    hk_type *others = knot_type(
        "Foreign", (hk_type_spec){.size = sizeof(struct other),
                                  .flags = HK_TYPE_FOREIGN,
                                  .fields = other_fields,
                                  .refcount_width = 4,
                                  .refcount_bias = -1});
    struct inner *i = hk_new(inners);
    struct knot *k = knot_loop(plain, 1), *l = knot_new(leaf, 2);
    struct other o = {2, NULL};

    knot_link(k, l);
    hk_setref(&i->ref, k);
    is_int(0, hk_type_check(k), "a table that leads to a leaf and itself");
    is_int(0, hk_type_check(l), "a leaf");
    is_int(0, hk_type_check(i), "a header in the middle");
    hk_adopt(&o, others);
    o.peer = i;
    is_int(0, hk_type_check(&o), "a foreign object");
    i->ref = (struct knot *)&o;
    is_int(0, hk_type_check(i), "that leads to one, with one reference");
    o.peer = &o;
    is_int(0, hk_type_check(&o), "that leads to itself");
    o.refs = 1;
    ok(hk_type_check(&o) == -1 && strstr(hk_last_error(), "Foreign"),
       "a foreign count that is less than its edges");
    hk_forget(&o);
    i->ref = k;
    hk_decref(&i->head);
    hk_gc_collect(2);
    hk_decref(l);
}

int
main(void)
{
    knot_types();
    liars = knot_type("Liar", (hk_type_spec){.traverse = traverse,
                                             .dealloc = free});
    liar = knot_new(liars, 1);
    child = knot_new(plain, 2);
    errno = 0;
    ok(hk_type_check(NULL) == -1 && errno == EINVAL, "NULL");
    lies();
    honest_types();
    hk_decref(child);
    hk_decref(liar->ref[1]);
    hk_decref(liar);
    is_int(0, knot_live(plain) + knot_live(liars), "all are gone");
    return done_testing();
}
