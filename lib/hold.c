/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * hold.c -- hk_hold, hk_put, hk_root: references with a name.
 *
 * Without the agent a hold is a reference and a token that is not 0.  Under
 * it a token names a record, an index with a serial:
 *
 *      31     24 23                    0
 *      +--------+-----------------------+
 *      | serial | index, never 0        |
 *      +--------+-----------------------+
 *
 * A record that was put waits in a ring until as many others were put after
 * it.  So a second put, with the same token variable or a copy of it, finds
 * the record, and in it where it was held and where it was put.
 *
 * Called by   the program; the publisher reads.
 * Threads     any, also in signal handlers: no locks.  A put takes its token
 *             with one exchange and its record with one compare-and-swap, so
 *             of two at once one is the second.
 * Memory      host_map(): 40 bytes a hold that stands, 256 KiB for groups.
 * Fails       a hold without a record or a group counts as lost; the reference
 *             is taken and dropped all the same.
 * Invariants  a record belongs to one of: the free stack, its holder, the ring.
 *             serial moves when it leaves the ring.
 */
#include "lib/hold.h"

#include <stddef.h>

#include "heapknot.h"
#include "lib/host.h"
#include "lib/mistake.h"
#include "lib/object.h"
#include "lib/registry.h"
#include "lib/slots.h"
#include "lib/type.h"

#define INDEX_BITS 24
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
#define SEGMENT_SHIFT 12
#define SEGMENT_HOLDS (1u << SEGMENT_SHIFT)
#define SEGMENTS 4096u
#define RING 1024u
#define TOKEN_BARE UINT32_MAX /* a reference without a record */

enum { HOLD_FREE = 0, HOLD_STANDS = 1, HOLD_PUT = 2 };

struct hold { /* 40 bytes */
    const void *object;
    const void *token; /* where it is, or was */
    uint32_t stack, put_stack;
    uint32_t ms;    /* host_now_ms(), or the next free one while FREE */
    uint32_t group; /* index, or HOLD_GROUPS */
    uint16_t life; /* serial << 8 | state */
    uint16_t type;
    uint32_t is_root;
};

_Static_assert(sizeof(struct hold) == 40, "as the head of this file says");
_Static_assert((uint64_t)SEGMENTS * SEGMENT_HOLDS == INDEX_MASK + 1u,
               "an index fits");

static inline uint16_t
lived(unsigned serial, unsigned state)
{
    return (uint16_t)(serial << 8 | state);
}

static inline unsigned
serial_of(const struct hold *h)
{
    return __atomic_load_n(&h->life, __ATOMIC_ACQUIRE) >> 8;
}

static void *segments[SEGMENTS];
static uint32_t limit = 1;
static uint64_t free_head; /* tag << 32 | index */
static uint32_t ring[RING], ring_next;
static void *groups; /* of struct hold_group */
static uint64_t live, lost;

/* ---- records ------------------------------------------------------------ */

static struct hold *
record(uint32_t index)
{
    struct hold *s = __atomic_load_n(&segments[index >> SEGMENT_SHIFT],
                                     __ATOMIC_ACQUIRE);

    return s ? &s[index & (SEGMENT_HOLDS - 1)] : NULL;
}

