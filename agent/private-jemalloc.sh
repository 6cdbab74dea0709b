#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# private-jemalloc.sh ARCHIVE OUTPUT.o -- make Debian's libjemalloc_pic.a one
# object that shares nothing with a jemalloc of the program.
#
# 1. The C++ operators are left out, the rest is linked into one object.
# 2. Public names become hkj_NAME.  Imports through which a user's settings,
#    or hooks into the program, would come in become hkjx_NAME: those are in
#    agent/pool.c.
# 3. Every name that pool.c does not use is made local, and the constructor is
#    cut out: the first call makes it ready, and most processes make none.
set -eu

archive=$1 output=$2
AR=${AR:-ar} NM=${NM:-nm} OBJCOPY=${OBJCOPY:-objcopy} CC=${CC:-cc}

publics="malloc calloc realloc free mallctl"
imports="secure_getenv readlink pthread_atfork atexit dlsym pthread_create
	_Unwind_Backtrace _Unwind_GetIP"

case $archive in /*) ;; *) archive=$PWD/$archive ;; esac
work=$(mktemp -d "$output.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

(cd "$work" && $AR x "$archive" && rm -f jemalloc_cpp*.o)
$CC -r -nostdlib -o "$work/all.o" "$work"/*.pic.o

$NM -g --defined-only "$work/all.o" |
    awk '$3 !~ /^je_/ { print $3, "hkj_" $3 }' >"$work/rename"
for name in $imports; do
    echo "$name hkjx_$name"
done >>"$work/rename"
for name in $publics; do
    grep -q "^$name " "$work/rename" || {
        echo "$0: $archive does not define $name" >&2
        exit 1
    }
    echo "hkj_$name"
done >"$work/keep"

# Two steps: objcopy looks for names to keep among the old ones.
$OBJCOPY --redefine-syms="$work/rename" "$work/all.o" "$work/renamed.o"
$OBJCOPY --keep-global-symbols="$work/keep" --strip-debug \
    --remove-section=.init_array --remove-section=.rela.init_array \
    --remove-section=.ctors --remove-section=.rela.ctors \
    "$work/renamed.o" "$work/private.o"
mv "$work/private.o" "$output"
