#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Nothing that is wrong around the agent hurts the program: it does the same,
# one message says what is wrong, and report or doctor explain it afterwards.
# shellcheck disable=SC2016,SC2317 # scripts in quotes, functions by name
. "$(dirname "$0")/../tap/tap.sh"
. "$(dirname "$0")/scenario.sh"
need jq perl /usr/bin/python3
need_victims cycles loglive exits

build_helper names
build_helper deny
chmod 755 "$TMP" "$HELPERS"
FIRST=$SEEN/hk/first.hk
mkdir -p "$SEEN/bare"
"$HELPERS/names" >"$TMP/names.out"

# preloaded OPTIONS COMMAND...: leaves out, err and status.
preloaded() {
    local options=$1 status=0
    shift
    fresh_folder "$SEEN/hk"
    # The shell's own remark on a signal goes nowhere.
    {
        "${LIMIT[@]}" "${as[@]}" env LD_PRELOAD="$AGENT" \
            HEAPKNOT_OPTIONS="$options" "$@" >"$TMP/out" 2>"$TMP/err" ||
            status=$?
    } 2>/dev/null
    echo "$status" >"$TMP/status"
}
as=()

unharmed() {
    [ "$(cat "$TMP/status")" = 0 ] && cmp "$TMP/names.out" "$TMP/out" &&
        ! grep -v '^heapknot: ' "$TMP/err"
}

messages() {
    grep '^heapknot: ' "$TMP/err"
}

# wrong NAME PATTERN OPTIONS [COMMAND...]: one message that matches.
wrong() {
    local name=$1 pattern=$2 options=$3
    shift 3
    preloaded "$options" "$@" "$HELPERS/names"
    ok "$name: unharmed" unharmed
    is_int 1 "$(messages | wc -l)" "$name: one message" ||
        diag <"$TMP/err"
    like "$pattern" "$(messages)" "$name: what and why"
}

explained() { # NAME PATTERN FILE: by report, or where there is none by doctor
    local text
    text=$("$HEAPKNOT" report "$3" 2>&1) ||
        text+=$("$HEAPKNOT" doctor "$3" 2>&1)
    like "$2" "$text" "$1: explained afterwards"
}

# ---- options ----------------------------------------------------------------

wrong "an unknown key" 'scan_intervall.*scan_interval' \
    "output=$FIRST:scan_intervall=1s:verbose=off"
ok "an unknown key: recorded all the same" opens "$FIRST"
wrong "a value that is none" 'publish' "output=$FIRST:publish=soon"
ok "a value that is none: recorded all the same" opens "$FIRST"
preloaded "::=:x:output=$FIRST" "$HELPERS/names"
ok "nonsense for options: unharmed" unharmed
refused() {
    ! "$HEAPKNOT" run --scan-intervall=1s -- true 2>"$TMP/refused" &&
        grep -q 'did you mean --scan-interval' "$TMP/refused"
}
ok "run refuses an unknown option, and knows the nearest" refused

# ---- where the recording should be ------------------------------------------

wrong "no such folder" 'No such file|does not exist|cannot' \
    "output=$TMP/no/such/x.hk"
explained "no such folder" 'No such file|no recording|folder' \
    "$TMP/no/such/x.hk"
wrong "a folder that is a file" 'cannot|not a' "output=$TMP/names.out/x.hk"

: >"$TMP/precious"
mkdir "$TMP/taken"
ln -s "$TMP/precious" "$TMP/taken/x.hk"
preloaded "output=$TMP/taken/x.hk" "$HELPERS/names"
ok "a symbolic link in the way: unharmed" unharmed
is_str "" "$(cat "$TMP/precious")" "a symbolic link is not followed"
ok "but there is a recording beside it" opens "$TMP"/taken/x.*.hk
is_str 600 "$(stat -c %a "$TMP"/taken/x.*.hk)" \
    "a recording is its owner's alone"

if is_root; then
    mkdir -m 755 "$TMP/closed"
    as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    wrong "no permission" 'ermission' "output=$TMP/closed/x.hk"
    as=()
    explained "no permission" 'No such file|no recording' "$TMP/closed/x.hk"
else
    skip 4 "root has every permission it needs, others have none to lose"
fi

# ---- a full disk ------------------------------------------------------------

