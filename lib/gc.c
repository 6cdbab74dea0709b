/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * gc.c -- the gc module: settings, when to collect, garbage, callbacks.
 *
 * Source      gcmodule.c: gc_collect_generations, gc_collect_with_callback,
 *             and the functions of the module.
 * Called by   the program.
 * Threads     gc_enter() keeps all others out: by the program's lock, or
 *             because there are none.
 * Memory      garbage and callbacks in malloc()'s memory.
 * Fails       -1, errno, a sentence.
 * Invariants  at most one collection at a time; the lock, if any, is held by
 *             the thread whose `inside` is not 0.
 */
#include "lib/gc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/collect.h"
#include "lib/error.h"
#include "lib/finalizer.h"
#include "lib/mistake.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/shard.h"
#include "lib/slots.h"
#include "lib/trace.h"
#include "lib/type.h"

struct gc gc = {.threshold = {700, 10, 10}, .enabled = 1};

struct world {
    void (*lock)(void *);
    void (*unlock)(void *);
    void *arg;
};

static struct world world;   /* what was set last */
static struct world entered; /* what whoever is inside has locked */

static __thread uint32_t inside __attribute__((tls_model("initial-exec")));

static struct callback {
    hk_gc_fn fn;
    void *arg;
} *callbacks;
static size_t callback_count, callback_room;

static void **garbage;
static size_t garbage_count, garbage_room;

static int collect_at_exit, has_exit_handler;

/* ---- alone with the objects --------------------------------------------- */

int
gc_enter(const char *caller)
{
    struct world now = world;

    if (inside) {
        inside++;
        return 0;
    }
    if (now.lock)
        now.lock(now.arg);
    else if (shard_threads() > (shard_self ? 1 : 0)) {
        error_set(EPERM, "%s: %u threads use the library, and there is no "
                  "hk_gc_set_lock() to keep them out",
                  caller, (unsigned)shard_threads());
        return -1;
    }
    entered = now;
    inside = 1;
    return 0;
}

void
gc_leave(void)
{
    struct world now = entered;

    if (--inside == 0 && now.unlock)
        now.unlock(now.arg);
}

/* If another thread was amid a collection, that has ended with it. */
void
gc_after_fork(void)
{
    if (!inside)
        gc.is_collecting = 0;
}

void
hk_gc_set_lock(void (*lock)(void *), void (*unlock)(void *), void *arg)
{
    if (!lock != !unlock) {
        mistake(HK_ERROR_NULL, NULL, NULL, 0,
                "hk_gc_set_lock needs both functions or none");
        return;
    }
    world.arg = arg;
    world.unlock = unlock;
    world.lock = lock;
}

/* ---- settings ----------------------------------------------------------- */

static int
set_enabled(int on)
{
    return __atomic_exchange_n(&gc.enabled, on, __ATOMIC_RELAXED);
}

int
hk_gc_enable(void)
{
    return set_enabled(1);
}

int
hk_gc_disable(void)
{
    return set_enabled(0);
}

int
hk_gc_isenabled(void)
{
    return __atomic_load_n(&gc.enabled, __ATOMIC_RELAXED);
}

void
hk_gc_set_threshold(int t0, int t1, int t2)
{
    const int t[3] = {t0, t1, t2};

    for (int i = 0; i < 3; i++)
        if (t[i] >= 0)
            __atomic_store_n(&gc.threshold[i], t[i], __ATOMIC_RELAXED);
}

void
hk_gc_get_threshold(int threshold[3])
{
    for (int i = 0; i < 3; i++)
        threshold[i] = __atomic_load_n(&gc.threshold[i], __ATOMIC_RELAXED);
}

void
hk_gc_get_count(int count[3])
{
    int64_t allocated = shard_allocated();

    count[0] = allocated > INT32_MAX ? INT32_MAX : (int)allocated;
    for (int i = 1; i < 3; i++)
        count[i] = __atomic_load_n(&gc.count[i], __ATOMIC_RELAXED);
}

void
hk_gc_get_stats(hk_gc_stats stats[3])
{
    memcpy(stats, gc.stats, sizeof(gc.stats));
}

void
hk_gc_set_debug(unsigned flags)
{
    __atomic_store_n(&gc.debug, flags, __ATOMIC_RELAXED);
}

unsigned
hk_gc_get_debug(void)
{
    return __atomic_load_n(&gc.debug, __ATOMIC_RELAXED);
}

/* ---- callbacks ---------------------------------------------------------- */

int
hk_gc_add_callback(hk_gc_fn fn, void *arg)
{
    size_t room = callback_room ? 2 * callback_room : 8;
    struct callback *grown;

    if (!fn) {
        error_set(EINVAL, "hk_gc_add_callback: no function");
        return -1;
    }
    if (callback_count == callback_room) {
        grown = realloc(callbacks, room * sizeof(*grown));
        if (!grown) {
            error_set(ENOMEM, "hk_gc_add_callback: no memory");
            return -1;
        }
        callbacks = grown;
        callback_room = room;
    }
    callbacks[callback_count++] = (struct callback){fn, arg};
    return 0;
}

