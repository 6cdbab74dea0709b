/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * sampling.h -- how sure the figures of a sampled recording are.
 *
 * What was sampled, and what the counters then mean, is in SAMPLING of
 * format/recording.h.  Here is what follows for live bytes: their variance,
 * and the interval that holds the truth in 95 of 100 cases.
 *
 * Below, R is the mean distance of samples, x = s / R the size of a block in
 * that unit, b = 1 / (1 - exp(-x)) the blocks for which one sampled block
 * stands, and x b R its bytes.  One sample adds (Horvitz-Thompson)
 *
 *      R^2 g(b), g(b) = b (b - 1) ln(b / (b - 1))^2
 *
 * to the variance: R^2 where blocks are small, nothing where they are so large
 * that none escapes.  g is concave and rises, so that n R^2 g(mean of b) is at
 * least the sum over n samples, whatever the mixture of sizes.  The mean of b
 * is live blocks / n.  (The mean of the bytes would not do: one huge block
 * among small ones would hide their variance.)
 *
 * Of blocks there is no interval: it needs the sum of b^2, which the file does
 * not have.
 */
#ifndef HK_REPORTER_SAMPLING_H
#define HK_REPORTER_SAMPLING_H

#include <stdint.h>

#include "format/recording.h"

struct recording;
struct stack_counts;

#define SAMPLING_Z 1.96 /* standard errors of the interval */
#define SAMPLING_CONFIDENCE 0.95
#define SAMPLING_PLUS_MINUS "\302\261" /* the sign, in UTF-8 */
/* For a verdict: a thousand paths are looked at, and none may be accused. */
#define SAMPLING_Z_SURE 4.0

/* What is known of an estimate besides its value.  All zero: it is exact.
   Estimates of disjoint stacks add up. */
struct estimate {
    int sampled;
    double samples;  /* live sampled blocks */
    double variance; /* bytes^2, of live bytes */
    double unit;     /* bytes that one more sample would add, at most */
    double certain;  /* bytes: the sampled blocks have these at least */
    double churn;    /* bytes^2: what all changes so far add to the variance
                        of a difference between two moments */
};

struct interval {
    double low, high;
    int symmetric; /* value +- (high - value) */
};

/* Was anything sampled in this recording? */
int sampling_used(const struct recording *rec);
/* R^2 g(b) of all blocks ever sampled, for each byte: bytes.  0: exact. */
double sampling_per_byte(const struct hkr_stack *stack);
/* Of a stack whose counters were `counts` at some moment.  latest: they are
   those of the stack itself, whose live samples are known; else they are put
   at the mean weight of all its samples. */
struct estimate sampling_estimate(const struct hkr_stack *stack,
                                  const struct stack_counts *counts,
                                  int latest);
void sampling_add(struct estimate *to, const struct estimate *from);
/* Where the truth lies.  most: it cannot be more (0: unknown). */
struct interval sampling_interval(double live_bytes, const struct estimate *e,
                                  double most);
/* Half the width of the interval of b - a; together: two moments of one
   recording, a before b or after it, so that what did not change cannot
   err. */
double sampling_change(const struct estimate *a, const struct estimate *b,
                       int together);
/* Quantile of the chi-square distribution with k degrees of freedom at z
   standard normal deviations: E. B. Wilson and M. M. Hilferty, "The
   distribution of chi-square", PNAS 17 (1931), 684-688. */
double sampling_chi_square(double k, double z);

#endif
