#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# sample= and overhead= in real programs that know what they allocated: totals
# are exact, estimates right on average, intervals hold the truth as often as
# they say, and what is freed is taken off again.  Chance decides, within limits
# that a right agent passes but for one run in many thousands.
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq python3
need_victims sampled cycles
export PYTHONDONTWRITEBYTECODE=1

SAMPLED=$VICTIMS/sampled

# record NAME OPTIONS COMMAND...: $TMP/NAME.1.hk, a child's $TMP/NAME.2.hk.
record() {
    local name=$1 options=$2
    shift 2
    # shellcheck disable=SC2086 # options, or none
    "${LIMIT[@]}" "$HEAPKNOT" run $options -o "$TMP/$name.%n.hk" -- "$@" \
        >"$TMP/$name.out" 2>"$TMP/$name.err"
}
totals() { # NAME.N
    json "$TMP/$1.hk" '.totals | "\(.allocations) \(.frees) \(
        .live_blocks) \(.live_bytes) \(.allocated_bytes)"'
}
# What the program says, and what it allocates besides: FILE BASE
truth() {
    awk -v base="$2" '{ split(base, b); a += $4; f += $5
            bytes += $3 * $4; live += $3 * ($4 - $5) }
        END { printf "%.0f %.0f %.0f %.0f %.0f\n", a + b[1], f + b[2],
            a - f + b[3], live + b[4], bytes + b[5] }' "$1"
}
# within NAME.N DISTANCE TRUTH: prints what is not.
within() {
    json "$TMP/$1.hk" . >"$TMP/seen.json"
    python3 "$SCENARIOS/sampling.py" "$2" "$TMP/seen.json" "$3" \
        >"$TMP/within" || return 1
    grep -E 'intervals|paths\)' "$TMP/within" | sed 's/^/# /' >&3
    [ "$(wc -l <"$TMP/within")" -gt 40 ] || return 1
    awk '!($1 <= $3 && $3 <= $2) { print; bad = 1 } END { exit bad }' \
        "$TMP/within"
}
exec 3>&1

# ---- what is known of each path ---------------------------------------------

record none --sample=64KiB "$SAMPLED" none "$TMP/none.truth"
none=$(totals none.1)
for size in 1 4 64 512; do
    name=blocks$size
    record "$name" "--sample=${size}KiB" "$SAMPLED" blocks "$TMP/$name.truth"
    is_str "$(truth "$TMP/$name.truth" "$none")" "$(totals "$name.1")" \
        "$size KiB: totals are exact"
    ok "$size KiB: estimates and intervals" \
        within "$name.1" $((size * 1024)) "$TMP/$name.truth"
    is_int $((size * 1024)) "$(json "$TMP/$name.1.hk" .sampling.bytes)" \
        "$size KiB: the report says so"
done
ok "some paths have thousands of samples, some few" jq -e '
    [.stacks[].sampled_blocks // 0] | (any(. > 2000) and any(. > 0 and . < 9))' \
    <<<"$(json "$TMP/blocks1.1.hk" .)"

record freed --sample=16KiB "$SAMPLED" freed "$TMP/freed.truth"
is_str "$(truth "$TMP/freed.truth" "$none")" "$(totals freed.1)" \
    "all freed: totals are exact"
is_int "$(cut -d ' ' -f 4 <<<"$none")" "$(totals freed.1 | cut -d ' ' -f 4)" \
    "all freed: nothing is left"
ok "all freed: estimates return to 0 in each path" \
    within freed.1 16384 "$TMP/freed.truth"
is_str '[]' "$(json "$TMP/freed.1.hk" -c '[.stacks[] | select(.frames != [] and
    (.live_bytes != 0 or .live_blocks != 0 or .sampled_blocks != 0 or
        .live_bytes_low != 0))]')" "all freed: to 0, not nearly"

record empty --sample=16KiB "$SAMPLED" empty /dev/null
record threads --sample=16KiB "$SAMPLED" threads "$TMP/threads.truth"
is_str "$(truth "$TMP/threads.truth" "$(totals empty.1)")" \
    "$(totals threads.1)" "eight threads: totals are exact"
ok "eight threads: estimates and intervals" \
    within threads.1 16384 "$TMP/threads.truth"

record fork --sample=16KiB "$SAMPLED" fork "$TMP/fork.truth"
is_int 0 "$(wc -c <"$TMP/fork.err")" "fork: no complaint"
for n in "1 fork.truth parent" "2 fork.truth.child child"; do
    read -r n file who <<<"$n"
    is_str "$(truth "$TMP/$file" "$none")" "$(totals "fork.$n")" \
        "fork: totals of the $who are exact"
    ok "fork: estimates of the $who" within "fork.$n" 16384 "$TMP/$file"
done

# ---- every block ------------------------------------------------------------

# Paths by their frames, with their counters.
paths() {
    json "$TMP/$1.hk" -c '[.stacks[] | [([.frames[] | "\(.function):\(
        .line)"] | join(" ")), .live_bytes, .live_blocks, .allocations, .frees,
        .allocated_bytes, .sampled_blocks]] | sort[]'
}
record default "" "$SAMPLED" blocks "$TMP/default.truth"
record zero --sample=0 "$SAMPLED" blocks "$TMP/zero.truth"
is_str "$(paths default.1)" "$(paths zero.1)" "sample=0: the same as without"
is_str "$(totals default.1)" "$(totals zero.1)" "sample=0: totals, too"
is_str "null 0" "$(json "$TMP/zero.1.hk" \
    '"\(.sampling) \(.totals.sampled_blocks)"')" "sample=0: no sampling"
