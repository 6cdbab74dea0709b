#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Edges of live objects that move by plain stores all the time, so that a scan
# without a clone sees them twice or not at all: it may suspect such objects,
# but neither confirms them nor gets lost.
#
# SCANS=N asks for more scans.
# shellcheck disable=SC2317 # functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims shuttle

SCANS=${SCANS:-20}
LOST=20000

scans() { # NAME: those that the recording has
    "$HEAPKNOT" cycles --json "$TMP/$1.hk" >"$TMP/$1.json" 2>"$TMP/err" &&
        jq '[.scans[] | select(.status == "done")] | length' "$TMP/$1.json"
}

goes_on() { # NAME
    [ "$(scans "$1")" -ge "$SCANS" ]
}

shuttle() { # METHOD
    local status=0
    mkfifo "$TMP/$1.stdin"
    "$HEAPKNOT" run --scan-method="$1" --scan-interval=50ms --min-age=0 \
        --pause-budget=100% --cpu-budget=100% -o "$TMP/$1.hk" -- \
        "$VICTIMS/shuttle" --lost=$LOST <"$TMP/$1.stdin" >"$TMP/$1.out" \
        2>"$TMP/$1.err" 7>&- &
    server=$!
    stop_at_exit "$server"
    exec 7>"$TMP/$1.stdin"
    ok "$1: $SCANS scans are done" wait_until 40 goes_on "$1"
    exec 7>&-
    wait "$server" || status=$?
    is_int 0 "$status" "$1: the program ends well"
    diag "$1: $(cat "$TMP/$1.out"), confirmed and suspected:" \
        "$(jq -c '[.scans[] | [.confirmed, .suspects]] | unique' \
            "$TMP/$1.json")"
    is_str "[$LOST]" "$(jq -c '[.scans[2:][].confirmed] | unique' \
        "$TMP/$1.json")" "$1: only what is lost was ever confirmed"
}

shuttle snapshot
shuttle copy
done_testing
