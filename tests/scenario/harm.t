#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What earlier tools got wrong, one by one: docs/harm.md tells which and why.
# The numbers in brackets are its rows.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq perl
need_victims apis closefds dl exits forks signals static_alloc threads

FIRST=$SEEN/hk/first.hk

# counts FUNCTION FILE: "allocations live" of all stacks through a function.
counts() {
    json "$2" '[.stacks[] | select(any(.frames[]; .function == $f))] |
        "\(map(.allocations) | add // 0) \(map(.live_blocks) | add // 0)"' \
        --arg f "$1"
}

# count WHAT: a number of the first recording's losses.
loss() {
    json "$FIRST" ".losses.$1"
}

state() {
    json "$FIRST" '"\(.process.state)"'
}

# ---- [1] every name of the allocator, and what is recorded of each ----------

same "[1] every allocation function at its corners" "$VICTIMS/apis"
build_helper names
same "[1] a known number of blocks by each name" "$HELPERS/names"
by_names() {
    local name
    while read -r name _; do
        echo "$name $(counts "$name" "$FIRST")"
    done <"$SEEN/bare/out"
}
is_str "$(cat "$SEEN/bare/out")" "$(by_names)" \
    "[1] each of them is recorded, neither more nor less"
is_int 0 "$(loss unknown_frees)" "[1] no free was of an unknown block"
is_int 0 "$(json "$FIRST" '[.stacks[] | select(any(.frames[];
    .function == "by_failing"))] | length')" \
    "[1] what failed is not recorded"

# ---- [2] the start: constructors, dlsym, resolving ---------------------------

build_helper early -shared -fPIC
same "[2] a library that allocates before and after everybody" \
    env LD_PRELOAD="$AGENT:$HELPERS/early.so" true
early_together() {
    HEAPKNOT_OPTIONS=output=$TMP/early.%n.hk \
        LD_PRELOAD=$AGENT:$HELPERS/early "$@"
}
ok "[2] behind the agent" early_together "$HELPERS/names"
early_first() {
    HEAPKNOT_OPTIONS=output=$TMP/early.%n.hk \
        LD_PRELOAD=$HELPERS/early:$AGENT "$@"
}
ok "[2] and before it" early_first "$HELPERS/names"
ok "[2] both are recorded" opens "$TMP"/early.*.hk

# ---- [3] threads, late destructors, TLS --------------------------------------

expect=21 same "[3] births and deaths of threads, destructors that allocate" \
    "$VICTIMS/threads"

# ---- [4] processes -----------------------------------------------------------

same "[4] fork, vfork, posix_spawn, system, popen, daemon, chain" \
    "$VICTIMS/forks"
ok "[4] the children have recordings of their own" \
    test "$(find "$SEEN/hk" -name '*.hk' | wc -l)" -gt 10
swift() { # forks that lose a lock of the agent wait for it, each in turn
    local i
    for i in 1 2 3 4; do
        timeout -k 1 4 "$HEAPKNOT" run -o "$TMP/swift.%p.hk" -- \
            "$VICTIMS/forks" || return 1
    done
}
ok "[4] forks in several threads at once do not wait for the agent" swift
build_helper rawclone
same "[4] children by a bare clone" "$HELPERS/rawclone"
is_str "50 50" "$(counts here "$FIRST")" \
    "[4] a bare clone leaves its parent's recording alone"
ok "[4] and nothing of the child is in it" \
    test "$(counts in_child "$FIRST" | cut -d ' ' -f 1)" -lt 1000

# ---- [5] locks and signals ---------------------------------------------------

same "[5] handlers that allocate, and jump out" "$VICTIMS/signals"
same "[5] also out of the agent" "$VICTIMS/signals" anywhere
build_helper sigthread -pthread
same "[5] signals reach the program's own threads only" \
    "$HELPERS/sigthread"

# ---- [6] order of the books --------------------------------------------------

build_helper order -pthread
same "[6] addresses that change hands" "$HELPERS/order"
is_str "777 777" "$(counts keep "$FIRST")" "[6] what is kept is live"
is_int 0 "$(counts toss "$FIRST" | cut -d ' ' -f 2)" \
    "[6] what is gone is not"
is_int 0 "$(loss unknown_frees)" "[6] and every free was of a known block"

# ---- [7] modules -------------------------------------------------------------

plugins=("$VICTIMS/dl_plugin_a.so" "$VICTIMS/dl_plugin_b.so")
for flag in now lazy deepbind; do
    mask='s/address [0-9]+ times/address N times/' \
        same "[7] plugins that come and go, $flag" \
        "$VICTIMS/dl" "${plugins[@]}" "$flag"
    [ $flag = deepbind ] || kept=$(json "$FIRST" '[.stacks[].frames[] |
        select(.function == "plugin_make") |
        .module | split("/") | last] | unique | join(" ")')
    [ $flag != now ] || is_str "dl_plugin_a.so dl_plugin_b.so" "$kept" \
        "[7] each has its own name, at one address or not"
