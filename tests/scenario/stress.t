#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Eight threads change everything all the time, plant garbage cycles of some
# forty shapes, and pass live ones of the same shapes from holder to holder.
# In both ways of scanning each planted cycle is confirmed, and nothing else:
# not at the end, not after it, and at no moment before.
#
# RUNS=N (of each way), SEED=N, SECONDS_OF_STRESS=N and METHODS="copy" choose
# other runs.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims stress

RUNS=${RUNS:-4}
SEED=${SEED:-1}
METHODS=${METHODS:-snapshot copy}
SECONDS_OF_STRESS=${SECONDS_OF_STRESS:-2}

# A twin is garbage for microseconds, unless its thread has to wait for a CPU.
# Had it to wait for longer than two scans need, they may well have found it.
WEAKLY_NS=50000000

total_planted=0 total_confirmed=0 total_false=0 total_resurrected=0
total_scans=0

# ---- what was planted, and what is found -------------------------------------

# truth FILE WORD: the number behind the word.
truth() {
    awk -v word="$2" '$1 == word { print $2 }' "$1"
}

planted() {
    grep '^cycle' "$1" | sort
}

# found JSON: groups in the words of the program.  One shape is one group.
found() {
    jq -r '.cycles[] | select(.state == "confirmed") |
        "cycle \([.members[].type] | unique | join(",")) instances \(
        .confirmed) objects \(.objects) bytes \(.bytes) held \(
        .held_objects / .instances) held-bytes \(
        .held_bytes / .instances)"' "$1" | sort
}

# false_ones JSON: confirmed cycles with a member of a type that is only alive.
false_ones() {
    jq '[.cycles[] | select(.state == "confirmed") | select(any(.members[];
        .type | test("^(live|pool|common|holder|crowd)"))) | .confirmed] |
        add // 0' "$1"
}

suspects_of_live() {
    jq -c '[.cycles[] | select(any(.members[];
        .type | test("^(live|pool|common|holder|crowd)")))]' "$1"
}

looks_at() { # RECORDING JSON
    "$HEAPKNOT" cycles --json "$1" >"$2" 2>>"$TMP/json.err"
}

finds_all() { # NAME
    looks_at "$TMP/$1.hk" "$TMP/$1.json" &&
        [ "$(found "$TMP/$1.json")" = "$(planted "$TMP/$1.truth")" ]
}

# For who reads a failure.
differences() { # NAME
    planted "$TMP/$1.truth" >"$TMP/planted"
    found "$TMP/$1.json" >"$TMP/found"
    echo "planted (<) and found (>):"
    diff "$TMP/planted" "$TMP/found"
    jq -c '.scans[-5:][]' "$TMP/$1.json"
    head -n 20 "$TMP/$1.err"
    return 1
}

# As long as the program works; false ones stay in a file.
watch() { # NAME
    local json=$TMP/$1.watch count
    until grep -q '^ready' "$TMP/$1.truth"; do
        kill -0 "$pid" 2>/dev/null || return
        if looks_at "$TMP/$1.hk" "$json"; then
            looks=$((looks + 1))
            count=$(false_ones "$json")
            [ "$count" -eq 0 ] || {
                false_seen=$((count > false_seen ? count : false_seen))
                suspects_of_live "$json" >>"$TMP/$1.false"
            }
        fi
        sleep 0.1
    done
}

# ---- one run -----------------------------------------------------------------

asks_twice() { # NAME
    "$HEAPKNOT" ctl "$TMP/$1.hk" scan && "$HEAPKNOT" ctl "$TMP/$1.hk" scan
}

# confirmed_over_time JSON LIMIT: never fewer than before, never too many.
confirmed_over_time() {
    jq -e --argjson limit "$2" '[.scans[] | select(.status == "done" and
        .generation == 2) | .confirmed] | . == sort and
        all(.[]; . <= $limit)' "$1"
}

shows_confirmed() { # JSON
    jq -c '[.scans[] | [.generation, .confirmed, .resurrected]]' "$1"
    return 1
}

# Where the recording says how a scan was done, some were done as asked.
as_asked() { # JSON METHOD
    jq -e --arg method "$2" '[.scans[] | select(.status == "done") |
        .method // $method] | index($method) != null' "$1"
}

