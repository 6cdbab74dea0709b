/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-foreign -- adopting and forgetting objects with counts of their own.
 */
#include <errno.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "heapknot.h"
#include "lib/registry.h"
#include "lib/type.h"
#include "tests/tap/tap.h"

struct other {
    int refs;
    struct other *peer;
};

static const hk_field other_fields[] = {
    {"peer", HK_REF, offsetof(struct other, peer), 0}, {0}};

static hk_type *type;

static void
make_type(void)
{
    hk_type_spec s = {0};

    s.struct_size = sizeof(s);
    s.name = "other";
    s.size = sizeof(struct other);
    s.flags = HK_TYPE_FOREIGN;
    s.fields = other_fields;
    s.refcount_width = 4;
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
}

static void
counts_are(int64_t created, int64_t destroyed, const char *when)
{
    uint64_t c, d, t;

    hk_type_counts(type, &c, &d, &t);
    is_int(created, (int64_t)c, "%s: created", when);
    is_int(destroyed, (int64_t)d, "%s: destroyed", when);
    is_int(created - destroyed, (int64_t)t, "%s: tracked", when);
}

static void
one(void)
{
    struct other o = {2, NULL};
    hk_type_spec s = {sizeof(s), "own", 32, 0, HK_TYPE_LEAF, 0, 0, 0, 0, 0, 0,
                      0, 0, 0, 0, 0, 0, 0};

    is_int(0, hk_adopt(&o, type), "adopted");
    is_int(2, (int64_t)type_refcount(type, &o), "its own count is read");
    ok(registry_record(registry_find(&o))->object == &o, "found by address");
    counts_are(1, 0, "adopted");
    is_int(-1, hk_adopt(&o, type), "twice is refused");
    is_int(EEXIST, errno, "with EEXIST");
    counts_are(1, 0, "twice");
    is_int(0, hk_forget(&o), "forgotten");
    counts_are(1, 1, "forgotten");
    is_int(-1, hk_forget(&o), "not there any more");
    is_int(ENOENT, errno, "ENOENT");
    ok(hk_forget(NULL) == -1 && errno == ENOENT, "NULL was not adopted");
    ok(hk_adopt(NULL, type) == -1 && errno == EINVAL, "nothing to adopt");
    ok(hk_adopt(&o, NULL) == -1 && errno == EINVAL, "no type");
    ok(hk_adopt(&o, hk_type_register(&s)) == -1 && errno == EINVAL,
       "a type with headers");
    ok(!hk_new(type) && errno == EINVAL, "hk_new of a foreign type: EINVAL");
    registry_forget_freed(&o);
    counts_are(1, 1, "a free of what is not adopted");
}

/* ---- against a model ---------------------------------------------------- */

#if defined(__SANITIZE_THREAD__)
#define PLACES 20000
#define STEPS 100000
#else
#define PLACES 300000
#define STEPS 1500000
#endif

static struct other places[PLACES];
static unsigned char in[PLACES];

static uint32_t
dice(void)
{
    static uint64_t x = 88172645463325252u;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return (uint32_t)(x >> 32);
}

static int
step(uint32_t i)
{
    int was = in[i];

    switch (dice() % 4) {
    case 0:
        in[i] = 0;
        return hk_forget(&places[i]) == (was ? 0 : -1);
    case 1:
        if (!was)
            return registry_find(&places[i]) == 0;
        in[i] = 0;
        registry_forget_freed(&places[i]);
        return 1;
    default:
        in[i] = 1;
        return hk_adopt(&places[i], type) == (was ? -1 : 0);
    }
}

static void
model(void)
{
    uint64_t tracked;
    int wrong = 0;
    int64_t live = 0;

    for (int i = 0; i < STEPS; i++)
        wrong += !step(dice() % PLACES);
    is_int(0, wrong, "random steps: each result as the model's");
    wrong = 0;
    for (int i = 0; i < PLACES; i++) {
        uint32_t slot = registry_find(&places[i]);

        live += in[i];
        wrong += in[i] != (slot != 0);
        wrong += slot && registry_record(slot)->object != &places[i];
    }
    is_int(0, wrong, "and each address is where the model has it");
    hk_type_counts(type, NULL, NULL, &tracked);
    is_int(live, (int64_t)tracked, "the count of tracked agrees");
    for (int i = 0; i < PLACES; i++)
        if (in[i])
            wrong += hk_forget(&places[i]) != 0;
    hk_type_counts(type, NULL, NULL, &tracked);
    ok(!wrong && tracked == 0, "all forgotten");
    ok(registry_limit() < PLACES + 10, "slots were used again");
}

/* ---- in a signal handler ------------------------------------------------ */

static struct other handled[64];
static volatile sig_atomic_t signals, handler_wrong;

static void
on_alarm(int sig)
{
    int saved = errno;
    struct other *o = &handled[signals % 64];

    (void)sig;
    if (registry_find(o))
        registry_forget_freed(o);
    else
        handler_wrong += hk_adopt(o, type) != 0;
    signals++;
    errno = saved;
}

/* A handler that adopts and frees amid the same on this thread. */
static void
interrupted(void)
{
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    time_t end = time(NULL) + 20;
    int wrong = 0, i = 0;

    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    while (signals < 2000 && time(NULL) < end) {
        for (i = 0; i < 1000; i++)
            wrong += hk_adopt(&places[i], type) != 0;
        for (i = 0; i < 1000; i++)
            wrong += hk_forget(&places[i]) != 0;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    ok(signals >= 2000, "interrupted often enough");
    is_int(0, wrong, "the interrupted calls were right");
    is_int(0, handler_wrong, "and those of the handler");
    for (i = 0; i < 64; i++)
        hk_forget(&handled[i]);
}

int
main(void)
{
    uint64_t created, destroyed, tracked;

    make_type();
    one();
    model();
    interrupted();
    hk_type_counts(type, &created, &destroyed, &tracked);
    is_int((int64_t)created, (int64_t)destroyed, "all came and went");
    is_int(0, (int64_t)tracked, "none left");
    return done_testing();
}
