/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * lib-threads -- eight threads on the same registry, with a ninth that looks
 * at every record as a scan would.
 *
 * Each object carries the address that its record must have, so a record that
 * is seen TRACKED can be told from half a one.
 */
#include <errno.h>
#include <pthread.h>

#include "heapknot.h"
#include "lib/registry.h"
#include "lib/type.h"
#include "tests/tap/tap.h"

#define THREADS 8
#define SHARED 16
#define PLACES 200
#define SLOTS 20000 /* more are never used */
#define COMMON 3 /* few, so that threads do meet at one */

#if defined(__SANITIZE_THREAD__)
#define ROUNDS 3000
#else
#define ROUNDS 30000
#endif

struct node {
    hk_object head;
    struct node *next;
};
struct other {
    long refs;
    void *peer;
};

static const hk_field node_fields[] = {
    {"next", HK_REF, offsetof(struct node, next), 0}, {0}};
static const hk_field other_fields[] = {
    {"peer", HK_REF, offsetof(struct other, peer), 0}, {0}};

static hk_type *nodes, *others;
static struct node *shared[SHARED];
static struct other common[COMMON], private[THREADS][PLACES];
static int64_t common_in, errors;
static int stop;

static hk_type *
make(const char *name, const hk_field *fields, size_t size, unsigned flags)
{
    hk_type_spec s = {0};
    hk_type *type;

    s.struct_size = sizeof(s);
    s.name = name;
    s.size = size;
    s.fields = fields;
    s.flags = flags;
    s.refcount_width = 8;
    type = hk_type_register(&s);
    if (!type)
        bail_out(hk_last_error());
    return type;
}

/* ---- the mutators ------------------------------------------------------- */

static uint32_t
dice(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (uint32_t)(*x >> 32);
}

static void
short_list(uint64_t *x)
{
    struct node *first = NULL, *n;

    for (uint32_t i = dice(x) % 8; i < 8; i++) {
        n = hk_new(nodes);
        n->next = first;
        first = n;
    }
    if (first && dice(x) % 2) {
        hk_untrack(first);
        hk_track(first);
    }
    hk_xdecref(first);
}

static void
share(uint64_t *x)
{
    struct node *n = shared[dice(x) % SHARED];

    hk_incref(n);
    if (dice(x) % 4 == 0)
        hk_track(n);
    hk_decref(n);
}

static void
adopt_common(uint64_t *x)
{
    struct other *o = &common[dice(x) % COMMON];

    if (dice(x) % 2) {
        if (hk_adopt(o, others) == 0)
            __atomic_fetch_add(&common_in, 1, __ATOMIC_RELAXED);
        else if (errno != EEXIST)
            __atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
    } else if (hk_forget(o) == 0)
        __atomic_fetch_sub(&common_in, 1, __ATOMIC_RELAXED);
}

static void
adopt_private(int me, unsigned char *in, uint64_t *x)
{
    uint32_t i = dice(x) % PLACES;
    int result = in[i] ? hk_forget(&private[me][i])
                       : hk_adopt(&private[me][i], others);

    in[i] ^= 1;
    if (result || (registry_find(&private[me][i]) != 0) != in[i])
        __atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
}

static void *
mutate(void *arg)
{
    int me = *(int *)arg;
    unsigned char in[PLACES] = {0};
    uint64_t x = 88172645463325252u + (uint64_t)me * 7919;

    for (int i = 0; i < ROUNDS; i++) {
        short_list(&x);
        share(&x);
        for (int k = 0; k < 4; k++)
            adopt_common(&x);
        adopt_private(me, in, &x);
    }
    for (int i = 0; i < PLACES; i++)
        if (in[i] && hk_forget(&private[me][i]))
            __atomic_fetch_add(&errors, 1, __ATOMIC_RELAXED);
    return NULL;
}

/* ---- the reader --------------------------------------------------------- */

static int64_t looked_at, half_records;

static int
in_array(const void *p, const void *base, size_t bytes)
{
    return (uintptr_t)p - (uintptr_t)base < bytes;
}

/* A record of one type must not name an object of the other, nor the next free
   slot.  (Under valgrind an address may be below 4 GiB.) */
static int
is_whole(const void *object, uint32_t type)
{
    int foreign = in_array(object, common, sizeof(common))
                  || in_array(object, private, sizeof(private));

    return (uintptr_t)object > SLOTS
           && type == (foreign ? others->id : nodes->id);
}

static void
look_at(struct record *r)
{
    uint32_t order = __atomic_load_n(&r->order, __ATOMIC_ACQUIRE);
    uint32_t type;
    void *object;

    if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != RECORD_TRACKED)
        return;
    object = __atomic_load_n(&r->object, __ATOMIC_ACQUIRE);
    type = __atomic_load_n(&r->type, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != RECORD_TRACKED
        || __atomic_load_n(&r->order, __ATOMIC_ACQUIRE) != order)
        return; /* it changed hands while we looked */
    looked_at++;
    half_records += !is_whole(object, type);
}

static void *
look(void *arg)
{
    (void)arg;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        for (uint32_t slot = 1; slot < registry_limit(); slot++)
            look_at(registry_record(slot));
    return NULL;
}

/* ---- ------------------------------------------------------------------- */

static void
run(void)
{
    pthread_t threads[THREADS], looker;
    int ids[THREADS];

    pthread_create(&looker, NULL, look, NULL);
    for (int i = 0; i < THREADS; i++) {
        ids[i] = i;
        pthread_create(&threads[i], NULL, mutate, &ids[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(looker, NULL);
}

static void
check_slots(void)
{
    int64_t tracked = 0, other_states = 0, unlinked = 0;
    struct record *r;

    for (uint32_t slot = 1; slot < registry_limit(); slot++) {
        r = registry_record(slot);
        tracked += r->state == RECORD_TRACKED;
        other_states += r->state != RECORD_TRACKED && r->state != RECORD_FREE;
        if (r->state == RECORD_TRACKED && r->type == others->id)
            unlinked += registry_find(r->object) != slot;
    }
    is_int(SHARED + common_in, tracked, "as many records as objects");
    is_int(0, other_states, "none in between");
    is_int(0, unlinked, "each foreign record is the one that is found");
}

int
main(void)
{
    uint64_t created, destroyed, tracked;
    int64_t wrong = 0;

    nodes = make("node", node_fields, sizeof(struct node), 0);
    others = make("other", other_fields, sizeof(struct other),
                  HK_TYPE_FOREIGN);
    for (int i = 0; i < SHARED; i++)
        shared[i] = hk_new(nodes);
    run();
    is_int(0, errors, "no call failed that should not");
    ok(looked_at > 0, "records were looked at");
    is_int(0, half_records, "no half record was seen as tracked");
    check_slots();
    for (int i = 0; i < SHARED; i++)
        wrong += hk_refcount(shared[i]) != 1;
    is_int(0, wrong, "shared objects are back at one reference");
    hk_type_counts(nodes, &created, &destroyed, &tracked);
    is_int(SHARED, (int64_t)(created - destroyed), "they alone live");
    is_int(SHARED, (int64_t)tracked, "and are tracked");
    hk_type_counts(others, &created, &destroyed, &tracked);
    is_int(common_in, (int64_t)(created - destroyed), "adopted and not forgot");
    is_int(common_in, (int64_t)tracked, "are tracked");
    ok(registry_limit() < SLOTS, "slots were used again (%u)",
       registry_limit());
    return done_testing();
}
