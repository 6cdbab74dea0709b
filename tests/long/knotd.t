#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# knotd.t -- make check-knotd: knotd under load for half an hour, once with each
# of its bugs and once without, all at the same time, with the options that a
# service would use.  Holds if each report says what is wrong, and no more.
#
#	tests/long/knotd.t [BUG|none...]
#
# MINUTES=N and RATE=N (messages a second to each server) ask for other loads;
# AGENT_OPTIONS="..." for other options.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/../scenario/scenario.sh"
need jq

KNOTD=$BUILD/examples/knotd/knotd
LOAD=$BUILD/examples/knotd/knot-load
[ -x "$KNOTD" ] || bail_out "knotd is not built"

MINUTES=${MINUTES:-30}
RATE=${RATE:-500}
AGENT_OPTIONS=${AGENT_OPTIONS:-}
[ $# -gt 0 ] || set -- cycle ref malloc cache none
declare -A servers loads

listens() {
    grep -q listening "$TMP/$1.out"
}

start() { # BUG
    local port
    port=$(free_port)
    # shellcheck disable=SC2086 # a list of options
    "$HEAPKNOT" run $AGENT_OPTIONS -o "$TMP/$1.hk" -- \
        "$KNOTD" --port="$port" --bug="$1" >"$TMP/$1.out" 2>"$TMP/$1.err" &
    servers[$1]=$!
    wait_until 10 listens "$1"
    "$LOAD" --port="$port" --seconds=$((MINUTES * 60)) --rate="$RATE" \
        >"$TMP/$1.load" 2>&1 &
    loads[$1]=$!
    stop_at_exit "${servers[$1]}" "${loads[$1]}"
}

# finish BUG: what is left is $TMP/BUG.json.
finish() {
    local status=0
    wait "${loads[$1]}" || status=$?
    is_int 0 "$status" "$1: the clients lost nothing"
    "$HEAPKNOT" report --json "$TMP/$1.hk" >"$TMP/$1.live.json" 2>&1
    status=0
    kill -TERM "${servers[$1]}"
    wait "${servers[$1]}" || status=$?
    is_int 0 "$status" "$1: the server ends well"
    "$HEAPKNOT" report --json "$TMP/$1.hk" >"$TMP/$1.json" 2>&1
    is_int 0 $? "$1: the report"
}

about() { # BUG JQ-ARGUMENT...
    jq -r "${@:2}" "$TMP/$1.json" 2>&1
}

verdict() { # BUG: all sentences of it, the first one first
    about "$1" '.verdict | .headline, .also[].headline'
}

confirmed_types() { # JSON
    jq -c '[.cycles[] | select(.state == "confirmed") |
        [.members[].type] | sort]' "$1"
}

# Budgets may make scans rare, not end them.
scanned_late() { # BUG
    about "$1" -e '.snapshots[-1].time as $over | [.scans[] |
        select(.status == "done") | .time][-1] > $over / 2'
}

tell() { # BUG
    diag "$(about "$1" --arg bug "$1" '"\($bug): \(.totals.allocations
        ) allocations, \([.scans[] | select(.status == "done")] | length
        ) of \(.scans | length) scans kept, pauses at most \(
        .cost.pause_max_ns / 1e6) ms, the last after \(.scans[-1].time
        ) s, resurrected \(
        [.scans[].resurrected] | add): \(.verdict.headline)"')"
}

no_cycles() { # BUG
    is_str '[]' "$(confirmed_types "$TMP/$1.live.json")" \
        "$1: no cycle under load"
    is_str '[]' "$(confirmed_types "$TMP/$1.json")" \
        "$1: and none at the end"
}

says_cycle() {
    local abrupt instances
    like '^leak: unreachable cycles' "$(verdict cycle | head -n 1)" \
        "cycle: the verdict"
    is_str '[["channel","session"]]' "$(confirmed_types "$TMP/cycle.json")" \
        "cycle: one shape, of a session and a channel"
    abrupt=$(sed -n 's/.* abrupt \([0-9]*\) .*/\1/p' "$TMP/cycle.load")
    instances=$(about cycle '.cycles[0].confirmed')
    ok "cycle: $instances instances, no more than $abrupt abrupt ends" \
        test "$instances" -gt 0 -a "$instances" -le "$abrupt"
}

says_ref() {
    no_cycles ref
    like '^(objects of type session grow|leak: .*session)' \
        "$(verdict ref | head -n 1)" "ref: the verdict names the type"
}

says_malloc() {
    no_cycles malloc
    like '^leak: .*(audit|publish)' "$(verdict malloc | head -n 1)" \
        "malloc: the verdict names the growing path"
    unlike 'objects of type' "$(verdict malloc)" "malloc: nothing else"
}

# Full after the first minutes.
says_cache() {
    no_cycles cache
    unlike '^leak:|objects of type' "$(verdict cache)" \
        "cache: not called a leak"
    like '^(cache: filled and stopped: render|steady)' \
        "$(verdict cache | head -n 1)" "cache: but a cache, or nothing"
}

says_none() {
    no_cycles none
    like '^steady' "$(verdict none | head -n 1)" "none: nothing is found"
    unlike '^leak:|objects of type' "$(verdict none)" \
        "none: nothing else, either"
}

for bug; do
    start "$bug"
done
for bug; do
    finish "$bug"
    "says_$bug"
    is_int 0 "$(about "$bug" .losses.scans_failed)" "$bug: no scan failed"
    ok "$bug: scans went on" scanned_late "$bug"
    tell "$bug"
done
done_testing
