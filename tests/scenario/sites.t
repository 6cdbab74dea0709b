#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Eight threads allocate at sixteen places, each counting for itself, and free
# one another's blocks.  Killed in the middle, the recording holds for every
# place at least what the program had logged one publish= before, and no more
# than it did in all; killed when it had come to rest, it is exact.
#
# RUNS=N in the environment for more.
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq perl
build_helper sites -pthread

RUNS=${RUNS:-9}
PUBLISH_MS=50
THREADS=8

# place ALLOCATIONS FREES LIVE-BYTES, as the recording has them.
recorded() { # FILE
    json "$1" '[.stacks[] | select(.frames[0].function // "" |
            startswith("make_"))] | group_by(.frames[0].function)[] | "\(.[0].frames[0].function) \(
            map(.allocations) | add) \(map(.frees) | add) \(
            map(.live_bytes) | add)"' | sort
}
logged() { # LOG NS LINES
    "$HELPERS/sites" --print "$1" "$2" | sed -n "s/^$3 //p" | sort
}
begin() { # NAME EVENTS: sets pid
    "$HEAPKNOT" run --publish=${PUBLISH_MS}ms -o "$TMP/$1.hk" -- \
        "$HELPERS/sites" "$TMP/$1.log" "$2" >"$TMP/$1.out" 2>&1 &
    pid=$!
}
wait_until() { # COMMAND...: 30 seconds at most
    local i
    for ((i = 0; i < 600; i++)); do
        "$@" && return
        sleep 0.05
    done
    diag "in vain: $*"
    return 1
}
kill_now() { # sets now, as CLOCK_MONOTONIC
    now=$(perl -MTime::HiRes=clock_gettime,CLOCK_MONOTONIC -e \
        'my $t = clock_gettime(CLOCK_MONOTONIC); kill KILL => $ARGV[0];
         printf "%.0f\n", $t * 1e9' "$pid")
    { wait "$pid"; } 2>/dev/null
}

# Every place: logged before <= recorded <= done in all, and one event of each
# thread that was booked and not counted any more.
between() { # NAME NS
    join <(logged "$TMP/$1.log" "$2" "then") <(recorded "$TMP/$1.hk") |
        join - <(logged "$TMP/$1.log" "$2" end) |
        awk -v more=$THREADS '
            $5 < $2 || $5 > $8 + more || $6 < $3 || $6 > $9 + more {
                print; wrong = 1 }
            { allocations += $2 }
            END { if (NR != 16 || wrong) exit 1; print allocations }'
}

# The moments differ as the machine does.  In its first second a process is
# published more often than publish= says.
good=0 most=0
for ((run = 1; run <= RUNS; run++)); do
    begin "$run" 0
    wait_until test -s "$TMP/$run.log"
    sleep "$((run % 3)).$((RANDOM % 9 + 1))"
    kill_now
    if seen=$(between "$run" $((now - PUBLISH_MS * 1000000))); then
        good=$((good + 1))
        [ "$seen" -le "$most" ] || most=$seen
    else
        diag "run $run: place, logged, recorded, in the end: $seen"
    fi
done
is_int "$RUNS" "$good" "killed in the middle: every place within its bounds"
ok "and that was up to $most blocks" [ "$most" -gt 10000 ]

begin rest 200000
publishes() {
    json "$TMP/rest.hk" .cost.publishes
}
twice_since() {
    [ "$(publishes)" -ge $(($1 + 2)) ]
}
wait_until grep -q 'done' "$TMP/rest.out"
wait_until twice_since "$(publishes)"
kill_now
is_str "$(logged "$TMP/rest.log" 0 end)" "$(recorded "$TMP/rest.hk")" \
    "killed at rest: blocks, frees and bytes of every place are exact"
is_int $((200000 * THREADS)) "$(recorded "$TMP/rest.hk" |
    awk '{ n += $2 } END { print n }')" "and that is all there was"
done_testing
