/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * mistake.c -- tells the program, or stderr, and keeps it for the publisher.
 *
 * Called by   everything in lib/ that sees a mistake; the publisher reads.
 * Threads     any, also in signal handlers and inside free(): no locks.  Two
 *             threads that make the same new mistake at once may enter it
 *             twice.
 * Memory      the stack; under the agent one host_map() for the table.
 * Fails       a mistake without a place in the table is said and counted as
 *             lost; what is too long is cut.
 * Invariants  what stands in a whole record does not change but for count and
 *             last_ms.
 */
#include "lib/mistake.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/host.h"
#include "lib/object.h"
#include "lib/quarantine.h"
#include "lib/registry.h"
#include "lib/type.h"

#define SENTENCE_BYTES 200
#define READ_TRIES 3

static hk_error_fn error_fn;
static void *error_arg;

/* A mistake made by the program's own hk_error_fn goes to stderr. */
static __thread int is_telling __attribute__((tls_model("initial-exec")));

static void *table; /* of struct mistake_record */
static uint32_t used;
static uint64_t total, lost;

/* ---- for the publisher -------------------------------------------------- */

uint32_t
mistake_count(void)
{
    uint32_t n = __atomic_load_n(&used, __ATOMIC_ACQUIRE);

    return n < MISTAKES_MAX ? n : MISTAKES_MAX;
}

static struct mistake_record *
record_at(uint32_t index)
{
    struct mistake_record *t = __atomic_load_n(&table, __ATOMIC_ACQUIRE);

    return t && index < MISTAKES_MAX ? &t[index] : NULL;
}

const struct mistake_record *
mistake_get(uint32_t index)
{
    const struct mistake_record *r = record_at(index);

    return r && __atomic_load_n(&r->state, __ATOMIC_ACQUIRE) ? r : NULL;
}

uint64_t
mistake_total(void)
{
    return __atomic_load_n(&total, __ATOMIC_RELAXED);
}

uint64_t
mistake_lost(void)
{
    return __atomic_load_n(&lost, __ATOMIC_RELAXED);
}

static int
same_place(const struct mistake_record *a, const struct mistake_record *b)
{
    return a->kind == b->kind && a->type == b->type && a->here == b->here
           && a->past.origin == b->past.origin && a->past.last == b->past.last
           && strcmp(a->what, b->what) == 0;
}

/* A place that nobody else has, or NULL. */
static struct mistake_record *
claim(void)
{
    uint32_t n = __atomic_load_n(&used, __ATOMIC_RELAXED);

    do
        if (n >= MISTAKES_MAX)
            return NULL;
    while (!__atomic_compare_exchange_n(&used, &n, n + 1, 1, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED));
    return record_at(n);
}

static void
enter(const struct mistake_record *fresh)
{
    struct mistake_record *r;

    for (uint32_t i = 0; i < mistake_count(); i++) {
        r = record_at(i);
        if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE)
            && same_place(r, fresh)) {
            __atomic_fetch_add(&r->count, 1, __ATOMIC_RELAXED);
            __atomic_store_n(&r->last_ms, fresh->last_ms, __ATOMIC_RELAXED);
            return;
        }
    }
    r = claim();
    if (!r) {
        __atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
        return;
    }
    *r = *fresh;
    __atomic_store_n(&r->state, 1, __ATOMIC_RELEASE);
}

static void
keep(int kind, const void *object, const hk_type *type,
     struct mistake_past past, const char *what)
{
    struct mistake_record fresh = {.kind = kind, .past = past, .count = 1};

    __atomic_fetch_add(&total, 1, __ATOMIC_RELAXED);
    if (!registry_map_once(&table, MISTAKES_MAX * sizeof(fresh))) {
        __atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
        return;
    }
    fresh.type = type ? type->id : 0;
    fresh.here = host_stack();
    fresh.first_ms = fresh.last_ms = host_now_ms();
    fresh.object = object;
    snprintf(fresh.what, sizeof(fresh.what), "%s", what);
    enter(&fresh);
}

