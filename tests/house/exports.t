#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the agent exports is what tbl/interposed.h and include/heapknot.h say,
# and what it needs from outside is on a short list.
. "$(dirname "$0")/../tap/tap.sh"

defined() { # OBJECT
    readelf -W --dyn-syms "$1" |
        awk '$7 != "UND" && ($5 == "GLOBAL" || $5 == "WEAK") {
            sub(/@.*/, "", $8); if ($8 != "") print $8 }' | sort -u
}

table() {
    sed -n 's/^HK_INTERPOSED(\([^,]*\),.*/\1/p' "$TOP/tbl/interposed.h"
}

public() { # every function declared in the public header and not inline
    "$CC" -I"$TOP/include" -include heapknot.h -E -P -xc /dev/null |
        grep -oE '\bhk_[a-z_]+ ?\(' | tr -d ' (' | sort -u >"$TMP/all"
    grep -A2 '^static inline' "$TOP/include/heapknot.h" |
        grep -oE '^hk_[a-z_]+' | sort -u >"$TMP/inline"
    grep -vxFf "$TMP/inline" "$TMP/all"
}

defined "$AGENT" >"$TMP/agent"
{
    table
    grep -oE '^(NEW|DELETE)\(_Z[A-Za-z0-9_]+' \
        "$TOP/agent/interpose_cxx.c" | sed 's/.*(//'
    public
} | sort -u >"$TMP/want"
is_str "" "$(comm -13 "$TMP/want" "$TMP/agent" | xargs)" \
    "the agent exports nothing that no table names"
is_str "" "$(comm -23 "$TMP/want" "$TMP/agent" | xargs)" \
    "the agent exports everything that a table names"

defined "$BUILD/lib/.libs/libheapknot.so.0" | grep -v '^HEAPKNOT_' \
    >"$TMP/lib"
public >"$TMP/public"
is_str "" "$(comm -3 "$TMP/public" "$TMP/lib" | xargs)" \
    "the companion exports its header, no more and no less"

is_str "libc.so.6" "$(readelf -d "$AGENT" |
    sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | grep -v '^ld-linux' |
    grep -v '^libm\.' | xargs)" \
    "the agent needs libc (and its maths) alone"

# What an agent must never call: stdio, locale, and libc's own allocator
# by its private names.
readelf -W --dyn-syms "$AGENT" |
    awk '$7 == "UND" { sub(/@.*/, "", $8); print $8 }' | sort -u >"$TMP/undef"
is_str "" "$(grep -xE 'printf|fprintf|puts|fopen|setlocale|__libc_malloc|strdup|getline|system|popen' \
    "$TMP/undef" | xargs)" "the agent calls neither stdio nor the allocator"
is_str "" "$(grep -x 'abort' "$TMP/undef" | xargs)" \
    "the agent has no way to abort but the program's"
done_testing
