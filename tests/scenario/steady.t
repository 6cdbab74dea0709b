#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A service whose heap is busy and of constant size is scanned again and again:
# the agent's own memory does not grow after the first scans, neither by its
# own count nor by the kernel's.
#
# MIB=N, SCANS=N (a dozen at least) and SCAN_INTERVAL=TIME choose another heap,
# more scans, and their distance, METHOD=copy another way of scanning;
# PERIOD=SECONDS is how often memory is read, GRACE=BYTES what may be more in
# the end.
# shellcheck disable=SC2317 # functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims bigheap

MIB=${MIB:-16}
SCANS=${SCANS:-200}
SCAN_INTERVAL=${SCAN_INTERVAL:-30ms}
METHOD=${METHOD:-auto}
PERIOD=${PERIOD:-0.2}
# Blocks that are not given back while they are copied come and go.
[ "$METHOD" = copy ] && GRACE=${GRACE:-524288}
GRACE=${GRACE:-65536}
KIB=1024
CYCLES=100
RECORDING=$TMP/steady.hk
MEMORY=$TMP/memory # scans, resident bytes without and with the agent

# heap NAME COMMAND...: $pid is the program, which has filled its heap.
heap() {
    local name=$1
    mkfifo "$TMP/$name.stdin"
    "${@:2}" "$VICTIMS/bigheap" --mib="$MIB" --cycles=$CYCLES \
        <"$TMP/$name.stdin" >"$TMP/$name.out" 2>"$TMP/$name.err" 7>&- 8>&- &
    pid=$!
    stop_at_exit "$pid"
}

is_ready() {
    grep -q '^ready' "$TMP/$1.out"
}

# resident PID: all of its memory but the recording's, which grows with time.
resident() {
    awk -v kib="$KIB" '
        /^[0-9a-f]+-[0-9a-f]+ / { counts = !/\.hk$/ }
        $1 == "Rss:" && counts { n += $2 }
        END { print n * kib }' "/proc/$1/smaps"
}

# One line in $MEMORY each time, until there were so many scans.
watch() {
    local scans=0
    until [ "$scans" -ge "$SCANS" ]; do
        sleep "$PERIOD"
        kill -0 "$bare" "$agent" || return 1
        scans=$(json "$RECORDING" .cost.scans) || return 1
        echo "$scans $(resident "$bare") $(resident "$agent")" >>"$MEMORY"
    done
}

# ended PID NAME: by a line on its stdin.
ended() {
    local status=0
    wait "$1" || status=$?
    is_int 0 "$status" "$2: the program ends well"
    is_str '' "$(cat "$TMP/$2.err")" "$2: nothing on stderr"
}

# The agent's own count: the most in the last and in the second quarter.
most_in_quarter() { # QUARTER
    jq --argjson q "$1" '.snapshots | (.[-1].time / 4) as $quarter |
        [.[] | select(.time > $quarter * ($q - 1) and .time <= $quarter * $q) |
        .agent_bytes] | max // 0' "$TMP/live.json"
}

# The kernel's, what the bare program has taken off: the least, since a scan
# may be going on.
least_in_quarter() { # QUARTER
    awk -v q="$1" '{ added[NR] = $3 - $2 } END {
        for (i = 1; i <= NR; i++)
            if (i > NR / 4 * (q - 1) && i <= NR / 4 * q &&
                (least == "" || added[i] < least))
                least = added[i]
        print least }' "$MEMORY"
}

heap bare
bare=$pid
heap agent "$HEAPKNOT" run --scan-method="$METHOD" --min-age=0 \
    --scan-interval="$SCAN_INTERVAL" --pause-budget=100% --cpu-budget=100% \
    --interval=500ms -o "$RECORDING" --
agent=$pid
exec 7>"$TMP/bare.stdin" 8>"$TMP/agent.stdin"
wait_until 600 is_ready bare
wait_until 600 is_ready agent
ok "$SCANS scans, $SCAN_INTERVAL apart, of $MIB MiB" watch
"$HEAPKNOT" report --json "$RECORDING" >"$TMP/live.json" 2>&1
echo >&7
echo >&8
exec 7>&- 8>&-
ended "$bare" bare
ended "$agent" agent

is_str "$CYCLES confirmed" "$(jq -r '.cycles[] |
    "\(.confirmed) \(.state)"' "$TMP/live.json")" \
    "what was lost was found, all the time"
before=$(most_in_quarter 2) after=$(most_in_quarter 4)
diag "agent_bytes at most $(most_in_quarter 1) $before" \
    "$(most_in_quarter 3) $after in each quarter"
ok "agent_bytes are known" [ "$before" -gt 100000 ]
ok "agent_bytes: no more than $GRACE over the second quarter's" \
    [ "$after" -le $((before + GRACE)) ]
before=$(least_in_quarter 2) after=$(least_in_quarter 4)
diag "added to the program's memory, at least $(least_in_quarter 1) $before" \
    "$(least_in_quarter 3) $after in each quarter"
diag "scans, bytes of the bare program and of the other one:" \
    "first $(head -n 1 "$MEMORY"), last $(tail -n 1 "$MEMORY")"
ok "the kernel's count of it grows by no more than $((2 * GRACE))" \
    [ "$after" -le $((before + 2 * GRACE)) ]
done_testing
