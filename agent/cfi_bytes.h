/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_bytes.h -- numbers as call frame information writes them.
 *
 * A cursor never leaves [at, end): a read that would leaves 0 and marks the
 * cursor bad for good.  So is a number marked that does not fit.
 */
#ifndef HK_AGENT_CFI_BYTES_H
#define HK_AGENT_CFI_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct cfi_cursor {
    const uint8_t *at, *end;
    int is_bad;
};

uint64_t cfi_read_fixed(struct cfi_cursor *in, size_t bytes);
uint64_t cfi_read_uleb(struct cfi_cursor *in);
int64_t cfi_read_sleb(struct cfi_cursor *in);
/* A number in units. */
int32_t cfi_read_offset(struct cfi_cursor *in, int64_t unit);
int32_t cfi_read_offset_signed(struct cfi_cursor *in, int64_t unit);
/* A length, and so many bytes: these. */
struct cfi_cursor cfi_read_block(struct cfi_cursor *in);

/* How a pointer is written (LSB, "DWARF Exception Header Encoding"). */
enum {
    CFI_ENC_FORMAT = 0x0f,
    CFI_ENC_BASE = 0x70,
    CFI_ENC_PCREL = 0x10,
    CFI_ENC_DATAREL = 0x30,
    CFI_ENC_INDIRECT = 0x80,
    CFI_ENC_SORTED_TABLE = 0x3b /* relative to the header, signed, 4 bytes */
};
uint64_t cfi_read_format(struct cfi_cursor *in, unsigned int format);
/* A pointer; data is what DATAREL means, 0 if nothing.  0 is 0 whatever it is
   relative to.  What is behind an indirect one is not looked at. */
uintptr_t cfi_read_pointer(struct cfi_cursor *in, unsigned int encoding,
                           uintptr_t data);

#endif
