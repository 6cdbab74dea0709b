#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A service forks, execs, waits, ends, closes its descriptors, gives up its
# rights and meets limits while it is scanned: it notices nothing of the scan,
# and the scans go on.
# shellcheck disable=SC2317 # functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq prlimit setpriv unshare
need_victims scan_service
build_helper reaper
build_helper deny
chmod 755 "$TMP" "$HELPERS"

OFTEN=(--scan-interval=50ms --pause-budget=50% --cpu-budget=100%
    --publish=100ms)

# service WHAT: as the script's own child; leaves $TMP/WHAT.out, .err and .hk.
service() {
    local status=0
    {
        "${LIMIT[@]}" "${wrap[@]}" "$HEAPKNOT" run "${OFTEN[@]}" \
            "${more[@]}" -o "$TMP/$1.hk" -- "$VICTIMS/scan_service" "$@" \
            >"$TMP/$1.out" 2>"$TMP/$1.err" </dev/null || status=$?
    } 2>/dev/null
    return "$status"
}
wrap=() more=()

# says WHAT LINE...: this is what comes of it; one ok.
says() {
    local what=$1 status=0
    shift
    rm -f "$TMP/$what.hk"
    service "$what" || status=$?
    if [ "$status" = 77 ]; then
        skip 1 "$what: not here"
        return
    fi
    is_str "0 $(printf '%s\n' "$@")" "$status $(cat "$TMP/$what.out")" \
        "${title:-$what}" || diag <"$TMP/$what.err"
}

# The statuses of its scans, each once.
scans() {
    json "$TMP/$1.hk" '[.scans[] | .status] | unique | join(" ")'
}

# ---- children, signals ------------------------------------------------------

says waits "phantoms 0, foreign 0" "signals 2"
says wall "not waited for: 0" "the child of the scan" "scans go on"
blames() { # WHAT: whom the first scan that crashed
    json "$TMP/$1.hk" '[.scans[] | select(.status == "crashed")][0] |
        if . then .culprit else "no such scan" end'
}
is_str null "$(blames wall)" "a scan that is lost so is no type's fault"
says killed "scans go on"
is_str null "$(blames killed)" "a child killed from outside: no type's fault"
says signals "handled once each"
is_str "done" "$(scans signals)" "signals to the group: no scan is disturbed"
is_int 0 "$(json "$TMP/signals.hk" '[.scans[].skipped_objects] | add')" \
    "and no object of it is given up"
if is_root; then
    wrap=(unshare --pid --fork --mount-proc)
    says same-number "waited for the own child, status 3"
    wrap=()
else
    skip 1 "only root can choose the number of a process"
fi

# ---- ends -------------------------------------------------------------------

says exec "the scan's child is gone" "children: none"
says exec-fails "No such file or directory" "scans go on"
# What a supervisor sees, to whom orphans go.
wrap=("$HELPERS/reaper")
says exit "reaped 1, of them unknown 0"
wrap=()
killed() { # while it is scanned; its scanner is gone soon after
    local pid scanner
    mkfifo "$TMP/stdin"
    "$HEAPKNOT" run "${OFTEN[@]}" -o "$TMP/killed.hk" -- \
        "$VICTIMS/scan_service" linger <"$TMP/stdin" >"$TMP/killed.out" &
    pid=$!
    stop_at_exit "$pid"
    exec 7>"$TMP/stdin"
    wait_until 10 grep -q scanned "$TMP/killed.out"
    scanner=$(sed -n 's/scanned by //p' "$TMP/killed.out")
    kill -0 "$scanner" || { echo "no scan: $scanner"; return 1; }
    kill -9 "$pid"
    wait "$pid"
    exec 7>&-
    wait_until 2 gone "$scanner"
}
gone() {
    ! kill -0 "$1" || grep -q 'State:.*Z' "/proc/$1/status"
}
ok "SIGKILL of a service that is scanned: no orphan" killed

# ---- rights -----------------------------------------------------------------

if is_root; then
    says drop-rights "scans go on"
    is_str "done" "$(scans drop-rights)" "rights given up: each scan is whole"
    says drop-rights-hung "the scan has ended"
    says drop-rights-exec "the scan's child is gone" "children: none"
    says jail "scans go on"
    says namespaces "setns done" "unshare done" "scans go on"
    says processes "scans 0" "scans go on"
    like no-memory "$(scans processes)" "too many processes: a failed scan"
else
    skip 8 "only root has rights to give up"
fi
says dumpable "scans go on"
says space "there is room" "scans go on"
says close-all "next 0" "next 1"

# ---- manners ----------------------------------------------------------------

says threads "5 scans, 0 calls interrupted"
if is_root; then
    wrap=(prlimit --core=1000000)
    says manners \
        "nice 19, policy 3, oom 1000, tracer 0, threads 1" \
        "core 0, descriptors 0, folder /" "owner of its memory root" \
        "policy of its parent 0"
    wrap=("$HELPERS/reaper" trace)
    says manners \
        "nice 19, policy 3, oom 1000, tracer 0, threads 1" \
        "core 0, descriptors 0, folder /" "owner of its memory root" "policy of its parent 0" \
        "reaped 1, of them unknown 0"
    wrap=()
    says manners-of-nobody \
        "nice 19, policy 3, oom 1000, tracer 0, threads 1" \
        "core 0, descriptors -1, folder ?" "owner of its memory root" \
        "policy of its parent 0"
else
    skip 3 "only root can look into a child that is not dumpable"
fi

# ---- system calls that are refused ------------------------------------------

for call in prctl setitimer sched_setscheduler setpriority sigaltstack \
    close_range prlimit64 chdir pidfd_send_signal; do
    wrap=("$HELPERS/deny" "$call")
    title="$call refused: scans go on" says scans ""
done
says sandbox alive
like 'no cycle scans.*seccomp' "$(cat "$TMP/sandbox.err")" \
    "a filter of the program's own, which kills who is copied: no scans"
wrap=("$HELPERS/deny" setitimer "$HELPERS/deny" prctl)
says denied ""
is_str "denied skipped" "$(scans denied)" \
    "neither a timer nor the kernel would end the child: no scans"
is_int 1 "$(grep -c 'see only types without' "$TMP/denied.err")" \
    "which is said, once"
wrap=()
done_testing
