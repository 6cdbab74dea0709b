#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A program drops N cycles of K shapes while other threads work on objects of
# the same type: the background scans find N and K, confirmed, and nothing
# else, in 20 runs of snapshots and 10 of copies.  And the cycles of an unchanged
# library: jansson-knot.
#
# RUNS=N and SEED=N in the environment choose other runs.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims cycles

RUNS=${RUNS:-20}
SEED=${SEED:-1}
HURRY=(--scan-interval=200ms --min-age=100ms --pause-budget=50%
    --cpu-budget=100% --publish=100ms)

# Groups as "instances objects held", sorted; only what is confirmed.
found() {
    json "$1" '.cycles[]? | select(.state == "confirmed") |
        "\(.instances) \(.objects) \((.held_objects // 0) / .instances)"' |
        sort
}

# The same of what was planted.
planted() {
    awk '$1 == "shape" { print $4, $6, $8 }' "$1" | sort
}

finds_all() { # RECORDING TRUTH
    [ "$(found "$1")" = "$(planted "$2")" ]
}

# One run: until everything is confirmed, or 10 s; then it is looked at again
# when the program is gone.
plant() { # METHOD RUN SHAPES INSTANCES THREADS
    local pid recording=$TMP/$1$2.hk truth=$TMP/$1$2.truth
    mkfifo "$TMP/$1$2.stdin"
    "$HEAPKNOT" run "${HURRY[@]}" --scan-method="$1" -o "$recording" -- \
        "$VICTIMS/cycles" --seed="$2" --shapes="$3" --instances="$4" \
        --threads="$5" <"$TMP/$1$2.stdin" >"$truth" 2>"$TMP/$1$2.err" &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/$1$2.stdin"
    wait_until 10 grep -q '^ready' "$truth"
    wait_until 10 finds_all "$recording" "$truth"
    exec 7>&-
    wait "$pid"
    # Teardown: nothing that was alive may be called garbage then, either.
    finds_all "$recording" "$truth" && return
    echo "planted (instances, objects, held):"
    planted "$truth"
    echo "found:"
    found "$recording"
    json "$recording" '.cycles[]? | "\(.state) \(.instances) x \(.objects)"'
    json "$recording" '.scans[]? | tostring' | tail -n 5
    cat "$TMP/$1$2.err"
    return 1
}

plant_all() { # METHOD RUNS
    local run shapes
    for ((run = SEED; run < SEED + $2; run++)); do
        shapes=$((1 + run % 7))
        ok "$1, run $run: $shapes shapes of cycles, as many as were dropped" \
            plant "$1" "$run" "$shapes" $((5 + run * 13 % 60)) $((1 + run % 4))
    done
}
plant_all snapshot "$RUNS"
plant_all copy $((RUNS / 2))

# ---- an unchanged library ---------------------------------------------------

jansson=$BUILD/examples/jansson-knot/jansson-knot
[ -x "$jansson" ] || bail_out "jansson-knot is not built"

planted_jansson() {
    awk '$1 == "planted" && $2 != "total" { print $4, $6 }' "$1" | sort
}

"$HEAPKNOT" run "${HURRY[@]}" -o "$TMP/jansson.hk" -- \
    "$jansson" --seconds=2 >"$TMP/jansson.out" 2>"$TMP/jansson.err"
is_int 0 $? "jansson-knot ends well"
is_str "$(planted_jansson "$TMP/jansson.out")" \
    "$(found "$TMP/jansson.hk" | cut -d ' ' -f 1,2)" \
    "exactly the circular values that were planted are found"
is_str "$("$jansson" --seconds=0)" "$(cat "$TMP/jansson.out")" \
    "the program says the same as without"
like 'next|items|"b"' \
    "$(json "$TMP/jansson.hk" '[.cycles[].edges[].label] | tostring')" \
    "the keys of the objects are the labels"
done_testing
