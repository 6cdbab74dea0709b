#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# refs=TYPE: of programs whose references are known, who took and dropped those
# of the objects that live, to the last one; and what cannot be had is said.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims refs

run() { # KIND OPTION... [-- ARGUMENT...]: $TMP/KIND.hk, .out and .err
    local kind=$1 options=()
    shift
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    rm -f "$TMP/$kind".*hk
    "$HEAPKNOT" run "${options[@]}" -o "${recording:-$TMP/$kind.hk}" -- \
        "$VICTIMS/refs" "$kind" "${@:2}" >"$TMP/$kind.out" 2>"$TMP/$kind.err"
    is_str "0 done" "$? $(cat "$TMP/$kind.out")" "$kind: the program ends well"
}

refs() { # KIND FILTER
    "$HEAPKNOT" refs --json "$TMP/$1.hk" | jq -rc "$2"
}

# Of each node its numbers and its functions, from the outside.
nodes='.types[] | .type as $type | .tree[] |
    "\($type) \(.balance) +\(.increments) -\(.decrements) " +
    ([.frames[].function] | join(" "))'
sums='.types[] | "\(.type) \(.live) live \(.balance)"'
taken='.types[] | .type as $type | .taken[] |
    "\($type) \(.count) \(.frames[0].function) \(.birth)"'

# --- matched and unmatched, objects that die, two types of three
run table --refs=session,node
is_str 'session 300 live 400
node 50 live 50' "$(refs table "$sums")" "table: live objects, references"
is_str 'session 400 +700 -300 main run_table
session 300 +300 -0 fill_table make_session
session 300 +300 -0 fill_table take_for_table
session -300 +0 -300 fill_table drop_birth
session 100 +100 -0 fill_table session_clone
node 50 +50 -0 main run_table make_node' "$(refs table "$nodes")" \
    "table: the tree; nothing of the 500 that died, nor what use_session took"
is_str 'session 300 take_for_table false
session 100 session_clone false
node 50 make_node true' "$(refs table "$taken")" \
    "table: taken and not dropped"
is_str '4 600' "$(refs table \
    '.types[0] | "\(.matched_paths) \(.matched_pairs)"')" \
    "table: what use_session took and dropped is left out"
is_str 'heapknot-refs-1 [] {"refs_lost":0,"refs_given_up":0}' \
    "$(refs table '"\(.schema) \(.missing) \(.losses)"')" \
    "table: nothing is missing or lost"
line=$(grep -n 'session_clone(table' "$TOP/tests/victims/refs.c" |
    cut -d: -f1)
is_str "$line" "$(refs table '.types[0].taken[1].frames[1].line')" \
    "table: to the line"

# --- the same for people
text=$("$HEAPKNOT" refs "$TMP/table.hk")
like '^session: 300 live objects, 400 references; 300 of them taken in take_for_table refs\.c:[0-9]+ < fill_table .* and not dropped$' \
    "$(head -n1 <<<"$text")" "the verdict comes first"
like '
    also 100 of them taken in session_clone refs\.c:[0-9]+ < fill_table' \
    "$text" "and then what else"
like '
  bal=400 \(\+700 -300\)  main refs\.c:[0-9]+
                       run_table refs\.c:' "$text" "a chain is one node"
like '
    bal=-300 \(\+0 -300\)  fill_table refs\.c:[0-9]+
                        drop_birth refs\.c:' "$text" "nodes below it"
like '
  left out: 4 call paths .*\(600 matched pairs\)' "$text" "what is left out"
unlike 'use_session|live_and_die' "$text" "is left out"
is_str 'node' "$("$HEAPKNOT" refs --json --type=node "$TMP/table.hk" |
    jq -r '.types[].type')" "--type=node"
is_str '1 3' "$("$HEAPKNOT" refs --json --top=1 --type=session \
    "$TMP/table.hk" | jq -r '.types[0] |
    "\([.tree[] | select(.own_balance != 0)] | length) \(.paths_not_shown)"')" \
    "--top=1: one call path of four"

# --- threads
run threads --refs=session,node
is_str 'node 160 live 160
session 1 live 5' "$(refs threads "$sums")" \
    "threads: what four threads took and dropped"
is_str 'node 160 +160 -0 work make_node
session 4000 +4000 -0 work share
session -3996 +0 -3996 work stop_sharing
session 1 +1 -0 main run_threads make_session' "$(refs threads "$nodes")" \
    "threads: the tree"
