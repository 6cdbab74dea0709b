/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_bytes.c -- see the header.
 *
 * Called by   cfi.c, cfi_program.c.
 * Threads     any; nothing is shared.
 * Memory      the caller's.
 * Fails       the cursor is bad.
 */
#include "agent/cfi_bytes.h"

uint64_t
cfi_read_fixed(struct cfi_cursor *in, size_t bytes)
{
    uint64_t value = 0;

    if ((size_t)(in->end - in->at) < bytes) {
        in->is_bad = 1;
        in->at = in->end;
        return 0;
    }
    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | in->at[i];
    in->at += bytes;
    return value;
}

static int64_t
read_fixed_signed(struct cfi_cursor *in, size_t bytes)
{
    unsigned int spare = 64 - 8 * (unsigned int)bytes;

    return (int64_t)(cfi_read_fixed(in, bytes) << spare) >> spare;
}

static uint64_t
read_leb(struct cfi_cursor *in, int is_signed)
{
    uint64_t value = 0, byte;
    unsigned int shift = 0;

    do {
        byte = cfi_read_fixed(in, 1);
        if (shift > 56) /* nobody has such numbers */
            in->is_bad = 1;
        else
            value |= (byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80 && !in->is_bad);
    if (is_signed && byte & 0x40 && shift < 64)
        value |= ~(uint64_t)0 << shift;
    return value;
}

uint64_t
cfi_read_uleb(struct cfi_cursor *in)
{
    return read_leb(in, 0);
}

int64_t
cfi_read_sleb(struct cfi_cursor *in)
{
    return (int64_t)read_leb(in, 1);
}

static int32_t
product(struct cfi_cursor *in, int64_t a, int64_t b)
{
    int32_t result;

    if (!__builtin_mul_overflow(a, b, &result))
        return result;
    in->is_bad = 1;
    return 0;
}

int32_t
cfi_read_offset(struct cfi_cursor *in, int64_t unit)
{
    return product(in, (int64_t)cfi_read_uleb(in), unit);
}

int32_t
cfi_read_offset_signed(struct cfi_cursor *in, int64_t unit)
{
    return product(in, cfi_read_sleb(in), unit);
}

struct cfi_cursor
cfi_read_block(struct cfi_cursor *in)
{
    uint64_t bytes = cfi_read_uleb(in);
    struct cfi_cursor block = {in->at, in->at, 0};

    if (bytes > (uint64_t)(in->end - in->at)) {
        in->is_bad = block.is_bad = 1;
        return block;
    }
    block.end = in->at += bytes;
    return block;
}

uint64_t
cfi_read_format(struct cfi_cursor *in, unsigned int format)
{
    switch (format) {
    case 0x00:
    case 0x04:
    case 0x0c:
        return cfi_read_fixed(in, 8);
    case 0x01:
        return cfi_read_uleb(in);
    case 0x02:
        return cfi_read_fixed(in, 2);
    case 0x03:
        return cfi_read_fixed(in, 4);
    case 0x09:
        return (uint64_t)cfi_read_sleb(in);
    case 0x0a:
        return (uint64_t)read_fixed_signed(in, 2);
    case 0x0b:
        return (uint64_t)read_fixed_signed(in, 4);
    default:
        in->is_bad = 1;
        return 0;
    }
}

uintptr_t
cfi_read_pointer(struct cfi_cursor *in, unsigned int encoding, uintptr_t data)
{
    uintptr_t place = (uintptr_t)in->at;
    uintptr_t value = cfi_read_format(in, encoding & CFI_ENC_FORMAT);
    unsigned int base = encoding & CFI_ENC_BASE;

    if (base == CFI_ENC_PCREL)
        return value ? value + place : 0;
    if (base == CFI_ENC_DATAREL && data)
        return value ? value + data : 0;
    if (base)
        in->is_bad = 1;
    return value;
}
