/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * shard.c -- giving each thread its shard, and summing them.
 *
 * Called by   object.c, refcount.c (birth and death), registry.c, gc.c.
 * Threads     any.  A shard is taken by one compare-and-swap; the list of them
 *             only grows.
 * Memory      host_map().
 * Fails       shard_claim: NULL, also in what runs after a thread's shard was
 *             given back.
 * Invariants  live == number of shards with is_owned.  In a forked child only
 *             the forking thread owns one.
 */
#include "lib/shard.h"

#include <pthread.h>
#include <string.h>

#include "lib/host.h"

__thread struct shard *shard_self;

static __thread int is_ending __attribute__((tls_model("initial-exec")));

static struct shard *all;
static uint32_t live;
static int64_t shared_allocated;
static pthread_key_t key;
static int key_is_made;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
release(void *shard)
{
    struct shard *s = shard;

    shard_self = NULL;
    is_ending = 1;
    __atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&s->is_owned, 0, __ATOMIC_RELEASE);
}

/* The other threads did not come along.  One of them may have been about to
   use a slot, which is lost then. */
void
shard_after_fork(void)
{
    for (struct shard *s = all; s; s = s->next)
        __atomic_store_n(&s->is_owned, s == shard_self, __ATOMIC_RELAXED);
    __atomic_store_n(&live, shard_self != NULL, __ATOMIC_RELAXED);
}

static void
prepare(void)
{
    key_is_made = pthread_key_create(&key, release) == 0;
}

static struct shard *
take_left(void)
{
    struct shard *s = __atomic_load_n(&all, __ATOMIC_ACQUIRE);
    int owned;

    for (; s; s = s->next) {
        owned = 0;
        if (!__atomic_load_n(&s->is_owned, __ATOMIC_RELAXED)
            && __atomic_compare_exchange_n(&s->is_owned, &owned, 1, 0,
                                           __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return s;
    }
    return NULL;
}

static struct shard *
make(void)
{
    struct shard *s = host_map(sizeof(*s));

    if (!s)
        return NULL;
    s->is_owned = 1;
    s->next = __atomic_load_n(&all, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&all, &s->next, s, 1, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        ;
    return s;
}

/* Where a thread's end cannot be noticed its shard stays its own for ever. */
struct shard *
shard_claim(void)
{
    struct shard *s;

    if (is_ending)
        return NULL; /* nobody would tell when it ends once more */
    pthread_once(&once, prepare);
    s = take_left();
    if (!s)
        s = make();
    if (!s)
        return NULL;
    __atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
    shard_self = s;
    if (key_is_made)
        pthread_setspecific(key, s);
    return s;
}

uint32_t
shard_threads(void)
{
    return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

void
shard_sum(uint16_t type, struct shard_count *sum)
{
    struct shard *first = __atomic_load_n(&all, __ATOMIC_ACQUIRE), *s;

    memset(sum, 0, sizeof(*sum));
    for (s = first; s; s = s->next)
        sum->destroyed += __atomic_load_n(&s->counts[type].destroyed,
                                          __ATOMIC_ACQUIRE);
    for (s = first; s; s = s->next) {
        sum->created += __atomic_load_n(&s->counts[type].created,
                                        __ATOMIC_RELAXED);
        sum->tracked += __atomic_load_n(&s->counts[type].tracked,
                                        __ATOMIC_RELAXED);
    }
}

int64_t
shard_allocated(void)
{
    int64_t sum = __atomic_load_n(&shared_allocated, __ATOMIC_RELAXED);
    struct shard *s = __atomic_load_n(&all, __ATOMIC_ACQUIRE);

    for (; s; s = s->next)
        sum += __atomic_load_n(&s->allocated, __ATOMIC_RELAXED);
    return sum > 0 ? sum : 0;
}

void
shard_reset_allocated(void)
{
    struct shard *s = __atomic_load_n(&all, __ATOMIC_ACQUIRE);

    __atomic_store_n(&shared_allocated, 0, __ATOMIC_RELAXED);
    for (; s; s = s->next)
        __atomic_store_n(&s->allocated, 0, __ATOMIC_RELAXED);
}

void
shard_count_allocated(void)
{
    __atomic_fetch_add(&shared_allocated, 1, __ATOMIC_RELAXED);
}

void
shard_count_freed(void)
{
    int64_t n = __atomic_load_n(&shared_allocated, __ATOMIC_RELAXED);

    while (n > 0
           && !__atomic_compare_exchange_n(&shared_allocated, &n, n - 1, 1,
                                           __ATOMIC_RELAXED,
                                           __ATOMIC_RELAXED))
        ;
    if (n <= 0 && shard_self)
        shard_note_free(shard_self);
}
