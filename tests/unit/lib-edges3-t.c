/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-edges3 -- the rest of lib-edges: foreign objects, memory that was
 * overwritten, functions for mistakes that use the library.
 */
#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

#define HANG_SECONDS 60

/* ---- foreign objects ---------------------------------------------------- */

struct stranger {
    char *class; /* where a header would have its count, as in GObject */
    long pad, refs;
    struct stranger *next;
};

static char classes[64];
static int strangers_ended;

static void
stranger_retain(void *self)
{
    ((struct stranger *)self)->refs++;
}

static void
stranger_release(void *self)
{
    struct stranger *s = self, *next = s->next;

    if (--s->refs > 0)
        return;
    hk_forget(s);
    strangers_ended++;
    s->next = NULL;
    if (next)
        stranger_release(next);
}

/* Closed: from now on nobody is to look at it. */
static int
stranger_close(void *self)
{
    hk_forget(self);
    return 0;
}

static const hk_field stranger_fields[] = {
    {"next", HK_REF, offsetof(struct stranger, next), 0}, {0}};

static hk_type_spec
stranger_spec(void)
{
    return (hk_type_spec){.size = sizeof(struct stranger),
                          .flags = HK_TYPE_FOREIGN,
                          .refcount_offset = offsetof(struct stranger, refs),
                          .refcount_width = sizeof(long),
                          .retain = stranger_retain,
                          .release = stranger_release};
}

static void
forget_in_clear(void)
{
    hk_type_spec spec = stranger_spec();
    struct stranger a = {classes + 8, 0, 1, NULL}, b = a;
    hk_type *type;

    spec.fields = stranger_fields;
    spec.clear = stranger_close;
    type = knot_type("Closing", spec);
    hk_adopt(&a, type);
    hk_adopt(&b, type);
    a.next = &b;
    b.next = &a;
    is_int(2, hk_gc_collect(2), "two foreign objects in a cycle");
    ok(a.class == classes + 8 && b.class == classes + 8,
       "that forget themselves when cleared are not written to");
    ok(a.refs == 0 && b.refs == 0, "... all their references are released");
    is_int(2, strangers_ended, "... and each ends once");
    is_int(0, knot_live(type), "... nothing is known of them");
}

static int
is_stranger(void *object, const hk_type *type, void *arg)
{
    (void)object;
    return type == arg;
}

static void
foreign_leaf(void)
{
    hk_type_spec spec = stranger_spec();
    struct stranger s = {classes, 0, 1, NULL};
    struct knot *k;
    uint64_t tracked = 1;
    int count[3];
    hk_type *type;

    spec.flags |= HK_TYPE_LEAF;
    type = knot_type("ForeignLeaf", spec);
    hk_gc_collect(2);
    strangers_ended = 0;
    hk_adopt(&s, type);
    hk_type_counts(type, NULL, NULL, &tracked);
    hk_gc_get_count(count);
    ok(!hk_gc_is_tracked(&s), "a foreign leaf is not tracked");
    is_int(0, (int64_t)tracked, "... nor counted as such");
    is_int(0, count[0], "... and brings no collection nearer");
    is_int(0, hk_gc_get_objects(-1, is_stranger, type), "... nor listed");
    k = knot_new(plain, 1);
    k->ref[0] = (struct knot *)(void *)&s;
    k->ref[1] = k;
    is_int(1, hk_gc_collect(2), "... nor part of the garbage that holds it");
    is_int(1, strangers_ended, "... but it ends with that");
}

/* Deaths of what is old do not put automatic collection off. */
#define OLD 3000

static void
count_not_below_zero(void)
{
    static struct stranger old[OLD];
    hk_type_spec spec = stranger_spec();
    int64_t found = 0;
    hk_type *type;

    spec.fields = stranger_fields;
    type = knot_type("Old", spec);
    for (int i = 0; i < OLD; i++) {
        old[i].refs = 1;
        hk_adopt(&old[i], type);
    }
    hk_gc_collect(2);
    for (int i = 0; i < OLD; i++)
        hk_forget(&old[i]);
    for (int i = 0; i < OLD; i++) {
        knot_loop(plain, i);
        found += hk_gc_poll();
    }
    is_int(OLD / 701 * 701, found, "after many forgotten old ones, every 701st "
                                   "new one is a collection");
    hk_gc_collect(2);
    is_int(0, knot_live(plain), "nothing is left");
}

/* ---- mistakes ----------------------------------------------------------- */

static int mistakes, mistake_kind;
static ptrdiff_t nested = -2;
static struct knot *kept;
static struct knot *cache;

static void
note_mistake(const hk_error *error, void *arg)
{
    (void)arg;
    mistakes++;
    mistake_kind = error->kind;
}

static void
collect_at_mistake(const hk_error *error, void *arg)
{
    note_mistake(error, arg);
    nested = hk_gc_collect(2);
}

