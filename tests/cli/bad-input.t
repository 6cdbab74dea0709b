#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# bad-input.t -- what is no recording gets one clear line and exit 3, what is
# half of one is read as far as it goes.
. "$(dirname "$0")/../tap/tap.sh"
need jq python3
export PYTHONDONTWRITEBYTECODE=1

mk() { python3 "$TOP/tests/mkrec/scenarios.py" cycles "$TMP/$1.hk"; }
# poke FILE OFFSET BYTES-IN-OCTAL: changes bytes in place
poke() {
    # shellcheck disable=SC2059 # the format is the bytes
    printf "$3" | dd of="$TMP/$1.hk" bs=1 seek="$2" conv=notrunc status=none
}
refused() { # FILE REGEX DESCRIPTION
    local cmd
    for cmd in report "report --json" cycles types diff \
        "export --format=folded"; do
        # shellcheck disable=SC2086 # words
        "$HEAPKNOT" $cmd "$TMP/$1.hk" >"$TMP/out" 2>"$TMP/err"
        is_int 3 $? "$3: $cmd exits with 3"
    done
    is_int 1 "$(wc -l <"$TMP/err")" "$3: one line"
    is_int 0 "$(wc -c <"$TMP/out")" "$3: nothing on stdout"
    like "$2" "$(cat "$TMP/err")" "$3: it says so"
}

refused none "No such file" "no such file"
: >"$TMP/empty.hk"
refused empty "is empty" "empty"
head -c 100000 /dev/urandom >"$TMP/garbage.hk"
refused garbage "not a heapknot recording" "garbage"
printf HEAP >"$TMP/tiny.hk"
refused tiny "cut off after 4 bytes" "four bytes"
head -c 65536 /dev/zero >"$TMP/zero.hk"
refused zero "no header yet" "zeros"
mkdir "$TMP/folder.hk"
refused folder "not a file" "a folder"
mk foreign && poke foreign 8 '\001\002\003\004'
refused foreign "other byte order" "foreign-endian"
mk future && poke future 12 '\002\000'
refused future "format version 2" "future version"
mk layout && poke layout 28 '\001\000\000\000'
refused layout "chunk size" "impossible chunks"
python3 "$TOP/tests/mkrec/scenarios.py" knots "$TMP/minor.hk"
poke minor 14 '\011\000'
ok "a larger minor version is read" "$HEAPKNOT" report "$TMP/minor.hk"

# Ids in MIST and HOLD that lead nowhere.
for place in "MIST:4:the sentence" "MIST:8:the type" "MIST:12:the stack" \
    "MIST:16:the stack" "MIST:20:the stack" "HOLD:0:the name" \
    "HOLD:4:the type" "HOLD:8:the stack"; do
    IFS=: read -r table offset what <<<"$place"
    python3 "$TOP/tests/mkrec/scenarios.py" mistakes "$TMP/ids.hk"
    at=$(grep -abo "$table" "$TMP/ids.hk" | tail -n 1 | cut -d: -f1)
    size=$(od -An -tu4 -j $((at + 4)) -N 4 "$TMP/ids.hk")
    poke ids $((at + 64 + size + offset)) '\377\377\377\177'
    "$HEAPKNOT" report "$TMP/ids.hk" >"$TMP/out" 2>"$TMP/err"
    is_int 3 $? "a wrong id at $offset of $table: refused"
    like "$what of a (mistake|hold) refers to 2147483647" \
        "$(cat "$TMP/err")" "... and it says so"
done

# Truncated anywhere: read as far as it goes (then it says so), or refused.
mk whole
size=$(stat -c %s "$TMP/whole.hk")
bad=0
for ((n = 0; n < size; n += size / 23)); do
    head -c $n "$TMP/whole.hk" >"$TMP/part.hk"
    "$HEAPKNOT" report --json "$TMP/part.hk" >"$TMP/out" 2>"$TMP/err"
    case $? in
    0) [ "$(jq .losses.truncated "$TMP/out")" = $((size - n)) ] || bad=$n ;;
    3) [ "$n" -lt 8192 ] && [ "$(wc -l <"$TMP/err")" = 1 ] || bad=$n ;;
    *) bad=$n ;;
    esac
done
is_int 0 $bad "truncated at 23 places"
head -c $((size - 1)) "$TMP/whole.hk" >"$TMP/part.hk"
"$HEAPKNOT" report --strict "$TMP/part.hk" >"$TMP/out" 2>&1
is_int 4 $? "--strict on a truncated one"
cp "$TMP/whole.hk" "$TMP/long.hk" && truncate -s +1M "$TMP/long.hk"
is_str "$("$HEAPKNOT" report "$TMP/whole.hk" | sed '$d')" \
    "$("$HEAPKNOT" report "$TMP/long.hk" | sed '$d')" "reserved space is not read"
done_testing
