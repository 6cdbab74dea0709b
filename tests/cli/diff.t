#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# diff.t -- heapknot diff on planted differences.
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

m=$TMP/marks.hk o=$TMP/other_run.hk
for s in marks other_run leak; do
    python3 "$TOP/tests/mkrec/scenarios.py" $s "$TMP/$s.hk" ||
        bail_out "mkrec $s"
done
# live bytes, blocks, allocations, frees of each changed path
changes() {
    "$HEAPKNOT" diff --json "$@" | jq -c '[.stacks[] | [.frames[0].function,
        .live_bytes, .live_blocks, .allocations, .frees]]'
}

a_to_b='[["0x402000",700,7,7,0],["0x401000",400,4,5,1]]'
is_str "$a_to_b" "$(changes "$m@a" "$m@b")" "two marks"
is_str "$a_to_b" "$(changes "$m@2" "$m@3")" "two numbers"
is_str '[["0x402000",-700,-7,-7,0],["0x401000",-400,-4,-5,-1]]' \
    "$(changes "$m@b" "$m@a")" "backwards"
is_str '[["0x402000",11,1,1,0]]' "$(changes "$m@b")" "a mark to now"
is_str '[["0x402000",711,8,8,0],["0x401000",400,4,5,1]]' "$(changes "$m")" \
    "the first snapshot to now"
is_str '[]' "$(changes "$m@4" "$m")" "nothing changed"
is_str '[["0x409000",5000,1,1,0],["0x402000",189,0,0,-1],["0x401000",0,0,-1,-1]]' \
    "$(changes "$m" "$o" | jq -c 'map(if .[0]=="0x402000" then
        .[4] = -1 else . end)')" "two runs at other addresses"
is_str '[{"name":"T","live":7,"created":9,"destroyed":2}]' \
    "$("$HEAPKNOT" diff --json "$m@a" "$m@b" | jq -c .types)" "types"
is_str '{"live_bytes":1100,"live_blocks":11,"allocations":12,"frees":1,"allocated_bytes":1200}' \
    "$("$HEAPKNOT" diff --json "$m@a" "$m@b" | jq -c .totals)" "totals"
is_str '["snapshot 2, mark a",2,"snapshot 3, mark b",3]' \
    "$("$HEAPKNOT" diff --json "$m@a" "$m@b" |
        jq -c '[.from.moment,.from.time,.to.moment,.to.time]')" "moments"
text=$("$HEAPKNOT" diff "$m@a" "$m@b")
like '^live memory \+1\.1 KiB, \+11 blocks' "$text" "text: totals first"
like '\+700 bytes, \+7 blocks: 0 bytes -> 700 bytes' "$text" "text: a path"
like '\+7 +\+9 +\+2  T' "$text" "text: a type"

cp "$m" "$TMP/x@1"
is_str "$(changes "$m")" "$(changes "$TMP/x@1")" "a file with @ in its name"

# The sum of two parts is the whole.
sum() { "$HEAPKNOT" diff --json "$@" | jq .totals.live_bytes; }
l=$TMP/leak.hk
is_int "$(sum "$l@1" "$l@40")" \
    $(($(sum "$l@1" "$l@17") + $(sum "$l@17" "$l@40"))) "parts add up"

for args in "$m@zz" "$m@0" "$m@5" "$m@a $m@zz" "$m $m $m" ""; do
    # shellcheck disable=SC2086 # words
    "$HEAPKNOT" diff $args >"$TMP/out" 2>"$TMP/err"
    is_int 2 $? "usage: diff ${args//$TMP\//}"
done
like "marks: a, b" "$("$HEAPKNOT" diff "$m@zz" 2>&1)" "marks are listed"
like "did you mean 'a'" "$("$HEAPKNOT" diff "$m@aa" 2>&1)" "did you mean"
"$HEAPKNOT" diff "$TMP/none.hk" >"$TMP/out" 2>"$TMP/err"
is_int 3 $? "no such file"
done_testing
