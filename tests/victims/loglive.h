/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * loglive.h -- the shared file in which loglive logs what it has done.
 *
 * Little-endian, as the machine writes it.  The head, then LOG_ENTRIES
 * entries of which number n lies at n % LOG_ENTRIES; head.entries says how
 * many were ever written, and is stored last.  The totals of an entry had
 * been reached at its time or before.
 */
#ifndef LOGLIVE_H
#define LOGLIVE_H

#include <stdint.h>

#define LOG_MAGIC UINT64_C(0x657669676f6c6b68) /* "hklogive" */
#define LOG_ENTRIES 16384u
#define LOG_THREADS 64u

struct log_entry { /* 32 bytes */
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t allocations, allocated_bytes, frees;
};

struct log_slot { /* 64 bytes, of one thread */
    uint64_t allocations, allocated_bytes, frees;
    uint64_t pad[5];
};

struct log_file {
    uint64_t magic;
    uint64_t threads;
    uint64_t entries; /* __atomic */
    uint64_t pad[5];
    struct log_slot slots[LOG_THREADS]; /* at 64 */
    struct log_entry ring[LOG_ENTRIES]; /* at 4160 */
};

#endif
