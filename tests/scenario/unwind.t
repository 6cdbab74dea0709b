#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# unwind.t -- stacks are what they are.  The programs keep a truth of their own
# (tests/victims/chain.h), to which every stack of theirs is compared; besides,
# verify=unwind compares each with libunwind's.
# shellcheck disable=SC2034 # mask and run_options are for same()
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq perl
need_victims \
    unwind_{coroutines,dl,forks,frames,gone,jit,jumps,throw,twins} \
    unwind_frames_{O0,O3,fp,cet,realign} unwind_throw_{O0,fp} \
    unwind_plugin_{a,b}.so unwind_lazy.so signals cxx threads

export CHAINS=$TMP/chains
mask='s/at one address [0-9]+ times/at one address N times/'

# read_recording FILE: $TMP/seen.json is its report but for the stacks, and in
# $TMP/seen.stacks are those, a line for each, as chains.pl wants it.
read_recording() {
    "$HEAPKNOT" report --json "$1" | jq -r '(del(.stacks) | tojson),
        (.stacks[] | [.allocations, .allocated_bytes] +
         [.frames[] | select(.inlined | not) | .module, .function] |
         @tsv)' >"$TMP/seen.all" || return 1
    head -n 1 "$TMP/seen.all" >"$TMP/seen.json"
    tail -n +2 "$TMP/seen.all" >"$TMP/seen.stacks"
}

chains_are_true() { # TRUTH [DEPTH]
    "$SCENARIOS/chains.pl" "$1" "$(counter stack_table_full)" "${2:-128}" \
        <"$TMP/seen.stacks"
}

# find_recording PID: the one of that process is read.
find_recording() {
    local file
    for file in "$SEEN"/hk/*.hk; do
        read_recording "$file" || return 1
        [ "$(jq .process.pid "$TMP/seen.json")" != "$1" ] || return 0
    done
    echo "no recording of process $1"
    return 1
}

counter() {
    jq ".totals.$1 // .cost.$1 // .losses.$1" "$TMP/seen.json"
}

# A slow stack is libunwind's own; every other one was compared.
is_verified() { # AT-LEAST
    local captures verified slow mismatches
    captures=$(counter captures)
    verified=$(counter verified_captures)
    slow=$(counter slow_captures)
    mismatches=$(counter unwind_mismatches)
    echo "at least $1 captures: $captures, verified $verified, slow $slow," \
        "mismatches $mismatches"
    [ "$captures" -ge "$1" ] && [ $((verified + slow)) -ge "$1" ] &&
        [ "$verified" -gt 0 ] && [ "$mismatches" -eq 0 ]
}

# Different stacks, once they are cut, whose chain alone is longer than DEPTH.
cut_in_truth() { # TRUTH DEPTH
    awk -v depth="$2" '
        $1 ~ /^[0-9]/ && split($3, names, "<") > depth {
            chain = ""
            for (i = 1; i <= depth; i++) chain = chain "<" names[i]
            if (!seen[chain]++) n++
        }
        END { print n + 0 }' "$1"
}

cut_are_counted() { # TRUTH DEPTH
    local truth counted
    truth=$(cut_in_truth "$1" "$2")
    counted=$(counter truncated_stacks)
    echo "cut $counted, at least $truth"
    [ "$counted" -ge "$truth" ]
}

# few: what fits no rule is less than 1 %; some: there is something.
slow_are() {
    local slow captures
    slow=$(counter slow_captures)
    captures=$(counter captures)
    echo "slow $slow of $captures"
    case $1 in
    few) [ $((slow * 100)) -lt "$captures" ] ;;
    some) [ "$slow" -gt 0 ] && [ "$slow" -le "$captures" ] ;;
    esac
}

# proves SLOW ROLES NAME COMMAND...: as few or some stacks are slow, or any;
# depth= of the victim, where it is not the default.
proves() {
    local slow=$1 roles=$2 name=$3 role truth planted
    shift 3
    fresh_folder "$CHAINS"
    run_options="--verify=unwind ${depth:+--depth=$depth}" \
        same "$name" "$@"
    for role in $roles; do
        truth=$CHAINS/$role
        ok "$name: $role has a recording" \
            find_recording "$(sed -n 's/^pid //p' "$truth")" || continue
        planted=$(sed -n 's/^planted //p' "$truth")
        ok "$name: $role's stacks of $planted blocks are true" \
            chains_are_true "$truth" "${depth:-128}"
        ok "$name: $role's cut stacks are counted" \
            cut_are_counted "$truth" "${depth:-128}"
        ok "$name: $role's stacks are libunwind's" is_verified \
            "${asked:-$planted}"
        [ "$slow" = any ] ||
            ok "$name: $role has $slow slow stacks" slow_are "$slow"
    done
}

v=$VICTIMS
# Aligned locals are addressed by expressions, which may be slow or not.
proves few main "stacks that differ a little" "$v/unwind_twins" 400
proves any main "frames" "$v/unwind_frames"
for kind in O0 O3 fp cet realign; do
    proves any main "frames, $kind" "$v/unwind_frames_$kind" 30
done
depth=20 proves any main "frames, depth=20" "$v/unwind_frames" 10
for kind in "" _O0 _fp; do
    proves any main "exceptions$kind" "$v/unwind_throw$kind" 10
done
# Nothing is known of the caller of a coroutine, nor of a switch by hand.
proves any main "coroutines" "$v/unwind_coroutines"
proves any main "a switch by hand" "$v/unwind_coroutines" 1000 bare
proves some main "jumps and handlers" "$v/unwind_jumps"
proves few "parent child grandchild" "forks and threads" "$v/unwind_forks"
# What was learnt about a plugin is worth nothing for the next.
proves any main "plugins at one address" "$v/unwind_dl" \
    "$v"/unwind_plugin_{a,b}.so
proves some main "code made at run time, lazy binding" "$v/unwind_jit" \
    "$v/unwind_lazy.so"
# libunwind itself would read what is gone, so it is not asked there.
asked=500 proves any main "memory that is gone" "$v/unwind_gone"

# Where nobody can know the truth, because signals come at any time, or where
# only many kinds of code matter: libunwind's is all there is.
verified() { # NAME COMMAND...
    local name=$1 file
    shift
    run_options=--verify=unwind same "$name" "$@"
    for file in "$SEEN"/hk/*.hk; do
        read_recording "$file"
        ok "$name: stacks are libunwind's" is_verified 100
    done
}
verified "signals that jump out of the agent" "$v/signals" anywhere
expect=21 verified "threads to the very end" "$v/threads" 80
verified "C++" "$v/cxx"

# The comparison is one that can fail.
fresh_folder "$CHAINS"
"$HEAPKNOT" run -o "$TMP/control.hk" -- "$v/unwind_frames" 2 >/dev/null
read_recording "$TMP/control.hk"
ok "the truth is found" chains_are_true "$CHAINS/main"
sed '0,/<even</s//<odd</' "$CHAINS/main" >"$TMP/renamed"
sed '$d' "$CHAINS/main" >"$TMP/shorter"
awk '$3 == "plant<leaf<once<main" { $1++ } { print }' "$CHAINS/main" \
    >"$TMP/more"
for truth in renamed shorter more; do
    like '^[12] of [0-9]+ chains are wrong' \
        "$(chains_are_true "$TMP/$truth" | tail -n 1)" \
        "and a lie is not: $truth"
done

done_testing
