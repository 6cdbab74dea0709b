#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Which scan runs when, and by what a cycle is confirmed: young scans alone,
# scans without a pause, none at all with the reason, and cycles that are freed,
# built again or changed between two scans.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims young

# start NAME [OPTION...]: the program, which waits for words.
start() {
    local name=$1
    shift
    hk=$TMP/$name.hk err=$TMP/$name.err
    mkfifo "$TMP/$name.in" "$TMP/$name.out"
    "$HEAPKNOT" run --min-age=0 --publish=50ms "$@" -o "$hk" -- \
        "$VICTIMS/young" <"$TMP/$name.in" >"$TMP/$name.out" \
        2>"$err" &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/$name.in" 8<"$TMP/$name.out"
}

# tell COMMAND NUMBER: until it is done; its words are in $said.
tell() {
    echo "$1 $2" >&7
    read -r -t 60 said <&8 || bail_out "the program does not answer"
    said=${said#*ok}
    said=${said# }
}

finish() {
    local status=0
    exec 7>&-
    wait "$pid" || status=$?
    exec 8<&-
    is_int 0 "$status" "$1: the program ends well"
}

ask_scan() {
    wait_until 10 test -e "$hk"
    "$HEAPKNOT" ctl "$hk" scan >"$TMP/scan.out" 2>&1
}

see() {
    "$HEAPKNOT" report --json "$hk" >"$TMP/json" 2>>"$TMP/json.err"
}

# holds FILTER [ARGUMENT...]: of the recording as it is now.
holds() {
    local filter=$1
    shift
    see && jq -e "$@" "$filter" "$TMP/json"
}

# states: what is known, as "type:confirmed/instances", sorted.
states() {
    see
    jq -r '[.cycles[]? | select(.instances > 0) |
        "\([.members[].type] | unique | join("+")):\(.confirmed)/\(
        .instances)"] | sort | join(" ")' "$TMP/json"
}

# scanned: asks for a scan; "suspects confirmed resurrected" of the last one.
scanned() {
    ask_scan || cat "$TMP/scan.out"
    see
    jq -r '.scans[-1] | "\(.suspects) \(.confirmed) \(.resurrected)"' \
        "$TMP/json"
}

# ---- young scans alone -------------------------------------------------------

# Each time there are births enough for one more scan of young objects.
churn_until() { # SECONDS FILTER
    local end=$((SECONDS + $1))
    until holds "$2" >/dev/null; do
        [ $SECONDS -lt $end ] || { jq -c '.scans[-3:]' "$TMP/json"; return 1; }
        tell churn 1000
        sleep 0.05
    done
}

confirms() { # COUNT: in the last scan, and what is known
    echo "(.scans[-1].confirmed == $1) and
        ([.cycles[] | .confirmed] | add == $1)"
}

# A full scan takes half a second of the processor: the next one is due after
# 50 s.
start young --scan-interval=50ms --cpu-budget=2% --pause-budget=100%
tell stay 20000
tell keep 5
tell slow 1
ok "a first scan of all objects" wait_until 20 holds \
    '.scans[-1] | .objects > 20000 and .seconds > 0.4'
is_str "snapshot" "$(jq -r '.scans[-1].method' "$TMP/json")" "by snapshot"
first=$(jq '.scans | length' "$TMP/json")
tell hang 0
tell lose 20
ok "cycles that were planted then are confirmed" \
    churn_until 30 "$(confirms 22)"
ok "by two scans of generation 0" holds \
    '[.scans[$first:][] | .generation, .confirmed][:4] == [0, 0, 0, 22]' \
    --argjson first "$first"
is_str "chain:2/2 lost:20/20" "$(states)" "each of them, and nothing else"
is_str "copy 0" "$(jq -r --argjson first "$first" \
    '.scans[$first:] | map("\(.method) \(.pause_ms)") | unique | join(" ")' \
    "$TMP/json")" "without a pause"
tell threshold 700
tell drop 5
tell lose 10
ok "so are others" churn_until 30 "$(confirms 32)"
churn_until 30 '[.scans[-8:][] | .generation] | (index(0) and index(1))'
ok "by scans of generation 0 and of generation 1" holds \
    '[.scans[$first:][] | .generation] | (index(0) and index(1))' \
    --argjson first "$first"
ok "young scans look at few objects" holds \
    '.scans[$first:] | all(.objects < 3000)' --argjson first "$first"
ok "they do not lose any" holds \
    '[.scans[$first:][] | .confirmed] | . == sort' --argjson first "$first"
is_int 0 "$(jq '[.scans[] | .resurrected] | add' "$TMP/json")" \
    "nor take any for resurrected"
is_str "chain:2/2 lost:30/30" "$(states)" "old cycles are not seen by them"
is_int 0 "$(jq --argjson first "$first" \
    '[.scans[$first:][] | select(.generation == 2)] | length' \
    "$TMP/json")" "no other scan of all objects took place"
scanned >/dev/null
is_str "chain:2/2 lost:30/30 old:0/5" "$(states)" "but by one of all objects"
churn_until 30 '.scans[-2:] | all(.generation < 2)'
is_str "chain:2/2 lost:30/30 old:0/5" "$(states)" \
    "young ones after it change nothing"
scanned >/dev/null
is_str "chain:2/2 lost:30/30 old:5/5" "$(states)" \
    "and confirmed by the next one"
tell collect 2
is_str 75 "$said" "a collection ends them all"
tell lose 1
churn_until 30 '.scans[-1].confirmed == 1'
is_str "lost:1/1" "$(states)" "young scans do not go on about what has gone"
finish young
is_str '' "$(cat "$err")" "nothing on stderr"

# ---- without a pause ---------------------------------------------------------

start no-pause --scan-interval=50ms --pause-budget=0% --cpu-budget=100%
tell stay 1000
tell lose 3
tell coded 2
ok "pause_budget=0: cycles are confirmed" \
    wait_until 20 holds '.scans[-1].confirmed == 3'
ok "all by copy, without a pause" holds \
    '.scans | all(.method == "copy" and .pause_ms == 0 and
        .status == "done")'
