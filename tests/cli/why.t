#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# heapknot why, on recordings whose truth was planted by tests/mkrec, and with
# a process that plays the agent.
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

$CC -std=gnu11 -I"$TOP" -o "$TMP/fake-agent" "$TOP/tests/cli/fake-agent.c" ||
    bail_out "cannot compile the fake agent"
make_rec() { # SCENARIO FILE
    python3 "$TOP/tests/mkrec/scenarios.py" "$1" "$TMP/$2.hk" ||
        bail_out "mkrec $1"
}
make_rec census census
why() { # FILE WORD: sets $out, $err and $status
    status=0
    "$HEAPKNOT" why "$1" "$2" >"$TMP/out" 2>"$TMP/err" || status=$?
    out=$(cat "$TMP/out") err=$(cat "$TMP/err")
}
json() { "$HEAPKNOT" why --json "$TMP/census.hk" "$1" | jq -rc "$2"; }

# --- of a type
why "$TMP/census.hk" session
is_int 0 "$status" "a type: status"
is_str "session: 312 objects live, 311 of them held only by hub.sessions[]" \
    "$(head -n 1 "$TMP/out")" "the verdict comes first"
like '^    8 more are unreachable' "$out" "the unreachable ones are apart"
is_str 'references 624 = 312 hub.sessions[] + 300 channel.subscribers[] + 2 named holds ("worker queue") + 10 unknown' \
    "$(grep '^references' "$TMP/out")" "where its references come from"
like 'by the scan at 12\.0 s$' "$out" "as of when"
is_str "  hub 0x5500 (references 3, 1 known, root) made in 0x401200 in prog
    .channels[2] -> channel 0x5510
    .subscribers[5] -> session 0x7700 made in 0x401100 in prog
  hub 0x5500 (references 3, 1 known, root) made in 0x401200 in prog
    .sessions[4] -> session 0x7710 made in 0x401100 in prog
  hub 0x5500 (references 9, 0 known, root)
    .channels[0] -> channel 0x5511
    ... 17 steps
    .next -> channel 0x5512
    .last -> session 0x7720 made in 0x401100 in prog" \
    "$(sed -n '/^Paths/,$p' "$TMP/out" | tail -n +2)" "paths, a step a line"
is_int 1 "$("$HEAPKNOT" why --top=1 "$TMP/census.hk" session |
    grep -c ', root)')" "--top=1"

why "$TMP/census.hk" root
is_str "root: 2 objects live, held from outside: 2 references that are no field of a registered object; 3 named holds of such objects stand" \
    "$(head -n 1 "$TMP/out")" "what is held by no field"
like 'references 2 = 2 named holds or unknown \("later"\)' "$out" \
    "more holds than references are left"
why "$TMP/census.hk" hub
is_str "hub: 1 object live, held from outside: 2 references that are no field of a registered object, and no named hold" \
    "$(head -n 1 "$TMP/out")" "what is held more from outside than by a field"
like '^references 3 = 1 root.hub \+ 2 unknown$' "$out" "and its sum"
why "$TMP/census.hk" few
is_str "few: 7 objects live, held from outside: 7 references that are no field of a registered object, and no named hold" \
    "$(head -n 1 "$TMP/out")" "fields of the unreachable hold nobody"
why "$TMP/census.hk" odd
like '^references 4 \+ 2 too many edges = 6 hub\.\?$' "$out" "too many edges"
like 'reports more edges than there are' "$out" "... are said to be that"
why "$TMP/census.hk" plain
like '^references 30 = 12 hub\.x \+ 3 other fields \+ 15 unknown$' "$out" \
    "fields that are not listed"
why "$TMP/census.hk" gone
is_str "gone: 4 objects, all unreachable: see heapknot cycles" \
    "$(head -n 1 "$TMP/out")" "all unreachable"
why "$TMP/census.hk" quiet
like '^quiet: there was no such object' "$out" "no object"

# --- of an object
why "$TMP/census.hk" 0x7710
is_str "session 0x7710: reachable from hub 0x5500, 1 step away" \
    "$(head -n 1 "$TMP/out")" "an object"
is_int 1 "$(grep -c ', root)' "$TMP/out")" "its path alone"
like '^  session: 312 objects live' "$out" "and what holds its type"
why "$TMP/census.hk" 0X7720
is_str "session 0x7720: reachable from hub 0x5500, 20 steps away" \
    "$(head -n 1 "$TMP/out")" "steps that are left out count"
why "$TMP/census.hk" 0x5500
is_str "hub 0x5500: held from outside: 2 references that are no field of a registered object, and no named hold" \
    "$(head -n 1 "$TMP/out")" "a root itself"

# --- JSON
is_str heapknot-why-1 "$(json session .schema)" "schema"
is_str '["session",null,312,320,8,12,false]' \
    "$(json session '[.type,.address,.objects - .unreachable,.objects,
        .unreachable,.time,.asked]')" "numbers"
is_str '[["hub.sessions[]",312,311],["channel.subscribers[]",300,0]]' \
    "$(json session '[.referrers[] | [.field,.edges,.sole]]')" "fields"
for t in session hub root odd plain gone quiet; do
    is_str true "$(json $t '.sum | .references + .excess ==
        .fields + .other_fields + .holds + .unknown')" "$t: the sum adds up"
done
is_str '[["worker queue",2]]' "$(json session '[.holds[]|[.name,.live]]')" \
    "holds of the type alone"
is_str '[3,17,["hub","channel","channel","session"],[null,0,null,null]]' \
    "$(json session '[(.paths|length), .paths[2].left_out,
        [.paths[2].steps[].type], [.paths[2].steps[].index]]')" "paths"
