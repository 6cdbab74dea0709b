# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# scenario.sh -- real programs with the agent and without; after tap.sh.
#
#	same "sorting" sort words       the same output and status both ways,
#	                                and every recording opens
#	json "$FILE" .totals.frees      a value of a recording
#	build_victim threads -pthread   $VICTIM/threads from tests/victims
#
# Everything is done in folders below $TMP.

SCENARIOS=$TOP/tests/scenario
VICTIM=$TMP/victims
WORK=$TMP/work # where a command of same() starts: empty, or as made_by says
SEEN=$TMP/seen
made_by=
mkdir -p "$VICTIM" "$SEEN"

# build_victim NAME [CC-ARGUMENT...]: from tests/victims, or from here.
build_victim() {
    local name=$1 source=$TOP/tests/victims/$1.c
    shift
    [ -f "$source" ] || source=$SCENARIOS/$name.c
    # shellcheck disable=SC2086 # CC may be more than one word
    $CC -std=gnu11 -O1 -g -I"$TOP/include" -I"$TOP" -o "$VICTIM/$name" \
        "$source" "$@" >"$TMP/cc.$name" 2>&1 && return
    diag <"$TMP/cc.$name"
    return 1
}

# json FILE JQ-FILTER [JQ-ARGUMENT...]
json() {
    local file=$1 filter=$2
    shift 2
    "$HEAPKNOT" report --json "$file" 2>>"$TMP/json.err" |
        jq -r "$@" "$filter"
}

# opens FILE...: each recording can be read and explained.
opens() {
    local file status=0
    for file; do
        "$HEAPKNOT" report "$file" >"$TMP/report.out" 2>"$TMP/report.err" ||
            { status=1; echo "$file:"; cat "$TMP/report.err"; }
    done
    return "$status"
}

# opens_all FOLDER: there are recordings, and each opens.
opens_all() {
    local files=("$1"/*.hk)
    [ -e "${files[0]}" ] || { echo "no recording in $1"; return 1; }
    opens "${files[@]}"
}

fresh_folder() {
    chmod -R u+rwx "$1" 2>/dev/null
    rm -rf "$1" && mkdir -p "$1"
}

# run_in_work NAME COMMAND...: leaves out, err, status and files of $WORK.
run_in_work() {
    local seen=$SEEN/$1 status=0
    shift
    fresh_folder "$WORK"
    [ -z "$made_by" ] || (cd "$WORK" && "$made_by") >/dev/null 2>&1
    fresh_folder "$seen"
    (cd "$WORK" && exec "$@") <"${input:-/dev/null}" \
        >"$seen/out" 2>"$seen/err" || status=$?
    echo "$status" >"$seen/status"
}

differs() {
    local what
    for what in status out err; do
        cmp -s "$SEEN/bare/$what" "$SEEN/agent/$what" && continue
        echo "$what differs; without and with the agent:"
        diff -a "$SEEN/bare/$what" "$SEEN/agent/$what" | head -n 20
        return 0
    done
    return 1
}

# The first process has the name that was asked for.
recorded() {
    local count
    opens_all "$SEEN/hk" || return 1
    count=$(json "$SEEN/hk/first.hk" .totals.allocations)
    [ "${count:-0}" -gt 0 ] || { echo "allocations: $count"; return 1; }
}

same_result() { # STATUS
    ! differs || return 1
    [ "$1" = "$(cat "$SEEN/bare/status")" ] && return
    echo "without the agent the status is not $1:"
    cat "$SEEN/bare/status" "$SEEN/bare/err"
    return 1
}

# same NAME COMMAND...; expect=N: its status, 0 otherwise; input=FILE;
# made_by=FUNCTION fills $WORK before each of the two runs.
same() {
    local name=$1
    shift
    run_in_work bare "$@"
    fresh_folder "$SEEN/hk"
    # shellcheck disable=SC2086 # options of run, or none
    run_in_work agent "$HEAPKNOT" run ${run_options:-} \
        -o "$SEEN/hk/first.hk" -- "$@"
    ok "$name: the same with and without" same_result "${expect:-0}" &&
        ok "$name: its recordings open" recorded
}

# output_of FUNCTION: its output lands in $SEEN/bare or $SEEN/agent, so that
# the two can be compared by same_result.
both_ways() { # NAME FUNCTION; the function starts what $wrap says
    local name=$1 function=$2 way
    fresh_folder "$SEEN/hk"
    for way in bare agent; do
        wrap=()
        [ $way = bare ] || wrap=("$HEAPKNOT" run -o "$SEEN/hk/first.hk" --)
        run_in_work $way "$function"
    done
    ok "$name: the same with and without" same_result "${expect:-0}"
}

monotonic_ns() {
    perl -MTime::HiRes=clock_gettime,CLOCK_MONOTONIC -e \
        'printf "%d\n", clock_gettime(CLOCK_MONOTONIC) * 1e9'
}

is_root() {
    [ "$(id -u)" = 0 ]
}

# as_nobody COMMAND...: only root can.
as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
