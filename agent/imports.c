/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * imports.c -- walk the relocations that name functions.
 *
 * Called by   unwinder.c (libunwind's), modules.c (who calls which malloc).
 * Threads     no state.
 * Fails       visits nothing in an object that it does not understand.
 */
#include "agent/imports.h"

#include <stddef.h>

#if defined(__x86_64__)
#define IS_IMPORT(type) \
    ((type) == R_X86_64_JUMP_SLOT || (type) == R_X86_64_GLOB_DAT)
#else
#define IS_IMPORT(type) \
    ((type) == R_AARCH64_JUMP_SLOT || (type) == R_AARCH64_GLOB_DAT)
#endif

struct dynamic {
    const ElfW(Rela) *plt, *rela;
    const ElfW(Sym) *symbols;
    const char *names;
    size_t plt_bytes, rela_bytes;
};

/* The loader adds the bias to these in place, but not where the section is
   read-only (the vdso). */
static const void *
address(const ElfW(Dyn) *d, uintptr_t bias)
{
    uintptr_t p = d->d_un.d_ptr;

    return (const void *)(p < bias ? p + bias : p);
}

static struct dynamic
read_dynamic(const ElfW(Dyn) *d, uintptr_t bias)
{
    struct dynamic o = {NULL, NULL, NULL, NULL, 0, 0};

    for (; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_JMPREL)
            o.plt = address(d, bias);
        else if (d->d_tag == DT_PLTRELSZ)
            o.plt_bytes = d->d_un.d_val;
        else if (d->d_tag == DT_RELA)
            o.rela = address(d, bias);
        else if (d->d_tag == DT_RELASZ)
            o.rela_bytes = d->d_un.d_val;
        else if (d->d_tag == DT_SYMTAB)
            o.symbols = address(d, bias);
        else if (d->d_tag == DT_STRTAB)
            o.names = address(d, bias);
    }
    return o;
}

static void
visit_table(const struct dynamic *o, const ElfW(Rela) *r, size_t bytes,
            uintptr_t bias, imports_fn *fn, void *arg)
{
    for (; r && bytes >= sizeof(*r); r++, bytes -= sizeof(*r)) {
        const ElfW(Sym) *s = &o->symbols[ELF64_R_SYM(r->r_info)];

        if (IS_IMPORT(ELF64_R_TYPE(r->r_info)))
            fn(o->names + s->st_name, (uintptr_t *)(bias + r->r_offset), arg);
    }
}

void
imports_visit(const ElfW(Dyn) *dynamic, uintptr_t bias, imports_fn *fn,
              void *arg)
{
    struct dynamic o = read_dynamic(dynamic, bias);

    if (!o.symbols || !o.names)
        return;
    visit_table(&o, o.plt, o.plt_bytes, bias, fn, arg);
    visit_table(&o, o.rela, o.rela_bytes, bias, fn, arg);
}
