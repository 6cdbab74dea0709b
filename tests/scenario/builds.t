#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The fingerprint of a path is the same in another build of the program: a leak
# that is known stays known, and another one is new.
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq

# record NAME CC-OPTION...: builds grow.c with these options as prog/NAME/grow,
# and records it.
record() {
    mkdir -p "$TMP/$1"
    # shellcheck disable=SC2086 # CC may be more than one word
    $CC -std=gnu11 -g "${@:2}" -o "$TMP/$1/grow" "$SCENARIOS/grow.c" \
        2>"$TMP/cc.err" || bail_out "grow.c: $(cat "$TMP/cc.err")"
    "$HEAPKNOT" run --interval=50ms -o "$TMP/$1.hk" -- "$TMP/$1/grow" &
}
prints() {
    "$HEAPKNOT" check --json "$TMP/$1.hk" |
        jq -r '.findings[] | "\(.kind) \(.fingerprint)"' | sort
}

record old -O0
record new -O2 -DPADDED
record bare -O2 -g0 -DPADDED -fno-inline -fno-optimize-sibling-calls
record more -O1 -DPADDED -DOTHER
wait
old=$(prints old)
is_int 1 "$(wc -l <<<"$old")" "one finding"
like '^path ' "$old" "of a path"
is_str "$old" "$(prints new)" "the same in another build, inlined or not"
is_str "$old" "$(prints bare)" "without debug information"
like ' keep\.' "$(nm "$TMP/bare/grow")" \
    "where the compiler has renamed a function"
"$HEAPKNOT" check --baseline="$TMP/old.hk" "$TMP/new.hk" >"$TMP/out"
is_int 0 $? "the other build is clean against the first"
"$HEAPKNOT" check --json "$TMP/old.hk" >"$TMP/old.json"
"$HEAPKNOT" check --baseline="$TMP/old.json" "$TMP/new.hk" >"$TMP/out"
is_int 0 $? "and against its JSON"
"$HEAPKNOT" check --baseline="$TMP/old.hk" "$TMP/more.hk" >"$TMP/out"
is_int 1 $? "a second leak is new"
like '^  path .*keep < second_leak' "$(cat "$TMP/out")" "and named"
is_int 1 "$(grep -c '^  path' "$TMP/out")" "the first is not"
"$HEAPKNOT" check --ignore=path:first_leak "$TMP/old.hk" "$TMP/new.hk" \
    >"$TMP/out"
is_int 0 $? "the name of a function is enough to ignore it in all builds"
done_testing
