#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# replay.t -- the collector does what CPython's did, in the scenarios of
# gc-vectors.json and in fresh ones where a CPython with the same collector is
# at hand; and what gc-replay says of files that are none.
. "$(dirname "$0")/../tap/tap.sh"

replay=$BUILD/tests/gc-replay
here=$TOP/tests/replay

# replays FILE COUNT: all of it, and as many.
replays() {
    "$replay" "$1" >"$TMP/out" 2>"$TMP/err" || {
        grep -v '^ok' "$TMP/out" | head -n 20
        cat "$TMP/err"
        return 1
    }
    [ "$(grep -c '^ok' "$TMP/out")" -eq "$2" ] && [ ! -s "$TMP/err" ]
}

ok "250 scenarios of CPython 3.12" replays "$here/gc-vectors.json" 250

# The 3-generation collector; later ones went other ways for a while.
has_oracle() {
    python3 -c 'import sys
sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13)
              and sys.implementation.name == "cpython"
              and "t" not in sys.abiflags))'
}
fresh() { # SEED COUNT NODES
    python3 "$here/oracle.py" "$@" >"$TMP/fresh.json" &&
        replays "$TMP/fresh.json" "$2"
}
if has_oracle >/dev/null 2>&1; then
    ok "100 fresh ones, small" fresh 1000 100 6
    ok "60 fresh ones" fresh 2000 60 40
    ok "two large ones" fresh 3000 2 1500
else
    skip 3 "no CPython 3.11, 3.12 or 3.13"
fi

# A wrong expectation is found, and told with its step.
wrong() { # FROM TO: in the first scenario
    sed "s/$1/$2/" "$here/gc-vectors.json" >"$TMP/wrong.json"
    cmp -s "$TMP/wrong.json" "$here/gc-vectors.json" && return 1
    "$replay" "$TMP/wrong.json" >"$TMP/out" 2>"$TMP/err"
    [ $? -eq 1 ] && [ "$(grep -c '^not ok' "$TMP/out")" -eq 1 ]
}
ok "another result fails" wrong '"ret": 1,' '"ret": 2,'
like '^# step 2, collect\(2\): ret: expected 2, seen 1$' "$(<"$TMP/out")" \
    "and says where"
ok "another generation fails" wrong '\[4, 2\]\]' '[4, 1]]'
like '^# step 0, drop: alive_gen: expected node 4 in generation 1, seen ' \
    "$(<"$TMP/out")" "and says where"
ok "another log fails" wrong '\["fin", 3\]' '["fin", 4]'
ok "another state of a weak reference fails" wrong '\[false\]' '[true]'
ok "another saved object fails" wrong '"resurrected": \[3\]' \
    '"resurrected": [0]'

# bad TEXT PATTERN DESCRIPTION: one line on stderr, nothing else, status 2
bad() {
    printf '%s' "$1" >"$TMP/bad.json"
    "$replay" "$TMP/bad.json" >"$TMP/out" 2>"$TMP/err"
    is_str "2 1 0" "$? $(wc -l <"$TMP/err") $(wc -c <"$TMP/out")" "$3"
    like "^gc-replay: .*bad.json: $2" "$(<"$TMP/err")" "and it is said"
}
node='{"name": 0, "fin": "log"}'
rest='"weak": [], "age": [], "roots": [], "ops": [], "expect": []'
bad '' 'line 1' "an empty file"
bad '{"scenarios": [' 'line 1' "half a file"
bad '[]' 'an object was expected' "an array"
bad '{"scenarios": []}' 'no scenarios' "no scenarios"
bad '{"scenarios": [7]}' 'scenario 0: ' "a scenario that is a number"
bad "{\"scenarios\": [{\"nodes\": [$node]}]}" 'scenario 0: "edges" is missing' \
    "no edges"
bad "{\"scenarios\": [{\"nodes\": [$node], \"edges\": [[0, 6, 0]], $rest}]}" \
    'scenario 0: slot of an edge' "a slot too many"
bad "{\"scenarios\": [{\"nodes\": [$node], \"edges\": [[0, 1, 1]], $rest}]}" \
    'scenario 0: edges' "an edge to nowhere"
bad "{\"scenarios\": [{\"nodes\": [{\"name\": 0, \"fin\": \"dance\"}]}]}" \
    'scenario 0: no finalizer is called "dance"' "an unknown finalizer"
bad "{\"scenarios\": [{\"nodes\": [$node], \"edges\": [], $rest}]}" \
    'scenario 0: "expect" has 0 steps' "steps that are missing"
rm -f "$TMP/bad.json"
"$replay" "$TMP/bad.json" >"$TMP/out" 2>"$TMP/err"
is_str "2 1" "$? $(wc -l <"$TMP/err")" "no such file"
"$replay" >"$TMP/out" 2>"$TMP/err"
is_str "2 1" "$? $(wc -l <"$TMP/err")" "no file named"
done_testing
