#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# core.t -- programs for which the core of the agent was once a nuisance: what
# they do alone they do under it, and nothing is lost.

. "$(dirname "$0")/../tap/tap.sh"

victims=$TOP/tests/victims
limit=(timeout --foreground -k 2 20)

compile() { # OUTPUT COMPILER-ARGUMENT...
    local out=$1
    shift
    # shellcheck disable=SC2086 # CC may be more than one word
    $CC -std=gnu11 -O1 -g -o "$TMP/$out" "$@" >"$TMP/cc" 2>&1 && return
    diag <"$TMP/cc"
    bail_out "$out does not compile"
}

compile core "$victims/core.c" -pthread
compile plugin.so -shared -fPIC "$victims/core_plugin.c" -pthread
compile early.so -shared -fPIC "$victims/core_library.c"
compile linked "$victims/core_linked.c" -L"$TMP" -l:early.so \
    -Wl,-rpath,"$TMP"

# preload COMMAND...: the recording is $TMP/r.hk.
preload() {
    rm -f "$TMP/r.hk"
    "${limit[@]}" env HEAPKNOT_OPTIONS="output=$TMP/r.hk" \
        LD_PRELOAD="$AGENT${library:+ $library}" "$@" 2>&1
}

# agent MODE [LIBRARY]: what core prints under it.
agent() {
    local library=${2:-}
    preload "$TMP/core" "$1"
}
library=

total() { # JQ-FILTER
    "$HEAPKNOT" report --json "$TMP/r.hk" 2>/dev/null | jq -r "$1"
}

is_str last "$(agent leave-main)" "a last thread's output, main being gone"
is_str exited "$(total .process.state)" "and the process ends with it"

is_str quick "$(agent fork-at-once)" "threads that fork at once"
is_int 0 "$(total .losses.stack_table_full)" "leave no lock behind"

is_str "done" "$(agent fork-among-threads)" "children of threads that allocate"
is_str "done" "$(agent fork-in-handler)" "handlers that interrupt malloc and fork"

is_str kept "$(agent dlerror)" "dlerror is not forgotten"
is_int 0 "$(agent errno)" "errno stays as it was"

agent threads >/dev/null
is_int 0 "$(total .losses.unknown_frees)" \
    "the loader's blocks of a thread are not unknown"

is_int 0 "$(agent small-stack >"$TMP/used"; echo $?)" \
    "a thread of 16 KiB of stack may allocate"
ok "an allocation takes less than 8 KiB of stack" \
    [ "$(head -n 1 "$TMP/used")" -lt 8192 ]

agent signal-stack >/dev/null
is_int 3 $? "a handler on 8 KiB of stack may call _exit"

agent survive-abort >/dev/null 2>&1
ok "after an abort that was survived recording goes on" \
    [ "$(total .totals.allocations)" -ge 1000 ]

is_str loaded "$(preload "$TMP/core" plugin "$TMP/plugin.so")" \
    "a constructor that waits for a thread that allocates, sleeps and polls"

preload "$TMP/linked"
is_str "1 1" "$(total '"\(.totals.allocations) \(.totals.frees)"')" \
    "what a library frees in its destructor is recorded"

# same MODE TEXT: only where the system lets the program do it at all.
same() {
    local alone
    alone=$("${limit[@]}" "$TMP/core" "$1" 2>/dev/null)
    is_str "$alone" "$(agent "$1")" "$2"
}
same namespace "a user namespace may be entered after the thread started"
same mlockall "mlockall does not fill the tables"
case $(agent realtime) in
*FIFO*) ok "the agent's thread is not a real-time one" false ;;
*) ok "the agent's thread is not a real-time one" true ;;
esac

agent nothing >/dev/null
is_int 1000 "$(total .totals.allocations)" "blocks of no bytes are counted"
for name in jemalloc.so.2 mimalloc.so.2.0 tcmalloc_minimal.so.4; do
    found=$(find /usr/lib -name "lib$name" 2>/dev/null | head -n 1)
    if [ -z "$found" ]; then
        skip 1 "no lib$name"
        continue
    fi
    agent nothing "$found" >/dev/null
    is_str "0 true" "$(total '"\(.losses.unknown_frees)" + " " +
        "\(.totals.allocations - .totals.frees ==
           .totals.live_blocks and .totals.frees >= 1000)"')" \
        "blocks of no bytes are told apart: $name"
done

(
    ulimit -d 3000000
    HEAPKNOT_OPTIONS=output=$TMP/d.hk LD_PRELOAD=$AGENT \
        "$TMP/core" errno >"$TMP/out" 2>"$TMP/err"
)
is_str 0 "$(cat "$TMP/out")" \
    "a limit of the data segment is left to the program"
like 'ulimit' "$(cat "$TMP/err")" "and is named as the reason"

done_testing
