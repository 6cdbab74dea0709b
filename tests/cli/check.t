#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# check.t -- heapknot check on recordings whose faults were planted by
# tests/mkrec/gates.py.
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

make_rec() { # NAME [KEY=VALUE...]
    python3 "$TOP/tests/mkrec/gates.py" service "$TMP/$1.hk" "${@:2}" ||
        bail_out "gates.py $*"
}
hk_check() { # sets $out, $err and $status
    status=0
    (cd "$TMP" && "$HEAPKNOT" check "$@") >"$TMP/out" 2>"$TMP/err" ||
        status=$?
    out=$(cat "$TMP/out") err=$(cat "$TMP/err")
}
# expect STATUS KINDS DESCRIPTION ARGUMENT...: the status, and the kinds of the
# new findings.
expect() {
    hk_check "${@:4}"
    is_int "$1" "$status" "$3"
    is_str "$2" "$(sed -n 's/^  \([a-z]*\)  *[0-9a-f]\{16\}  .*/\1/p' <<<"$out" |
        sort | paste -sd' ')" "... and what it names"
}

make_rec good
make_rec type leak=Session2
make_rec path path_leak=90000
make_rec cycle cycles=1f
make_rec cycles cycles=1f+2f
make_rec mistake mistake='referenced after its death'
make_rec left left=111
make_rec less left=110
make_rec extra extra=11
make_rec few extra=10
make_rec holds holds=11
make_rec losses losses=3
make_rec bad losses=3 leak=Session2
make_rec short seconds=3 scan=0
make_rec killed leak=Session2 state=1 pid=2147483632
printf 'HEAPKNOT, but no more' >"$TMP/broken.hk"

# --- without a baseline
expect 0 "" "a good recording" good.hk
like '^clean: nothing found in good\.hk$' "$out" "clean comes first"
expect 1 type "a type that leaks" type.hk
is_str "1 finding in type.hk" "$(head -1 <<<"$out")" "the verdict comes first"
like 'Session2 grows by 240 a minute, [0-9]+ -> [0-9]+ \((\+1[26] ?){5}\)' "$out" \
    "with the numbers of the rule"
expect 1 path "a path that leaks" path.hk
like '0x402000 < 0x403000 grows by 8[0-9]\.[0-9] KiB/s' "$out" "its name"
expect 1 cycle "a confirmed cycle" cycle.hk
like '40 cycles of 1 object \(Session\)' "$out" "its types"
expect 1 mistake "a mistake" mistake.hk
like 'referenced after its death: Session, by 0x402000 < 0x403000, 3 times' \
    "$out" "its sentence and place"
expect 1 type "a recording of a process that was killed" killed.hk
expect 0 "" "what is left is no finding by itself" left.hk
expect 0 "" "nor are holds" holds.hk
expect 0 "" "short" short.hk
like 'note: too short to judge growth \(short\.hk\)' "$out" "... which is said"
like 'note: no scan looked for cycles \(short\.hk\)' "$out" "... no scan"

# --- acceptance
fingerprint() { grep -o '[0-9a-f]\{16\}' <<<"$out" | head -1; }
for kind in type path cycle mistake; do
    hk_check "$kind.hk"
    print=$(fingerprint)
    expect 0 "" "$kind: --ignore=FINGERPRINT" --ignore="$print" "$kind.hk"
    like '^1 finding ignored$' "$out" "$kind: is counted"
    printf '# known\n\n %s \t# until the next release\n' "$print" \
        >"$TMP/$kind.ignore"
    expect 0 "" "$kind: --ignore-file" --ignore-file "$kind.ignore" "$kind.hk"
done
expect 0 "" "a pattern of types" --ignore='type:Sess*' type.hk
expect 1 type "of another kind" --ignore='path:Sess*' type.hk
expect 1 type "of a part of the name" --ignore='type:Sess' type.hk
expect 0 "" "of a cycle's types" --ignore=cycle:Session cycle.hk
expect 0 "" "of any function of a path" --ignore=path:0x403000 path.hk
expect 0 "" "of a mistake" --ignore='mistake:*after its death' mistake.hk
expect 1 cycle "one of two" --ignore=000000000000001f cycles.hk