done

# Threads that unwind while others load: what hangs does so now and then.
again_and_again() {
    local jobs job
    for _ in 1 2 3 4 5 6 7 8; do
        jobs=()
        for job in 1 2 3 4 5; do
            timeout -k 1 10 "$HEAPKNOT" run -o "$TMP/dl.%p.hk" -- \
                "$VICTIMS/dl" "${plugins[@]}" lazy &
            jobs+=($!)
        done
        for job in "${jobs[@]}"; do
            wait "$job" || return 1
        done
        rm -f "$TMP"/dl.*.hk
    done
}
ok "[7] forty times, five at once" again_and_again

# ---- [8] the ends ------------------------------------------------------------

end_is() { # STATE STATUS HOW
    expect=$2 same "[8] the end by $3" "$VICTIMS/exits" "$3"
    is_str "$1" "$(state)" "[8] $3 is recorded as $1"
    live=$(json "$FIRST" '[.stacks[] | select(any(.frames[];
        .function == "allocate")) | .live_blocks] | add')
    is_int 100 "$live" "[8] $3: the recording is complete"
}
end_is exited 7 return
end_is exited 7 exit
end_is exited 7 _exit
end_is exited 7 _Exit
end_is exited 7 quick_exit
end_is exited 7 thread-exit
end_is aborted 134 abort
end_is exited 7 execfail
end_is exec 0 exec
end_is exec 0 exec-thread
expect=139 same "[8] the end by a fault" "$VICTIMS/exits" segv
is_str killed "$(state)" "[8] a fault is no end that the agent sees"
run_options=--on-crash expect=139 same "[8] a fault with on_crash" \
    "$VICTIMS/exits" segv
is_str crashed "$(state)" "[8] with on_crash it is recorded"
is_int 11 "$(json "$FIRST" .process.exit_signal)" "[8] and its signal"

# ---- [9] descriptors and errno -----------------------------------------------

for how in loop range dup2; do
    same "[9] descriptors closed by $how" \
        "$VICTIMS/closefds" $how
done

# ---- [10] allocators ---------------------------------------------------------

says_once() { # PATTERN, in what was said under the agent
    [ "$(grep -c '^heapknot: ' "$SEEN/agent/err")" -eq 1 ] &&
        grep -Eq "$1" "$SEEN/agent/err"
}
both_but_for_messages() {
    local status
    status=$(cat "$SEEN/agent/status")
    [ "$status" = "$(cat "$SEEN/bare/status")" ] &&
        cmp "$SEEN/bare/out" "$SEEN/agent/out" &&
        grep -v '^heapknot: ' "$SEEN/agent/err" | cmp "$SEEN/bare/err" -
}
# said NAME PATTERN COMMAND...: unharmed, and one message on stderr.
said() {
    local name=$1 pattern=$2
    shift 2
    run_in_work bare "$@"
    fresh_folder "$SEEN/hk"
    # shellcheck disable=SC2086 # options of run, or none
    run_in_work agent "$HEAPKNOT" run ${run_options:-} -o "$FIRST" -- "$@"
    ok "$name: unharmed" both_but_for_messages
    ok "$name: said once" says_once "$pattern" || diag <"$SEEN/agent/err"
}
said "[10] an allocator inside the program" 'allocator of its own' \
    "$VICTIMS/static_alloc"
is_int 1 "$(loss static_allocator)" "[10] and counted"
like 'allocator of its own' "$("$HEAPKNOT" report "$FIRST")" \
    "[10] the report tells it"

# The address of malloc is then one in the program, which has no malloc.
build_helper names -fno-pic -no-pie -DADDRESS_OF_MALLOC
same "[10] but not where only malloc's address is in the program" \
    "$HELPERS/names"
build_helper names

behind() { # LIBRARY COMMAND...: the agent first, then another allocator
    LD_PRELOAD=$AGENT:$1 HEAPKNOT_OPTIONS=output=$SEEN/hk/first.hk \
        "${@:2}" >"$SEEN/agent/out" 2>"$SEEN/agent/err"
}
for library in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
    path=$(ldconfig -p | sed -n "s|.*$library.* => ||p" | head -n 1)
    if [ -z "$path" ]; then
        skip 3 "$library is not installed"
        continue
    fi
    fresh_folder "$SEEN/hk"
    ok "[10] behind the agent: $library" behind "$path" "$HELPERS/names" \
        by_pvalloc by_resized_away
    is_str "$(LD_PRELOAD=$path "$HELPERS/names" by_pvalloc by_resized_away)" \
        "$(cat "$SEEN/agent/out")" "[10] $library: the same output"
    is_str "$(cat "$SEEN/agent/out")" "$(while read -r name _; do
        echo "$name $(counts "$name" "$FIRST")"
    done <"$SEEN/agent/out")" "[10] $library: the same counts"
