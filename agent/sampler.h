/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sampler.h -- which blocks get a stack: sample= and overhead=.
 *
 * A Poisson process along the bytes that a thread allocates: its next event is
 * an exponential draw away, and the block that reaches it is sampled.  So a
 * block of s bytes is sampled with the probability p = 1 - exp(-s / R),
 * whatever came before, and stands for 1 / p blocks and s / p bytes: sums of
 * these are estimates without bias (Horvitz and Thompson, 1952; jemalloc and
 * tcmalloc sample so).
 *
 * R, the mean distance in bytes, is the rate's; rate 0 is every block.  A stack
 * belongs to one rate (intern.h), so a block is taken off its stack with the
 * weight with which it was put there, though overhead= may have chosen another
 * rate meanwhile.
 */
#ifndef HK_AGENT_SAMPLER_H
#define HK_AGENT_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#define SAMPLER_RATES 64u

/* Of a thread. */
struct sampler {
    int64_t countdown; /* bytes to the next event */
    uint64_t random;   /* state, 0: not drawn yet */
    uint32_t rate;     /* of the countdown */
    uint32_t untimed;  /* captures since one was timed */
};
#define SAMPLER_TIMED 64u /* one capture in so many is timed */

/* What a sampled block stands for. */
#define SAMPLER_ONE 65536u /* blocks are counted in 65536ths */
struct weight {
    uint64_t blocks, bytes;
};

extern uint32_t sampler_rate; /* now */
extern uint32_t sampler_is_used; /* some stack may have another rate than 0 */

void sampler_start(void);
/* The mean distance in bytes of a rate; 0: every block. */
uint64_t sampler_distance(uint32_t rate);
struct weight sampler_weight(uint32_t rate, uint64_t bytes);
/* At the end of a countdown.  1: that block is sampled. */
int sampler_draw(struct sampler *s, uint32_t rate, size_t bytes);
/* The agent's thread, once a second: keeps overhead=.  capture_ns: spent on
   captures, events: allocations and frees, ever. */
void sampler_adapt(uint64_t now_ns, uint64_t capture_ns, uint64_t events,
                   uint64_t allocations, uint64_t allocated_bytes);

/* In a forked child, whose CPU time begins anew. */
void sampler_reset(void);

/* 0: every block is recorded. */
static inline uint32_t
sampler_now(void)
{
    return __atomic_load_n(&sampler_rate, __ATOMIC_RELAXED);
}

/* rate: not 0. */
static inline int
sampler_takes(struct sampler *s, uint32_t rate, size_t bytes)
{
    s->countdown -= (int64_t)bytes;
    return __builtin_expect(s->countdown < 0 || s->rate != rate, 0) &&
           sampler_draw(s, rate, bytes);
}

#endif