int
hk_gc_remove_callback(hk_gc_fn fn, void *arg)
{
    for (size_t i = 0; i < callback_count; i++)
        if (callbacks[i].fn == fn && callbacks[i].arg == arg) {
            callback_count--;
            memmove(&callbacks[i], &callbacks[i + 1],
                    (callback_count - i) * sizeof(*callbacks));
            return 0;
        }
    error_set(ENOENT, "hk_gc_remove_callback: it was not added");
    return -1;
}

/* One may add or remove others, as with CPython's list. */
static void
call_back(int phase, const hk_gc_info *info)
{
    for (size_t i = 0; i < callback_count; i++)
        callbacks[i].fn(phase, info, callbacks[i].arg);
}

/* ---- collecting --------------------------------------------------------- */

void
gc_say(const char *format, ...)
{
    char line[200];
    int saved = errno;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n >= (int)sizeof(line))
        n = (int)sizeof(line) - 1;
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        errno = saved; /* nowhere to say it */
    errno = saved;
}

static void
count_generations(size_t sizes[4])
{
    uint32_t limit = registry_limit();

    memset(sizes, 0, 4 * sizeof(*sizes));
    for (uint32_t slot = 1; slot < limit; slot++) {
        const struct record *r = registry_record(slot);

        if (registry_is_tracked(r)
            && registry_generation(r) <= GENERATION_FROZEN)
            sizes[registry_generation(r)]++;
    }
}

static void
say_start(int generation)
{
    size_t n[4];

    count_generations(n);
    gc_say("gc: collecting generation %d...\n", generation);
    gc_say("gc: objects in each generation: %zu %zu %zu\n", n[0], n[1], n[2]);
    gc_say("gc: objects in permanent generation: %zu\n",
           n[GENERATION_FROZEN]);
}

static double
now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int
collect_and_say(int generation, hk_gc_info *info)
{
    double start = 0;

    if (gc.debug & HK_GC_STATS) {
        say_start(generation);
        start = now();
    }
    if (collect(generation, &info->collected, &info->uncollectable))
        return -1;
    if (gc.debug & HK_GC_STATS)
        gc_say("gc: done, %zu unreachable, %zu uncollectable, "
               "%.4fs elapsed\n",
               info->collected + info->uncollectable, info->uncollectable,
               now() - start);
    gc.stats[generation].collections++;
    gc.stats[generation].collected += info->collected;
    gc.stats[generation].uncollectable += info->uncollectable;
    return 0;
}

/* Inside.  Mirrors gc_collect_with_callback(). */
static ptrdiff_t
collect_with_callbacks(int generation)
{
    hk_gc_info info = {generation, 0, 0};
    int failed;

    if (gc.is_collecting)
        return 0;
    gc.is_collecting = 1;
    call_back(HK_GC_START, &info);
    failed = collect_and_say(generation, &info);
    call_back(HK_GC_STOP, &info);
    gc.is_collecting = 0;
    if (failed) {
        error_set(ENOMEM, "a collection of generation %d found no memory",
                  generation);
        return -1;
    }
    return (ptrdiff_t)(info.collected + info.uncollectable);
}

static int
is_generation(int generation, int first, const char *caller)
{
    if (generation >= first && generation <= 2)
        return 1;
    error_set(EINVAL, "%s: there is no generation %d", caller, generation);
    return 0;
}

ptrdiff_t
hk_gc_collect(int generation)
{
    ptrdiff_t n;

    if (!is_generation(generation, 0, "hk_gc_collect")
        || gc_enter("hk_gc_collect"))
        return -1;
    n = collect_with_callbacks(generation);
    gc_leave();
    return n;
}

/* The oldest generation over its threshold; the last one only when a quarter
   of what it holds is new, so that the cost of all collections stays linear.
   Mirrors gc_collect_generations(). */
static int
due_generation(void)
{
    int count[3];

    hk_gc_get_count(count);
    for (int i = 2; i >= 0; i--)
        if ((i < 2 || gc.long_lived_pending >= gc.long_lived_total / 4)
            && count[i] > gc.threshold[i])
            return i;
    return -1;
}

ptrdiff_t
hk_gc_poll(void)
{
    int threshold = __atomic_load_n(&gc.threshold[0], __ATOMIC_RELAXED);
    ptrdiff_t n = 0;
    int generation;

    if (!threshold || !hk_gc_isenabled() || shard_allocated() <= threshold)
        return 0;
    if (gc_enter("hk_gc_poll"))
        return -1;
    generation = due_generation();
    if (generation >= 0)
        n = collect_with_callbacks(generation);
    gc_leave();
    return n;
}

