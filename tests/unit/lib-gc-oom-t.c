/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-oom -- each allocation of a collection, and of whatever else of the
 * library needs memory, fails once.  What fails says ENOMEM and has changed
 * nothing; the same call with memory does what it should.
 *
 * Host and malloc() are those of lib-oom.h.
 */
#include "tests/tap/tap.h"

#include "tests/unit/knot.h"
#include "tests/unit/lib-oom.h"

/* ---- one call after another with less memory ---------------------------- */

#define TRIES_MAX 1000

static int wrong;

static void
check(int held, long n, const char *what)
{
    if (!held && wrong++ < 5)
        diag("with %ld allocations: %s", n, what);
}

/* Everything that a failed collection must leave alone. */
struct state {
    int count[3], generations[3], refs[4], callbacks;
    hk_gc_stats stats[3];
    size_t garbage;
    int64_t live;
};

static struct knot *a, *b, *c, *d;
static hk_weak *weak;
static int called;

static int
count_one(void *obj, const hk_type *type, void *arg)
{
    (void)obj;
    (void)type;
    ++*(int *)arg;
    return 0;
}

static void
take_state(struct state *s)
{
    memset(s, 0, sizeof(*s));
    hk_gc_get_count(s->count);
    hk_gc_get_stats(s->stats);
    for (int g = 0; g < 3; g++)
        hk_gc_get_objects(g, count_one, &s->generations[g]);
    s->refs[0] = (int)hk_refcount(a);
    s->refs[1] = (int)hk_refcount(b);
    s->refs[2] = (int)hk_refcount(c);
    s->refs[3] = (int)hk_refcount(d);
    s->callbacks = called;
    s->garbage = hk_gc_garbage_count();
    s->live = knot_live(plain) + knot_live(final) + knot_live(legacy);
}

static void
on_weak(hk_weak *w, void *arg)
{
    (void)w;
    (void)arg;
    called++;
}

/* Six kinds of what a collection meets. */
static void
make_garbage(void)
{
    a = knot_pair(final, plain, 1);
    b = a->ref[0];
    c = knot_loop(legacy, 3);
    d = knot_new(final, 4);
    for (int i = 0; i < 300; i++)
        knot_pair(plain, i % 2 ? plain : legacy, 10);
    hk_incref(a);
    weak = knot_weak(a, on_weak, NULL);
    hk_decref(a);
    called = 0;
}

static void
drop_garbage(void)
{
    hk_weak_free(weak);
    for (size_t i = 0; i < hk_gc_garbage_count(); i++)
        hk_clearref(&((struct knot *)hk_gc_garbage_get(i))->ref[0]);
    knot_empty_garbage();
    hk_decref(d);
    hk_gc_collect(2);
    noted();
}

static void
collect(int generation, unsigned debug, const char *what)
{
    struct state before, after;
    ptrdiff_t result = -1;
    long n;

    make_garbage();
    take_state(&before);
    wrong = 0;
    hk_gc_set_debug(debug);
    for (n = 0; n < TRIES_MAX && result < 0; n++) {
        errno = 0;
        failing(n + 1, ONCE);
        result = hk_gc_collect(generation);
        failing(0, 0);
        check(scratch_bytes == 0, n, "memory is kept");
        if (result >= 0)
            break;
        check(errno == ENOMEM, n, "errno is not ENOMEM");
        take_state(&after);
        check(!memcmp(&before, &after, sizeof(before)), n, "a change");
        check(knot_weak_is_alive(weak), n, "a weak reference has died");
        check(events[0] == 0, n, "a finalizer has run");
        check(a->ref[0] == b && b->ref[0] == a && c->ref[0] == c, n,
              "a reference is gone");
        check(!hk_gc_is_finalized(a), n, "it is finalized");
    }
    hk_gc_set_debug(0);
    ok(n > 2, "%s: some tries failed (%ld)", what, n);
    is_int(0, wrong, "and changed nothing");
    is_int(603, result, "then it finds all");
    is_str("fin1", noted(), "and finalizes");
    is_int(1, called, "calls back");
    is_int(debug ? 603 : 151, (int64_t)hk_gc_garbage_count(),
           "and keeps what it must");
    drop_garbage();
    is_int(0, knot_live(plain) + knot_live(final) + knot_live(legacy),
           "all are gone");
}

static void
scan(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)}, old = r;
    struct state before, after;
    int result = -1;
    long n;

    make_garbage();
    take_state(&before);
    wrong = 0;
    for (n = 0; n < TRIES_MAX && result < 0; n++) {
        errno = 0;
        failing(n + 1, ONCE);
        result = hk_gc_scan(2, &r);
        failing(0, 0);
        take_state(&after);
        check(!memcmp(&before, &after, sizeof(before)), n, "a change");
        check(scratch_bytes == 0, n, "memory is kept");
        check(result == 0 || errno == ENOMEM, n, "errno is not ENOMEM");
        check(result == 0 || !memcmp(&r, &old, sizeof(r)), n, "a result");
    }
    ok(n > 2, "hk_gc_scan: some tries failed (%ld)", n);
    is_int(0, wrong, "and changed nothing");
    is_int(603, (int64_t)r.unreachable, "then it finds all");
    hk_gc_collect(2);
    drop_garbage();
}

