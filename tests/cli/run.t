#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# heapknot run: what the command sees, and how wrong options end.  The library
# that is preloaded is an empty one, but where the agent is asked too.

. "$(dirname "$0")/../tap/tap.sh"

mkdir "$TMP/lib"
fake=$TMP/lib/libheapknot-agent.so
echo 'int heapknot_fake;' >"$TMP/fake.c"
$CC -shared -fPIC -o "$fake" "$TMP/fake.c" || bail_out "no compiler"
real=$AGENT
export HEAPKNOT_AGENT=$fake

run() { # sets $out, $err and $status
    status=0
    "$HEAPKNOT" run "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
    out=$(cat "$TMP/out") err=$(cat "$TMP/err")
}
variable() {
    sed -n "s/^$1=//p" <<<"$out"
}

# What the command gets.
run env
is_int 0 "$status" "run env: status"
is_str "" "$err" "run env: not a word"
is_str "$fake" "$(variable LD_PRELOAD)" "the agent is preloaded"
is_str "" "$(variable HEAPKNOT_OPTIONS)" "no options, none set"
run --depth=20 --scan-interval=0 --min_age=2s -o a.hk --verbose -- env
is_str "depth=20:scan_interval=0:min_age=2s:output=a.hk:verbose=on" \
    "$(variable HEAPKNOT_OPTIONS)" "options in order, dashes become underscores"
run -oa.hk env
is_str "output=a.hk" "$(variable HEAPKNOT_OPTIONS)" "-oFILE"
HEAPKNOT_OPTIONS=depth=3 run --depth=5 env
is_str "depth=3:depth=5" "$(variable HEAPKNOT_OPTIONS)" \
    "what was there stays, what is given comes after"
LD_PRELOAD=libc.so.6 run env
is_str "$fake:libc.so.6" "$(variable LD_PRELOAD)" "other preloads stay"
(cd "$TMP" && HEAPKNOT_AGENT=lib/libheapknot-agent.so \
    "$HEAPKNOT" run env >"$TMP/relative")
like "^LD_PRELOAD=$fake$" "$(cat "$TMP/relative")" "the path becomes absolute"
run printf '%s|' --depth=3 -o "a b" --help --
is_str "--depth=3|-o|a b|--help|--|" "$out" "the command's words are its own"
run -- printf '%s|' -- x
is_str "--|x|" "$out" "only the first -- is ours"

# Status, signals, process.
run sh -c 'exit 42'
is_int 42 "$status" "the command's status"
run sh -c 'kill -TERM $$'
is_int 143 "$status" "the command's death"
"$HEAPKNOT" run sh -c 'echo $$' >"$TMP/pid" &
started=$!
wait $started
is_int $started "$(cat "$TMP/pid")" "the command is the same process"
run "$TMP/nothing"
is_int 127 "$status" "not found: 127"
is_str "heapknot run: $TMP/nothing: command not found" "$err" "... and said"
run xyzzy-no-such-command
is_int 127 "$status" "not found in PATH: 127"
echo >"$TMP/plain"
run "$TMP/plain"
is_int 126 "$status" "not executable: 126"
like "Permission denied" "$err" "... and said"
printf '#!%s/none\n' "$TMP" >"$TMP/script"
chmod +x "$TMP/script"
run "$TMP/script"
is_int 127 "$status" "a script without its interpreter: 127"
like "interpreter does not exist" "$err" "... and said"

# Programs that the agent cannot get into run all the same.
echo 'int main(void) { return 7; }' >"$TMP/seven.c"
if $CC -static -o "$TMP/static" "$TMP/seven.c" 2>/dev/null; then
    run "$TMP/static"
    is_int 7 "$status" "static: it runs"
    is_str "heapknot run: $TMP/static will not be recorded: it is statically linked" \
        "$err" "static: one line"
    printf '#!%s/static -x\n' "$TMP" >"$TMP/script"
    run "$TMP/script"
    is_int 7 "$status" "script of a static interpreter: it runs"
    like "script will not be recorded: it is statically" "$err" "... one line"
    (cd "$TMP" && PATH=.:$PATH "$HEAPKNOT" run static 2>"$TMP/err")
    like "statically" "$(cat "$TMP/err")" "found in PATH"
else
    skip 5 "cannot link static programs"
