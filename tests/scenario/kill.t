#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# SIGKILL at 100 random moments of a program that allocates in four threads
# and keeps its own books in a shared file: every recording opens, and its
# totals are no less than what the program had logged one publish= before.
#
# RUNS=N and SEED=N in the environment choose other moments.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq perl

RUNS=${RUNS:-100}
SEED=${SEED:-20011}
PUBLISH_MS=50

need_victims loglive

# One line a run: number, nanoseconds of CLOCK_MONOTONIC before the kill.
# A third of the deaths are early, when the agent is just starting.
kill_at_random() {
    perl -MTime::HiRes=usleep,clock_gettime,CLOCK_MONOTONIC -MPOSIX=_exit -e '
        my ($runs, $seed, $folder, @command) = @ARGV;
        srand $seed;
        for my $run (1 .. $runs) {
            my $after = rand(3) < 1 ? rand 30e3 : 30e3 + rand 350e3;
            my $log = "$folder/$run.log";
            my $pid = fork // die;
            if (!$pid) {
                open STDOUT, ">", "/dev/null";
                exec map { s/RUN/$run/gr } @command or _exit(127);
            }
            my $patience = 5000;
            usleep(1000) until -s $log or !$patience--;
            usleep($after);
            my $now = clock_gettime(CLOCK_MONOTONIC);
            kill KILL => $pid;
            waitpid $pid, 0;
            printf "%d %.0f %d\n", $run, $now * 1e9, $?;
        }' "$@"
}

mkdir "$TMP/runs"
kill_at_random "$RUNS" "$SEED" "$TMP/runs" \
    "$HEAPKNOT" run --publish=${PUBLISH_MS}ms -o "$TMP/runs/RUN.hk" -- \
    "$VICTIMS/loglive" "$TMP/runs/RUN.log" 3 >"$TMP/deaths"

# What was logged one interval before: "entry TIME allocations N bytes N ..."
# The recorded numbers: allocations and bytes.
books() { # RUN TIME
    "$VICTIMS/loglive" --print "$TMP/runs/$1.log" \
        $(($2 - PUBLISH_MS * 1000000)) |
        sed -n 's/^entry.* allocations \([0-9]*\) bytes \([0-9]*\).*/\1 \2/p'
}

killed=0 opened=0 enough=0 worst=0 nothing=0
while read -r run time status; do
    [ "$status" -ne 9 ] || killed=$((killed + 1))
    read -r allocations bytes < <(json "$TMP/runs/$run.hk" \
        '.totals | "\(.allocations) \(.allocated_bytes)"')
    if [ -z "$allocations" ]; then
        diag "run $run: $(tail -n 1 "$TMP/json.err")"
        continue
    fi
    opened=$((opened + 1))
    read -r logged_allocations logged_bytes < <(books "$run" "$time")
    [ "${logged_allocations:-0}" -gt 0 ] || nothing=$((nothing + 1))
    if [ "$allocations" -ge "${logged_allocations:-0}" ] &&
        [ "$bytes" -ge "${logged_bytes:-0}" ]; then
        enough=$((enough + 1))
    else
        diag "run $run: recorded $allocations blocks, $bytes bytes;" \
            "logged $logged_allocations, $logged_bytes"
    fi
    [ "$allocations" -le "$worst" ] || worst=$allocations
done <"$TMP/deaths"

is_int "$RUNS" "$killed" "every run died of SIGKILL"
is_int "$RUNS" "$opened" "every recording opens"
is_int "$RUNS" "$enough" \
    "no recording lacks what was logged $PUBLISH_MS ms before"
ok "the test is about something: up to $worst blocks," test "$worst" -gt 10000
ok "and in $((RUNS - nothing)) of $RUNS runs there was something to lose" \
    test $((RUNS - nothing)) -ge $((RUNS / 2))
done_testing
