#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# heapknot.h alone satisfies C99 and C++11 compilers at their strictest, and an
# object's header has the frozen layout in both.
. "$(dirname "$0")/../tap/tap.sh"

cat >"$TMP/use.c" <<'END'
#include "heapknot.h"

struct knot {
    hk_object head;
    struct knot *next;
};

static const hk_field fields[] = {
    {"next", HK_REF, offsetof(struct knot, next), 0}, {0, 0, 0, 0}};

int use(hk_type_spec *spec);

int
use(hk_type_spec *spec)
{
    struct knot *k;
    int frozen[sizeof(hk_object) == 16 && offsetof(hk_object, word) == 0
               && offsetof(hk_object, slot) == 8
               && offsetof(hk_object, type) == 12
               && offsetof(hk_object, bits) == 14 ? 1 : -1] = {0};

    spec->fields = fields;
    k = (struct knot *)hk_new(hk_type_register(spec));
    hk_xincref(k);
    hk_decref(hk_newref(k));
    hk_xdecref(k);
    return frozen[0];
}
END

strict=(-pedantic -Wall -Wextra -Wconversion -Wshadow -Werror -fsyntax-only
    "-I$TOP/include")
for compiler in gcc clang; do
    if ! command -v $compiler >/dev/null; then
        skip 2 "no $compiler"
        continue
    fi
    ok "$compiler, C99" $compiler -x c -std=c99 "${strict[@]}" "$TMP/use.c"
    ok "$compiler, C++11" \
        $compiler -x c++ -std=c++11 "${strict[@]}" "$TMP/use.c"
done
done_testing
