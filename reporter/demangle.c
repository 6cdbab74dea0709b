/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * demangle.c -- C++ and Rust through libiberty, which knows both.
 */
#include "reporter/demangle.h"

#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

/* C names are never mangled, yet the Itanium grammar would read some single
   letters as types: only these prefixes are ever offered to it. */
static int
may_be_mangled(const char *symbol)
{
    return strncmp(symbol, "_Z", 2) == 0 || strncmp(symbol, "_R", 2) == 0
        || strncmp(symbol, "__Z", 3) == 0
        || strncmp(symbol, "_GLOBAL_", 8) == 0;
}

/* Compilers mark their copies of a function with ".isra.0", ".cold", ...;
   for the reader they are that function. */
static char *
without_clone(const char *symbol)
{
    return strndup(symbol, strcspn(symbol, "."));
}

char *
demangle(const char *symbol)
{
    char *name, *whole;

    if (!may_be_mangled(symbol))
        return strdup(symbol);
    whole = without_clone(symbol);
    if (!whole)
        return NULL;
    name = cplus_demangle(whole, DMGL_AUTO | DMGL_PARAMS | DMGL_ANSI);
    free(whole);
    return name ? name : strdup(symbol);
}
