#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# refs.t -- heapknot refs on a recording whose truth was planted by
# tests/mkrec: the tree, what is left out of it, and what was not dropped.
# shellcheck disable=SC2016 # filters in quotes
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

make_rec() { # SCENARIO
    python3 "$TOP/tests/mkrec/scenarios.py" "$1" "$TMP/$1.hk" ||
        bail_out "mkrec $1"
}
json() { "$HEAPKNOT" refs --json "$TMP/refs.hk" | jq -rc "$1"; }

make_rec refs
make_rec mistakes
"$HEAPKNOT" refs "$TMP/refs.hk" >"$TMP/text"
is_int 0 $? "status 0"
head='0x2000 in libc.so.6'
is_str "Session: 12 live objects, 19 references; 12 of them taken in 0x401001 in prog < 0x402000 in prog < 0x400010 in prog and not dropped
    also 5 of them taken in 0x401002 in prog < 0x402000 in prog < 0x400010 in prog and not dropped
    also 2 of them taken in unknown stack and not dropped

  bal=17 (+29 -12)  $head
                    0x400010 in prog
                    0x402000 in prog
    bal=12 (+12 -0)  0x401000 in prog
    bal=12 (+12 -0)  0x401001 in prog
    bal=-12 (+0 -12)  0x406000 in prog
    bal=5 (+5 -0)  0x401002 in prog
  bal=2 (+2 -0)  unknown stack
  left out: 3 call paths that took as many as dropped (47 matched pairs)

Equal: 5 live objects, 5 references; 5 of them taken in 0x401001 in prog < 0x402000 in prog < 0x400010 in prog and not dropped

  bal=5 (+13 -8)  $head
                  0x400010 in prog
                  0x402000 in prog
    bal=8 (+8 -0)  0x401002 in prog
    bal=-8 (+0 -8)  0x406000 in prog
    bal=5 (+5 -0)  0x401001 in prog

Node: 3 live objects, 2 references; 2 of them taken in 0x401001 in prog < 0x402000 in prog < 0x400010 in prog and not dropped

  bal=2 (+3 -1)  $head
                 0x400010 in prog
                 0x402000 in prog
                 0x401001 in prog
Other: its objects are adopted and count by themselves, so nobody sees references taken and dropped
Nobody: the program has no type of this name

not kept: 4 changes of references, or the places
not kept, for want of memory (memory=): the references of 1 object" \
    "$(cat "$TMP/text")" "the whole answer"

# --- JSON
is_str heapknot-refs-1 "$(json .schema)" "the schema"
is_str '["Session",12,19,78,59,3,47,0]
["Equal",5,5,13,8,0,0,0]
["Node",3,2,3,1,0,0,0]' "$(json '.types[] | [.type, .live, .balance,
    .increments, .decrements, .matched_paths, .matched_pairs,
    .paths_not_shown]')" "types, all numbers"
is_str '[17,29,12,0,null,["0x2000","0x400010","0x402000"]]
[12,12,0,12,0,["0x401000"]]
[12,12,0,12,0,["0x401001"]]
[-12,0,12,-12,0,["0x406000"]]
[5,5,0,5,0,["0x401002"]]
[2,2,0,2,null,["unknown stack"]]' "$(json '.types[0].tree[] | [.balance,
    .increments, .decrements, .own_balance, .above,
    [.frames[].function]]')" "the tree"
is_str '[12,false,["0x401001","0x402000","0x400010","0x2000"]]
[5,false,["0x401002","0x402000","0x400010","0x2000"]]
[2,false,["unknown stack"]]' "$(json '.types[0].taken[] |
    [.count, .birth, [.frames[].function]]')" \
    "a birth pairs with an equal drop; the rest was taken and not dropped"
is_str '["Other","Nobody"]' "$(json '[.missing[] | split(":")[0]]')" \
    "what cannot be had"
is_str '{"refs_lost":4,"refs_given_up":1}' "$(json .losses)" "losses"

# --- options
is_str 'Node' "$("$HEAPKNOT" refs --json --type Node "$TMP/refs.hk" |
    jq -r '.types[].type')" "--type NAME"
is_str '0' "$("$HEAPKNOT" refs --json --type=Nod "$TMP/refs.hk" |
    jq '.types | length')" "is the whole name"
is_str '2 3' "$("$HEAPKNOT" refs --json --top=2 "$TMP/refs.hk" |
    jq -r '.types[0] | "\([.tree[] | select(.own_balance != 0)] | length)" +
    " \(.paths_not_shown)"')" "--top=2"
like '  \.\.\. 3 more call paths, see --top=' \
    "$("$HEAPKNOT" refs --top=2 "$TMP/refs.hk")" "the text says so"
"$HEAPKNOT" refs --strict "$TMP/refs.hk" >"$TMP/out"
is_int 4 $? "--strict: status 4 with losses"
"$HEAPKNOT" refs --typo "$TMP/refs.hk" >"$TMP/out" 2>"$TMP/err"
is_int 2 $? "--typo: status 2"
like "did you mean '--t" "$(cat "$TMP/err")" "and a guess"
is_str "no references of objects were kept: record with --refs=TYPE" \
    "$("$HEAPKNOT" refs --strict "$TMP/mistakes.hk"; echo "$?" >"$TMP/status")" \
    "an older recording has none"
is_int 0 "$(cat "$TMP/status")" "which is no loss"
done_testing