# --- against a baseline
hk_check --json cycle.hk
cp "$TMP/out" "$TMP/cycle.json"
(cd "$TMP" && "$HEAPKNOT" report --json cycle.hk >cycle-report.json)
for kind in type path cycle mistake; do
    expect 0 "" "$kind: against itself" --baseline "$kind.hk" "$kind.hk"
    like '^1 finding known from the baseline$' "$out" "$kind: is counted"
    hk_check --json "$kind.hk"
    cp "$TMP/out" "$TMP/$kind.json"
    expect 0 "" "$kind: against check --json" --baseline="$kind.json" \
        "$kind.hk"
    (cd "$TMP" && "$HEAPKNOT" report --json "$kind.hk" >"$kind-report.json")
    expect 0 "" "$kind: against report --json" \
        --baseline="$kind-report.json" "$kind.hk"
    expect 1 "$kind" "$kind: new against a good one" --baseline=good.hk \
        "$kind.hk"
    like '^1 new finding in ' "$out" "$kind: new, says the verdict"
done
hk_check --json --ignore=type:Session2 type.hk
cp "$TMP/out" "$TMP/ignored.json"
expect 0 "" "what was ignored there is known" --baseline=ignored.json type.hk
expect 1 cycle "one cycle more" --baseline=cycle.hk cycles.hk
like '000000000000002f' "$out" "... is the other one"
expect 0 "" "two baselines" --baseline=cycles.hk --baseline=type.hk type.hk

expect 0 "" "10 % more is tolerated" --baseline=good.hk less.hk
expect 1 left "more is not" --baseline=good.hk left.hk
like 'Buffer: 111 live at the end, 100 in the baseline' "$out" "the numbers"
expect 1 left "nor against JSON" --baseline=cycle-report.json left.hk
expect 1 left "nor against the other JSON" --baseline=cycle.json left.hk
expect 0 "" "--tolerance=11" --tolerance=11 --baseline=good.hk left.hk
expect 0 "" "--tolerance=11%" --tolerance 11% --baseline=good.hk left.hk
expect 1 left "--tolerance=0 still leaves ten" --tolerance=0 \
    --baseline=good.hk left.hk
expect 0 "" "ten" --tolerance=0 --baseline=good.hk less.hk
expect 0 "" "10 objects of a new type" --baseline=good.hk few.hk
expect 1 left "11 are too many" --baseline=good.hk extra.hk
expect 0 "" "type: covers what is left" --ignore=type:Extra \
    --baseline=good.hk extra.hk
expect 1 cycle "objects in a new cycle are not said twice" \
    --baseline=good.hk cycle.hk
make_rec more cycles=1f+1f
expect 1 left "a known cycle with many more objects" \
    --baseline=cycle.hk more.hk
expect 1 hold "holds that were not put" --baseline=good.hk holds.hk
like '"queue" Session: 11 not put at the end, 0 in the baseline' "$out" \
    "their name"
expect 0 "" "the same holds" --baseline=holds.hk holds.hk

# --- what cycles explain, and what a fingerprint is not made of
make_rec explained cycles=1f grows=1
expect 1 cycle "the type and the path of a cycle are not said again" \
    explained.hk
make_rec unexplained grows=1
expect 1 "path type" "they are without the cycle" unexplained.hk
make_rec deeper path_leak=90000 depth=7
expect 0 "" "a deeper recursion is no other path" --baseline=path.hk deeper.hk
make_rec library path_leak=90000 lib=libx.so.2.0.1
expect 0 "" "nor is another version of a library" --baseline=path.hk library.hk
make_rec other path_leak=90000 lib=liby.so.1.2
expect 1 path "another library is" --baseline=path.hk other.hk

# --- how much may be there at the end
expect 0 "" "--max-live that is kept" --max-live=3MiB path.hk \
    --ignore=path:0x402000
expect 1 "live path" "--max-live" --max-live=2.5MiB path.hk
like '2\.6 MiB in 30 blocks live at the end, more than 2\.5 MiB' "$out" \
    "its numbers"