/* ---- telling ------------------------------------------------------------ */

static int
is_fatal(void)
{
    const char *value = getenv("HK_ABORT_ON_ERROR");

    return value && value[0] && strcmp(value, "0") != 0;
}

/* Function and argument belong together, and have no lock. */
static hk_error_fn
get_fn(void **arg)
{
    hk_error_fn fn;

    for (int i = 0; i < READ_TRIES; i++) {
        fn = __atomic_load_n(&error_fn, __ATOMIC_ACQUIRE);
        *arg = __atomic_load_n(&error_arg, __ATOMIC_ACQUIRE);
        if (fn == __atomic_load_n(&error_fn, __ATOMIC_RELAXED))
            return fn;
    }
    return NULL;
}

static void
tell(int kind, const void *object, const hk_type *type, const char *sentence)
{
    hk_error error = {sizeof(error), kind, sentence, object,
                      type ? hk_type_name(type) : NULL};
    void *arg;
    hk_error_fn fn = is_telling ? NULL : get_fn(&arg);

    if (!fn) {
        host_complain(sentence);
        return;
    }
    is_telling = 1;
    fn(&error, arg);
    is_telling = 0;
}

static void
report(int kind, const void *object, const hk_type *type,
       struct mistake_past past, const char *what)
{
    char sentence[SENTENCE_BYTES];

    if (object && type)
        snprintf(sentence, sizeof(sentence), "%s: %s at %p", what,
                 hk_type_name(type), object);
    else if (object)
        snprintf(sentence, sizeof(sentence), "%s: %p", what, object);
    else
        snprintf(sentence, sizeof(sentence), "%s", what);
    if (host_is_agent())
        keep(kind, object, type, past, what);
    tell(kind, object, type, sentence);
    if (is_fatal())
        host_abort();
}

/* A record that is not this object's any more says nothing about it; of the
   dead the type, too, may be known only here. */
static struct mistake_past
past_of(const void *object, uint32_t slot, const hk_type **type)
{
    const struct record *r = slot ? registry_record(slot) : NULL;
    struct mistake_past past = {0, 0};
    const hk_type *dead;

    if (!object || !host_is_agent())
        return past;
    if (r && __atomic_load_n(&r->object, __ATOMIC_ACQUIRE) == object) {
        past.origin = __atomic_load_n(&r->created_stack, __ATOMIC_RELAXED);
        past.last = __atomic_load_n(&r->release_stack, __ATOMIC_RELAXED);
    } else {
        dead = quarantine_find(object, &past);
        if (dead && !*type)
            *type = dead;
    }
    return past;
}

static void
tell_all(int kind, const void *object, const hk_type *type,
         struct mistake_past past, const char *format, va_list args)
{
    int saved = errno;
    char what[MISTAKE_WHAT_BYTES];

    vsnprintf(what, sizeof(what), format, args);
    report(kind, object, type, past, what);
    errno = saved;
}

void
mistake(int kind, const void *object, const hk_type *type, uint32_t slot,
        const char *format, ...)
{
    struct mistake_past past = past_of(object, slot, &type);
    va_list args;

    va_start(args, format);
    tell_all(kind, object, type, past, format, args);
    va_end(args);
}

void
mistake_after(int kind, const void *object, const hk_type *type,
              struct mistake_past past, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell_all(kind, object, type, past, format, args);
    va_end(args);
}

/* ---- the program -------------------------------------------------------- */

void
hk_set_error_fn(hk_error_fn fn, void *arg)
{
    __atomic_store_n(&error_fn, (hk_error_fn)0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&error_arg, arg, __ATOMIC_SEQ_CST);
    __atomic_store_n(&error_fn, fn, __ATOMIC_SEQ_CST);
}

void
hk_unraisable(void *obj, const char *sentence)
{
    mistake(HK_ERROR_UNRAISABLE, obj, hk_type_of(obj),
            obj ? object_slot(obj) : 0, "%s",
            sentence ? sentence : "a callback failed");
}