done

hostile() {
    MALLOC_CONF=abort_conf:true,nosuch:1 "$@"
}
ok "[10] a hostile MALLOC_CONF does not reach the agent's own allocator" \
    hostile "$HEAPKNOT" run -o "$TMP/conf.hk" -- "$HELPERS/names"

# ---- [11] C++ ----------------------------------------------------------------

if [ -x "$VICTIMS/cxx" ]; then
    same "[11] new, delete and exceptions" "$VICTIMS/cxx"
    same "[11] exceptions of a plugin in a program in C" \
        "$VICTIMS/cxxhost" "$VICTIMS/cxx_plugin.so"
else
    skip 4 "no C++ compiler"
fi

# ---- [12] rights -------------------------------------------------------------

setuid_copy() {
    local folder=$TMP/setuid
    mkdir -p "$folder" && chmod 755 "$TMP" "$folder"
    cp "$HELPERS/names" "$folder/names" && chmod 4755 "$folder/names"
    mkdir -m 777 "$folder/out"
    # What ld.so looks up by a bare name in a trusted folder, it would load.
    as_nobody env LD_PRELOAD="$AGENT" \
        HEAPKNOT_OPTIONS="output=$folder/out/x.hk" "$folder/names" \
        >"$folder/said" 2>&1
}
if is_root; then
    ok "[12] a program that is setuid runs" setuid_copy
    is_str "" "$(ls "$TMP/setuid/out")" "[12] and nothing is recorded"
    build_helper setxid -pthread
    same "[12] setuid in a threaded program" "$HELPERS/setxid"
else
    skip 4 "only root can"
fi

# ---- [13] children that are not the program's --------------------------------

if [ -e "$BUILD/lib/.libs/libheapknot.so" ]; then
    build_helper waits -L"$BUILD/lib/.libs" -lheapknot \
        -Wl,-rpath,"$BUILD/lib/.libs"
    run_options="--scan-interval=50ms --pause-budget=50% --cpu-budget=100%" \
        same "[13] waitpid(-1) while scans run" "$HELPERS/waits"
    ok "[13] and scans did run ($(json "$FIRST" .cost.scans))" \
        test "$(json "$FIRST" .cost.scans)" -gt 5
else
    skip 3 "the companion is not built"
fi

# ---- [14] limits -------------------------------------------------------------

limited() { # ULIMIT-OPTION VALUE COMMAND...
    local option=$1 value=$2
    shift 2
    (ulimit "$option" "$value" && exec "$@")
}
unharmed() { # NAME ULIMIT-OPTION VALUE
    local name=$1
    shift
    run_in_work bare limited "$@" "$HELPERS/names"
    fresh_folder "$SEEN/hk"
    run_in_work agent limited "$@" \
        "$HEAPKNOT" run -o "$FIRST" -- "$HELPERS/names"
    ok "[14] $name: unharmed" both_but_for_messages
    ok "[14] $name: at most one message" \
        test "$(grep -c '^heapknot: ' "$SEEN/agent/err")" -le 1 ||
        diag <"$SEEN/agent/err"
}
unharmed "an address space of 1 GiB" -v 1000000
unharmed "a data segment of 100 MB" -d 100000
unharmed "files of at most 4 KiB" -f 4
unharmed "six descriptors" -n 6
unharmed "a stack of 256 KiB" -s 256
no_threads() {
    local folder=$TMP/nobody
    mkdir -p "$folder" && chmod 777 "$TMP" "$folder"
    as_nobody env LD_PRELOAD="$AGENT" \
        HEAPKNOT_OPTIONS="output=$folder/x.hk" \
        bash -c 'ulimit -u 1; exec perl -e "sleep 1; print 6 * 7"' \
        2>"$folder/err"
}
if is_root; then
    is_str 42 "$(no_threads)" "[14] no thread may be made: unharmed"
    chmod 644 "$TMP/nobody/x.hk" 2>/dev/null
    ok "[14] and recorded all the same" opens "$TMP/nobody/x.hk"
else
    skip 2 "only root can"
fi

# ---- [15] programs that nobody can preload into, and tools of the loader -----

if $CC -static -x c -o "$HELPERS/static" - 2>/dev/null \
    <<<'#include <stdio.h>
        int main(void) { puts("static"); return 5; }'; then
    run_in_work agent "$HEAPKNOT" run -o "$TMP/static.hk" -- "$HELPERS/static"
    is_str "static 5" \
        "$(cat "$SEEN/agent/out") $(cat "$SEEN/agent/status")" \
        "[15] a static program runs"
    like 'will not be recorded' "$(cat "$SEEN/agent/err")" \
        "[15] and one is told"
else
    skip 2 "no static libc"
fi
same "[15] ldd" sh -c 'ldd /bin/sh | grep -c libc.so'
done_testing
