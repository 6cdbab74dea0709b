#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# sampling.t -- what heapknot says of sampled recordings, against populations
# that tests/mkrec/sampled.py made, sampled and kept.
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

model=$TOP/tests/mkrec/sampled.py
make_rec() { # SCENARIO [KEY=VALUE...]
    python3 "$model" write "$1" "$TMP/$1.hk" "$TMP/$1.truth" "${@:2}"
}
report() { "$HEAPKNOT" report "${@:2}" "$TMP/$1.hk"; }
json() { report "$1" --json | jq -rc "$2"; }
between() { # LOW HIGH SEEN DESCRIPTION
    ok "$4: $3 in $1..$2" awk "BEGIN { exit !($1 <= $3 && $3 <= $2) }"
}

for s in kinds replaced none broken; do
    make_rec "$s" || bail_out "sampled.py $s"
done

# --- intervals and estimates: 700 stacks of each kind
report kinds --json >"$TMP/kinds.json"
python3 "$model" check "$TMP/kinds.truth" "$TMP/kinds.json" >"$TMP/kinds.out"
diag <"$TMP/kinds.out"
while read -r kind count held error; do
    low=93 high=97
    case $kind in
    large | wide | hidden) high=99 ;; # mixtures: the variance is an upper bound
    sparse | huge) high=100 ;;  # exact limits of small counts are wide
    esac
    is_int 700 "$count" "$kind: all stacks are there"
    between $low $high "$held" "$kind: % of intervals that hold the truth"
    between -3 3 "$error" "$kind: mean error in standard errors"
done <"$TMP/kinds.out"
is_int 8 "$(wc -l <"$TMP/kinds.out")" "eight kinds"
is_str "$(jq -Sc .totals "$TMP/kinds.truth")" \
    "$(jq -Sc '.totals | {live_bytes, live_blocks, allocations, frees,
        allocated_bytes}' "$TMP/kinds.json")" "totals are exact"
is_int 5600 "$(jq '.stacks | length' "$TMP/kinds.json")" \
    "equal frames are one, what was not sampled is none"
is_int 0 "$(jq '[.stacks[] | select(.frames == [])] | length' \
    "$TMP/kinds.json")" "every stack has frames"
is_str '[2097152,1,null,0.95,true]' \
    "$(jq -c '.sampling | [.bytes, .changes, .overhead, .confidence,
        .sampled_blocks > 100000]' "$TMP/kinds.json")" "sampling{}"
text=$(report kinds)
like '^sampled  1 block per 2\.0 MiB allocated, [0-9,]+ blocks sampled; totals are exact, figures by call$' \
    "$text" "the head says how"
like 'distance now 2\.0 MiB, changed 1 time$' "$text" "the rate changed"
like '^  [0-9]+ MiB ± [0-9.]+ MiB in about [0-9,]+ blocks, of about [0-9,]+ made, from [0-9]+ samples  \(stack' \
    "$text" "a path"
like 'all paths add up to [0-9]+ GiB ± [0-9]+ MiB of [0-9]+ GiB live: .* is the error of sampling$' \
    "$text" "the sum of the paths"
report kinds --top=9999 | grep ' blocks\?, of about' >"$TMP/paths"
is_int "$(jq '[.stacks[] | select(.live_blocks > 0)] | length' \
    "$TMP/kinds.json")" "$(wc -l <"$TMP/paths")" "every path with live blocks"
is_int 0 "$(grep -vcE '^  [0-9.]+ .iB (± [0-9.]+ .iB|\([0-9.]+ .*\.\.[0-9.]+ .iB\)) in about .* from [0-9]+ samples' \
    "$TMP/paths")" "... has its interval"
ok "limits where there are few samples" grep -q '[(].*[.][.].* from 2 samples' \
    "$TMP/paths"
is_str "$(jq '[.stacks[].live_bytes] | add' "$TMP/kinds.json")" \
    "$("$HEAPKNOT" export --format=folded "$TMP/kinds.hk" |
        awk '{ n += $NF } END { printf "%.0f\n", n }')" \
    "folded: the same estimates"

# --- growth
accusals() { jq -r '[.verdict.kind, .verdict.also[].kind] | map(select(
    . != "exit")) | join(" ")' "$1"; }
for ((i = 0; i < 5; i++)); do
    for s in calm busy leak; do
        make_rec $s seed=$i
        report $s --json >"$TMP/$s.$i.json"
        case $s in
        leak) is_str leak "$(accusals "$TMP/$s.$i.json")" "growth $i is found" ;;
        *) is_str steady "$(accusals "$TMP/$s.$i.json")" "$s $i: no growth" ;;
        esac
    done
    is_int 2 "$(jq .verdict.stack "$TMP/leak.$i.json")" "... in its path"
done
like 'because that is [0-9.]+ MiB ± [0-9.]+ MiB by sampling, from [0-9]+ live' \
    "$(report leak)" "the verdict says how sure it is"

