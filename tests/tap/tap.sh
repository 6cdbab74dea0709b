# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# tap.sh -- tests in bash that print TAP.
#
#	#!/bin/bash
#	. "$(dirname "$0")/../tap/tap.sh"
#	ok "the version is printed" "$HEAPKNOT" --version
#	is_int 4 "$(wc -l <"$TMP/out")" "four lines"
#	done_testing
#
# Here are: $TOP (sources), $BUILD, $HEAPKNOT, $AGENT, $CC, and $TMP, a folder
# that goes away with the test.  What is expected comes first.

tap_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
TOP=${TOP:-$(cd "$tap_here/../.." && pwd)}
if [ -z "${BUILD:-}" ]; then
    BUILD=$TOP
    [ ! -f "$TOP/build/Makefile" ] || BUILD=$TOP/build
fi
HEAPKNOT=${HEAPKNOT:-$BUILD/reporter/heapknot}
AGENT=${AGENT:-$BUILD/agent/libheapknot-agent.so}
CC=${CC:-cc}
export TOP BUILD HEAPKNOT AGENT CC
export LC_ALL=C
export HEAPKNOT_AGENT=$AGENT
unset HEAPKNOT_OPTIONS LD_PRELOAD MALLOC_CONF NO_COLOR PAGER DEBUGINFOD_URLS

TMP=$(mktemp -d "${TMPDIR:-/tmp}/heapknot-test.XXXXXX") || exit 255
export TMP
tap_run=0 tap_failed=0 tap_planned=
tap_at_exit=() tap_children=()

# at_exit COMMAND: evaluated when the test ends, the last one first.
at_exit() {
    tap_at_exit=("$1" "${tap_at_exit[@]}")
}

tap_cleanup() {
    local status=$? command
    [ "$BASHPID" = $$ ] || exit "$status"
    for command in "${tap_at_exit[@]}"; do
        eval "$command" >/dev/null 2>&1
    done
    tap_stop_children >/dev/null 2>&1
    rm -rf "$TMP"
    exit "$status"
}
# In this order, or bash 5.2 runs the trap on EXIT in ( ... ) & too.
trap 'exit 1' HUP INT TERM
trap tap_cleanup EXIT

# stop_at_exit PID...: ends these children with the test, whatever happens.
stop_at_exit() {
    tap_children+=("$@")
}

tap_stop_children() {
    [ ${#tap_children[@]} -gt 0 ] || return 0
    kill "${tap_children[@]}"
    wait_until 5 tap_children_gone || kill -9 "${tap_children[@]}"
    wait "${tap_children[@]}"
}

tap_children_gone() {
    ! kill -0 "${tap_children[@]}"
}

plan() {
    tap_planned=$1
    echo "1..$1"
}

# diag TEXT: a remark for who reads a failure; reads stdin without TEXT.
diag() {
    if [ $# -gt 0 ]; then printf '%s\n' "$*"; else cat; fi | sed 's/^/# /'
}

tap_result() { # STATUS DESCRIPTION
    tap_run=$((tap_run + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_run - $2"
    else
        tap_failed=$((tap_failed + 1))
        echo "not ok $tap_run - $2"
        return 1
    fi
}

# ok DESCRIPTION COMMAND...: holds if the command succeeds; what it prints is
# shown only when it fails.
ok() {
    local description=$1 status=0
    shift
    "$@" >"$TMP/.ok" 2>&1 || status=$?
    tap_result "$status" "$description" && return
    diag "status $status: $*"
    head -n 40 "$TMP/.ok" | diag
    return 1
}

is_str() { # EXPECTED SEEN DESCRIPTION
    local status=0
    [ "$1" = "$2" ] || status=1
    tap_result "$status" "$3" && return
    diag "expected $1"
    diag "    seen $2"
    return 1
}

is_int() { # EXPECTED SEEN DESCRIPTION
    local status=0
    [ "$1" -eq "$2" ] 2>/dev/null || status=1
    tap_result "$status" "$3" && return
    diag "expected $1"
    diag "    seen $2"
    return 1
}

like() { # EXTENDED-REGEX SEEN DESCRIPTION
    local status=0
    grep -Eq -- "$1" <<<"$2" || status=1
    tap_result "$status" "$3" && return
    diag "expected to match $1"
    diag "    seen $2"
    return 1
}

unlike() { # EXTENDED-REGEX SEEN DESCRIPTION
    local status=0
    ! grep -Eq -- "$1" <<<"$2" || status=1
    tap_result "$status" "$3" && return
    diag "expected not to match $1"
    diag "    seen $2"
    return 1
}

skip() { # COUNT REASON
    local i
    for ((i = 0; i < $1; i++)); do
        tap_run=$((tap_run + 1))
        echo "ok $tap_run # skip $2"
    done
}

skip_all() { # REASON
    echo "1..0 # skip $1"
    exit 0
}

bail_out() { # REASON
    echo "Bail out! $1"
    exit 255
}

# need PROGRAM...: skips the whole test where one is not installed.
need() {
    local program
    for program; do
        command -v "$program" >/dev/null 2>&1 ||
            skip_all "$program is not installed"
    done
}

# wait_until SECONDS COMMAND...: polls; fails when the time is over.
wait_until() {
    local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# free_port: a TCP port of the loopback on which nobody listens.
free_port() {
    perl -MSocket -e '
        socket(my $s, PF_INET, SOCK_STREAM, 0) or die;
        bind($s, sockaddr_in(0, INADDR_LOOPBACK)) or die;
        print((sockaddr_in(getsockname($s)))[0], "\n");'
}

done_testing() {
    [ -n "$tap_planned" ] || plan "$tap_run"
    [ "$tap_failed" -eq 0 ] || diag "$tap_failed of $tap_run failed"
    [ "$tap_failed" -eq 0 ] && [ "$tap_planned" -eq "$tap_run" ]
    exit
}