is_str '{"refs_lost":0,"refs_given_up":0}' "$(refs threads .losses)" \
    "threads: nothing is lost"

# --- fork: the child goes on with its parent's
recording="$TMP/forked.%p.hk" run forked --refs=session
is_str 'session 30 live 30,session 40 live 41' "$(for f in "$TMP"/forked.*.hk
do
    "$HEAPKNOT" refs --json "$f" | jq -r "$sums"
done | sort | paste -sd,)" "forked: both have what lives in them"

# --- memory used again without an end
run raw --refs=token
is_str 'token 2' "$(refs raw '.types[] | "\(.type) \(.balance)"')" \
    "raw: the last object of ten at one address"

# --- memory= is reached: less is told, and how much less
run crowd --refs=session --memory=24MiB -- 200000
given_up=$(refs crowd .losses.refs_given_up)
ok "crowd: $given_up of 200,000 objects are given up" \
    [ "$given_up" -gt 0 -a "$given_up" -lt 200000 ]
like 'not kept, for want of memory' "$("$HEAPKNOT" refs "$TMP/crowd.hk")" \
    "crowd: the text says so"
"$HEAPKNOT" refs --strict "$TMP/crowd.hk" >"$TMP/out"
is_int 4 $? "crowd: --strict: status 4"
run crowd --refs=session -- 20000
is_str 'session 10000 live 20000' "$(refs crowd "$sums")" \
    "crowd: with enough memory all are there"
is_int 0 "$(refs crowd .losses.refs_given_up)" "crowd: none is given up"

# --- signal handlers: of what they interrupt they may lose places, not more
run signals --refs=session
lost=$(refs signals .losses.refs_lost)
balance=$(refs signals '.types[0].balance')
ok "signals: balance $balance, $lost changes or places lost" \
    [ $((balance < 1 ? 1 - balance : balance - 1)) -le "$lost" ]

# --- names that cannot be had
run foreign --refs=other,session,nosuch
is_str 'heapknot: refs=other: its objects are adopted and count by themselves, so nobody sees references taken and dropped
heapknot: refs=nosuch: the program has no type of this name' \
    "$(cat "$TMP/foreign.err")" "foreign and unknown types: a line each"
is_str 'other nosuch' \
    "$(refs foreign '[.missing[] | split(":")[0]] | join(" ")')" \
    "and in the recording"
is_str 'session 1 live 2' "$(refs foreign "$sums")" "the other type is there"
run table
is_str '[]' "$(refs table .types)" "without refs= nothing is kept"
like '^no references of objects were kept: record with --refs=TYPE$' \
    "$("$HEAPKNOT" refs "$TMP/table.hk")" "and that is said"
is_str "" "$(cat "$TMP/table.err")" "nothing on stderr"

# --- a real program: the line that keeps the reference
KNOTD=$BUILD/examples/knotd/knotd
LOAD=$BUILD/examples/knotd/knot-load
[ -x "$KNOTD" ] || bail_out "knotd is not built"
port=$(free_port)
"$HEAPKNOT" run --refs=session -o "$TMP/knotd.hk" -- \
    "$KNOTD" --port="$port" --bug=ref >"$TMP/knotd.out" 2>"$TMP/knotd.err" &
server=$!
stop_at_exit "$server"
wait_until 10 grep -q listening "$TMP/knotd.out"
"$LOAD" --port="$port" --seconds=2 --rate=1500 >"$TMP/knotd.load" 2>&1
is_int 0 $? "knotd: the clients lost nothing"
kill -TERM "$server"
wait "$server"
is_int 0 $? "knotd: the server ends well"
published=$(sed -n 's/.* published \([0-9]*\) .*/\1/p' "$TMP/knotd.load")
is_int "$published" "$(refs knotd '.types[0].balance')" \
    "knotd: each message that came back left a reference"
line=$(grep -n 'hk_newref' "$TOP/examples/knotd/hub.c" | cut -d: -f1 | head -1)
is_str "$published receivers_locked hub.c $line" "$(refs knotd '.types[0] |
    .taken[0] | "\(.count) " + (.frames[0] |
    "\(.function) \(.file | split("/") | last) \(.line)")')" \
    "knotd: and that was taken here"
done_testing
