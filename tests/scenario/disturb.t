#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the agent does inside malloc is not to be noticed: not in the program's
# floating-point environment, at the end of its stacks, after its jumps, under
# its locks, nor in what it locks into memory.  Each part has a program of its
# own, tests/victims/disturb_*.c, whose head says what would go wrong.
# shellcheck disable=SC2016,SC2034,SC2317 # filters in quotes; options of
# same(); functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims disturb_{adopt,edge,float,iterate,jump,lock}

FIRST=$SEEN/hk/first.hk
number() { # JQ-PATH: of the first recording, 0 if it is not there
    json "$FIRST" "$1 // 0"
}

# ---- floating point: flags, rounding, traps ----------------------------------

publishing="--publish=5ms --interval=20ms"
for mode in "" "--thread=off $publishing" \
    "--sample=4KiB" "--sample=4KiB --thread=off $publishing" \
    "--overhead=1% --thread=off $publishing"; do
    ms=0
    case $mode in *off*) ms=300 ;; esac
    for what in flags trap; do
        run_options=$mode same "floating point, ${mode:-exact}: $what" \
            "$VICTIMS/disturb_float" $what $ms
    done
    case $mode in *sample*)
        ok "floating point, $mode: samples were drawn" \
            test "$(number .totals.sampled_blocks)" -gt 100 ;;
    esac
    case $mode in *off*)
        ok "floating point, $mode: the program's thread published" \
            test "$(number .cost.publishes)" -ge 2 ;;
    esac
done

# ---- the end of a stack that is the end of its mapping -----------------------

same "a stack at the end of its mapping is not read beyond" \
    "$VICTIMS/disturb_edge"

# ---- jumps out of every part of a hook ---------------------------------------

# said_in_jumps WORD: the number behind it on stderr
said_in_jumps() {
    sed -nE "s/.*$1 ([0-9]+).*/\1/p" "$SEEN/jump/err"
}
jumps() { # OPTIONS
    local name="jumps ${1:-as usual}" jumped after
    run_in_work bare "${LIMIT[@]}" "$VICTIMS/disturb_jump"
    fresh_folder "$SEEN/hk"
    # shellcheck disable=SC2086 # options, or none
    run_in_work jump "${LIMIT[@]}" "$HEAPKNOT" run $1 -o "$FIRST" -- \
        "$VICTIMS/disturb_jump"
    is_str "at the same depth 0" "$(cat "$SEEN"/bare/{out,status} | xargs)" \
        "$name: the program by itself"
    is_str "at the same depth 0" "$(cat "$SEEN"/jump/{out,status} | xargs)" \
        "$name: the same with the agent"
    jumped=$(said_in_jumps jumps) after=$(said_in_jumps after)
    ok "$name: it did jump ($jumped times)" test "${jumped:-0}" -gt 50
    is_int "${after:-none}" "$(json "$FIRST" '[.stacks[] |
        select(any(.frames[]; .function == "afterwards")) | .allocations] |
        add // 0')" "$name: each block after a jump is recorded"
    ok "$name: no call is lost for more than the jump that it is part of" \
        test "$(number .losses.reentrant_calls)" -le "$jumped"
    is_int 0 "$(number .losses.unwind_mismatches)" \
        "$name: no stack is other than libunwind's"
}
if [ "$(uname -m)" = x86_64 ]; then
    jumps ""
    jumps --verify=unwind
    ok "and all were compared" test \
        "$(number .totals.verified_captures)" -ge "$(said_in_jumps after)"
else
    skip 13 "single steps are of x86-64"
fi

# ---- where an adopted object was created -------------------------------------

created() { # the innermost function of the program, of each confirmed cycle
    json "$FIRST" '.cycles[]? | select(.state == "confirmed") |
        .created[] | "\(.count) \([.frames[].function |
        select(test("maker|adopt"))][0])"' | sort | xargs
}
adopted_is_confirmed() {
    [ "$(json "$FIRST" '[.cycles[]? | select(.state == "confirmed") |
        .instances] | add // 0')" = 2 ]
}
fresh_folder "$SEEN/hk"
mkfifo "$TMP/adopt.stdin"
"$HEAPKNOT" run --scan-interval=100ms --min-age=100ms --publish=50ms \
    --pause-budget=50% --cpu-budget=100% -o "$FIRST" -- \
    "$VICTIMS/disturb_adopt" <"$TMP/adopt.stdin" &
pid=$!
stop_at_exit "$pid"
exec 7>"$TMP/adopt.stdin"
ok "adopted: both cycles are found" wait_until 20 adopted_is_confirmed
exec 7>&-
wait "$pid"
is_int 0 $? "adopted: the program ends well"
is_str "1 first_maker 1 second_maker" "$(created)" \
    "adopted: created where malloc was called, the process's first block too"

# ---- the loader's lock -------------------------------------------------------

"$VICTIMS/disturb_iterate" >"$TMP/iterate.out"
if [ $? = 77 ]; then
    skip 2 "$(cat "$TMP/iterate.out")"
else
    same "a callback of the loader waits for a thread in code without object" \
        "$VICTIMS/disturb_iterate"
fi

# ---- locked memory -----------------------------------------------------------

resident() { # FILE
    sed -n 's/^resident //p' "$1"
}
snapshots() {
    [ "$(json "$FIRST" '.timeline.snapshots // 0')" -ge 3 ]
}
"$VICTIMS/disturb_lock" </dev/null >"$TMP/lock.bare" 2>"$TMP/lock.err"
if [ $? = 77 ]; then
    skip 4 "$(cat "$TMP/lock.err")"
else
    fresh_folder "$SEEN/hk"
    mkfifo "$TMP/lock.stdin"
    "$HEAPKNOT" run --publish=50ms --interval=100ms -o "$FIRST" -- \
        "$VICTIMS/disturb_lock" <"$TMP/lock.stdin" >"$TMP/lock.agent" &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/lock.stdin"
    ok "locked memory: the program locks" \
        wait_until 20 grep -q locked "$TMP/lock.agent"
    ok "locked memory: the agent's thread works" wait_until 20 snapshots
    exec 7>&-
    wait "$pid"
    is_int 0 $? "locked memory: the program ends well"
    bare=$(resident "$TMP/lock.bare") agent=$(resident "$TMP/lock.agent")
    ok "locked memory: ${agent:-?} KiB, ${bare:-?} KiB without the agent" \
        test $((${agent:-99999999} - ${bare:-0})) -lt 65536
fi
done_testing
