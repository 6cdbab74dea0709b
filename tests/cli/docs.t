#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The C in the documentation compiles.  The blocks of a page follow one another
# in a file; one that is marked "c new" begins another file, and one that is
# marked "c body" stands in a function of its own.
. "$(dirname "$0")/../tap/tap.sh"

# units PAGE: writes $TMP/unit-1.c and so on, with the lines of the page.
units() {
    rm -f "$TMP"/unit-*.c
    awk -v page="$1" -v stem="$TMP/unit-" '
        function begin() {
            file = stem (++unit) ".c"
            print "#include <heapknot.h>" >file
            n = split("pthread.h stdio.h stdlib.h string.h", header, " ")
            for (i = 1; i <= n; i++)
                print "#include <" header[i] ">" >file
        }
        on && /^```$/ {
            if (is_body)
                print "}" >file
            on = 0
            next
        }
        /^```c( |$)/ {
            if ($2 == "new" || !unit)
                begin()
            is_body = $2 == "body"
            if (is_body)
                print "void body_" NR "(void);\nvoid\nbody_" NR "(void)\n{" \
                    >file
            print "#line " (NR + 1) " \"" page "\"" >file
            on = 1
            next
        }
        on { print >file }' "$1"
}

for page in companion porting; do
    units "$TOP/docs/$page.md"
    ok "$page.md has C" test -e "$TMP/unit-1.c"
    for unit in "$TMP"/unit-*.c; do
        # shellcheck disable=SC2086 # CC may be more than one word
        ok "$page.md: ${unit##*/} compiles" $CC -std=gnu11 -D_GNU_SOURCE \
            -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable \
            -Wno-unused-const-variable -I"$TOP/include" -fsyntax-only "$unit"
    done
done
done_testing
