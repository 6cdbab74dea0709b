#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Every list with two readers is one table: options, commands and exit codes
# are the same in tbl/, in the help and in the manual; public functions are in
# the header and in the manual.
. "$(dirname "$0")/../tap/tap.sh"
cd "$TOP" || exit 255

options=$(sed -n 's/^HK_OPTION(\([a-z_]*\),.*/\1/p' tbl/options.h)
commands=$(sed -n 's/^HK_COMMAND(\([a-z_]*\),.*/\1/p' tbl/commands.h)
counters=$(sed -n 's/^HK_COUNTER(\([a-z_]*\),.*/\1/p' tbl/counters.h)

missing() { # TEXT WORD...
    local text=$1 word
    shift
    for word; do grep -qw -- "$word" <<<"$text" || echo "$word"; done
}

# shellcheck disable=SC2086 # lists of names
{
    is_str "" "$(missing "$("$HEAPKNOT" --help)" $commands | xargs)" \
        "every command is in --help"
    is_str "" "$(missing "$("$HEAPKNOT" run --help)" ${options//_/-} |
        xargs)" "every option is in run --help"
    is_str "" "$(missing "$(cat man/heapknot-options.7)" $options | xargs)" \
        "every option is in the manual"
    is_str "" "$(missing "$(cat man/heapknot.1)" $commands | xargs)" \
        "every command is in the manual"
}
is_str "" "$(sort <<<"$counters" | uniq -d | xargs)" \
    "no counter has two entries"
unused=
for c in $counters; do
    grep -qrE "(HKC_|LANE_)$c\b" agent || unused="$unused $c"
done
is_str "" "$unused" "every counter is counted somewhere"
$CC -E include/heapknot.h | grep -o '\bhk_[a-z_]*[a-z](' | tr -d '(' |
    sort -u >"$TMP/functions"
sed -n 's/^\.Nm \(hk_[a-z_]*\).*/\1/p' man/*.3 | sort >"$TMP/named"
is_str "" "$(comm -3 "$TMP/functions" "$TMP/named" | xargs)" \
    "each public function is named by one page of section 3, and no other"
overview=$(cat man/heapknot.3)
for page in man/hk_*.3; do
    page=${page#man/}
    like "^\.It Xr ${page%.3} 3" "$overview" "heapknot.3 leads to $page"
done
for page in man/*.[1-9]; do
    is_str "" "$(mandoc -Tlint -Wwarning "$page" 2>&1)" "$page is clean"
done
done_testing
