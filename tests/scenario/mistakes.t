#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a program does wrong with its objects is told with the stacks of the
# mistake, of the object's making, and of its last release, death or put; and
# the program goes on.  Its holds are listed.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq
need_victims mistakes

run() { # KIND: $TMP/KIND.hk and .err; its status
    rm -f "$TMP/$1.hk"
    "$HEAPKNOT" run --publish=100ms -o "$TMP/$1.hk" -- "$VICTIMS/mistakes" \
        "$1" >"$TMP/$1.out" 2>"$TMP/$1.err"
}

# The functions of the victim on a stack that are a step of a life.
step='def step: if . == null then "-" else .what + ":" +
    ([.frames[] | select(.inlined | not) | .function |
        select(test("^(make|drop|end|hold|put)_it$|^err_here"))] |
        join("<")) end;'

told() { # KIND: "kind type count here origin before", a line each
    json "$TMP/$1.hk" "$step"' .mistakes[] |
        "\(.kind) \(.type // "-") \(.count) \(.here | step)" +
        " \(.origin | step) \(.before | step)"'
}

# tells KIND LINE...: the run survives, and exactly this is told.
tells() {
    local kind=$1
    shift
    run "$kind"
    is_int 0 $? "$kind: the program ends well"
    is_str survived "$(cat "$TMP/$kind.out")" "$kind: and went on until then"
    is_str "$(printf '%s\n' "$@")" "$(told "$kind")" "$kind: what is told"
}

tells dead-incref \
    "dead node 3 here:err_here_incref created:make_it died:end_it"
tells dead-decref \
    "dead node 1 here:err_here_decref created:make_it died:end_it"
tells dead-leaf \
    "dead leaf 1 here:err_here_decref created:make_it died:end_it"
tells dead-late \
    "dead late 1 here:err_here_incref created:make_it died:end_it"
tells dead-for-long \
    "dead node 1 here:err_here_incref created:make_it died:end_it"
tells freed-twice \
    "dead node 1 here:err_here_free created:make_it died:end_it"
tells underflow \
    "underflow wiper 1 here:err_here_decref created:make_it last release:end_it"
tells freed \
    "freed node 1 here:err_here_free created:make_it last release:drop_it"
tells freed-late "freed late 1 here:err_here_free created:make_it -"
tells freed-then-used "freed node 1 here: created:make_it -" \
    "dead node 1 here:err_here_incref created:make_it died:"
tells freed-weak \
    "freed node 1 here:err_here_free created:make_it last release:drop_it"
tells moved \
    "freed node 1 here:err_here_move created:make_it last release:drop_it"
tells dead-moved \
    "dead node 1 here:err_here_move created:make_it died:end_it"
tells too-many-edges "too-many-edges node 1 here:err_here_scan created:make_it -"
tells saturated \
    "saturated node 1 here:err_here_incref created:make_it last release:drop_it"
tells null "null - 1 here:err_here_hold_null - -"
tells no-type "no-type - 1 here:err_here_track - -"
tells tracked-twice \
    "tracked-twice node 1 here:err_here_track created:make_it last release:drop_it"
tells adopted-twice "adopted-twice other 1 here:err_here_adopt created: -"
tells put-twice "put-twice node 1 here:err_here_put held:hold_it put:put_it"
tells put-copy "put-twice node 1 here:err_here_put held:hold_it put:put_it"
tells unraisable \
    "unraisable node 1 here:err_here_unraisable created:make_it last release:drop_it"

# --- what is said, and what is only counted
like '^heapknot: put twice: node at 0x[0-9a-f]+; heapknot report shows where$' \
    "$(cat "$TMP/put-twice.err")" "a line on stderr"
text=$("$HEAPKNOT" report "$TMP/put-twice.hk")
like 'put twice: node at 0x' "$text" "the report says it"
ok "right after the verdict" [ "$(grep -n '^Mistakes' <<<"$text" |
    cut -d: -f1)" -lt "$(grep -n '^process' <<<"$text" | cut -d: -f1)" ]
