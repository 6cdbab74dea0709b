# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# scenario.sh -- real programs with the agent and without; after tap.sh.
#
#	same "sorting" sort words       the same output and status both ways,
#	                                and every recording opens
#	json "$FILE" .totals.frees      a value of a recording
#	need_victims threads            $VICTIMS/threads is there
#
# Everything is done in folders below $TMP.

SCENARIOS=$TOP/tests/scenario
VICTIMS=$BUILD/tests/victims
HELPERS=$TMP/helpers
WORK=$TMP/work # where a command of same() starts: empty, or as made_by says
SEEN=$TMP/seen
LIMIT=(timeout --foreground -k 5 90)
made_by=
ulimit -S -c 0 # what aborts here does so on purpose
mkdir -p "$HELPERS" "$SEEN"

# need_victims NAME...: those of tests/victims that make check builds.
need_victims() {
    local name
    for name; do
        [ -x "$VICTIMS/$name" ] || bail_out "no $VICTIMS/$name: make check"
    done
}

# build_helper NAME [CC-ARGUMENT...]: $HELPERS/NAME from NAME.c beside us.
build_helper() {
    local name=$1
    shift
    # shellcheck disable=SC2086 # CC may be more than one word
    $CC -std=gnu11 -O1 -g -I"$TOP/include" -o "$HELPERS/$name" \
        "$SCENARIOS/$name.c" "$@" >"$TMP/cc.$name" 2>&1 && return
    diag <"$TMP/cc.$name"
    bail_out "$name.c does not compile"
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
    # The shell's own remark on a signal goes nowhere.
    {
        (cd "$WORK" && "$@") <"${input:-/dev/null}" \
            >"$seen/out" 2>"$seen/err" || status=$?
    } 2>/dev/null
    echo "$status" >"$seen/status"
}

differs() {
    local what
    for what in status out err; do
        sed -i -E "${mask:-}" "$SEEN/bare/$what" "$SEEN/agent/$what"
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

# same NAME COMMAND...; expect=N: its status, 0 otherwise; input=FILE; mask=
# what sed shall make equal; made_by=FUNCTION fills $WORK before each of the
# two runs.  Whatever takes longer than 90 s hangs.
same() {
    local name=$1
    shift
    run_in_work bare "${LIMIT[@]}" "$@"
    fresh_folder "$SEEN/hk"
    # shellcheck disable=SC2086 # options of run, or none
    run_in_work agent "${LIMIT[@]}" "$HEAPKNOT" run ${run_options:-} \
        -o "$SEEN/hk/first.hk" -- "$@"
    ok "$name: the same with and without" same_result "${expect:-0}" &&
        ok "$name: its recordings open" recorded
}

# both_ways NAME FUNCTION: for servers; the function starts "${wrap[@]}" server,
# and what it prints is compared.
both_ways() {
    local name=$1 function=$2 way wrap
    fresh_folder "$SEEN/hk"
    for way in bare agent; do
        wrap=()
        # shellcheck disable=SC2034 # the function reads it
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
