/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * cfi_program.c -- run the program of a function up to one address.
 *
 * Called by   cfi.c.
 * Threads     any; nothing is shared.
 * Memory      the caller's.
 * Fails       the cursor is bad: an unknown instruction, one that makes no
 *             sense there, a number too large, states remembered too deep.
 */
#include "agent/cfi_program.h"

enum {
    OP_ADVANCE = 0x40, /* with an operand in the low six bits */
    OP_OFFSET = 0x80,
    OP_RESTORE = 0xc0,
    OP_NOP = 0,
    OP_SET_LOC,
    OP_ADVANCE1,
    OP_ADVANCE2,
    OP_ADVANCE4,
    OP_OFFSET_EXTENDED,
    OP_RESTORE_EXTENDED,
    OP_UNDEFINED,
    OP_SAME_VALUE,
    OP_REGISTER,
    OP_REMEMBER_STATE,
    OP_RESTORE_STATE,
    OP_DEF_CFA,
    OP_DEF_CFA_REGISTER,
    OP_DEF_CFA_OFFSET,
    OP_DEF_CFA_EXPRESSION,
    OP_EXPRESSION,
    OP_OFFSET_EXTENDED_SF,
    OP_DEF_CFA_SF,
    OP_DEF_CFA_OFFSET_SF,
    OP_VAL_OFFSET,
    OP_VAL_OFFSET_SF,
    OP_VAL_EXPRESSION,
    OP_ARGS_SIZE = 0x2e,
    OP_NEGATIVE_OFFSET = 0x2f,
    EXPR_DEREF = 0x06,
    EXPR_RBP = 0x76 /* rbp plus what follows */
};

static struct cfi_value *
value_of(struct cfi_row *row, uint64_t reg)
{
    return reg == 6    ? &row->fp
           : reg == 7  ? &row->sp
           : reg == 16 ? &row->ra
                       : NULL;
}

static void
set(struct cfi_program *p, uint64_t reg, enum cfi_how how, int32_t offset)
{
    struct cfi_value *v = value_of(&p->row, reg);

    if (v)
        *v = (struct cfi_value){offset, how};
}

/* Is it "rbp + offset", followed by tail (0: by nothing)? */
static int
is_from_rbp(struct cfi_cursor block, uint8_t tail, int32_t *offset)
{
    if (cfi_read_fixed(&block, 1) != EXPR_RBP)
        return 0;
    *offset = cfi_read_offset_signed(&block, 1);
    if (tail && cfi_read_fixed(&block, 1) != tail)
        return 0;
    return !block.is_bad && block.at == block.end;
}

static void
run_expression(struct cfi_program *p, uint64_t reg)
{
    int32_t offset = 0;

    if (is_from_rbp(cfi_read_block(&p->in), 0, &offset))
        set(p, reg, CFI_AT_FP, offset);
    else
        set(p, reg, CFI_OTHER, 0);
}

static void
restore(struct cfi_program *p, uint64_t reg)
{
    struct cfi_value *v = value_of(&p->row, reg);
    struct cfi_row initial;

    if (!p->initial) {
        p->in.is_bad = 1;
        return;
    }
    initial = *p->initial;
    if (v)
        *v = *value_of(&initial, reg);
}

/* Instructions that begin with a register. */
static void
run_register(struct cfi_program *p, unsigned int op, uint64_t reg)
{
    int64_t unit = p->common->data_align;

    switch (op) {
    case OP_OFFSET:
    case OP_OFFSET_EXTENDED:
        set(p, reg, CFI_AT_CFA, cfi_read_offset(&p->in, unit));
        break;
    case OP_OFFSET_EXTENDED_SF:
        set(p, reg, CFI_AT_CFA, cfi_read_offset_signed(&p->in, unit));
        break;
    case OP_NEGATIVE_OFFSET:
        set(p, reg, CFI_AT_CFA, cfi_read_offset(&p->in, -unit));
        break;
    case OP_RESTORE:
    case OP_RESTORE_EXTENDED:
        restore(p, reg);
        break;
    case OP_UNDEFINED:
        set(p, reg, CFI_UNDEFINED, 0);
        break;
    case OP_SAME_VALUE:
        set(p, reg, CFI_SAME, 0);
        break;
    case OP_EXPRESSION:
        run_expression(p, reg);
        break;
    case OP_VAL_EXPRESSION:
        cfi_read_block(&p->in);
        set(p, reg, CFI_OTHER, 0);
        break;
    default: /* a number follows that says where the value comes from */
        cfi_read_uleb(&p->in);
        set(p, reg, CFI_OTHER, 0);
    }
}