# --- differences
changes() {
    "$HEAPKNOT" diff --json "$TMP/replaced.hk@$1" "$TMP/replaced.hk@$2" |
        jq -c '[.stacks[] | [.frames[0].function, .within_error,
            .live_bytes_low < .live_bytes, .live_bytes < .live_bytes_high]]'
}
is_str '[["0x401000",false,true,true],["0x401010",true,true,true]]' \
    "$(changes a b)" "growth first, then what sampling explains"
is_str "$(changes a b)" "$(changes b a)" "backwards"
is_str '8414208 32868' "$("$HEAPKNOT" diff --json "$TMP/replaced.hk@a" \
    "$TMP/replaced.hk@b" | jq -r .totals.live_bytes,.totals.live_blocks |
    paste -sd' ')" "its totals are exact"
text=$("$HEAPKNOT" diff "$TMP/replaced.hk@a" "$TMP/replaced.hk@b")
like '^  \+[0-9.]+ MiB ± [0-9.]+ MiB, about \+' "$text" "a change"
like '± [0-9.]+ MiB \(within the error of sampling\)' "$text" "no change"
like '^sampled, 1 block per 64\.0 KiB' "$text" "diff says so, too"

# --- not sampled: not a word of it
python3 "$TOP/tests/mkrec/scenarios.py" marks "$TMP/marks.hk"
for s in marks none; do
    is_str '[null,[null,null,null]]' "$(json $s '[.sampling, (.stacks[0] |
        [.sampled_blocks, .live_bytes_low, .live_bytes_high])]')" \
        "$s: no interval in JSON"
    unlike 'sampl|about|±' "$(report $s)" "$s: none in text"
done
is_str '[null,null,null]' "$("$HEAPKNOT" diff --json "$TMP/marks.hk@a" \
    "$TMP/marks.hk@b" | jq -c '.stacks[0] | [.within_error, .live_bytes_low,
        .live_bytes_high]')" "nor in a difference"

# --- a rate that is chosen, what captures cost
limited() { # COUNTER=VALUE...
    python3 - "$TOP/tests/mkrec" "$TMP/limited.hk" "$@" <<'EOF'
import sys
sys.path.insert(0, sys.argv[1])
from scenarios import marks
rec = marks()
rec.facts.append(("options", "depth=9:overhead=0.5%:overhead=1%"))
rec.counters.update((k, int(v)) for k, v in (
    a.split("=") for a in sys.argv[3:]))
rec.write(sys.argv[2])
EOF
}
limited sample_bytes=2097152 sample_changes=3 sampled_blocks=77 \
    overhead_ppm=8000 captures=2000 walked_frames=4600 slow_captures=3 \
    verified_captures=1234 unwind_mismatches=5
text=$(report limited)
like '^         overhead=1%: distance now 2\.0 MiB, changed 3 times; recording took 0\.8 % of CPU lately$' \
    "$text" "overhead="
like '^  2,000 stacks captured, 2\.3 frames walked for each; 0\.15 % of them slow' \
    "$text" "captures"
like 'verify=unwind: 1,234 stacks compared with libunwind.s, 5 differed' \
    "$text" "verify=unwind"
like ' 5  unwind_mismatches: ' "$text" "... and a loss"
is_str '[2097152,77,3,0.008,0.01,0.95]' "$(json limited '.sampling |
    [.bytes, .sampled_blocks, .changes, .overhead, .overhead_limit,
        .confidence]')" "the same in JSON"
is_str '[2000,4600,3,8000]' "$(json limited '.cost | [.captures,
    .walked_frames, .slow_captures, .overhead_ppm]')" "raw counters"
like '^sampling   1 block per 2\.0 MiB, 77 blocks sampled$' \
    "$("$HEAPKNOT" ctl "$TMP/limited.hk" status)" "ctl status says so"
limited
like '^sampled  overhead=1%: every block is recorded now, changed 0 times$' \
    "$(report limited)" "a limit that was never reached"

# --- objects whose blocks were not sampled
make_rec cycle
text=$("$HEAPKNOT" cycles "$TMP/cycle.hk")
like 'created +3 x T: by paths that were not sampled$' "$text" \
    "a cycle made where nothing was sampled"
like 'T: 0x401000 in prog' "$text" "... and where something was"

# --- contradictions
for view in report "report --json" "report --top=99" "diff --json" diff \
    "export --format=folded" cycles; do
    # shellcheck disable=SC2086 # words
    "$HEAPKNOT" $view "$TMP/broken.hk" >"$TMP/out" 2>"$TMP/err"
    is_int 0 $? "broken: heapknot $view"
    is_int 0 "$(grep -ciE '(^|[^a-z])-?(nan|inf)([^a-z]|$)' "$TMP/out")" \
        "... prints numbers"
done
is_str '[]' "$(json broken '[.stacks[] | select(.live_bytes_low > .live_bytes or
    .live_bytes_high < .live_bytes or .live_bytes_low < 0) | .id]')" \
    "low <= value <= high"
done_testing
