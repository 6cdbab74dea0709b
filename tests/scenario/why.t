#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# heapknot why on a program whose references are all known (held.c): the agent
# counts them, and the command adds them up.
# shellcheck disable=SC2016 # a script in quotes
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq

build_helper held -L"$BUILD/lib/.libs" -lheapknot \
    -Wl,-rpath,"$BUILD/lib/.libs"
mkfifo "$TMP/stdin"
"$HEAPKNOT" run --publish=100ms --scan-interval=300ms --min-age=300ms \
    --pause-budget=50% --cpu-budget=50% -o "$TMP/held.hk" -- \
    "$HELPERS/held" <"$TMP/stdin" >"$TMP/out" 2>"$TMP/err" &
pid=$!
stop_at_exit $pid
exec 7>"$TMP/stdin"
wait_until 20 test -s "$TMP/out" || bail_out "held does not start"
read -r stored variable <"$TMP/out"
why() { # WORD: of the live process, as JSON in $TMP/why.json
    "$HEAPKNOT" why --json "$TMP/held.hk" "$1" >"$TMP/why.json" 2>"$TMP/err"
}
about() { jq -rc "$1" "$TMP/why.json" 2>&1; }

ok "the agent answers" wait_until 20 why session
is_str '[19,5,true]' "$(about '[.objects, .unreachable, .asked]')" \
    "all sessions, and those that are lost"
is_str '[["hub.sessions",12],["peer.session",5],["channel.subscribers",4]]' \
    "$(about '[.referrers[] | [(.field | rtrimstr("[]")), .edges]]')" \
    "fields"
is_int 7 "$(about '.referrers[0].sole')" "seven have but the hub"
is_str '{"references":24,"fields":21,"other_fields":0,"holds":2,"holds_unsure":false,"unknown":1,"excess":0}' \
    "$(about '.sum')" "the sum: one reference is unknown, the variable"
is_str '["worker queue","worker queue"]' \
    "$(about '[.holds[] | select(.live == 1) | .name]')" "holds of two places"
like '^session: 14 objects live, 7 of them held only by hub\.sessions' \
    "$(about .headline)" "the verdict"
ok "each path begins at the root that it says" test true = "$(about \
    'all(.paths[]; .steps[0].label == null and .references > .known)')"

why "$stored"
is_str '["hub","session"]' "$(about '[.paths[0].steps[].type]')" \
    "the path to an object"
is_str "[\"sessions\",7,\"$stored\"]" \
    "$(about '.paths[0].steps[1] | [.label, .index, .address]')" \
    "... through the very field"
like '^\["make","fill"' "$(about '[.paths[0].steps[1].created[].function]')" \
    "... and where it was made"
why "$variable"
like 'held from outside: 1 reference that is no field' "$(about .headline)" \
    "what a variable holds"
"$HEAPKNOT" why "$TMP/held.hk" 0x10 >"$TMP/none" 2>"$TMP/err"
is_int 3 $? "no object: status"
is_int 1 "$(wc -l <"$TMP/err")" "... one line"

ok "the lost ones are confirmed" wait_until 20 eval '"$HEAPKNOT" cycles \
    --json "$TMP/held.hk" | jq -e ".cycles[0].confirmed == 5"'
"$HEAPKNOT" cycles --json "$TMP/held.hk" >"$TMP/why.json"
is_str '["peer.session",true,"lose",10]' "$(about '.cycles[0] |
    [.break.field, .break.back, .break.clear_in, .retained.objects]')" \
    "the back edge is where to break it"
ok "ages and the rate are known" test true = "$(about '.cycles[0] |
    .age.oldest > .age.youngest and .rate_per_minute != null')"
exec 7>&-
ok "the program ends well" wait "$pid"
"$HEAPKNOT" why "$TMP/held.hk" session >"$TMP/after" 2>"$TMP/err"
like '^references 24 = 12 hub\.sessions(\[\])? \+ 5 peer\.session \+ 4 channel\.subscribers \+ 2 named holds \("worker queue"\) \+ 1 unknown$' \
    "$(cat "$TMP/after")" "its recording still knows"
done_testing
