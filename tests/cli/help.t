#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# --help and --version against the tables; wrong command lines.

. "$(dirname "$0")/../tap/tap.sh"

# names MACRO FILE: the first arguments of the macro's uses
names() {
    sed -n "s/^$1(\([a-zA-Z_]*\),.*/\1/p" "$TOP/tbl/$2"
}
hk() { # sets $out, $err and $status
    status=0
    "$HEAPKNOT" "$@" >"$TMP/out" 2>"$TMP/err" || status=$?
    out=$(cat "$TMP/out") err=$(cat "$TMP/err")
}

hk --help
is_int 0 "$status" "--help: status"
is_str "" "$err" "--help: nothing on stderr"
all=$out
for name in $(names HK_COMMAND commands.h); do
    like "^  $name +[a-z]" "$all" "--help lists $name"
    hk "$name" --help
    is_int 0 "$status" "$name --help: status"
    like "^Usage: heapknot $name " "$out" "$name --help: usage"
    page=$out
    hk help "$name"
    is_str "$page" "$out" "help $name is the same page"
done
for code in 0 1 2 3 4; do
    like "^  $code  " "$all" "--help explains status $code"
done
is_int 3 "$(sed -n '/^Examples/,/^$/p' <<<"$all" | grep -c '^  heapknot')" \
    "three examples come first"
is_str "$all" "$("$HEAPKNOT" help)" "help is --help"
is_int 0 "$("$HEAPKNOT" --help | awk 'length > 80' | wc -l)" \
    "--help fits 80 columns"

hk run --help
for name in $(names HK_OPTION options.h); do
    like "^  --${name//_/-}=" "$out" "run --help lists --${name//_/-}"
done
is_int 0 "$(awk 'length > 80' <<<"$out" | wc -l)" "run --help fits 80 columns"

hk --version
version=$(sed -n 's/^#define HK_VERSION "\(.*\)"/\1/p' "$TOP/include/heapknot.h")
is_str "heapknot $version" "$(head -n 1 "$TMP/out")" "--version"
like "recording format 1\.3" "$out" "--version names the format"

wrong() { # REGEX ARGUMENT...
    local regex=$1
    shift
    hk "$@"
    is_int 2 "$status" "heapknot $*: status 2"
    like "$regex" "$err" "heapknot $*: message"
    is_int 2 "$(wc -l <"$TMP/err")" "heapknot $*: one line and a hint"
    is_str "" "$out" "heapknot $*: nothing on stdout"
}
wrong "no command"
wrong "did you mean 'report'" rpeort
wrong "did you mean 'cycles'" cycle
wrong "did you mean 'doctor'" docter
wrong "did you mean '--version'" --verison
wrong "unknown command 'xyzzy'$" xyzzy
wrong "did you mean 'types'" help type
wrong "unknown option '-x'" -x

if [ -e /dev/full ]; then
    status=0
    "$HEAPKNOT" --help >/dev/full 2>"$TMP/err" || status=$?
    is_int 3 "$status" "a full disk is noticed"
    like "No space left" "$(cat "$TMP/err")" "... and said"
else
    skip 2 "no /dev/full"
fi

done_testing
