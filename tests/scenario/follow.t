#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# follow=: which children have recordings; thread=off: who publishes then.
. "$(dirname "$0")/../tap/tap.sh"
export PERL_HASH_SEED=0 PERL_PERTURB_KEYS=0 # or perl is never the same

# A shell that forks a child with much to tell, which becomes nothing else,
# and runs another program.
cat >"$TMP/family.pl" <<'END'
my $child = fork;
if (!$child) { my @all = map { "x" x $_ } 1 .. 20000; exit 0 }
waitpid $child, 0;
system "sqlite3", ":memory:", "select 1";
END

# recorded VALUE: the programs that have recordings, sorted.
recorded() {
    mkdir "$TMP/$1"
    (cd "$TMP/$1" && "$HEAPKNOT" run --output='%e.%p.hk' --follow="$1" -- \
        perl "$TMP/family.pl" >out 2>&1)
    find "$TMP/$1" -name '*.hk' -printf '%f\n' | sed 's/\..*//' |
        sort | xargs
}
need perl sqlite3
is_str "perl perl sqlite3" "$(recorded all)" \
    "all: the program, its child, and what it runs"
is_str "perl perl" "$(recorded fork)" "fork: the program and its child"
is_str "perl sqlite3" "$(recorded exec)" \
    "exec: the program and what it runs"
is_str "perl" "$(recorded none)" "none: the program alone"
is_str "1" "$(cat "$TMP/none/out")" "and the others run all the same"

# Without the agent's thread there is one thread, and the numbers are the same.
cat >"$TMP/work.pl" <<'END'
my @all;
push @all, "x" x 100 for 1 .. 50000;
select undef, undef, undef, 0.4;
push @all, "y" x 100 for 1 .. 50000;
open my $status, "<", "/proc/self/status" or die;
print grep /^Threads/, <$status>;
select undef, undef, undef, 0.1;
push @all, "z" x 100 for 1 .. 1000;
kill "KILL", $$ if $ARGV[0];
END
run() { # THREAD [KILLED]: allocations and snapshots
    "$HEAPKNOT" run --thread="$1" --interval=100ms --publish=50ms \
        -o "$TMP/$1$2.hk" -- perl "$TMP/work.pl" $2 >"$TMP/$1$2.out"
    "$HEAPKNOT" report --json "$TMP/$1$2.hk" >"$TMP/$1$2.json"
}
value() { # NAME FILTER
    jq -r "$2" "$TMP/$1.json"
}
need jq
run on ""
run off ""
is_int 1 "$(sed 's/[^0-9]//g' "$TMP/off.out")" \
    "thread=off: the program has one thread"
is_int 2 "$(sed 's/[^0-9]//g' "$TMP/on.out")" "thread=on: and ours"
is_int "$(value on .totals.allocations)" "$(value off .totals.allocations)" \
    "both count the same allocations"
ok "thread=off takes snapshots too" \
    test "$(value off '.timeline | length')" -ge 2
run off 1 2>/dev/null
ok "thread=off: killed, what is older than the interval is there" \
    test "$(value off1 .totals.allocations)" -ge 100000
done_testing
