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
# Public functions: hk_name(, without the trailing _ of internal ones.
for name in $($CC -E "$TOP/include/heapknot.h" |
    grep -o '\bhk_[a-z_]*[a-z](' | tr -d '(' | sort -u); do
    ok "heapknot.3 has $name" \
        grep -Eq "^\.F[no] $name( |$)" "$TOP/man/heapknot.3"
done

{
    printf '#include <heapknot.h>\n#include <stddef.h>\nint main(void)\n{\n'
    sed -n '/^\.Sh EXAMPLES/,/^\.Sh ERRORS/p' "$TOP/man/heapknot.3" |
        sed -n '/^\.Bd/,/^\.Ed/p' | sed '/^\./d'
    printf 'return 0;\n}\n'
} >"$TMP/example.c"
ok "the example of heapknot.3 compiles" \
    $CC -std=gnu11 -Wall -Werror -I"$TOP/include" -fsyntax-only "$TMP/example.c"

done_testing
