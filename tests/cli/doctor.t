#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# heapknot doctor: each reason for a missing recording is made, and must be
# named.

. "$(dirname "$0")/../tap/tap.sh"

doctor() { # sets $out and $status
    status=0
    "$HEAPKNOT" doctor "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
    out=$(cat "$TMP/out")
}
start() { # COMMAND...: sets $pid
    "$@" </dev/null >/dev/null 2>"$TMP/started.err" &
    pid=$!
    stop_at_exit $pid
}
real=$AGENT
export TMPDIR=$TMP # where doctor makes its trial
mkdir "$TMP/lib" "$TMP/work"
fake=$TMP/lib/libheapknot-agent.so
echo 'int heapknot_fake;' >"$TMP/fake.c"
$CC -shared -fPIC -o "$fake" "$TMP/fake.c" || bail_out "no compiler"
cd "$TMP/work" || exit

# The installation.
HEAPKNOT_AGENT=$TMP/none doctor
is_int 1 "$status" "no agent: status"
like "^BAD .*HEAPKNOT_AGENT=$TMP/none is no file" "$out" "no agent: named"
HEAPKNOT_AGENT=$fake doctor
is_int 1 "$status" "an agent that does nothing: status"
like "^BAD .*left no recording" "$out" "an agent that does nothing: named"
echo "no library" >"$TMP/lib/broken"
cp "$TMP/lib/broken" "$TMP/libheapknot-agent.so"
HEAPKNOT_AGENT=$TMP/libheapknot-agent.so doctor
like "^BAD .*the loader refuses the agent" "$out" "a broken agent: named"
like "^ok .*libunwind.so.8 can be loaded" "$out" "libunwind is found"
(ulimit -f 1000 && HEAPKNOT_AGENT=$fake "$HEAPKNOT" doctor) >"$TMP/limited"
like "^note .*ulimit -f" "$(cat "$TMP/limited")" "a limit of file sizes: named"
is_str "" "$(ls -d "${TMPDIR:-/tmp}"/heapknot-doctor.* 2>/dev/null)" \
    "nothing is left behind"

# Processes.
start sleep 60
doctor $pid
is_int 1 "$status" "plain process: status"
like "^BAD .*without heapknot run \(LD_PRELOAD is not set\)" "$out" \
    "plain process: why"
start env LD_PRELOAD=libc.so.6 sleep 60
wait_until 5 grep -q sleep "/proc/$pid/comm"
doctor $pid
like "LD_PRELOAD names other libraries" "$out" "another preload: why"
start env LD_PRELOAD="$TMP/gone/libheapknot-agent.so" sleep 60
wait_until 5 grep -q sleep "/proc/$pid/comm"
doctor $pid
like "^BAD .*is not there for the process" "$out" "missing agent: why"
start env LD_PRELOAD="$fake" HEAPKNOT_OPTIONS=follow=none sleep 60
wait_until 5 grep -q libheapknot-agent "/proc/$pid/maps"
doctor $pid
is_int 1 "$status" "no recording: status"
like "^BAD .*the agent is there, but no recording" "$out" "no recording: why"
like "HEAPKNOT_OPTIONS=follow=none, in folder $TMP/work" "$out" \
    "no recording: options and folder"
printf '#include <unistd.h>\nint main(void) { return pause(); }\n' \
    >"$TMP/pause.c"
if $CC -static -o "$TMP/static" "$TMP/pause.c" 2>/dev/null; then
    start env LD_PRELOAD="$fake" "$TMP/static"
    wait_until 5 grep -q static "/proc/$pid/comm"
    doctor $pid
    like "^BAD .*cannot get into it: it is statically linked" "$out" \
        "static: why"
else
    skip 1 "cannot link static programs"
fi
sh -c 'echo $$' >"$TMP/dead"
doctor "$(cat "$TMP/dead")"
is_int 1 "$status" "no such process: status"
like "^BAD .*there is no process" "$out" "no such process: why"

# Files.
doctor "$TMP/nothing"
is_int 3 "$status" "no such file: status"
is_int 1 "$(grep -c ^BAD "$TMP/out")" "no such file: one line"
echo "hello" >"$TMP/text"
doctor "$TMP/text"
is_int 3 "$status" "not a recording: status"

# Command lines.
doctor a b
is_int 2 "$status" "too many arguments"
doctor --xyzzy
is_int 2 "$status" "unknown option"

if [ ! -e "$real" ]; then
    skip 1 "there is no agent yet at $real"
    done_testing
fi
export HEAPKNOT_AGENT=$real
doctor
is_int 0 "$status" "a whole installation: status" || diag "$out"
like "^ok .*was run under the agent and recorded" "$out" \
    "a whole installation: tried"
start "$HEAPKNOT" run -o "$TMP/live.hk" sleep 60
wait_until 10 test -s "$TMP/live.hk"
doctor $pid
like "^ok .*its recording is $TMP/live.hk" "$out" "recorded process: file"
like "^ok .*process $pid: running" "$out" "recorded process: running"
kill -9 $pid
wait $pid 2>/dev/null
doctor "$TMP/live.hk"
like "^note .*ended without a word" "$out" "killed process: said"
(ulimit -f 0 && exec "$HEAPKNOT" run -o "$TMP/none.hk" true) 2>/dev/null
is_int 0 $? "no room for a file: the program runs"

done_testing