static void
set_cfa_register(struct cfi_program *p)
{
    uint64_t reg = cfi_read_uleb(&p->in);

    p->row.cfa.how = reg == 7   ? CFI_FROM_SP
                     : reg == 6 ? CFI_FROM_FP
                                : CFI_FROM_REGISTER;
}

/* Instructions about the CFA.  To change a half of what was no register and
   offset makes no sense. */
static void
run_cfa(struct cfi_program *p, unsigned int op)
{
    struct cfi_value *cfa = &p->row.cfa;
    int64_t unit = p->common->data_align;
    int is_half = op == OP_DEF_CFA_REGISTER || op == OP_DEF_CFA_OFFSET ||
                  op == OP_DEF_CFA_OFFSET_SF;

    if (is_half && (cfa->how == CFI_FROM_SLOT || cfa->how == CFI_FROM_OTHER))
        p->in.is_bad = 1;
    if (op == OP_DEF_CFA_EXPRESSION) {
        cfa->how = is_from_rbp(cfi_read_block(&p->in), EXPR_DEREF, &cfa->offset)
                       ? CFI_FROM_SLOT
                       : CFI_FROM_OTHER;
        return;
    }
    if (op == OP_DEF_CFA || op == OP_DEF_CFA_SF || op == OP_DEF_CFA_REGISTER)
        set_cfa_register(p);
    if (op == OP_DEF_CFA || op == OP_DEF_CFA_OFFSET)
        cfa->offset = cfi_read_offset(&p->in, 1);
    if (op == OP_DEF_CFA_SF || op == OP_DEF_CFA_OFFSET_SF)
        cfa->offset = cfi_read_offset_signed(&p->in, unit);
}

static void
run_stack(struct cfi_program *p, unsigned int op)
{
    if (op == OP_REMEMBER_STATE && p->depth < CFI_REMEMBER_MAX && p->initial)
        p->remembered[p->depth++] = p->row;
    else if (op == OP_RESTORE_STATE && p->depth)
        p->row = p->remembered[--p->depth];
    else
        p->in.is_bad = 1;
}

static void
advance(struct cfi_program *p, uint64_t delta)
{
    uint64_t bytes;

    if (!p->initial || /* nobody is anywhere yet */
        __builtin_mul_overflow(delta, p->common->code_align, &bytes) ||
        __builtin_add_overflow(p->at, bytes, &p->at))
        p->in.is_bad = 1;
}

static void
set_location(struct cfi_program *p)
{
    uintptr_t to = cfi_read_pointer(&p->in, p->common->encoding, 0);

    if (!p->initial || to < p->at)
        p->in.is_bad = 1;
    p->at = to;
}

static void
run_one(struct cfi_program *p)
{
    unsigned int op = (unsigned int)cfi_read_fixed(&p->in, 1);

    switch (op & 0xc0) {
    case OP_ADVANCE:
        advance(p, op & 0x3f);
        return;
    case OP_OFFSET:
    case OP_RESTORE:
        run_register(p, op & 0xc0, op & 0x3f);
        return;
    }
    switch (op) {
    case OP_NOP:
        break;
    case OP_SET_LOC:
        set_location(p);
        break;
    case OP_ADVANCE1:
        advance(p, cfi_read_fixed(&p->in, 1));
        break;
    case OP_ADVANCE2:
        advance(p, cfi_read_fixed(&p->in, 2));
        break;
    case OP_ADVANCE4:
        advance(p, cfi_read_fixed(&p->in, 4));
        break;
    case OP_REMEMBER_STATE:
    case OP_RESTORE_STATE:
        run_stack(p, op);
        break;
    case OP_DEF_CFA:
    case OP_DEF_CFA_SF:
    case OP_DEF_CFA_REGISTER:
    case OP_DEF_CFA_OFFSET:
    case OP_DEF_CFA_OFFSET_SF:
    case OP_DEF_CFA_EXPRESSION:
        run_cfa(p, op);
        break;
    case OP_ARGS_SIZE: /* for landing pads only */
        cfi_read_uleb(&p->in);
        break;
    case OP_OFFSET_EXTENDED:
    case OP_OFFSET_EXTENDED_SF:
    case OP_NEGATIVE_OFFSET:
    case OP_RESTORE_EXTENDED:
    case OP_UNDEFINED:
    case OP_SAME_VALUE:
    case OP_REGISTER:
    case OP_EXPRESSION:
    case OP_VAL_OFFSET:
    case OP_VAL_OFFSET_SF:
    case OP_VAL_EXPRESSION:
        run_register(p, op, cfi_read_uleb(&p->in));
        break;
    default:
        p->in.is_bad = 1;
    }
}

/* Up to the row in which the target lies. */
int
cfi_run(struct cfi_program *p)
{
    while (p->in.at < p->in.end && p->at <= p->target && !p->in.is_bad)
        run_one(p);
    return !p->in.is_bad;
}