/* ---- the rest ----------------------------------------------------------- */

/* make() succeeds when there is memory; each failure is ENOMEM, and leaves the
   object as it was. */
static void
each(int (*make)(void), const char *what, int must_fail)
{
    uint64_t refs = hk_refcount(d);
    int result = -1, failed = 0;
    long n;

    wrong = 0;
    for (n = 0; n < TRIES_MAX && result < 0; n++) {
        errno = 0;
        failing(n + 1, ONCE);
        result = make();
        failed += failing(0, 0);
        check(result == 0 || errno == ENOMEM, n, "errno is not ENOMEM");
        check(hk_refcount(d) == refs, n, "its count has changed");
    }
    ok(failed > 0 || !must_fail, "%s: some tries failed", what);
    is_int(0, wrong, "each with ENOMEM");
    is_int(0, result, "then there is memory");
}

static struct knot *made[5000];
static hk_weak *weaks[2];
static hk_finalizer finalizer;

static int
make_object(void)
{
    struct knot *k = hk_new(plain);

    if (!k)
        return -1;
    made[0] = k;
    return 0;
}

static int
make_weak(void)
{
    weaks[0] = hk_weak_new(d, on_weak, NULL);
    return weaks[0] ? 0 : -1;
}

static int
make_shared_weak(void)
{
    weaks[1] = hk_weak_new(d, NULL, NULL);
    return weaks[1] ? 0 : -1;
}

static void
on_end(void *arg)
{
    ++*(int *)arg;
}

static int
make_finalizer(void)
{
    finalizer = hk_finalizer_add(d, on_end, &called, 0);
    return finalizer ? 0 : -1;
}

static int callback_count;

static void
on_gc(int phase, const hk_gc_info *info, void *arg)
{
    (void)phase;
    (void)info;
    (void)arg;
    callback_count++;
}

static int
make_callback(void)
{
    return hk_gc_add_callback(on_gc, NULL);
}

/* Memory for the object, but none for a record of it: it lives on untracked,
   no more. */
static void
new_untracked(void)
{
    int lost = 0, tracked = 0;
    uint64_t counted;

    for (int i = 0; i < 5000; i++) {
        failing(2, FOR_EVER);
        made[i] = hk_new(plain);
        failing(0, 0);
        lost += !made[i];
        tracked += made[i] && hk_gc_is_tracked(made[i]);
    }
    is_int(0, lost, "hk_new has memory for 5,000 objects");
    ok(tracked < 5000, "but %d have no record", 5000 - tracked);
    hk_type_counts(plain, NULL, NULL, &counted);
    is_int(tracked, (int64_t)counted, "which the type's count knows");
    for (int i = 0; i < 5000; i++)
        hk_xdecref(made[i]);
    is_int(0, knot_live(plain), "all are gone");
}

/* While no allocation succeeds at all. */
static void
nothing_at_all(void)
{
    hk_gc_result r = {.struct_size = sizeof(r)};

    make_garbage();
    failing(1, FOR_EVER);
    errno = 0;
    ok(hk_gc_collect(2) == -1 && errno == ENOMEM, "no memory: hk_gc_collect");
    errno = 0;
    ok(hk_gc_scan(2, &r) == -1 && errno == ENOMEM, "no memory: hk_gc_scan");
    errno = 0;
    ok(!hk_new(plain) && errno == ENOMEM, "no memory: hk_new");
    failing(0, 0);
    is_int(603, hk_gc_collect(2), "afterwards all is found");
    drop_garbage();
}

static void
others(void)
{
    d = knot_new(final, 4);
    called = 0;
    each(make_object, "hk_new", 1);
    hk_decref(made[0]);
    each(make_weak, "hk_weak_new with a callback", 1);
    each(make_shared_weak, "hk_weak_new without", 1);
    is_int(2, (int64_t)hk_weak_count(d), "there are two");
    each(make_finalizer, "hk_finalizer_add", 1);
    for (int i = 0; i < 8; i++)
        make_callback();
    each(make_callback, "hk_gc_add_callback", 1);
    hk_gc_collect(2);
    is_int(18, callback_count, "each is called, at the start and the stop");
    while (hk_gc_remove_callback(on_gc, NULL) == 0)
        ;
    hk_decref(d);
    is_int(2, called, "a callback and a finalizer of the object's ran");
    hk_weak_free(weaks[0]);
    hk_weak_free(weaks[1]);
    noted();
}

int
main(void)
{
    knot_types();
    hk_gc_disable();
    new_untracked();
    others();
    collect(2, 0, "hk_gc_collect(2)");
    collect(1, 0, "hk_gc_collect(1)");
    collect(0, 0, "hk_gc_collect(0)");
    collect(2, HK_GC_SAVEALL, "hk_gc_collect(2) with SAVEALL");
    scan();
    nothing_at_all();
    return done_testing();
}
