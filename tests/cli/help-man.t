#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The manual against the tables and the header, and its pages against mandoc.

. "$(dirname "$0")/../tap/tap.sh"
need mandoc

for page in "$TOP"/man/*.[1-8]; do
    is_str "" "$(mandoc -Tlint -Wwarning "$page" 2>&1)" \
        "${page##*/}: nothing to complain about"
done

ok "options in the manual are those of the table" "$TOP/tools/gen-options" --check
for name in $(sed -n 's/^HK_COMMAND(\([a-z]*\),.*/\1/p' "$TOP/tbl/commands.h")
do
    ok "heapknot.1 explains $name" \
        grep -Eq "^\.It Cm $name( |$)" "$TOP/man/heapknot.1"
done
for code in $(sed -n 's/^HK_EXIT([A-Z]*, \([0-9]*\),.*/\1/p' \
    "$TOP/tbl/exit_codes.h"); do
    ok "heapknot.1 explains status $code" \
        grep -q "^\.It $code$" "$TOP/man/heapknot.1"
done

# declares NAME: is it in the NAME and in the SYNOPSIS of one page?
declares() {
    local page
    for page in "$TOP"/man/hk_*.3; do
        sed -n '/^\.Sh NAME/,/^\.Nd/p' "$page" | grep -Eq "^\.Nm $1( |$)" ||
            continue
        sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESC/p' "$page" |
            grep -Eq "^\.F[no] $1( |$)"
        return
    done
    return 1
}

# Public functions: hk_name(, without the trailing _ of internal ones.
for name in $($CC -E "$TOP/include/heapknot.h" |
    grep -o '\bhk_[a-z_]*[a-z](' | tr -d '(' | sort -u); do
    ok "a page of section 3 declares $name" declares "$name"
done

# example PAGE: its literal blocks, as the reader would type them.
example() {
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh [^E]/p' "$1" |
        sed -n '/^\.Bd -literal/,/^\.Ed/p' | sed '/^\./d; s/\\e/\\/g'
}

for page in "$TOP"/man/*.3; do
    name=${page##*/}
    example "$page" >"$TMP/example.c"
    # shellcheck disable=SC2086 # CC may be more than one word
    ok "the example of $name compiles" \
        $CC -std=gnu11 -Wall -Wextra -Werror -I"$TOP/include" \
        -o "$TMP/example" "$TMP/example.c" -L"$BUILD/lib/.libs" -lheapknot \
        -Wl,-rpath,"$BUILD/lib/.libs"
    ok "and runs" eval 'cd "$TMP" && ./example'
done

done_testing
