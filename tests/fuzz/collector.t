#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# collector.t [SECONDS [SEED]] -- random graphs and operations: half of the time
# against the model in lib-gc-fuzz-t, half of it against what this machine's
# CPython does (tests/replay/oracle.py), if it is a 3.11, 3.12 or 3.13.  Prints
# TAP.  A scenario that fails is left in the folder that is printed.
. "$(dirname "$0")/../tap/tap.sh"

seconds=${1:-60}
seed=${2:-1}
end=$((EPOCHSECONDS + seconds))
kept=${TMPDIR:-/tmp}/heapknot-collector-$seed

has_oracle() {
    python3 -c 'import sys
sys.exit(not ((3, 11) <= sys.version_info[:2] <= (3, 13)
              and sys.implementation.name == "cpython"
              and "t" not in sys.abiflags))'
}

# Small, middling and large graphs in turn; each file from a fresh process.
against_cpython() {
    local first=$seed sizes=("60 6" "40 30" "6 300" "1 2500") size i=0
    while [ "$EPOCHSECONDS" -lt "$end" ]; do
        size=${sizes[i++ % 4]}
        # shellcheck disable=SC2086 # two words
        python3 "$TOP/tests/replay/oracle.py" "$first" $size \
            >"$TMP/vectors.json" || return 1
        "$BUILD/tests/gc-replay" "$TMP/vectors.json" >"$TMP/out" 2>&1 || {
            mkdir -p "$kept" && cp "$TMP/vectors.json" "$TMP/out" "$kept"
            echo "see $kept (oracle.py $first $size)"
            grep -v '^ok' "$TMP/out" | head -n 6
            return 1
        }
        count=$((count + ${size% *}))
        first=$((first + 1000))
    done
}

count=0
diag "seed $seed, $seconds s"
model=$((seconds / 2))
[ "$model" -gt 0 ] || model=1
ok "against the model" "$BUILD/tests/unit/lib-gc-fuzz-t" "$model" "$seed"
if has_oracle >/dev/null 2>&1; then
    ok "against CPython" against_cpython
    diag "$count scenarios"
else
    skip 1 "no CPython 3.11, 3.12 or 3.13"
fi
done_testing
