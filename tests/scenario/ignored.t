#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a program says of its objects: hk_ignore() keeps a cycle out of the
# findings, and counts; hk_annotate() shows beside an object.
# shellcheck disable=SC2016 # a script in quotes
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq

build_helper ignored -L"$BUILD/lib/.libs" -lheapknot \
    -Wl,-rpath,"$BUILD/lib/.libs"

says() { # METHOD
    local recording=$TMP/$1.hk pid why=$TMP/$1.why
    mkfifo "$TMP/$1.stdin"
    "$HEAPKNOT" run --scan-interval=0 --min-age=0 --scan-method="$1" \
        --publish=100ms -o "$recording" -- "$HELPERS/ignored" \
        <"$TMP/$1.stdin" >"$TMP/$1.out" 2>"$TMP/$1.err" &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/$1.stdin"
    wait_until 10 grep -q '^ready' "$TMP/$1.out"
    ok "$1: a scan" wait_until 10 eval \
        '"$HEAPKNOT" ctl "'"$recording"'" scan >"$TMP/answer" 2>&1'
    "$HEAPKNOT" ctl "$recording" scan >"$TMP/answer" 2>&1
    is_str '[1,1]' "$(json "$recording" \
        '[.cycles[].confirmed] | tostring')" \
        "$1: two cycles are confirmed"
    is_str '[4,1]' "$(json "$recording" '.scans[-1] |
        [.unreachable - 2, .ignored] | tostring')" "$1: the third one is counted"
    is_str '["request 42"]' "$(json "$recording" \
        '[.cycles[].members[].note | values] | tostring')" "$1: a note of a member"
    like 'noted\(refcount 1, known 1\) "request 42"' \
        "$("$HEAPKNOT" cycles "$recording")" "$1: in the text, too"
    "$HEAPKNOT" why "$recording" pair >"$why" 2>&1
    like 'pair 0x[0-9a-f]+ .*"the first "one""' "$(cat "$why")" \
        "$1: and of a root"
    exec 7>&-
    ok "$1: the program ends well" wait "$pid"
}
says snapshot
says copy
done_testing
