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

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

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
/* Keeps errno, which expm1 may set. */
struct weight sampler_weight(uint32_t rate, uint64_t bytes);
/* At the end of a countdown.  1: that block is sampled. */
int sampler_draw(struct sampler *s, uint32_t rate, size_t bytes);
/* The agent's thread, once a second: keeps overhead=.  capture_ns: spent on
   captures, events: allocations and frees, ever. */
void sampler_adapt(uint64_t now_ns, uint64_t capture_ns, uint64_t events,
                   uint64_t allocations, uint64_t allocated_bytes);

/* In a forked child, whose CPU time begins anew. */
void sampler_reset(void);

/*
 * The program may have unmasked floating-point exceptions, chosen another
 * rounding, or be about to ask for its flags: in between these are the
 * defaults, and afterwards what they were.  What computes is to be a function
 * of its own, not inline: the compiler moves computations past these.
 */
static inline uint64_t
float_begin(void)
{
#if defined(__SSE2__)
    uint64_t state = _mm_getcsr();

    _mm_setcsr(0x1f80);
#elif defined(__aarch64__)
    uint64_t state = (uint64_t)__builtin_aarch64_get_fpsr() << 32 |
                     __builtin_aarch64_get_fpcr();

    __builtin_aarch64_set_fpcr(0);
#else
    uint64_t state = 0;
#endif
    return state;
}

static inline void
float_end(uint64_t state)
{
#if defined(__SSE2__)
    _mm_setcsr((unsigned)state);
#elif defined(__aarch64__)
    __builtin_aarch64_set_fpcr((unsigned)state);
    __builtin_aarch64_set_fpsr((unsigned)(state >> 32));
#else
    (void)state;
#endif
}

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
