#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# knotd under its own load, for each of its bugs and without one: what the
# report says is what is wrong, by name and line, and nothing else; and check
# finds it against a good server.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq

KNOTD=$BUILD/examples/knotd/knotd
LOAD=$BUILD/examples/knotd/knot-load
[ -x "$KNOTD" ] || bail_out "knotd is not built"

SECONDS_OF_LOAD=${SECONDS_OF_LOAD:-6}
HURRY=(--interval=100ms --scan-interval=500ms --min-age=500ms
    --pause-budget=20% --cpu-budget=50%)

# serve BUG [LOAD-OPTION...]: knotd under load; $server is its process, still
# alive afterwards.
serve() {
    local port
    local options=("${@:2}")
    port=$(free_port)
    RECORDING=$TMP/$1.hk
    "$HEAPKNOT" run "${HURRY[@]}" -o "$RECORDING" -- \
        "$KNOTD" --port="$port" --bug="$1" >"$TMP/$1.out" 2>"$TMP/$1.err" &
    server=$!
    stop_at_exit "$server"
    wait_until 10 grep -q listening "$TMP/$1.out"
    "$LOAD" --port="$port" --seconds="$SECONDS_OF_LOAD" \
        --rate=1500 "${options[@]}" >"$TMP/$1.load" 2>&1
    is_int 0 $? "$1: the clients lost nothing"
}

# end BUG: the server's own end, and what the report says of it.
end() {
    local status=0
    kill -TERM "$server"
    wait "$server" || status=$?
    is_int 0 "$status" "$1: the server ends well"
    REPORT=$("$HEAPKNOT" report "$RECORDING" 2>"$TMP/report.err")
    is_int 0 $? "$1: the report"
    JSON=$TMP/$1.json
    "$HEAPKNOT" report --json "$RECORDING" >"$JSON" 2>&1
    VERDICT=$(sed -n 1,40p <<<"$REPORT")
}

about() {
    jq -r "$@" "$JSON" 2>&1
}

# check STATUS KIND BUG: heapknot check against the good server, and the kinds
# of the new findings.
check() {
    local status=0
    "$HEAPKNOT" check --baseline="$TMP/good.hk" "$TMP/$3.hk" \
        >"$TMP/check.out" 2>&1 || status=$?
    is_int "$1" "$status" "$3: check against the good server"
    like "$2" "$(cat "$TMP/check.out")" "$3: what check names"
}

# ---- what a good server looks like, as a baseline ---------------------------

serve none --seed=7
end none
mv "$RECORDING" "$TMP/good.hk"

# ---- a cycle of sessions and channels ---------------------------------------

serve cycle
ok "cycle: the live report already has it" wait_until 5 eval \
    '"$HEAPKNOT" cycles "$server" | grep -q session'
like '^  cycle .*session' "$("$HEAPKNOT" check "$server")" \
    "cycle: check of the running server"
end cycle
check 1 '^  cycle .*\((session, channel|channel, session)\)' cycle
unlike '^  (type|left)' "$(cat "$TMP/check.out")" \
    "cycle: its types are no findings of their own"
like 'leak: unreachable cycles' "$VERDICT" "cycle: the verdict"
is_str 1 "$(about '[.cycles[] | select(.state == "confirmed")] | length')" \
    "cycle: one shape"
is_str 'channel session' \
    "$(about '[.cycles[0].members[].type] | sort | join(" ")')" \
    "cycle: its types"
is_str 'channels subscribers' \
    "$(about '[.cycles[0].edges[].label] | sort | join(" ")')" \
    "cycle: its labels"
frames='.frames[] | "\(.function) \(.file // "" | split("/") | last):\(.line)"'
like '^session_new session\.c:[1-9]' \
    "$(about ".cycles[0].created[] | $frames")" \
    "cycle: the stack of the creation, with function and line"
like '^(hub|session|channel)_[a-z_]+ (hub|session|channel)\.c:[1-9]' \
    "$(about ".cycles[0].last_release[] | $frames")" \
    "cycle: the stack of the last release"
abrupt=$(sed -n 's/.* abrupt \([0-9]*\) .*/\1/p' "$TMP/cycle.load")
instances=$(about '.cycles[0].instances')
ok "cycle: $instances instances, no more than $abrupt abrupt ends" \
    test "$instances" -gt 0 -a "$instances" -le "$abrupt"
like 'session_new.*session\.c:[0-9]+' "$REPORT" \
    "cycle: the text names the place"
is_str 0 "$(about '[.scans[].resurrected] | add')" \
    "cycle: no suspect was ever found alive"

# ---- a reference that nobody puts -------------------------------------------

serve ref
end ref
# Where the machine stalls, the slope of 6 s may be too uneven for a leak.
check 1 '^  (type .* session grows|left .* session: )' ref
unlike 'unreachable cycles' "$VERDICT" "ref: no cycles"
like 'objects of type session grow|leak: .*session' "$VERDICT" \
    "ref: the verdict names the type"
is_str true "$(about '.types | any(.name == "session" and .live > 50)')" \
    "ref: sessions are what is left"

# ---- a block that nobody frees ----------------------------------------------

serve malloc
end malloc
check 1 '^  path .*(audit|publish)' malloc
unlike '^  (type|cycle|left)' "$(cat "$TMP/check.out")" \
    "malloc: check names nothing else"
like 'leak: .*(audit|publish)' "$VERDICT" \
    "malloc: the verdict names the growing path"
like 'hub\.c:[0-9]+|command\.c:[0-9]+' "$REPORT" "malloc: with file and line"
unlike 'unreachable cycles|objects of type' "$VERDICT" "malloc: nothing else"

# ---- a cache, and no bug at all ---------------------------------------------

# Full after a third of the time, and the work goes on.
serve cache --messages=1 --rate=2500
end cache
check 0 '^clean: nothing new' cache
unlike 'leak:' "$VERDICT" "cache: not called a leak"
like '^cache: filled and stopped: render' "$VERDICT" "cache: but a cache"

serve none --latency
is_str "$(sed -n 's/.* published \([0-9]*\) .* lost .*/\1/p' "$TMP/none.load")" \
    "$(sed -n 's/^latency messages \([0-9]*\) .*/\1/p' "$TMP/none.load")" \
    "none: the latency of each message was measured"
end none
check 0 '^clean: nothing new' none
like '^steady' "$VERDICT" "none: nothing is found"
unlike 'leak: |objects of type|cycles' "$VERDICT" "none: nothing else, either"
is_str 0 "$(about '.cycles | length')" "none: no cycles"
done_testing
