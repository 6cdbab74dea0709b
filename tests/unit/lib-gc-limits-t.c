/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-gc-limits -- deep chains that die while others collect, code that is
 * not to be called, frozen objects, and a traverse that lies: a case for each
 * test of CPython's test_gc.py, whose name is in the description.
 */
#include <pthread.h>

#include "tests/tap/tap.h"

#include "tests/unit/knot.h"

/* ---- the trashcan ------------------------------------------------------- */

static int made, ended;

static void
count_and_collect(void *self)
{
    (void)self;
    if (__atomic_add_fetch(&ended, 1, __ATOMIC_RELAXED) % 17 == 0)
        hk_gc_collect(2);
}

/* Each level holds the one before and an object that collects. */
static void
nest(hk_type *ouch, int depth)
{
    struct knot *outer, *k = NULL, *o;

    for (int i = 0; i < depth; i++) {
        outer = knot_new(plain, i);
        o = knot_new(ouch, i);
        __atomic_fetch_add(&made, 1, __ATOMIC_RELAXED);
        if (k) {
            knot_link(outer, k);
            hk_decref(k);
        }
        knot_link(outer, o);
        hk_decref(o);
        k = outer;
    }
    hk_decref(k);
}

static void
test_trashcan(hk_type *ouch)
{
    for (int i = 0; i < 2; i++) {
        nest(ouch, 150);
        nest(final, 150); /* names only */
    }
    noted();
    made = 0;
    ended = 0;
    nest(ouch, 150);
    is_int(made, ended, "test_trashcan: each finalizer ran once");
    nest(ouch, 4000);
    is_int(made, ended, "also of a very deep one");
    is_int(0, knot_live(plain) + knot_live(ouch), "all are gone");
}

static pthread_mutex_t mutex;

static void
lock(void *arg)
{
    pthread_mutex_lock(arg);
}

static void
unlock(void *arg)
{
    pthread_mutex_unlock(arg);
}

static void *
nest_often(void *ouch)
{
    for (int i = 0; i < 100; i++) {
        lock(&mutex);
        nest(ouch, 60);
        unlock(&mutex);
    }
    return NULL;
}

static void
test_trashcan_threads(hk_type *ouch)
{
    pthread_mutexattr_t recursive;
    pthread_t threads[2];

    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&mutex, &recursive);
    hk_gc_set_lock(lock, unlock, &mutex);
    made = 0;
    ended = 0;
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, nest_often, ouch);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    hk_gc_set_lock(NULL, NULL, NULL);
    is_int(12000, made, "test_trashcan_threads: objects were made");
    is_int(made, ended, "and each finalizer ran once");
    is_int(0, knot_live(plain) + knot_live(ouch), "all are gone");
}

/* ---- code that is not called -------------------------------------------- */

static int asked;

static int
describe(const void *self, char *buf, size_t len)
{
    struct knot *k = (struct knot *)self;

    asked++;
    if (k->ref[0])
        hk_clearref(&k->ref[0]); /* breaks the cycle */
    return snprintf(buf, len, "%d", k->name);
}

static size_t
extra_size(const void *self)
{
    (void)self;
    asked++;
    return 0;
}

static void
test_boom(const char *name)
{
    hk_type *boom = knot_type("Boom", (hk_type_spec){
                                          .describe = describe,
                                          .extra_size = extra_size});

    knot_pair(boom, boom, 1);
    asked = 0;
    is_int(2, hk_gc_collect(2), "%s: found", name);
    is_int(0, asked, "and nobody was asked anything");
    is_int(0, (int64_t)hk_gc_garbage_count(), "there is no garbage");
    is_int(0, knot_live(boom), "both are gone");
}

/* ---- frozen objects ----------------------------------------------------- */

static void
test_traverse_frozen_objects(void)
{
    struct knot *frozen = knot_new(plain, 1), *k;

    hk_gc_freeze();
    k = knot_loop(plain, 2);
    knot_link(k, frozen);
    is_int(1, hk_gc_collect(2), "test_traverse_frozen_objects: found");
    is_int(1, (int64_t)hk_refcount(frozen), "one reference less");
    hk_gc_unfreeze();
    is_int(0, hk_gc_collect(2), "thawed, it still lives");
    hk_decref(frozen);
    is_int(0, knot_live(plain), "all are gone");
}

static void
test_deferred_refcount_frozen(void)
{
    struct knot *a = knot_pair(plain, plain, 1);

    hk_gc_freeze();
    is_int(0, hk_gc_collect(2),
           "test_deferred_refcount_frozen: frozen garbage stays");
    ok(hk_refcount(a) == 1 && hk_refcount(a->ref[0]) == 1, "untouched");
    hk_gc_unfreeze();
    is_int(2, hk_gc_collect(2), "until it is thawed");
}

/* ---- a traverse that lies ----------------------------------------------- */

static hk_error last_error;
static int errors;

static void
on_error(const hk_error *error, void *arg)
{
    (void)arg;
    last_error = *error;
    errors++;
}

static void
hidden_dealloc(void *self)
{
    struct knot *k = self;

    hk_clearref(&k->ref[0]);
    free(k);
}

/* Names its first reference twice. */
static int
traverse_twice(void *self, hk_visit_fn visit, void *arg)
{
    struct knot *k = self;
    int result = visit(k->ref[0], "ref", 0, arg);

    return result ? result : visit(k->ref[0], "ref", 1, arg);
}

static void
test_refcount_errors(void)
{
    hk_type *liar = knot_type("Liar",
                              (hk_type_spec){.traverse = traverse_twice,
                                             .dealloc = hidden_dealloc});
    struct knot *target = knot_new(final, 1), *k = knot_new(liar, 2);

    hk_setref(&k->ref[0], target);
    hk_decref(target);
    hk_set_error_fn(on_error, NULL);
    hk_gc_collect(2);
    hk_set_error_fn(NULL, NULL);
    is_int(1, errors, "test_refcount_errors: it is said once");
    is_int(HK_ERROR_TOO_MANY_EDGES, last_error.kind, "too many edges");
    ok(last_error.object == target, "of this object");
    is_str("Final", last_error.type, "of its type");
    is_str("", noted(), "which lives on");
    is_int(1, (int64_t)hk_refcount(target), "with its reference");
    hk_decref(k);
    is_str("fin1", noted(), "and dies by its count");
}

int
main(void)
{
    hk_type *ouch;

    knot_types();
    ouch = knot_type("Ouch", (hk_type_spec){.finalize = count_and_collect});
    hk_gc_disable();
    test_trashcan(ouch);
    test_trashcan_threads(ouch);
    test_boom("test_boom, test_boom_new");
    test_boom("test_boom2, test_boom2_new");
    test_traverse_frozen_objects();
    test_deferred_refcount_frozen();
    test_refcount_errors();
    return done_testing();
}
