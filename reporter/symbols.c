/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * symbols.c -- see symbols.h.
 *
 * Symbols without a size are left out: the nearest one before an address is
 * often another function, where the static ones were stripped.
 */
#include "reporter/symbols.h"

#include <stdlib.h>
#include <string.h>

#define OVERLAPS_MAX 8 /* symbols within symbols that are looked behind */

struct symbol {
    GElf_Addr low, high;
    const char *name;
    int rank; /* of several names for one address the smallest is taken */
};

struct symbols {
    struct symbol *list;
    size_t count;
};

/* malloc rather than __libc_malloc, a global name rather than a weak one. */
static int
rank(const char *name, const GElf_Sym *symbol)
{
    int binding = GELF_ST_BIND(symbol->st_info);
    int is_mangled = strncmp(name, "_Z", 2) == 0 || strncmp(name, "_R", 2) == 0;
    int underscores = is_mangled ? 0 : (int)strspn(name, "_");

    return underscores * 4
        + (binding == STB_GLOBAL ? 0 : binding == STB_WEAK ? 1 : 2);
}

static int
is_code(const GElf_Sym *symbol)
{
    int type = GELF_ST_TYPE(symbol->st_info);

    return symbol->st_size && symbol->st_shndx != SHN_UNDEF
        && (type == STT_FUNC || type == STT_GNU_IFUNC || type == STT_NOTYPE);
}

static int
compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;

    if (x->low != y->low)
        return x->low < y->low ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1; /* the best one last */
    return strcmp(y->name, x->name);
}

struct symbols *
symbols_build(Dwfl_Module *module)
{
    struct symbols *s = calloc(1, sizeof *s);
    int count = dwfl_module_getsymtab(module);

    if (!s || count <= 0)
        return s;
    s->list = malloc((size_t)count * sizeof *s->list);
    if (!s->list) {
        free(s);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        GElf_Sym symbol;
        GElf_Addr low;
        const char *name = dwfl_module_getsym_info(module, i, &symbol, &low,
                                                   NULL, NULL, NULL);

        if (!name || !*name || !is_code(&symbol))
            continue;
        s->list[s->count++] = (struct symbol){
            low, low + symbol.st_size, name, rank(name, &symbol)
        };
    }
    if (s->count)
        qsort(s->list, s->count, sizeof *s->list, compare);
    return s;
}

const char *
symbols_find(const struct symbols *s, GElf_Addr address)
{
    size_t low = 0, high = s->count;

    while (low < high) { /* the first symbol that begins after address */
        size_t middle = low + (high - low) / 2;

        if (s->list[middle].low <= address)
            low = middle + 1;
        else
            high = middle;
    }
    for (int i = 0; i < OVERLAPS_MAX && low > 0; i++) {
        if (address < s->list[--low].high)
            return s->list[low].name;
    }
    return NULL;
}

void
symbols_free(struct symbols *s)
{
    if (!s)
        return;
    free(s->list);
    free(s);
}