static uint32_t
pop_free(void)
{
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE), next;

    while ((uint32_t)head) {
        next = __atomic_load_n(&record((uint32_t)head)->ms, __ATOMIC_RELAXED);
        next |= ((head >> 32) + 1) << 32;
        if (__atomic_compare_exchange_n(&free_head, &head, next, 0,
                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return (uint32_t)head;
    }
    return 0;
}

static void
push_free(uint32_t index)
{
    struct hold *h = record(index);
    uint64_t head = __atomic_load_n(&free_head, __ATOMIC_RELAXED), next;

    __atomic_store_n(&h->life, lived(serial_of(h) + 1, HOLD_FREE),
                     __ATOMIC_RELEASE);
    do {
        __atomic_store_n(&h->ms, (uint32_t)head, __ATOMIC_RELEASE);
        next = ((head >> 32) + 1) << 32 | index;
    } while (!__atomic_compare_exchange_n(&free_head, &head, next, 0,
                                          __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

/* The last index stays unused: with serial 255 it would be TOKEN_BARE. */
static uint32_t
extend(void)
{
    uint32_t index = __atomic_load_n(&limit, __ATOMIC_RELAXED);

    do {
        if (index >= INDEX_MASK
            || !registry_map_once(&segments[index >> SEGMENT_SHIFT],
                                  SEGMENT_HOLDS * sizeof(struct hold)))
            return 0;
    } while (!__atomic_compare_exchange_n(&limit, &index, index + 1, 0,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    return index;
}

static void
retire(uint32_t index)
{
    uint32_t at = __atomic_fetch_add(&ring_next, 1, __ATOMIC_RELAXED) % RING;
    uint32_t old = __atomic_exchange_n(&ring[at], index, __ATOMIC_ACQ_REL);

    if (old)
        push_free(old);
}

/* ---- groups ------------------------------------------------------------- */

static uint64_t
mix(uint64_t sum, uint64_t x)
{
    sum = (sum ^ x) * UINT64_C(0x9fb21c651e98df25);
    return sum ^ sum >> 32;
}

static struct hold_group *
group_at(uint32_t index)
{
    struct hold_group *g = __atomic_load_n(&groups, __ATOMIC_ACQUIRE);

    return g && index < HOLD_GROUPS ? &g[index] : NULL;
}

int
hold_any(void)
{
    return __atomic_load_n(&groups, __ATOMIC_RELAXED) != NULL;
}

const struct hold_group *
hold_group(uint32_t index)
{
    const struct hold_group *g = group_at(index);

    return g && __atomic_load_n(&g->is_whole, __ATOMIC_ACQUIRE) ? g : NULL;
}

/* Equal hashes are taken for equal groups. */
static uint32_t
find_group(const struct hold *h, const char *name)
{
    uint64_t hash = mix(mix((uintptr_t)name, h->stack),
                        (uint64_t)h->type << 1 | h->is_root) | 1;
    struct hold_group *g;
    uint64_t seen;

    if (!registry_map_once(&groups, HOLD_GROUPS * sizeof(*g)))
        return HOLD_GROUPS;
    for (uint32_t i = 0; i < HOLD_GROUPS; i++) {
        uint32_t at = (uint32_t)((hash >> 32) + i) % HOLD_GROUPS;

        g = group_at(at);
        seen = __atomic_load_n(&g->hash, __ATOMIC_ACQUIRE);
        if (!seen
            && __atomic_compare_exchange_n(&g->hash, &seen, hash, 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE)) {
            g->name = name;
            g->stack = h->stack;
            g->type = h->type;
            g->is_root = h->is_root;
            __atomic_store_n(&g->is_whole, 1, __ATOMIC_RELEASE);
            return at;
        }
        if (seen == hash)
            return at;
    }
    return HOLD_GROUPS;
}

static void
count_group(uint32_t group, uint64_t live_by, uint64_t ever_by)
{
    struct hold_group *g = group_at(group);

    if (!g)
        return;
    __atomic_fetch_add(&g->live, live_by, __ATOMIC_RELAXED);
    __atomic_fetch_add(&g->ever, ever_by, __ATOMIC_RELAXED);
}

void
hold_oldest(uint32_t oldest_ms[HOLD_GROUPS])
{
    uint32_t end = __atomic_load_n(&limit, __ATOMIC_ACQUIRE);

    for (uint32_t i = 0; i < HOLD_GROUPS; i++)
        oldest_ms[i] = UINT32_MAX;
    for (uint32_t i = 1; i < end; i++) {
        const struct hold *h = record(i);
        uint32_t group, ms;

        if ((__atomic_load_n(&h->life, __ATOMIC_ACQUIRE) & 255) != HOLD_STANDS)
            continue;
        group = __atomic_load_n(&h->group, __ATOMIC_RELAXED);
        ms = __atomic_load_n(&h->ms, __ATOMIC_RELAXED);
        if (group < HOLD_GROUPS && ms < oldest_ms[group])
            oldest_ms[group] = ms;
    }
}

uint64_t
hold_live(void)
{
    return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

uint64_t
hold_lost(void)
{
    return __atomic_load_n(&lost, __ATOMIC_RELAXED);
}

/* ---- holding ------------------------------------------------------------ */

static void
fill(struct hold *h, void *obj, const void *token, const char *name)
{
    const hk_type *type = object_type(obj);

    __atomic_store_n(&h->object, obj, __ATOMIC_RELAXED);
    __atomic_store_n(&h->token, token, __ATOMIC_RELAXED);
    __atomic_store_n(&h->stack, host_stack(), __ATOMIC_RELAXED);
    __atomic_store_n(&h->put_stack, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&h->ms, host_now_ms(), __ATOMIC_RELAXED);
    __atomic_store_n(&h->type, type ? type->id : 0, __ATOMIC_RELAXED);
    __atomic_store_n(&h->is_root, !token, __ATOMIC_RELAXED);
    __atomic_store_n(&h->group, find_group(h, name), __ATOMIC_RELAXED);
    __atomic_store_n(&h->life, lived(serial_of(h), HOLD_STANDS),
                     __ATOMIC_RELEASE);
}

/* Writes the hold down; its token. */
static hk_token
enter(void *obj, const void *token, const char *name)
{
    uint32_t index = pop_free();
    struct hold *h;

    if (!index)
        index = extend();
    if (!index) {
        __atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
        return TOKEN_BARE;
    }
    h = record(index);
    fill(h, obj, token, name);
    if (h->group == HOLD_GROUPS)
        __atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
    count_group(h->group, 1, 1);
    if (token)
        __atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
    return (uint32_t)serial_of(h) << INDEX_BITS | index;
}

static int
is_usable(const void *obj, const void *other, const char *caller)
{
    if (obj && other)
        return 1;
    mistake(HK_ERROR_NULL, obj, NULL, 0, "%s %s", caller,
            obj ? "without a token or name" : "of NULL");
    return 0;
}

void
hk_hold(void *obj, hk_token *token, const char *name)
{
    hk_token t = TOKEN_BARE;

    if (!is_usable(obj, token, "hk_hold"))
        return;
    object_retain(obj);
    if (host_is_agent())
        t = enter(obj, token, name ? name : "(no name)");
    __atomic_store_n(token, t, __ATOMIC_RELEASE);
}

void
hk_root(void *obj, const char *name)
{
    if (!is_usable(obj, name, "hk_root"))
        return;
    object_retain(obj);
    if (host_is_agent())
        enter(obj, NULL, name);
}

/* ---- putting ------------------------------------------------------------ */

/* The record that a token names, if it is still the same. */
static struct hold *
named_by(hk_token t)
{
    uint32_t index = t & INDEX_MASK;
    struct hold *h;

    if (!index || index >= __atomic_load_n(&limit, __ATOMIC_ACQUIRE))
        return NULL;
    h = record(index);
    return h && serial_of(h) == t >> INDEX_BITS ? h : NULL;
}

/* Among those that were put lately, the last one with this token variable and
   object. */
static const struct hold *
put_before(const void *obj, const void *token)
{
    uint32_t next = __atomic_load_n(&ring_next, __ATOMIC_ACQUIRE);
    const struct hold *h;
    uint32_t index;

    for (uint32_t i = 1; i <= RING; i++) {
        index = __atomic_load_n(&ring[(next - i) % RING], __ATOMIC_ACQUIRE);
        h = index ? record(index) : NULL;
        if (h && __atomic_load_n(&h->token, __ATOMIC_RELAXED) == token
            && __atomic_load_n(&h->object, __ATOMIC_RELAXED) == obj)
            return h;
    }
    return NULL;
}

/* The object may be dead: the type is the record's. */
static void
put_twice(const void *obj, const struct hold *h)
{
    struct mistake_past past = {0, 0};
    const hk_type *type = NULL;

    if (h) {
        past.origin = __atomic_load_n(&h->stack, __ATOMIC_RELAXED);
        past.last = __atomic_load_n(&h->put_stack, __ATOMIC_RELAXED);
        type = type_get(__atomic_load_n(&h->type, __ATOMIC_RELAXED));
    }
    mistake_after(HK_ERROR_PUT_TWICE, obj, type, past, "put twice");
}

/* Takes the record out of the holder's hands; 0: it is not there. */
static int
leave(hk_token t, struct hold *h)
{
    uint16_t stands = lived(t >> INDEX_BITS, HOLD_STANDS);

    if (!h
        || !__atomic_compare_exchange_n(
            &h->life, &stands, lived(t >> INDEX_BITS, HOLD_PUT), 0,
            __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return 0;
    __atomic_store_n(&h->put_stack, host_stack(), __ATOMIC_RELEASE);
    count_group(h->group, (uint64_t)-1, 0);
    __atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
    retire(t & INDEX_MASK);
    return 1;
}

void
hk_put(void *obj, hk_token *token)
{
    hk_token t;
    struct hold *h = NULL;

    if (!is_usable(obj, token, "hk_put"))
        return;
    t = __atomic_exchange_n(token, 0, __ATOMIC_ACQ_REL);
    if (t && t != TOKEN_BARE)
        h = named_by(t);
    if (t == TOKEN_BARE || leave(t, h))
        object_release(obj);
    else
        put_twice(obj, h ? h : put_before(obj, token));
}
