#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The lessons of examples/tour: each prints what its page says, with the agent
# and without, and is built as its reader would build it.
. "$(dirname "$0")/../tap/tap.sh"

TOUR=$TOP/examples/tour
BUILT=$BUILD/examples/tour
PAGE=$TOUR/README.md

# section NAME: of the page, from its heading to the next.
section() {
    awk -v heading="## $1" '/^## / { on = index($0, heading) == 1 } on' "$PAGE"
}

# The first block of a section that is marked as text.
printed_in() {
    section "$1" | awk '/^```$/ { if (on) exit } on; /^```text$/ { on = 1 }'
}

lesson() {
    local name=$1
    local expected=$TOUR/expected/${name%%-*}.txt
    [ -x "$BUILT/$name" ] || bail_out "$name is not built"

    (cd "$TMP" && timeout 60 "$BUILT/$name") >"$TMP/out" 2>"$TMP/err"
    is_int 0 $? "$name: ends well"
    ok "$name: prints what is expected" diff "$expected" "$TMP/out"
    is_str "" "$(cat "$TMP/err")" "$name: and nothing on stderr"
    ok "$name: the page shows that" diff "$expected" <(printed_in "$name")

    (cd "$TMP" && timeout 60 "$HEAPKNOT" run -o "$TMP/$name.hk" -- \
        "$BUILT/$name") >"$TMP/out" 2>"$TMP/err"
    is_int 0 $? "$name: ends well under the agent"
    ok "$name: prints the same there" diff "$expected" "$TMP/out"
    ok "$name: its recording opens" "$HEAPKNOT" report "$TMP/$name.hk"
}

lessons=()
for source in "$TOUR"/[0-9]*.c; do
    source=${source##*/}
    lessons+=("${source%.c}")
done
is_int 13 ${#lessons[@]} "thirteen lessons"
for name in "${lessons[@]}"; do
    lesson "$name"
done

# What the page says of the recording of the fifth.
like '^ +\+32 .* session$' "$("$HEAPKNOT" diff "$TMP/05-snapshot.hk@round-1" \
    "$TMP/05-snapshot.hk@round-3" 2>&1)" \
    "05-snapshot: diff between its marks shows the sessions"

# The reader's own command.
if command -v pkg-config >/dev/null; then
    flags=$(PKG_CONFIG_PATH=$BUILD/lib pkg-config \
        --define-variable=includedir="$TOP/include" \
        --define-variable=libdir="$BUILD/lib/.libs" --cflags --libs heapknot)
    for name in "${lessons[@]}"; do
        # shellcheck disable=SC2086 # flags; CC may be more than one word
        ok "$name: built by hand" \
            $CC -Wall -Wextra -Werror -o "$TMP/$name" "$TOUR/$name.c" $flags
    done
    LD_LIBRARY_PATH=$BUILD/lib/.libs "$TMP/01-counts" >"$TMP/out"
    ok "and it runs" diff "$TOUR/expected/01.txt" "$TMP/out"
else
    skip 14 "no pkg-config"
fi
done_testing
