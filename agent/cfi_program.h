/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_program.h -- the instructions of call frame information.
 *
 * A function's program makes the rows of a table, each for the addresses from
 * its own to that of the next: where the CFA comes from, and where the caller's
 * registers are.  Three of these matter to a walk: rbp, rsp and rip.
 * Instructions about others are read for their length only.
 */
#ifndef HK_AGENT_CFI_PROGRAM_H
#define HK_AGENT_CFI_PROGRAM_H

#include "agent/cfi_bytes.h"

#define CFI_REMEMBER_MAX 4u /* compilers nest them two deep */

/* What a function has in common with others. */
struct cfi_common {
    struct cfi_cursor program; /* before the function's own */
    uint64_t code_align;
    int32_t data_align;
    unsigned int encoding; /* of pointers into code */
    int has_data;          /* in the function's entry too */
};

enum cfi_how {
    CFI_SAME,      /* or nothing was said */
    CFI_AT_CFA,    /* saved at CFA + offset */
    CFI_AT_FP,     /* saved at rbp + offset */
    CFI_UNDEFINED, /* the caller's value is lost */
    CFI_OTHER      /* not for us */
};
enum cfi_from {
    CFI_FROM_OTHER,
    CFI_FROM_SP,
    CFI_FROM_FP,
    CFI_FROM_REGISTER,
    CFI_FROM_SLOT /* *(rbp + offset) */
};
struct cfi_value {
    int32_t offset; /* bytes */
    uint32_t how;
};
struct cfi_row {
    struct cfi_value cfa, fp, sp, ra;
};

struct cfi_program {
    struct cfi_cursor in;
    const struct cfi_common *common;
    const struct cfi_row *initial; /* NULL while that is made */
    uintptr_t at, target;
    uint32_t depth;
    struct cfi_row row, remembered[CFI_REMEMBER_MAX];
};

/* Up to the row in which the target lies.  0: broken, or not for us. */
int cfi_run(struct cfi_program *p);

#endif