like 'held
      hold_it mistakes.c' "$text" "with its stacks"
is_str "3 0" "$(json "$TMP/dead-incref.hk" \
    '"\(.totals.mistakes) \(.losses.mistakes_lost)"')" "each is counted"
is_int 3 "$(grep -c 'after its death' "$TMP/dead-incref.err")" \
    "and said"
run many-kinds
is_str "256 300 44" "$(json "$TMP/many-kinds.hk" '"\(.mistakes | length)" +
    " \(.totals.mistakes) \(.losses.mistakes_lost)"')" \
    "of too many kinds some are lost, and counted"
is_int 20 "$(grep -c 'failure number' "$TMP/many-kinds.err")" \
    "twenty are said on stderr"

# --- HK_ABORT_ON_ERROR: with all stacks in the recording
HK_ABORT_ON_ERROR=1 run dead-incref 2>"$TMP/shell.err"
is_int 134 $? "HK_ABORT_ON_ERROR=1: the first mistake aborts"
is_str "dead node 1 here:err_here_incref created:make_it died:end_it" \
    "$(told dead-incref)" "and it is in the recording"
is_str aborted "$(json "$TMP/dead-incref.hk" .process.state)" "state: aborted"

# --- memory of the dead is held back for a while, no longer
for kind in many-deaths large-deaths threads; do
    tells "$kind" ""
    is_str "0 0" "$(json "$TMP/$kind.hk" '"\([.types[] | .live] | add)" +
        " \(.losses.unknown_frees)"')" "$kind: all died, all frees are known"
    held=$(json "$TMP/$kind.hk" .cost.held_back_bytes)
    ok "$kind: $held bytes are held back" \
        [ "$held" -gt 0 -a "$held" -le 1048576 ]
done

# --- in a child, and in the program's own function
run callback
is_str "told survived" "$(xargs <"$TMP/callback.out")" \
    "hk_error_fn may allocate and free inside free()"
is_str "freed node 1 here:err_here_free created:make_it last release:drop_it" \
    "$(told callback)" "which is recorded as well"
is_str "0 0" "$(json "$TMP/callback.hk" '"\(.losses.unknown_frees)" +
    " \(.losses.reentrant_calls)"')" "and nothing is lost by that"
"$HEAPKNOT" run -o "$TMP/forked.%p.hk" -- \
    "$VICTIMS/mistakes" forked >"$TMP/out" 2>"$TMP/err"
is_str "dead leaf,dead node dead node" "$(for f in "$TMP"/forked.*.hk; do
    json "$f" '[.mistakes[] | "\(.kind) \(.type)"] | sort | join(",")'
done | sort | xargs)" "a forked child has its own, and those before"

# --- holds
tells holds ""
is_str "worker queue node 10 13 false hold_it
timer node 0 1 false hold_it
table node 1 1 true holds" "$(json "$TMP/holds.hk" '.holds[] |
    "\(.name) \(.type) \(.live) \(.ever) \(.root) \(.frames[0].function)"' |
    sort -r)" "names, types, counts and places"
is_int 10 "$(json "$TMP/holds.hk" .totals.holds)" "holds that stand"
text=$("$HEAPKNOT" report "$TMP/holds.hk")
like 'held for .*: 10 x "worker queue" node, of 13 ever
      hold_it mistakes.c' "$text" "a hold that was never put"
unlike '"timer"' "$text" "not one that was"
like '1 root, meant to stay' "$text" "a root is meant"

# --- without the agent
for kind in unraisable put-twice tracked-twice; do
    "$VICTIMS/mistakes" "$kind" >"$TMP/out" 2>"$TMP/err"
    is_str "0 survived 1" "$? $(cat "$TMP/out") $(grep -c '^heapknot: ' \
        "$TMP/err")" "$kind without the agent: a line, and on"
done
done_testing
