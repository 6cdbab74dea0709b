#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# heapknot ctl against a process that plays the agent.

. "$(dirname "$0")/../tap/tap.sh"

$CC -std=gnu11 -I"$TOP" -o "$TMP/fake-agent" "$TOP/tests/cli/fake-agent.c" ||
    bail_out "cannot compile the fake agent"

number=0
start() { # MODE: sets $file and $pid
    number=$((number + 1))
    file=$TMP/$1.$number.hk
    "$TMP/fake-agent" "$file" "$1" >"$TMP/log" &
    pid=$!
    stop_at_exit $pid
    wait_until 10 grep -q ready "$TMP/log" || bail_out "no fake agent"
}
ctl() { # sets $out, $err and $status
    status=0
    "$HEAPKNOT" ctl "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
    out=$(cat "$TMP/out") err=$(cat "$TMP/err")
}

start answer
ctl "$file" snapshot
is_int 0 "$status" "snapshot: status"
is_str "did 3 " "$out" "snapshot: the agent's words are printed"
ctl "$pid" scan
is_int 0 "$status" "scan by PID: status"
is_str "did 5 " "$out" "scan by PID: the agent's words"
ctl "$file" mark "after the warm-up"
is_str "did 4 after the warm-up" "$out" "mark: its name arrives"
is_int 3 "$(grep -c '^request' "$TMP/log")" "three requests were seen"

for i in 1 2 3 4 5 6 7 8; do
    "$HEAPKNOT" ctl "$file" mark "m$i" >"$TMP/m$i" 2>&1 &
    clients[i]=$!
done
wait "${clients[@]}"
is_str "$(for i in 1 2 3 4 5 6 7 8; do echo "did 4 m$i"; done)" \
    "$(cat "$TMP"/m?)" "eight clients at once each get their own answer"

ctl "$pid" status
is_int 0 "$status" "status by PID"
like "process +$pid, running" "$out" "status: running"
like "heap +3.0 MiB in 12,345 live blocks" "$out" "status: totals"
like "published .* ago" "$out" "status: age"
kill -9 "$pid"
wait "$pid" 2>/dev/null
ctl "$file" status
is_int 0 "$status" "status works on the dead"
like "ended without a word.*last 250 ms" "$out" "status says what may be missing"
before=$(sha256sum <"$file")
ctl "$file" scan
is_int 3 "$status" "a dead process: status"
like "process $pid cannot answer: it is gone" "$err" "a dead process: why"
is_str "$before" "$(sha256sum <"$file")" "a dead recording is not written to"
ctl "$pid" scan
is_int 3 "$status" "a PID that is gone: status"
like "no process $pid" "$err" "a PID that is gone: why"

start refuse
ctl "$file" scan
is_int 3 "$status" "refused: status"
is_str "heapknot ctl: a scan is running" "$err" "refused: the agent's reason"

start late
ctl "$file" snapshot
is_str "did 3 " "$out" "a young process is waited for"

start deaf
ctl "$file" snapshot
is_int 3 "$status" "no thread: status"
like "no thread that could answer" "$err" "no thread: why"

start retired
ctl "$file" snapshot
is_int 3 "$status" "retired: status"
is_str "heapknot ctl: the agent of process $pid has given up: memory= is used up?[0m" \
    "$err" "retired: why, and no control characters"

start die
ctl "$file" scan
is_int 3 "$status" "dies while asked: status"
like "cannot answer: it is gone" "$err" "dies while asked: said at once"

start mute
begin=${EPOCHREALTIME/./}
ctl "$file" snapshot
is_int 3 "$status" "no answer: status"
like "did not answer in time" "$err" "no answer: why"
ok "no answer: about five seconds" \
    test $((${EPOCHREALTIME/./} - begin)) -lt 8000000

if [ "$(id -u)" != 0 ]; then
    chmod 400 "$file"
    ctl "$file" scan
    like "Permission denied" "$err" "not writable: why"
    chmod 600 "$file"
else
    skip 1 "root may write everything"
fi

refuse() { # DESCRIPTION REGEX ARGUMENT...
    local what=$1 regex=$2
    shift 2
    ctl "$@"
    is_int 2 "$status" "$what: status"
    like "$regex" "$err" "$what: message"
    like "see heapknot ctl --help" "$err" "$what: hint"
}
refuse "no argument" "which recording"
refuse "no request" "what to do" "$file"
refuse "misspelt request" "did you mean 'snapshot'" "$file" snapshto
refuse "no name" "needs a name" "$file" mark
refuse "empty name" "may not be empty" "$file" mark ""
refuse "name with a newline" "control characters" "$file" mark $'a\nb'
refuse "long name" "at most" "$file" mark "$(printf '%600s' x)"
refuse "too many" "too many arguments" "$file" scan again

echo "hello, this is no recording" >"$TMP/text"
for bad in "$TMP/text" "$TMP/none" "$TMP" /dev/null; do
    ctl "$bad" status
    is_int 3 "$status" "$bad is refused"
    is_int 1 "$(wc -l <"$TMP/err")" "... in one line"
done
head -c 6000 "$file" >"$TMP/short"
ctl "$TMP/short" status
is_str "heapknot ctl: $TMP/short is damaged: it has no control page" "$err" \
    "a cut header is refused"
ctl $$ status
like "process $$ is not being recorded" "$err" "a process without the agent"

done_testing