is_str "$(totals default.1)" "$(totals blocks64.1)" \
    "and totals of a sampled run are those of an exact one"

# ---- what makes no sense ----------------------------------------------------

for value in sample=banana sample=-1 sample=64XB sample= overhead=abc \
    overhead=5 overhead=-1% overhead=; do
    rm -f "$TMP/bad.hk"
    HEAPKNOT_OPTIONS="$value:output=$TMP/bad.hk" LD_PRELOAD=$AGENT \
        "$SAMPLED" none /dev/null 2>"$TMP/bad.err"
    is_int 0 $? "$value: the program runs"
    is_int 1 "$(wc -l <"$TMP/bad.err")" "$value: one line"
    like "${value%%=*}=\"${value#*=}\"" "$(cat "$TMP/bad.err")" \
        "$value: which is clear"
    is_str null "$(json "$TMP/bad.hk" -c .sampling)" "$value: is ignored"
done

# ---- overhead= --------------------------------------------------------------

# begin NAME OPTIONS MODE: until end NAME; sets pid, recording and descriptor 7.
begin() {
    recording=$TMP/$1.hk
    mkfifo "$TMP/$1.stdin"
    # shellcheck disable=SC2086
    "$HEAPKNOT" run $2 --interval=500ms -o "$recording" -- "$SAMPLED" "$3" \
        <"$TMP/$1.stdin" >"$TMP/$1.out" 2>&1 &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/$1.stdin"
}
end() {
    exec 7>&-
    wait "$pid"
}
holds() { # JQ-CONDITION
    [ "$(json "$recording" "$1")" = true ]
}
FULL='[.totals.allocations, .sampling.changes, .sampling.bytes]'

begin busy --overhead=1% busy
ok "overhead=1%, busy: sampling begins" wait_until 60 holds \
    '.sampling.changes > 0 and .sampling.bytes > 0'
end
is_int 0 $? "overhead=1%, busy: ends well"
is_str "true 0.01 true" "$(json "$recording" '.sampling |
    "\(.bytes > 0) \(.overhead_limit) \(.sampled_blocks > 0)"')" \
    "overhead=1%, busy: the rate is in the report"
like '^ +overhead=1%: distance now [0-9.]+ .iB, changed [0-9]+ times?; recording took' \
    "$("$HEAPKNOT" report "$recording")" "... and in its text"
ok "overhead=1%, busy: exact before, estimated after" \
    holds 'any(.stacks[]; .sampled_blocks == null) and
        any(.stacks[]; .sampled_blocks != null)'
is_str true "$(json "$recording" '.totals | .allocations - .frees ==
    .live_blocks and .allocations > 1000000')" "... with exact totals"

begin quiet --overhead=1% quiet
ok "overhead=1%, quiet: looked at more than once" wait_until 60 holds \
    '.timeline.snapshots >= 8'
end
is_str '[1000,0,0]' "$(json "$recording" -c "$FULL")" \
    "overhead=1%, quiet: every block is recorded"
is_int 48000 "$(json "$recording" '[.stacks[] | select(any(.frames[];
    .function == "make_m48")) | .live_bytes] | add')" "... with its path"

begin bound "--overhead=90% --sample=512KiB" busy
ok "sample= and overhead=: looked at more than once" wait_until 60 holds \
    '.timeline.snapshots >= 8 and .cost.overhead_ppm > 0'
end
is_str '[0,524288]' "$(json "$recording" -c \
    '[.sampling.changes, .sampling.bytes]')" \
    "sample= is the least distance, however much is allowed"

# ---- objects ----------------------------------------------------------------

# Groups, with where their objects were made.
groups() {
    json "$TMP/$1.hk" -c '[.cycles[] | select(.state == "confirmed") |
        {instances, objects, created: [.created[] | [.count,
            (.frames | map("\(.function):\(.line)"))]] | sort}] | sort[]'
}
made() { # NAME: every object of every group has a path
    json "$TMP/$1.hk" '[.cycles[] | select(.state == "confirmed") |
        .created[] | select(.frames | length > 1) | .count] | add'
}
planted() {
    awk '$1 == "shape" { print $4, $6, $8 }' "$1" | sort
}
found() {
    json "$1" '.cycles[]? | select(.state == "confirmed") |
        "\(.instances) \(.objects) \((.held_objects // 0) / .instances)"' |
        sort
}
finds_all() {
    [ "$(found "$TMP/$1.hk")" = "$(planted "$TMP/$1.truth")" ]
}
plant() { # NAME SAMPLE
    mkfifo "$TMP/$1.stdin"
    "$HEAPKNOT" run --scan-interval=200ms --min-age=100ms \
        --pause-budget=50% --cpu-budget=100% --publish=100ms --sample="$2" \
        -o "$TMP/$1.hk" -- "$VICTIMS/cycles" --seed=7 --shapes=7 \
        --instances=60 --threads=3 <"$TMP/$1.stdin" >"$TMP/$1.truth" \
        2>"$TMP/$1.err" &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/$1.stdin"
    wait_until 20 grep -q '^ready' "$TMP/$1.truth"
    wait_until 20 finds_all "$1"
    end
    is_str "$(planted "$TMP/$1.truth")" "$(found "$TMP/$1.hk")" \
        "cycles, sample=$2: all are found, and nothing else"
}
plant exact 0
for sample in 256 64KiB; do # some are sampled, hardly any is
    plant "objects$sample" $sample
    is_str "$(groups exact)" "$(groups "objects$sample")" \
        "cycles, sample=$sample: made where they were without sampling"
done
is_int "$(made exact)" "$(made objects64KiB)" "every object has its path"
done_testing
