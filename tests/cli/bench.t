#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bench.t -- the shape of what bench/run prints and writes, and that its
# arithmetic is right; never how fast anything was.
. "$(dirname "$0")/../tap/tap.sh"
need jq
[ -x /usr/bin/python3 ] || skip_all "/usr/bin/python3 is not installed"
cp -R "$TOP/bench" "$TMP/bench" # --readme writes beside the script
chmod -R u+w "$TMP/bench"
run=$TMP/bench/run
export TMPDIR=$TMP/scratch
mkdir "$TMPDIR" "$TMP/bin"

# A heaptrack that fails in its second round, and a valgrind that dies.
cat >"$TMP/bin/heaptrack" <<END
#!/bin/sh
echo once >>"$TMP/calls"
echo "out of heart" >&2
[ \$(wc -l <"$TMP/calls") -lt 2 ] && exec echo "bench 5000.00"
exit 3
END
printf '#!/bin/sh\nkill -SEGV $$\n' >"$TMP/bin/valgrind"
chmod 755 "$TMP"/bin/*
PATH=$TMP/bin:$PATH "$run" 3 --quick --workload churn1 --json "$TMP/j" \
    --tool bare,heapknot,heaptrack,valgrind >"$TMP/out" 2>"$TMP/err"
is_int 0 $? "tools that fail make no failure" || diag <"$TMP/err"

json() { jq -rc "$1" "$TMP/j"; }
is_str '["heapknot-bench-1",3,true,["churn1"]]' \
    "$(json '[.schema, .runs, .quick, (.workloads | keys)]')" "schema"
is_str '["bare","heapknot","heaptrack","valgrind"]' \
    "$(json '.workloads.churn1.tools | keys')" "the tools asked for"
is_str '[3,3,1,0]' "$(json '.workloads.churn1.tools |
    [(.bare, .heapknot, .heaptrack, .valgrind).values | length]')" \
    "a tool that failed is not asked again"
is_str 'ended with status 3: out of heart;died of SIGSEGV' \
    "$(json '.workloads.churn1.tools | .heaptrack.missing + ";" +
        .valgrind.missing')" "and the reason is kept"
is_str true "$(json '.workloads.churn1.tools | .bare.values as $b |
    .heapknot as $h | [range(3) | $h.values[.] / $b[.]] | sort |
    (.[1] - $h.ratio.median | fabs) < 1e-9 and
    (.[0] - $h.ratio.min | fabs) < 1e-9 and
    (.[2] - $h.ratio.max | fabs) < 1e-9')" \
    "ratios are of the same round; median, least and most"
is_str true "$(json '.workloads.churn1.tools | .bare.values[0] as $b |
    ((.heapknot.values[0] - $b) / (5000 - $b)
        - .heapknot.added_of_heaptrack.median | fabs) < 1e-9')" \
    "what is added, as a share of what heaptrack adds"
is_str true "$(json '.workloads.churn1.tools.heapknot |
    .recorded.allocations - .size | . >= 100000 and . < 100100')" \
    "the recording had every block that churn made"

out=$(cat "$TMP/out")
like '^churn1 +[0-9.]+ ns +[0-9.]+ +[0-9.]+\[1\] +-\[2\]$' \
    "$out" "the table: a figure, a ratio, a dash"
like '^\[1\] stopped after 1: ended with status 3' "$out" "first footnote"
like '^\[2\] died of SIGSEGV' "$out" "second footnote"
is_str "$out" "$("$run" --print "$TMP/j")" "--print shows the same"
is_str "" "$(ls "$TMPDIR")" "nothing is left in the temp folder"

HEAPKNOT=$TMP/none "$run" 1 --quick --workload churn1 --tool heapknot \
    --json "$TMP/j" >"$TMP/out" 2>&1
is_str "0 true" "$? $(json '.workloads.churn1.tools.heapknot.missing |
    contains("build it first")')" "without heapknot: a dash, and why"

# --- the table in the README
before=$(sed '/--readme: begin/,/--readme: end/d' "$TMP/bench/README.md")
ok "--readme" "$run" --readme "$TMP/j"
is_str "$before" "$(sed '/--readme: begin/,/--readme: end/d' \
    "$TMP/bench/README.md")" "--readme leaves the rest as it was"
is_int 1 "$(sed -n '/--readme: begin/,/--readme: end/p' \
    "$TMP/bench/README.md" | grep -c '^| churn1 |')" "and has the new row"
cp "$TMP/bench/README.md" "$TMP/once"
"$run" --readme "$TMP/j"
ok "twice is the same as once" cmp "$TMP/once" "$TMP/bench/README.md"

# --- usage
for args in 0 x "--tool none" "--workload none" --nonsense; do
    # shellcheck disable=SC2086 # words
    "$run" $args >"$TMP/out" 2>&1
    is_int 2 $? "usage: bench/run $args"
done
echo '{"schema": "other"}' >"$TMP/other"
"$run" --print "$TMP/other" >"$TMP/out" 2>&1
is_int 1 $? "a file of another schema is refused"
done_testing
