/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi.h -- how to get from a return address to its caller, for plain frames.
 *
 * The call frame information that every object carries (.eh_frame; DWARF 5,
 * section 6.4, and the Linux Standard Base, "DWARF Extensions") is a program
 * for each function.  cfi_find() runs it up to one address and says in four
 * words what came out.  What these cannot express is no rule: a full unwinder
 * has to be asked.  So it is in doubt, and in signal frames.
 *
 * Reads memory of the object only, within what the loader mapped of it.  No
 * lock, no allocation, nothing of libc but memcpy and memset, less than a KiB
 * of stack; any thread.  Only x86-64 has rules.
 */
#ifndef HK_AGENT_CFI_H
#define HK_AGENT_CFI_H

#include <stdint.h>

/* The CFA is what the caller's stack pointer becomes by the return. */
enum cfi_kind {
    CFI_NONE, /* fits no rule */
    CFI_SP,   /* CFA = sp + cfa_offset */
    CFI_FP,   /* CFA = fp (rbp) + cfa_offset */
    CFI_DRAP, /* CFA = *(fp + cfa_offset): a realigned stack */
    CFI_END   /* the return address is undefined: the outermost frame */
};

/* Always: the return address lies at CFA - 8, the caller's sp is CFA. */
struct cfi_rule {
    uint32_t kind;
    int32_t cfa_offset;   /* bytes */
    uint32_t fp_is_saved; /* 0: the caller's fp is this frame's */
    int32_t fp_offset;    /* the caller's fp lies at CFA + fp_offset;
                             CFI_DRAP: at fp + fp_offset */
};

/* The rule of the frame into which pc is a return address (looked up at
   pc - 1).  0: none, and rule->kind is CFI_NONE. */
int cfi_find(uintptr_t pc, struct cfi_rule *rule);

/* Where cfi_find has none: is there nothing said about pc at all?  (Assembly
   without directives, code made at run time.) */
int cfi_is_absent(uintptr_t pc);

/* The same, from tables that the caller has found: .eh_frame_hdr, and what may
   be read from the first byte of .eh_frame on. */
struct cfi_tables {
    uintptr_t header, header_end;
    uintptr_t frames, frames_end;
};
int cfi_read(const struct cfi_tables *t, uintptr_t pc, struct cfi_rule *rule);

#endif