stress() { # NAME METHOD AGENT-OPTIONS STRESS-OPTION...
    local name=$1 method=$2 options=$3 pid status=0 looks=0 false_seen=0
    local count planted weakly resurrected
    mkfifo "$TMP/$name.stdin"
    : >"$TMP/$name.truth"
    # shellcheck disable=SC2086 # a list of options
    "$HEAPKNOT" run --scan-method="$method" --pause-budget=100% \
        --cpu-budget=100% --publish=50ms $options -o "$TMP/$name.hk" -- \
        "$VICTIMS/stress" "${@:4}" <"$TMP/$name.stdin" \
        >"$TMP/$name.truth" 2>"$TMP/$name.err" 7>&- &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/$name.stdin"
    watch "$name"
    planted=$(truth "$TMP/$name.truth" planted)
    is_int "${planted:--1}" "$(truth "$TMP/$name.truth" companion)" \
        "$name: the companion agrees about what is garbage: $planted objects"
    ok "$name: two scans are asked for" asks_twice "$name"
    ok "$name: each planted cycle is confirmed, and nothing else" eval \
        'wait_until 10 finds_all "$name" || differences "$name"'
    is_int "${planted:--1}" "$(jq '[.scans[] | select(.status == "done")][-1] |
        .unreachable' "$TMP/$name.json")" "$name: as many are unreachable"
    echo >&7
    wait "$pid" || status=$?
    exec 7>&-
    is_int 0 "$status" "$name: the program ends well"
    ok "$name: after the end the report says the same" eval \
        'finds_all "$name" || differences "$name"'
    count=$(awk '/^cycle/ { n += $4 } END { print n + 0 }' "$TMP/$name.truth")
    weakly=$(truth "$TMP/$name.truth" weakly)
    if [ "${weakly:-0}" -gt $WEAKLY_NS ]; then
        skip 2 "a thread was stopped for $((weakly / 1000000)) ms"
    else
        false_seen=$((false_seen + $(false_ones "$TMP/$name.json")))
        ok "$name: at no moment was anything else confirmed" eval \
            '[ "$false_seen" -eq 0 ] || { cat "$TMP/$name.false"; false; }'
        ok "$name: what was confirmed stays so, and is never too much" eval \
            'confirmed_over_time "$TMP/$name.json" "$count" ||
                shows_confirmed "$TMP/$name.json"'
    fi
    ok "$name: scanned by $method" as_asked "$TMP/$name.json" "$method"
    is_str '' "$(cat "$TMP/$name.err")" "$name: nothing on stderr"
    resurrected=$(jq '[.scans[].resurrected] | add' "$TMP/$name.json")
    sum_up
    rm -f "$TMP/$name.hk"
}

sum_up() {
    local scans confirmed
    scans=$(jq '[.scans[] | select(.status == "done")] | length' \
        "$TMP/$name.json")
    confirmed=$(jq '[.cycles[] | .confirmed] | add // 0' "$TMP/$name.json")
    diag "$name: $count cycles of $(grep -c ^cycle "$TMP/$name.truth")" \
        "shapes, $(truth "$TMP/$name.truth" steps) steps, $scans scans," \
        "$looks looks, resurrected $resurrected"
    total_planted=$((total_planted + count))
    total_confirmed=$((total_confirmed + confirmed))
    total_false=$((total_false + false_seen))
    total_resurrected=$((total_resurrected + resurrected))
    total_scans=$((total_scans + scans))
}

# In every second run of each way threads hardly ever rest.
for ((run = SEED; run < SEED + RUNS; run++)); do
    for method in $METHODS; do
        how=(--seed="$run" --seconds="$SECONDS_OF_STRESS")
        [ $((run % 2)) -eq 0 ] || how+=(--rest=10000 --crowd=100000)
        [ $((run % 4)) -ne 1 ] || how+=(--lost=7000)
        [ $((run % 4)) -ne 3 ] || how+=(--ballast=128)
        # What has no table cannot be copied.
        [ "$method" = snapshot ] && [ $((run % 4)) -ge 2 ] || how+=(--tables)
        options='--min-age=0 --scan-interval=100ms'
        [ $((run % 3)) -ne 0 ] || options='--min-age=50ms --scan-interval=20ms'
        stress "$method $run" "$method" "$options" "${how[@]}"
    done
done
diag "total: planted $total_planted, confirmed $total_confirmed," \
    "false $total_false, resurrected $total_resurrected, scans $total_scans"
done_testing
