#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the agent costs in memory, by the kernel's own count of a program with
# and without it: per block, per thread, and as the report says.  And what
# happens when memory= is used up: the program goes on as if nothing were, and
# what is lost is counted, to the last block.
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims hold sampled

HOLD=$VICTIMS/hold
KIB=1024 MIB=1048576

bare() { # NAME ARGUMENT...
    "${LIMIT[@]}" "$HOLD" "${@:2}" >"$TMP/$1.bare"
}
agent() { # NAME OPTIONS ARGUMENT...
    # shellcheck disable=SC2086 # options, or none
    "${LIMIT[@]}" "$HEAPKNOT" run $2 -o "$TMP/$1.hk" -- "$HOLD" "${@:3}" \
        >"$TMP/$1.agent" 2>"$TMP/$1.err"
}
# told NAME JQ-FILTER: of the report, which is made once: stacks are many.
told() {
    [ -s "$TMP/$1.json" ] || json "$TMP/$1.hk" -c '.stacks |= map(.path =
        ([.frames[].function] | map(select(. == "deep" or
            . == "hold_blocks")) | join(" ")) | del(.frames))' >"$TMP/$1.json"
    jq -r "$2" "$TMP/$1.json"
}
# word NAME.bare|NAME.agent rss|anonymous
word() {
    sed -E "s/.*\\b$2 ([0-9]+).*/\\1/" "$TMP/$1"
}
# What the agent added: NAME rss|anonymous
added() {
    echo $(($(word "$1.agent" "$2") - $(word "$1.bare" "$2")))
}
at_most() { # LIMIT SEEN DESCRIPTION
    ok "$3: $2 of $1" [ "$2" -le "$1" ]
}
# Where huge pages are always used, the kernel decides what is resident.
is_thp_always() {
    grep -q '\[always\]' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null
}

# ---- what a block costs, and what is said of it ------------------------------

BLOCKS=2000000
bare blocks blocks $BLOCKS 48
agent blocks "" blocks $BLOCKS 48
is_str "$(sed 's/.*truth/truth/' "$TMP/blocks.bare")" \
    "$(sed 's/.*truth/truth/' "$TMP/blocks.agent")" \
    "two million blocks: the program does the same"
said=$(told "blocks" .cost.agent_bytes)
seen=$(added blocks anonymous)
diag "resident: $(added blocks rss) bytes more, private $seen, reported $said"
if is_thp_always; then
    skip 3 "transparent_hugepage is always"
else
    at_most $((16 * BLOCKS + 12 * MIB)) "$(added blocks rss)" \
        "16 bytes a block and 12 MiB"
    at_most $((seen / 10)) $((said > seen ? said - seen : seen - said)) \
        "agent_bytes is right within a tenth"
    last=$(told "blocks" '.snapshots[-1].agent_bytes')
    is_int "$said" "$last" "and the last snapshot says the same"
fi

# ---- what a thread costs ----------------------------------------------------

THREADS=500
for n in 1 $THREADS; do
    bare "threads$n" threads "$n"
    agent "threads$n" "" threads "$n"
done
each=$((($(added threads$THREADS rss) - $(added threads1 rss)) / (THREADS - 1)))
at_most $((20 * KIB)) $each "bytes a live thread with a stack of 20 frames"
is_int $THREADS "$(told "threads$THREADS" '[.stacks[] |
    select(.path == "deep") | .live_blocks] | add')" \
    "and every thread's block is recorded"

# ---- memory= is used up ------------------------------------------------------

# lost NAME: every event is in the totals, or in a loss.
lost() {
    told "$1" '"\(.totals.allocations + .losses.index_full) \(
        .totals.frees + .losses.unknown_frees)"'
}
consistent() { # NAME: totals among themselves, and with the stacks
    told "$1" '(.totals | .allocations - .frees == .live_blocks) and
        ([.stacks[].allocations] | add) == .totals.allocations and
        ([.stacks[].frees] | add) == .totals.frees and
        ([.stacks[].live_bytes] | add) == .totals.live_bytes and
        ([.stacks[].allocated_bytes] | add) == .totals.allocated_bytes'
}
# full NAME OPTIONS ALLOCATIONS ARGUMENT...
full() {
    local name=$1 blocks=$3
    agent "$name" "$2" "${@:4}"
    is_int 0 $? "$name: the program ends well"
    is_str "$(sed 's/.*truth/truth/' "$TMP/${name%%@*}.bare")" \
        "$(sed 's/.*truth/truth/' "$TMP/$name.agent")" \
        "$name: and does the same"
    is_str "$blocks $((blocks / 5))" "$(lost "$name")" \
        "$name: each block is in the totals or in the losses"
    is_str true "$(consistent "$name")" "$name: the totals are consistent"
}
loss() {
    told "$1" ".losses.$2"
}

