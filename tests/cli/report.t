#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# report.t -- heapknot report, cycles, types and export on recordings whose
# truth was planted by tests/mkrec.
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

make_rec() { # SCENARIO [KEY=VALUE...]
    python3 "$TOP/tests/mkrec/scenarios.py" "$1" "$TMP/$1.hk" "${@:2}"
}
report() { "$HEAPKNOT" report "$TMP/$1.hk"; }
headline() { report "$1" | head -1; }
json() { "$HEAPKNOT" "${3:-report}" --json "$TMP/$1.hk" | jq -rc "$2"; }

for s in leak cache steady fragmented short killed types cycles small_chunks \
    marks mistakes empty; do
    make_rec "$s" || bail_out "mkrec $s"
done
make_rec many stacks=500

# --- the verdict
like '^leak: 0x401000 < 0x402000 grows \(.*KiB/s\)$' "$(headline leak)" "leak"
is_str "cache: filled and stopped: 0x401000 < 0x402000" \
    "$(headline cache)" "a cache that stopped"
unlike leak: "$(report cache)" "is called a leak nowhere"
like '^steady' "$(headline steady)" "steady"
like '^fragmentation' "$(headline fragmented)" "fragmentation"
is_str "300 bytes in 3 blocks still allocated at exit" \
    "$(headline short)" "a short program"
like '^not enough data.* 8\.0 s$' "$(headline killed)" "too short"
like '^objects of type Session grow' "$(headline types)" "type growth"
like '^leak: unreachable cycles' "$(headline cycles)" "cycles"
is_str "leak cache steady fragmentation exit not-enough-data type-growth cycles" \
    "$(for s in leak cache steady fragmented short killed types cycles; do
        json "$s" .verdict.kind
    done | paste -sd' ')" "kinds in JSON"
make_rec leak seconds=7
like '^7,.* still allocated at exit$|bytes in .* at exit$' \
    "$(headline leak)" "7 s of a leak are too short for its name"

# --- numbers
is_str '{"lb":2111,"n":22,"a":23,"f":1,"ab":2211,"s":2}' \
    "$(json marks '.totals | {lb:.live_bytes, n:.live_blocks,
        a:.allocations, f:.frees, ab:.allocated_bytes, s:.stacks}')" "totals"
is_str '[[1,1400,14,15,1],[2,711,8,8,0]]' \
    "$(json marks '[.stacks[] | [.id, .live_bytes, .live_blocks,
        .allocations, .frees]]')" "stacks, largest first"
is_str '["0x401000","0x400010","0x2000"]' \
    "$(json marks '[.stacks[0].frames[].function]')" \
    "frames from the inside, none of the agent"
is_str '[["Session",120,150,30,116],["Buffer",50,3000,2950,0]]' \
    "$(json types '[.types[] | [.name,.live,.created,.destroyed,.delta]]')" \
    "types"
is_str '[["a",2],["b",3]]' "$(json marks '[.marks[] | [.name, .time]]')" \
    "marks"
is_int 500 "$(json many '.stacks | length')" "all stacks are there"
is_int 3 "$("$HEAPKNOT" report --json --top=3 "$TMP/many.hk" |
    jq '.stacks | length')" "--top=3"

# --- cycles
is_str '[["0123456789abcdef","confirmed",1284],["0000000000000042","confirmed",7],["0000000000000043","suspect",1]]' \
    "$(json cycles '[.cycles[] | [.fingerprint, .state, .instances]]')" \
    "groups"
is_str '{"m":[["Session",2,2],["Conn;x\ny",1,1]],"e":[[0,1,"conn"],[1,0,"user"]],"c":[1284,3],"r":[1284]}' \
    "$(json cycles '.cycles[0] | {m:[.members[]|[.type,.refcount,.known]],
        e:[.edges[]|[.from,.to,.label]], c:[.created[].count],
        r:[.last_release[].count]}' cycles)" "a group in full"
is_str "0x401300" \
    "$(json cycles '.cycles[0].last_release[0].frames[0].function')" \
    "the stack of the last release"
text=$("$HEAPKNOT" cycles "$TMP/cycles.hk")
like 'Session\(refcount 2, known 2\) --conn--> Conn' "$text" "text of a group"
like 'created +1,284 x Session: 0x401100 in prog' "$text" "where created"
like 'last release +1,284 x Session: 0x401300' "$text" "where released"
is_str "$(json cycles .cycles)" "$(json small_chunks .cycles)" \
    "the same with chunks of 512 bytes"
is_str '[2,1,0]' "$(json cycles '[.scans[].suspects]')" "scans"
is_str denied "$(json cycles '.scans[2].status')" "a scan that was refused"

# --- mistakes and holds
is_str '[["dead","Session",3,"0xabc0",1,2.5],["put-twice","Session",1,"0xdef0",1,1],["null",null,1,null,1,1],["unknown",null,1,"0x10",1,1]]' \
    "$(json mistakes '[.mistakes[] |
        [.kind,.type,.count,.address,.first,.last]]')" "mistakes"