int
hk_gc_scan(int generation, hk_gc_result *result)
{
    size_t size = result ? result->struct_size : 0;
    hk_gc_result r = {.struct_size = size};
    struct trace t;
    int failed;

    if (!is_generation(generation, 0, "hk_gc_scan"))
        return -1;
    if (size < sizeof(size) || size > sizeof(r)) {
        error_set(EINVAL, "hk_gc_scan: struct_size of the result is not its "
                  "sizeof");
        return -1;
    }
    if (gc_enter("hk_gc_scan"))
        return -1;
    if (gc.is_collecting) {
        gc_leave();
        error_set(EBUSY, "hk_gc_scan: inside a collection");
        return -1;
    }
    gc.is_collecting = 1;
    failed = trace_run(&t, generation);
    r.objects = t.objects;
    r.references = t.known_edges;
    r.unreachable = t.unreachable;
    r.uncollectable = t.legacy;
    trace_tell(&t);
    trace_free(&t);
    gc.is_collecting = 0;
    gc_leave();
    if (failed) {
        error_set(ENOMEM, "hk_gc_scan: no memory");
        return -1;
    }
    memcpy(result, &r, size);
    return 0;
}

/* ---- the permanent generation ------------------------------------------- */

static int
move_all(const char *caller, int from, int to, uint8_t generation)
{
    uint32_t limit;

    if (gc_enter(caller))
        return -1;
    limit = registry_limit();
    for (uint32_t slot = 1; slot < limit; slot++) {
        const struct record *r = registry_record(slot);

        if (registry_is_tracked(r) && registry_generation(r) >= from
            && registry_generation(r) <= to)
            registry_set_generation(slot, generation);
    }
    registry_sweep_young();
    if (generation == GENERATION_FROZEN) {
        gc.count[1] = gc.count[2] = 0;
        shard_reset_allocated();
    }
    gc_leave();
    return 0;
}

int
hk_gc_freeze(void)
{
    return move_all("hk_gc_freeze", 0, 2, GENERATION_FROZEN);
}

int
hk_gc_unfreeze(void)
{
    return move_all("hk_gc_unfreeze", GENERATION_FROZEN, GENERATION_FROZEN, 2);
}

size_t
hk_gc_get_freeze_count(void)
{
    size_t n[4];

    count_generations(n);
    return n[GENERATION_FROZEN];
}

/* ---- garbage ------------------------------------------------------------ */

static void at_exit(void);

static void
handle_exit(void)
{
    if (!__atomic_exchange_n(&has_exit_handler, 1, __ATOMIC_RELAXED))
        atexit(at_exit);
}

int
gc_garbage_reserve(size_t n)
{
    size_t room = garbage_room ? garbage_room : 16;
    void **grown;

    if (garbage_count + n <= garbage_room)
        return 0;
    while (room < garbage_count + n)
        room *= 2;
    grown = realloc(garbage, room * sizeof(*grown));
    if (!grown)
        return -1;
    garbage = grown;
    garbage_room = room;
    return 0;
}

void
gc_garbage_add(void *object)
{
    object_retain(object);
    garbage[garbage_count++] = object;
    handle_exit();
}

size_t
hk_gc_garbage_count(void)
{
    return garbage_count;
}

void *
hk_gc_garbage_get(size_t index)
{
    return index < garbage_count ? garbage[index] : NULL;
}

void *
hk_gc_garbage_take(size_t index)
{
    void *object = hk_gc_garbage_get(index);

    if (object) {
        garbage_count--;
        memmove(&garbage[index], &garbage[index + 1],
                (garbage_count - index) * sizeof(*garbage));
    }
    return object;
}

/* As repr() does: in the type's words, or by type and address. */
static void
say_object(void *object)
{
    const hk_type *type = object_type(object);
    char words[120];

    if (type && type->spec.describe
        && type->spec.describe(object, words, sizeof(words)) >= 0)
        gc_say("      <%s %p: %.119s>\n", hk_type_name(type), object, words);
    else
        gc_say("      <%s %p>\n", hk_type_name(type), object);
}

/* Mirrors _PyGC_DumpShutdownStats(). */
static void
say_garbage(void)
{
    int lists = (gc.debug & HK_GC_UNCOLLECTABLE) != 0;

    if (!garbage_count || gc.debug & HK_GC_SAVEALL)
        return;
    gc_say("gc: %zu uncollectable objects at shutdown%s\n", garbage_count,
           lists ? ""
                 : "; use hk_gc_set_debug(HK_GC_UNCOLLECTABLE) to list them");
    for (size_t i = 0; lists && i < garbage_count; i++)
        say_object(garbage[i]);
}

static void
at_exit(void)
{
    finalizer_at_exit();
    if (collect_at_exit)
        hk_gc_collect(2);
    say_garbage();
}

void
hk_gc_set_atexit(int on)
{
    collect_at_exit = on;
    if (on)
        handle_exit();
}