STACKS=60000
full blocks@8MiB --memory=8MiB $BLOCKS blocks $BLOCKS 48
ok "blocks@8MiB: some were not recorded" [ "$(loss blocks@8MiB index_full)" -gt 0 ]
ok "blocks@8MiB: many were" [ \
    "$(told "blocks@8MiB" .totals.allocations)" -gt 100000 ]
like 'memory= is used up' "$(cat "$TMP/blocks@8MiB.err")" "... it says so"
is_int 1 "$(wc -l <"$TMP/blocks@8MiB.err")" "... once"
like 'index_full' "$("$HEAPKNOT" report "$TMP/blocks@8MiB.hk")" \
    "... and the report does"
# What is made while there is room may fill up later: a leaf of the index is
# 8 MiB.
is_thp_always || at_most $((24 * MIB)) $((\
    $(word blocks@8MiB.agent anonymous) - $(word blocks.bare anonymous))) \
    "blocks@8MiB: bytes used, of 8 MiB and two leaves of the index"

bare stacks stacks $STACKS 48
full stacks@1MiB --memory=1MiB $STACKS stacks $STACKS 48
full stacks@8MiB --memory=8MiB $STACKS stacks $STACKS 48
for name in stacks@1MiB stacks@8MiB; do
    ok "$name: some stacks had no room" \
        [ "$(loss $name stack_table_full)" -gt 0 ]
    like 'no room for more call stacks' "$(cat "$TMP/$name.err")" \
        "$name: it says so"
    like 'stack_table_full' "$("$HEAPKNOT" report "$TMP/$name.hk")" \
        "$name: and the report does"
done
ok "with more memory there are more stacks" [ \
    "$(told "stacks@8MiB" .totals.stacks)" -gt \
    "$(told "stacks@1MiB" .totals.stacks)" ]
full stacks@1GiB --memory=1GiB $STACKS stacks $STACKS 48
is_str "0 0 $STACKS" "$(loss stacks@1GiB index_full) $(loss stacks@1GiB \
    stack_table_full) $(told "stacks@1GiB" '[.stacks[] |
    select(.path == "hold_blocks")] | length')" \
    "with enough there are all, and nothing is lost"
is_thp_always || {
    said=$(told "stacks@1GiB" .cost.agent_bytes)
    seen=$(($(word stacks@1GiB.agent anonymous) - \
        $(word stacks.bare anonymous)))
    at_most $((seen / 5)) $((said > seen ? said - seen : seen - said)) \
        "agent_bytes with many stacks, right within a fifth"
}

# Too little for anything: it runs on unrecorded.
for memory in 0 64KiB; do
    agent none$memory --memory=$memory stacks $STACKS 48
    is_str "0 $(sed 's/.*truth/truth/' "$TMP/stacks.bare")" \
        "$? $(sed 's/.*truth/truth/' "$TMP/none$memory.agent")" \
        "memory=$memory: the program does the same"
    is_int 1 "$(wc -l <"$TMP/none$memory.err")" "memory=$memory: one line"
    like 'memory=' "$(cat "$TMP/none$memory.err")" "... says why"
done

# Eight threads that free one another's blocks while the index fills up.
"${LIMIT[@]}" "$HEAPKNOT" run -o "$TMP/empty.hk" -- "$VICTIMS/sampled" empty
"${LIMIT[@]}" "$HEAPKNOT" run --memory=8MiB -o "$TMP/eight.hk" -- \
    "$VICTIMS/sampled" threads "$TMP/eight.truth" 2>/dev/null
is_int 0 $? "eight threads in 8 MiB: the program ends well"
is_str "$(awk -v base="$(lost empty)" '{ a += $4; f += $5 }
    END { split(base, b); print a + b[1], f + b[2] }' "$TMP/eight.truth")" \
    "$(lost eight)" "eight threads in 8 MiB: every event is accounted for"
is_str true "$(consistent eight)" "eight threads in 8 MiB: consistent"
done_testing
