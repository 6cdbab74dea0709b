#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Whatever a traverse or an extra_size does in a snapshot: the program does not
# notice, the type is named, and what else there is is found.
# shellcheck disable=SC2317 # functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims scan_traverse

# scan KIND: leaves $TMP/KIND.hk, and $TMP/KIND.scan: what ctl scan says.
scan() {
    local kind=$1 pid status
    mkfifo "$TMP/$kind.stdin"
    "$HEAPKNOT" run --scan-interval=0 -o "$TMP/$kind.hk" -- \
        "$VICTIMS/scan_traverse" "$kind" <"$TMP/$kind.stdin" \
        >"$TMP/$kind.out" 2>"$TMP/$kind.err" &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/$kind.stdin"
    wait_until 10 grep -q '^ready' "$TMP/$kind.out"
    wait_until 10 test -e "$TMP/$kind.hk"
    "$HEAPKNOT" ctl "$TMP/$kind.hk" scan >"$TMP/$kind.scan" 2>&1
    exec 7>&-
    wait "$pid"
    status=$?
    is_str "0 callbacks here 0, children none" \
        "$status $(tail -n 1 "$TMP/$kind.out")" "$kind: the program is unharmed"
}

# seen KIND: status, culprit and skipped objects of the scan, and the cycles.
seen() {
    json "$TMP/$1.hk" '[(.scans[0] | .status, .culprit // "-",
        .skipped_objects), ([.cycles[]? | .members[0].type] | sort | join("+"))]
        | map(tostring) | join(" ")'
}

for kind in segv bus fpe ill trap abort endless exit _exit; do
    scan "$kind"
    is_str "done culprit 1 good" "$(seen "$kind")" \
        "$kind in traverse: that object is skipped, its type named"
done
scan sealed
is_str "done gone 1 good" "$(seen sealed)" \
    "an object that cannot be read at all is skipped, its type named"
for kind in none deep; do
    scan "$kind"
    is_str "done - 0 good" "$(seen "$kind")" "$kind: nobody to blame"
done
for kind in loop lock; do
    scan "$kind"
    is_str "hung culprit 0 " "$(seen "$kind")" \
        "$kind in traverse: given up, its type named"
    like 'did not come back.*culprit' "$(cat "$TMP/$kind.scan")" \
        "$kind in traverse: and said"
done
scan size-segv
is_str "done culprit 0 good" "$(seen size-segv)" \
    "a fault in extra_size: only the size is missing, its type named"
scan size-loop
is_str "hung culprit 0 " "$(seen size-loop)" \
    "a loop in extra_size: given up, its type named"
done_testing