fi
if $CC -static-pie -o "$TMP/static" "$TMP/seven.c" 2>/dev/null; then
    run "$TMP/static"
    like "statically linked" "$err" "static-pie: one line"
else
    skip 1 "cannot link static-pie programs"
fi
$CC -o "$TMP/seven" "$TMP/seven.c"
run "$TMP/seven"
is_str "7 " "$status $err" "dynamic: no warning"
if [ "$(id -u)" = 0 ]; then
    # Owned by another user: as root cannot be raised any more.
    cp "$TMP/seven" "$TMP/setuid"
    chown 65534 "$TMP/setuid" && chmod 4755 "$TMP/setuid"
    run "$TMP/setuid"
    like "will not be recorded: it is setuid" "$err" "setuid: one line"
else
    skip 1 "only root can make a setuid program"
fi

# A recording that is there already.
echo old >"$TMP/old.hk"
run -o "$TMP/old.hk" true
like "^heapknot run: $TMP/old.hk is there already: the recording gets the process id \([0-9]+\) in its name\$" \
    "$err" "an old recording is pointed out"
run -o "$TMP/old.hk" -o "$TMP/new.hk" true
is_str "" "$err" "only the last name counts"
run -o "$TMP" true
is_str "" "$err" "a folder is no old recording"

# Wrong options.
refuse() { # DESCRIPTION REGEX ARGUMENT...
    local what=$1 regex=$2
    shift 2
    rm -f "$TMP/ran"
    run "$@" touch "$TMP/ran"
    is_int 2 "$status" "$what: status 2"
    like "$regex" "$err" "$what: message"
    ok "$what: the command is not run" test ! -e "$TMP/ran"
}
refuse "unknown" "unknown option --xyzzy$" --xyzzy=1
refuse "misspelt" "unknown option --dpeth: did you mean --depth\?" --dpeth=3
refuse "misspelt with a dash" "did you mean --scan-interval\?" --scan-intreval=3s
refuse "no value" "depth needs a value: --depth=VALUE, a number" --depth
refuse "not a number" "expected a number" --depth=many
refuse "not a time" "expected a time" --publish=3parsecs
refuse "not a size" "expected a size" --memory=lots
refuse "not a share" "expected a share" --cpu-budget=3
refuse "not a switch" "expected on or off" --thread=maybe
refuse "empty" "expected a text" --output=
refuse "colon" "may not contain ':'" -o a:depth=1
refuse "long" "longer than" --output="$(printf '%1020s' x)"
refuse "short option" "unknown option -x" -x
run
is_int 2 "$status" "no command: status 2"
like "no command given" "$err" "no command: message"
run -o
like "needs a file name" "$err" "-o without a file"

HEAPKNOT_AGENT=$TMP/none run true
is_int 3 "$status" "no agent: status"
like "HEAPKNOT_AGENT=$TMP/none is no file" "$err" "no agent: which"
mkdir "$TMP/a b"
cp "$fake" "$TMP/a b/"
HEAPKNOT_AGENT="$TMP/a b/libheapknot-agent.so" run true
like "LD_PRELOAD cannot hold" "$err" "an agent whose path cannot be preloaded"

# The agent and this command agree about every value.
if [ -e "$real" ]; then
    export HEAPKNOT_AGENT=$real
    cd "$TMP" || exit
    good="--memory=512KiB --memory=1MiB --memory=2G --memory=4096 --memory=1MB
        --publish=250ms --publish=1s --interval=2m --min-age=1h
        --min-age=1.5s --scan-interval=0 --publish=100000us --depth=128
        --pause-budget=0.1% --cpu-budget=5% --thread=no --thread=true
        --on-crash=1 --on-crash --verbose=off --follow=none"
    for option in $good; do
        run --output=good.%n.hk "$option" true
        is_str "0" "$status" "$option: accepted"
        unlike "HEAPKNOT_OPTIONS" "$err" "$option: the agent has no complaint"
    done
    bad="depth=many publish=3parsecs memory=lots cpu_budget=3 thread=maybe"
    for option in $bad; do
        complaint=$(env HEAPKNOT_OPTIONS="output=bad.%n.hk:$option" \
            LD_PRELOAD="$real" true 2>&1)
        like "HEAPKNOT_OPTIONS" "$complaint" "$option: the agent complains too"
    done
else
    skip 1 "there is no agent yet at $real"
fi

done_testing