/* As after free() and another use of the memory. */
static struct knot *
overwritten(hk_type *type)
{
    struct knot *k = knot_new(type, 1);

    memset(&k->head, 0, sizeof(k->head));
    return k;
}

static void
collect_inside_scan(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)};
    hk_type *type = knot_type("Scanned", (hk_type_spec){.flags = 0});
    struct knot *bad;

    for (int i = 0; i < 50; i++)
        knot_pair(type, type, i);
    bad = overwritten(type);
    for (int i = 0; i < 50; i++)
        knot_pair(type, type, i);
    mistakes = 0;
    hk_set_error_fn(collect_at_mistake, NULL);
    is_int(0, hk_gc_scan(2, &r), "a scan meets what was overwritten");
    hk_set_error_fn(NULL, NULL);
    is_int(1, mistakes, "... and says so once");
    is_int(HK_ERROR_FREED, mistake_kind, "... as what it is");
    is_int(0, nested, "... a collection from there is nested");
    is_int(200, (int64_t)r.objects, "... the scan counts the others");
    is_int(200, (int64_t)r.unreachable, "... as the garbage that they are");
    is_int(200, hk_gc_collect(2), "... and leaves them to be collected");
    is_int(0, knot_live(type), "... and that counts as dead");
    free(bad);
}

static void
drop_at_mistake(const hk_error *error, void *arg)
{
    note_mistake(error, arg);
    hk_clearref(&cache->ref[0]);
}

static void
keep_at_mistake(const hk_error *error, void *arg)
{
    note_mistake(error, arg);
    hk_incref(kept);
}

static void
drop_inside_collect(void)
{
    struct knot *bad, *child;

    cache = knot_new(plain, 1);
    bad = overwritten(plain);
    child = knot_new(plain, 2);
    knot_link(cache, child);
    hk_decref(child);
    mistakes = 0;
    hk_set_error_fn(drop_at_mistake, NULL);
    is_int(0, hk_gc_collect(2), "a cache is dropped at the first mistake");
    is_int(1, mistakes, "... which is said once");
    is_int(1, knot_live(plain), "... and only that is dead");
    hk_decref(cache);
    free(bad);
}

static void
keep_inside_collect(void)
{
    struct knot *bad = overwritten(plain);

    kept = knot_pair(plain, plain, 1);
    hk_set_error_fn(keep_at_mistake, NULL);
    hk_gc_collect(2);
    hk_set_error_fn(NULL, NULL);
    ok(kept->ref[0] != NULL, "garbage that is kept at a mistake lives on");
    is_int(2, knot_live(plain), "... with what it refers to");
    hk_decref(kept);
    hk_gc_collect(2);
    is_int(0, knot_live(plain), "... until it is garbage again");
    free(bad);
}

static void
counts_of_overwritten(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)};
    hk_type *type = knot_type("Overwritten", (hk_type_spec){.flags = 0});
    struct knot *k = knot_new(type, 1);
    hk_weak *weak = knot_weak(k, NULL, NULL);
    uint64_t created, destroyed, tracked;

    memset(&k->head, 0, sizeof(k->head));
    hk_set_error_fn(note_mistake, NULL);
    hk_gc_scan(2, &r);
    hk_set_error_fn(NULL, NULL);
    hk_type_counts(type, &created, &destroyed, &tracked);
    ok(created == 1 && destroyed == 1 && tracked == 0,
       "what was overwritten counts as destroyed once it is found");
    ok(!hk_weak_lock(weak), "... its weak reference is dead");
    hk_weak_free(weak);
    free(k);
}

static size_t weak_seen;

static void
count_weak(const hk_error *error, void *arg)
{
    note_mistake(error, NULL);
    weak_seen = hk_weak_count(arg);
}

/* Leaves an object that never dies. */
static void
saturated_by_lock(void)
{
    static struct knot *k;
    static hk_weak *weak;

    k = knot_new(leaf, 1);
    weak = knot_weak(k, NULL, NULL);
    mistakes = 0;
    hk_set_error_fn(count_weak, k);
    k->head.word = UINT32_C(0x7fffffff);
    alarm(HANG_SECONDS);
    hk_weak_lock(weak);
    hk_weak_lock(weak);
    alarm(0);
    hk_set_error_fn(NULL, NULL);
    is_int(1, mistakes, "a weak lock saturates a count");
    is_int(HK_ERROR_SATURATED, mistake_kind, "... and says so");
    is_int(1, (int64_t)weak_seen, "... with nothing locked");
}

int
main(void)
{
    knot_types();
    count_not_below_zero();
    hk_gc_disable();
    forget_in_clear();
    foreign_leaf();
    collect_inside_scan();
    drop_inside_collect();
    keep_inside_collect();
    counts_of_overwritten();
    saturated_by_lock();
    return done_testing();
}