# --- several recordings
expect 1 type "two recordings with the same" type.hk killed.hk good.hk
like '^1 finding in 3 recordings$' "$out" "are counted once"
like 'in type\.hk and 1 more recording$' "$out" "... with their number"
expect 3 "type" "one that cannot be read" good.hk broken.hk type.hk
like 'broken\.hk' "$err" "is named"
expect 0 "" "the largest number of the baselines counts" --baseline=good.hk \
    --baseline=left.hk left.hk

# --- what is lost
expect 4 "" "--strict with losses" --strict losses.hk
like 'note: the recording has losses' "$out" "... said"
expect 0 "" "--strict without" --strict good.hk
expect 0 "" "losses without --strict" losses.hk
expect 1 type "findings come before losses" --strict bad.hk

# --- JSON
hk_check --json --baseline=good.hk type.hk
is_str '["heapknot-check-1","findings",true,0.1]' \
    "$(jq -c '[.schema,.verdict,.baseline,.tolerance]' <<<"$out")" "JSON"
is_str '[["type","type.hk",1]]' \
    "$(jq -c '[.findings[] | [.kind,.file,.recordings]]' <<<"$out")" \
    "its findings"
is_str '[["Buffer",100],["Session",0],["Session2",120]]' \
    "$(jq -c '[.types[] | [.name,.live]] | sort' <<<"$out")" "what is left"
is_str '[["type.hk","exited",true,true,false]]' \
    "$(jq -c '[.recordings[] | [.file,.state,.growth_judged,.scanned,
        .losses]]' <<<"$out")" "what was judged"

# --- types between marks
rounds() {
    python3 "$TOP/tests/mkrec/gates.py" rounds "$TMP/rounds.hk" "$@"
    "$HEAPKNOT" types --json "$TMP/rounds.hk" |
        jq -rc '.types[0].growth | [.by,.verdict,.deltas]'
}
is_str '["marks","growing",[1,1,2,1,1]]' "$(rounds deltas=1,1,2,1,1)" \
    "one object more in each round"
is_str '["marks","plateau",[1,1,0,1,1]]' "$(rounds deltas=1,1,0,1,1)" \
    "not in every round"
is_str 'windows' "$(rounds deltas=1,1,1,1 | jq -r '.[0]')" \
    "too few marks are no intervals"
is_int 10 "$(rounds deltas="$(seq -s, 1 1 30 | sed 's/[0-9]*/2/g')" |
    jq '.[2] | length')" "ten intervals out of thirty rounds"

# --- usage
for args in "" "--baseline" "good.hk --baselin=x" "--tolerance=x good.hk" \
    "--tolerance=-1 good.hk" "--max-live=3parsec good.hk" \
    "--ignore=session good.hk" "--ignore=typo:x good.hk" \
    "--ignore=type: good.hk" "--format=folded good.hk"; do
    # shellcheck disable=SC2086 # words
    hk_check $args
    is_int 2 "$status" "usage: check $args"
    is_str "" "$out" "... says nothing on stdout"
done
like "did you mean '--baseline'" "$(cd "$TMP" &&
    "$HEAPKNOT" check good.hk --baselin=x 2>&1)" "did you mean"
printf '0123456789abcdef\nnonsense\n' >"$TMP/wrong"
hk_check --ignore-file=wrong good.hk
is_int 2 "$status" "a wrong line in the file"
like 'wrong:2: ' "$err" "... is named"
for args in "--ignore-file=none good.hk" "--baseline=none good.hk" \
    "--baseline=wrong good.hk" "--baseline=broken.hk good.hk" "none.hk"; do
    # shellcheck disable=SC2086 # words
    hk_check $args
    is_int 3 "$status" "cannot be read: check $args"
    is_str "" "$out" "... says nothing on stdout"
done
echo '{"schema": "other-1"}' >"$TMP/other.json"
hk_check --baseline=other.json good.hk
is_int 3 "$status" "JSON of another schema"
echo '{"schema": "heapknot-check-1", "findings": [7, {"kind": 3}], "types":
    {"x": 1}, "known": [{"kind": "type", "fingerprint": "xyz"}]}' \
    >"$TMP/odd.json"
expect 1 "left type" "odd JSON is no fault" --baseline=odd.json type.hk
done_testing
