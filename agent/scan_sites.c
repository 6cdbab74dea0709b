/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * scan_sites.c -- equal call stacks of the members of a cycle, counted.
 *
 * Called by   scan_emit.c; unit tests.
 * Threads     any.
 * Memory      the caller's.
 * Fails       never.
 * Invariants  heapsort: no recursion, no memory, no bad case.
 */
#include "agent/scan_sites.h"

#include <stddef.h>

static void
sift(uint64_t *a, size_t root, size_t n)
{
    for (size_t child; (child = 2 * root + 1) < n; root = child) {
        uint64_t t;

        if (child + 1 < n && a[child + 1] > a[child])
            child++;
        if (a[root] >= a[child])
            return;
        t = a[root];
        a[root] = a[child];
        a[child] = t;
    }
}

static void
sort(uint64_t *a, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift(a, i, n);
    for (size_t end = n; end > 1;) {
        uint64_t t = a[0];

        a[0] = a[--end];
        a[end] = t;
        sift(a, 0, end);
    }
}

uint32_t
sites_count(uint64_t *keys, uint32_t n, struct hkr_site *out, uint32_t max)
{
    uint32_t count = 0;

    sort(keys, n);
    for (uint32_t i = 0; i < n; i++) {
        if (count && i && keys[i] == keys[i - 1]) {
            out[count - 1].count++;
        } else if (count == max) {
            out[count - 1].stack = 0;
            out[count - 1].count++;
        } else {
            out[count].stack = (uint32_t)(keys[i] >> 16);
            out[count].type = (uint32_t)(keys[i] & 0xffff);
            out[count++].count = 1;
        }
    }
    return count;
}
