#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bench-scan.t -- that bench/scan runs each of its parts on the agent that is
# there, and finds the objects and the garbage that it made; never how fast.
. "$(dirname "$0")/../tap/tap.sh"
[ -x /usr/bin/python3 ] || skip_all "/usr/bin/python3 is not installed"
export TMPDIR=$TMP/scratch
mkdir "$TMPDIR"

scan() { # sets $out and $status
    status=0
    "$TOP/bench/scan" "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
    out=$(cat "$TMP/out")
    [ "$status" -eq 0 ] || diag <"$TMP/err"
}

row='[0-9.]+ \([0-9.]+ to [0-9.]+\)'
scan 2 --part=exact --objects=3000 --edges=3 \
    --graphs=outside,array,walk,outside:10,array:50
is_int 0 "$status" "an exact scan of each kind of graph"
for graph in outside array walk 'outside, 10 % garbage' \
    'array, 50 % garbage'; do
    like "^\| $graph \| $row \| $row \| $row \|$" "$out" \
        "$graph: the child, CPython, the ratio"
done
like '^Its memory, .*goal: 48' "$out" "what an object with three may cost"
like "^\| walk \| .* \|$" "${out##*Its memory}" "and what it does"

scan 1 --quick --part=pause,heap --objects=1000 --heap=8
is_int 0 "$status" "pauses"
is_int 2 "$(grep -c "^| fault | " <<<"$out")" "in both ways of scanning"
like "^\| 4 KiB \| $row \| $row \| $row \| $row \| $row \|$" "$out" \
    "a heap of small pages"
like "^\| 2 MiB \| $row \|" "$out" "and of large ones"

scan 1 --quick --part=knotd --ballast=1000 --seconds=2
is_int 0 "$status" "knotd"
like "^\| every second \| ($row \| ){4}[1-9][0-9]* \| $row \|$" "$out" \
    "is scanned while it serves"
is_str "" "$(ls "$TMPDIR")" "nothing is left in the temp folder"

for args in x "--part=none" "--graphs=ball" --nonsense; do
    scan "$args" 2>/dev/null
    is_int 2 "$status" "usage: bench/scan $args"
done
done_testing