is_str "lost:3/3" "$(states)" "those with a traverse function cannot be seen"
is_int 4 "$(jq '.scans[-1].opaque_objects' "$TMP/json")" "which is counted"

# The program looks by itself, at the same time.
tell scan 20
is_str "10..10" "$said" "hk_gc_scan finds them, too, each time"
first=$(jq '.scans | length' "$TMP/json")
count_during() {
    tell scan 300
    holds '(.scans | length) > $first' --argjson first "$first"
}
ok "while scans go on" wait_until 20 count_during
is_str "10..10" "$said" "with the same result"
is_str "lost:3/3" "$(states)" "theirs stays as well"
finish no-pause
is_str '' "$(cat "$err")" "nothing on stderr"

start no-way --scan-interval=50ms --pause-budget=0%
tell coded 3
# The reason comes and goes with objects, and resident memory changes.
ok "only objects with a traverse: no scan" wait_until 20 holds \
    '.scans[-1].status == "skipped"'
for _ in 1 2 3 4 5; do
    tell coded 1000
    sleep 0.1
done
ok "more than one was due meanwhile" wait_until 20 holds \
    '.losses.scans_skipped > 5'
is_int 1 "$(jq '.scans | length' "$TMP/json")" "which is told once"
like '^a snapshot would block .*; no objects can be read without code of the program: type coded has a traverse function$' \
    "$(jq -r '.scans[0].reason' "$TMP/json")" "with the reason"
is_int 1 "$(wc -l <"$err")" "and said on one line"
like 'no cycle scan: a snapshot would block.*type coded' "$(cat "$err")" \
    "with the same reason"
is_str "5003 0 0" "$(scanned)" "ctl scan works at once, all the same"
is_str "done 2 snapshot" "$(jq -r '.scans[-1] |
    "\(.status) \(.generation) \(.method)"' "$TMP/json")" "by snapshot"
is_str "0 5003 0" "$(scanned)" "twice"
more=$(jq .losses.scans_skipped "$TMP/json")
ok "others are still not possible" wait_until 20 holds \
    '.losses.scans_skipped > $more + 2' --argjson more "$more"
is_str "3 1" "$(jq '.scans | length' "$TMP/json") $(wc -l <"$err")" \
    "which is not told again"
finish no-way

# ---- between two scans -------------------------------------------------------

for method in snapshot copy; do
    start "mix-$method" --scan-interval=0 --scan-method=$method
    tell stay 100
    tell knot 0
    is_str "1 0 0" "$(scanned)" "$method: a suspect"
    tell again 0
    is_str "1 0 0" "$(scanned)" \
        "$method: dropped and built again in the same places: a new one"
    tell replace 0
    is_str 3 "$said" "$method: a collection ends it"
    is_str "1 0 0" "$(scanned)" \
        "$method: and it was built again: a new one"
    is_str "0 1 0" "$(scanned)" "$method: confirmed by the scan after that"
    tell again 0
    is_str "1 0 0" "$(scanned)" \
        "$method: a confirmed one was built again: not confirmed"
    tell touch 0
    is_str "1 0 1" "$(scanned)" \
        "$method: a reference came and went: not the same"
    tell swap 0
    is_str "1 0 1" "$(scanned)" \
        "$method: two fields were exchanged: not the same"
    is_str "0 1 0" "$(scanned)" "$method: untouched: confirmed"
    is_str "0 1 0" "$(scanned)" "$method: and stays so"
    is_str "lost:1/1" "$(states)" "$method: it is one"
    tell touch 0
    is_str "1 0 1" "$(scanned)" "$method: it is touched"
    tell watch 0
    tell revive 0
    is_str 1 "$said" "$method: a weak reference finds it"
    is_str "0 0 1" "$(scanned)" "$method: it was a suspect, and lives"
    is_str "0 0 0" "$(scanned)" "$method: which is counted once"
    is_str "" "$(states)" "$method: and shown no more"
    tell release 0
    is_str "1 0 0" "$(scanned)" "$method: dropped again: a suspect"
    is_str "0 1 0" "$(scanned)" "$method: confirmed"
    tell collect 2
    is_str "0 0 0" "$(scanned)" "$method: collected: gone, not resurrected"
    finish "mix-$method"
    is_str '' "$(cat "$err")" "$method: nothing on stderr"

    # What is young stays a suspect, however often it is seen.
    start "age-$method" --scan-interval=0 --scan-method=$method --min-age=1s
    born=${EPOCHREALTIME/./}
    tell lose 1
    seen=$(scanned)
    again=$(scanned)
    if [ $((${EPOCHREALTIME/./} - born)) -lt 900000 ]; then
        is_str "1 0 0, 1 0 0" "$seen, $again" \
            "$method: not older than min_age=: not confirmed"
    else
        skip 1 "that took longer than min_age="
    fi
    sleep 1.1
    is_str "0 1 0" "$(scanned)" "$method: older: confirmed"
    finish "age-$method"
done
done_testing
