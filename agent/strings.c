/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * strings.c -- interned strings, in one table that only grows.
 *
 * Called by   modules.c, publish.c, scan.c: slow paths.
 * Threads     under lock_strings; reading is free once published.
 * Memory      meta.c, at most STRINGS_BYTES.
 * Fails       id 0.
 */
#include "agent/strings.h"

#include <string.h>

#include "agent/counters.h"
#include "agent/lock.h"
#include "agent/meta.h"

#define STRINGS_BYTES (8u << 20)
#define HASH_COUNT 16384u
#define LOCK_WAIT_NS 50000000u

static char *table;      /* byte 0 is unused: id 0 is none */
static uint32_t *hash;   /* ids, open addressing */
static uint32_t used = 1, string_count;

int
strings_start(void)
{
    table = meta_reserve(STRINGS_BYTES);
    hash = meta_reserve(HASH_COUNT * sizeof(*hash));
    return table && hash;
}

static uint32_t
hash_string(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

static uint32_t
add_locked(const char *s)
{
    size_t bytes = strlen(s) + 1;
    uint32_t i = hash_string(s) % HASH_COUNT, id;

    for (; hash[i]; i = (i + 1) % HASH_COUNT)
        if (strcmp(table + hash[i], s) == 0)
            return hash[i];
    if (bytes > STRINGS_BYTES - used || string_count >= HASH_COUNT / 2)
        return 0;
    id = used;
    memcpy(table + id, s, bytes);
    __atomic_store_n(&used, used + (uint32_t)bytes, __ATOMIC_RELEASE);
    hash[i] = id;
    string_count++;
    return id;
}

uint32_t
strings_add(const char *s)
{
    uint32_t id = 0;

    if (!table || !s || !*s)
        return 0;
    if (!lock_take(&lock_strings, LOCK_WAIT_NS))
        return 0;
    id = add_locked(s);
    lock_release(&lock_strings);
    return id;
}

const char *
strings_get(uint32_t id)
{
    return id && id < strings_bytes() ? table + id : "";
}

uint32_t
strings_bytes(void)
{
    return __atomic_load_n(&used, __ATOMIC_ACQUIRE);
}