tiny_disk() { # FOLDER SIZE
    mkdir -p "$1" && mount -t tmpfs -o "size=$2,mode=777" tmpfs "$1" \
        2>/dev/null && at_exit "umount -l '$1'"
}
if is_root && tiny_disk "$TMP/full" 4k; then
    wrong "a disk without room" 'full|No space' "output=$TMP/full/x.hk"
    explained "a disk without room" \
        'No such file|no recording|full|No space|[Nn]othing' "$TMP/full/x.hk"
    tiny_disk "$TMP/small" 200k
    preloaded "output=$TMP/small/x.hk:publish=5ms:interval=5ms" \
        /usr/bin/python3 -c \
        'import asyncio, ctypes, email, json, re, sqlite3; print(42, end="")'
    is_str "42 0" "$(cat "$TMP/out" "$TMP/status" | tr '\n' ' ' |
        sed 's/42/42 /; s/ $//')" "a disk that gets full: unharmed"
    ok "a disk that gets full: at most one message" \
        test "$(messages | wc -l)" -le 1
    ok "a disk that gets full: what there is can be read" \
        opens "$TMP/small/x.hk"
    explained "a disk that gets full" 'full|No space' "$TMP/small/x.hk"
    tiny_disk "$TMP/filled" 4m
    preloaded "output=$TMP/filled/x.hk:publish=20ms:interval=20ms" sh -c \
        "(sleep 0.3; cat /dev/zero >'$TMP/filled/other' 2>/dev/null) &
        exec '$VICTIMS/loglive' '$TMP/filled.log' 2 1"
    is_int 0 "$(cat "$TMP/status")" \
        "a disk that others fill under way: unharmed"
    ok "and its recordings can be read" opens "$TMP"/filled/*.hk
else
    skip 10 "only root can mount"
fi

preloaded "output=$FIRST:max_file=512KiB:interval=5ms:publish=5ms" \
    perl -e 'my %h; for my $i (1 .. 200000) { $h{$i % 977} = "x" x ($i % 99) }
        print 6 * 7'
is_str 42 "$(cat "$TMP/out")" "a small max_file=: unharmed"
ok "max_file=: the recording opens" opens "$FIRST"
ok "max_file=: and stays that small" \
    test "$(stat -c %s "$FIRST")" -le 524288

# ---- memory, libraries, system calls ----------------------------------------

preloaded "output=$FIRST:memory=256KiB" perl -e \
    'my @a; $a[$_] = "x" x (20 + $_ % 99) for 0 .. 299999; print scalar @a'
is_str "300000 0" "$(cat "$TMP/out") $(cat "$TMP/status")" \
    "a small memory=: unharmed"
is_int 1 "$(messages | wc -l)" "a small memory=: one message"
like 'memory' "$(messages)" "a small memory=: what and why"
explained "a small memory=" 'memory' "$FIRST"

mkdir "$TMP/broken"
echo "not a library" >"$TMP/broken/libunwind.so.8"
LD_LIBRARY_PATH=$TMP/broken wrong "no libunwind" 'libunwind' "output=$FIRST"
explained "no libunwind" 'libunwind' "$FIRST"
ok "no libunwind: counted all the same" test \
    "$(json "$FIRST" .totals.allocations)" -gt 500

# In a container that refuses the clone of a scan.
as=("$HELPERS/deny" scan-clone)
preloaded "output=$FIRST:scan_interval=50ms:min_age=0:pause_budget=50%" \
    "$VICTIMS/cycles" --seconds=1
if [ "$(cat "$TMP/status")" = 77 ]; then
    skip 4 "no seccomp"
else
    is_str "0 $("$VICTIMS/cycles" --seconds=0 | cksum)" \
        "$(cat "$TMP/status") $(cksum <"$TMP/out")" \
        "clone refused: unharmed"
    is_int 1 "$(messages | wc -l)" "clone refused: one message" ||
        diag <"$TMP/err"
    explained "clone refused" 'clone|seccomp|denied|refused|scan' "$FIRST"
    ok "clone refused: counted" \
        test "$(json "$FIRST" .losses.scans_failed)" -gt 0
fi
for call in thread memfd fallocate process_vm_readv membarrier; do
    as=("$HELPERS/deny" "$call")
    preloaded "output=$FIRST" perl -e \
        'my @a = map { "x$_" } 1 .. 20000; select undef, undef, undef, 0.4;
        print scalar @a'
    is_str "20000 0" "$(cat "$TMP/out") $(cat "$TMP/status")" \
        "$call refused: unharmed"
    ok "$call refused: at most one message" \
        test "$(messages | wc -l)" -le 1 || diag <"$TMP/err"
    if [ -e "$FIRST" ]; then
        ok "$call refused: the recording opens" opens "$FIRST"
    else
        ok "$call refused: and it is said why there is no recording" \
            test "$(messages | wc -l)" -eq 1
    fi
done
as=()

# ---- the recording goes while the program runs ------------------------------

preloaded "output=$FIRST:publish=20ms" sh -c \
    "(sleep 0.2; rm -f '$SEEN'/hk/*.hk) &
    exec '$VICTIMS/loglive' '$TMP/removed.log' 2 1"
is_int 0 "$(cat "$TMP/status")" "a recording that is removed: unharmed"
done_testing