is_str '["0x7710",1,"0x401100"]' "$(json 0x7710 '[.address,(.paths|length),
    .paths[0].steps[1].created[0].function]')" "an object"

# --- what is not there
why "$TMP/census.hk" array
is_int 3 "$status" "a type without a census: status"
is_str "" "$out" "... nothing on stdout"
is_str "heapknot why: nothing about array: the recording says who holds the objects of session, hub, root, odd, gone, quiet, plain, few; ask while the process runs" \
    "$err" "... says what there is, and what to do"
why "$TMP/census.hk" 0x1
is_int 3 "$status" "an object on no path: status"
is_int 1 "$(wc -l <"$TMP/err")" "... one line"
make_rec mistakes mistakes
why "$TMP/mistakes.hk" Session
like 'the objects of no type' "$err" "a recording of version 1.2"
refuse() { # DESCRIPTION REGEX ARGUMENT...
    local what=$1 regex=$2
    shift 2
    "$HEAPKNOT" why "$@" >"$TMP/out" 2>"$TMP/err"
    is_int 2 $? "$what: status"
    like "$regex" "$(cat "$TMP/err")" "$what: message"
}
refuse "misspelt" "did you mean 'session'" "$TMP/census.hk" sesion
refuse "unknown" "heapknot types lists them" "$TMP/census.hk" xyzzyxyzzy
refuse "no address" "no type is called '0x7x'" "$TMP/census.hk" 0x7x
make_rec empty empty
refuse "no types" "registers no types" "$TMP/empty.hk" x
refuse "one word" "which type" "$TMP/census.hk"
refuse "none" "no recording"
refuse "three" "too many" "$TMP/census.hk" session hub

# --- ids that lead nowhere, and frames that are cut
for place in "4:type of a census" "8:scan of a census" \
    "80:type of a referrer" "84:label of a referrer" "144:type of a step" \
    "148:label of a step" "156:stack of a step"; do
    IFS=: read -r offset what <<<"$place"
    make_rec census ids
    at=$(grep -abo GRPH "$TMP/ids.hk" | tail -n 1 | cut -d: -f1)
    printf '\377\377\377\177' | dd of="$TMP/ids.hk" bs=1 conv=notrunc \
        seek=$((at + 64 + offset)) status=none
    why "$TMP/ids.hk" session
    is_int 3 "$status" "a wrong id at $offset: refused"
    like "the $what refers to 2147483647" "$err" "... and it says so"
done
for offset in 0 12 16 128; do
    make_rec census ids
    printf '\377\377\377\177' | dd of="$TMP/ids.hk" bs=1 conv=notrunc \
        seek=$((at + 64 + offset)) status=none
    why "$TMP/ids.hk" session
    is_int 3 "$status" "a wrong length at $offset: refused"
    like "census 0 .* makes no sense" "$err" "... and it says so"
done
make_rec census ids
# the only step of the only path in the second census, which then has bytes left
printf "\000" | dd of="$TMP/ids.hk" bs=1 conv=notrunc seek=$((at + 64 + 576)) \
    status=none
why "$TMP/ids.hk" session
is_int 3 "$status" "a path without a step: refused"
make_rec census torn
printf '\011' | dd of="$TMP/torn.hk" bs=1 conv=notrunc seek=48 status=none
printf '\377\377\377\177' | dd of="$TMP/torn.hk" bs=1 conv=notrunc \
    seek=$((at + 64 + 80)) status=none
why "$TMP/torn.hk" session
is_int 0 "$status" "a torn recording is read"
like '300 \(unknown type\)\.subscribers' "$out" "with unknown for what is wrong"

# --- a process that lives is asked
make_rec census live
make_rec census_answer answer
"$TMP/fake-agent" "$TMP/live.hk" become "$TMP/answer.hk" "$TMP/busy" \
    >"$TMP/log" &
pid=$!
stop_at_exit $pid
wait_until 10 grep -q ready "$TMP/log" || bail_out "no fake agent"
why "$TMP/live.hk" array
is_str "array: 1 object live, 1 of them held only by hub.a" \
    "$(head -n 1 "$TMP/out")" "what the recording did not know was asked"
like 'by the scan at 20\.0 s, made for this question' "$out" "... by a scan"
like '^request 1 command 6 argument array$' "$(cat "$TMP/log")" \
    "the request says what"
why "$pid" 0x7700
like '^request 2 command 6 argument 0x7700$' "$(cat "$TMP/log")" \
    "by PID, an address"
is_str "session 0x7700: reachable from hub 0x5500, 1 step away" \
    "$(head -n 1 "$TMP/out")" "the newest path counts"
why "$pid" 0x1
is_int 3 "$status" "what the agent does not find: status"
like 'the scan for this question found nothing' "$err" "... message"
touch "$TMP/busy"
why "$pid" session
is_str "heapknot why: from the recording, since a scan is running" "$err" \
    "an agent that refuses what the recording knows: a note"
like '^session: 7 objects live, 7 of them' "$out" "... and the answer"
rm "$TMP/busy"
kill -9 "$pid"
wait "$pid" 2>/dev/null
why "$TMP/live.hk" session
is_int 0 "$status" "after its death the recording answers"
is_str "" "$err" "... without a word about it"
unlike 'made for this question' "$out" "... and nobody was asked"

"$TMP/fake-agent" "$TMP/refuse.hk" refuse >"$TMP/log" &
pid=$!
stop_at_exit $pid
wait_until 10 grep -q ready "$TMP/log" || bail_out "no fake agent"
why "$pid" 0x1
is_int 3 "$status" "an agent that refuses: status"
is_str "heapknot why: a scan is running" "$err" "... its reason, in one line"
done_testing