is_str '[["here","0x402000"],["created","0x401000"],["died","0x403000"]]' \
    "$(json mistakes '[.mistakes[0] | .here, .origin, .before |
        [.what, .frames[0].function]]')" "their stacks"
is_str '["held","put"]' \
    "$(json mistakes '[.mistakes[1] | .origin.what, .before.what]')" \
    "where it was held and put"
is_str '[null,null]' "$(json mistakes '[.mistakes[2] | .origin, .before]')" \
    "what is not known is null"
is_str '[["young",2,2,false,4],["worker queue",12,40,false,200],["gone",0,9,false,null],["table",3,3,true,203]]' \
    "$(json mistakes '[.holds[] | [.name,.live,.ever,.root,.seconds]]')" "holds"
is_str '[[],[]]' "$(json leak '[.mistakes, .holds]')" "none where none are"
text=$(report mistakes)
like $'^Mistakes with objects \\(6 in all\\)\n  referenced after its death: Session at 0xabc0; 3 times\n    here\n      0x402000' \
    "$(sed -n '/^Mistakes/,$p' <<<"$text")" "mistakes in text"
like $'\n  hk_hold of NULL\n    here' "$text" "one without an object"
like 'something new\? at 0x10' "$text" "a kind of a newer agent"
is_str "worker queue young" "$(grep -o 'x "[^"]*"' <<<"$text" |
    sed 's/x "//; s/"//' | xargs)" "holds in text, the oldest first"
like 'held for 3 min 20 s: 12 x "worker queue" Session, of 40 ever' "$text" \
    "a hold that was not put"
like '3 roots, meant to stay' "$text" "roots"
unlike 'Mistakes|Named references' "$(report leak)" "no headings for nothing"
is_int 1 "$("$HEAPKNOT" report --top=1 "$TMP/mistakes.hk" |
    grep -c '^    created')" "--top=1"

# --- what is lost
is_str '[3,2,0]' "$(json cycles '.losses | [.unknown_frees,
    .truncated_stacks, .torn]')" "losses"
like '3  unknown_frees: frees of blocks' "$(report cycles)" "losses in text"
like '1  torn:' "$(report killed)" "a recording torn by death"
like 'state: killed' "$(report killed)" "killed"
"$HEAPKNOT" report --strict "$TMP/cycles.hk" >"$TMP/out"
is_int 4 $? "--strict with losses"
"$HEAPKNOT" report --strict "$TMP/short.hk" >"$TMP/out"
is_int 0 $? "--strict without"

# --- shape
is_str '[]' "$(json cycles '["schema","process","totals","stacks","types",
    "cycles","scans","losses","cost","verdict"] - keys')" "all members"
is_str heapknot-report-1 "$(json empty .schema)" "schema, empty recording"
ok "names that are not UTF-8 become UTF-8" \
    sh -c "'$HEAPKNOT' report --json '$TMP/cycles.hk' | iconv -f UTF-8 -t UTF-8"
unlike $'\033' "$(TERM=xterm report cycles)" "no escapes into a pipe"
is_int 0 "$(report cycles | grep -c 'Conn;x$')" "no newline from a name"

# --- export
is_str "0x2000@libc.so.6;0x400010@prog;0x401000@prog 1400
0x2000@libc.so.6;0x400010@prog;0x402000@prog 711" \
    "$("$HEAPKNOT" export --format=folded "$TMP/marks.hk")" "folded"
is_str "15 8" "$("$HEAPKNOT" export --format=folded --cost allocations \
    "$TMP/marks.hk" | awk '{print $NF}' | paste -sd' ')" "--cost allocations"
is_int 0 "$("$HEAPKNOT" export --format=folded "$TMP/many.hk" |
    grep -vc '^[^ ]* [0-9]*$')" "every line is frames and a number"

# --- usage
for args in "report" "report --jsn $TMP/leak.hk" "report a b" \
    "export $TMP/leak.hk" "export --format=foldd $TMP/leak.hk" \
    "export --format=folded --cost=bytes $TMP/leak.hk" \
    "report --top=x $TMP/leak.hk" "cycles --strict=1 $TMP/leak.hk"; do
    # shellcheck disable=SC2086 # words
    "$HEAPKNOT" $args >"$TMP/out" 2>"$TMP/err"
    is_int 2 $? "usage: heapknot ${args//$TMP\//}"
    is_int 0 "$(wc -l <"$TMP/out")" "... says nothing on stdout"
done
like "did you mean '--json'" "$("$HEAPKNOT" report --jsn x 2>&1)" \
    "a near option is named"
like "did you mean 'folded'" \
    "$("$HEAPKNOT" export --format=foldd x 2>&1)" "a near format is named"
done_testing
